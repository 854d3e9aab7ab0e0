"""Windows stay within their series; every point is covered; causal ones do not see the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from aedetect import SlidingWindow
from aedetect.series.period import period

ROW_FOR_ROW = ("transformer", "methods_", "n_features_in_after", "readonly")


@st.composite
def series(draw):
    """A table of several series that alternate, some with a gap in time; a value tells its row."""
    n = draw(st.integers(2, 60))
    keys = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    gaps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 7]), min_size=n, max_size=n))
    frame = pd.DataFrame({"key": keys, "value": np.arange(float(n))})
    frame["piece"] = [f"{k}{i}" for k, i in zip(keys, _counted(keys, gaps), strict=True)]
    steps = pd.Series(gaps).groupby(keys).cumsum()
    frame.index = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps.to_numpy(), "min")
    return frame


def _counted(keys, gaps):
    """How many gaps lie before each row in its series; none lies before the first."""
    table = pd.DataFrame({"key": keys, "gap": np.array(gaps) > 1})
    table.loc[~table["key"].duplicated(), "gap"] = False
    return table.groupby("key")["gap"].cumsum()


def lengths_and_strides(draw):
    length = draw(st.integers(1, 9))
    return {"length": length, "stride": draw(st.integers(1, length))}


@pytest.mark.filterwarnings("ignore:Time is irregular", "ignore:The times of X are")
@given(series(), st.data())
@settings(deadline=None)
def test_every_point_is_covered_and_no_border_crossed(frame, data):
    window = SlidingWindow(key="key", **lengths_and_strides(data.draw)).fit(frame[["key", "value"]])
    window.step_ = 60.0  # of few rows, the median may be the gap
    X = frame[["key", "value"]]
    windows = window.transform(X)
    pieces = frame["piece"].to_numpy()
    for row in windows:
        seen = row[~np.isnan(row)].astype(int)
        assert len(set(pieces[seen])) == 1
        in_piece = np.flatnonzero(pieces == pieces[seen[0]])
        position = np.searchsorted(in_piece, seen)
        assert (np.diff(position) == 1).all()
        assert len(seen) == min(window.length, len(in_piece))
    scores = window.point_scores(X, np.arange(float(len(windows))))
    assert scores.index.equals(X.index)
    for i in range(len(X)):
        covering = np.flatnonzero((windows == i).any(axis=1))
        assert scores["coverage"].iloc[i] == len(covering) > 0
        assert scores["score"].iloc[i] == pytest.approx(covering.mean())


@pytest.mark.filterwarnings("ignore:Time is irregular", "ignore:The times of X are")
@given(series(), st.integers(1, 9), st.data())
@settings(deadline=None)
def test_causal_windows_end_at_their_point_and_do_not_see_the_future(frame, length, data):
    X = frame[["key", "value"]]
    window = SlidingWindow(key="key", length=length, causal=True).fit(X)
    window.step_ = 60.0
    windows = window.transform(X)
    assert len(windows) == len(X)
    assert sorted(windows[:, -1]) == list(range(len(X)))
    means = np.nanmean(windows, axis=1)
    scores = window.point_scores(X, means)["score"].to_numpy()
    assert (window.point_scores(X, means)["coverage"] == 1).all()
    now = data.draw(st.integers(1, len(X)))
    changed = X.copy()
    changed.iloc[now:, 1] += 1000
    others = np.nanmean(window.transform(changed), axis=1)
    np.testing.assert_array_equal(
        window.point_scores(changed, others)["score"].to_numpy()[:now], scores[:now]
    )


def test_channels_lie_one_after_the_other_and_gaps_stay_gaps():
    X = np.array([[0.0, 10], [1, 11], [2, np.nan], [3, 13]])
    windows = SlidingWindow(length=3).fit_transform(X)
    np.testing.assert_array_equal(windows, [[0, 1, 2, 10, 11, np.nan], [1, 2, 3, 11, np.nan, 13]])


def test_scores_that_are_missing_do_not_count():
    X = np.arange(4.0)[:, None]
    scores = SlidingWindow(length=2).fit(X).point_scores(X, [1, np.nan, 5])
    assert scores["score"].tolist() == [1, 1, 5, 5]
    scores = SlidingWindow(length=2).fit(X).point_scores(X, [np.nan, np.nan, 5])
    assert scores["coverage"].tolist() == [0, 0, 1, 1]
    assert scores["score"].isna().tolist() == [True, True, False, False]


def test_infinite_scores_and_lists():
    X = [[0.0], [1.0], [2.0], [3.0]]
    window = SlidingWindow(length=2).fit(X)
    assert window.point_scores(X, [1, 2, 5])["score"].tolist() == [1, 1.5, 3.5, 5]
    with pytest.raises(ValueError, match=r"window_scores\[1\] is -inf; expected finite"):
        window.point_scores(X, [1, -np.inf, 5])


@pytest.mark.parametrize(
    "refused", [lambda X: X[::-1], lambda X: X.assign(x=np.nan), lambda X: X[:12].assign(z=1.0)]
)
def test_a_failed_fit_changes_nothing(refused, rng):
    X = pd.DataFrame({"x": np.sin(np.arange(300) * 2 * np.pi / 30), "y": rng.normal(size=300)})
    X.index = pd.date_range("2024-01-01", periods=300, freq="min")
    window = SlidingWindow(stride=20).fit(X)
    before = window.transform(X)
    with pytest.raises(ValueError, match=r"\w"):
        window.fit(refused(X).drop(columns="y"))
    np.testing.assert_array_equal(window.transform(X), before)


def test_channels_without_a_value_are_left_out_whatever_else_is(rng):
    X = pd.DataFrame({"valve": rng.integers(0, 2, 60), "dead": np.nan})
    with pytest.warns(UserWarning, match="fewer than 1 different values .*: 'dead'"):
        window = SlidingWindow(length=5, min_values=10).fit(X)
    assert window.channels_.tolist() == [0]


@pytest.mark.parametrize("standardise", ["window", "train"])
def test_standardised_values_do_not_depend_on_the_unit(standardise, rng):
    X = rng.normal(size=(60, 2))
    X[5, 0] = np.nan
    window = SlidingWindow(length=12, standardise=standardise)
    windows = window.fit_transform(X)
    np.testing.assert_allclose(window.fit_transform(X * [1e6, 2] - 7), windows, atol=1e-6)
    whole = windows[20].reshape(2, 12) if standardise == "window" else (X - window.mean_).T
    if standardise == "window":
        np.testing.assert_allclose(whole.mean(axis=1), 0, atol=1e-9)
        np.testing.assert_allclose(whole.std(axis=1), 1)


def test_a_flat_window_stays_flat(rng):
    X = np.r_[rng.normal(size=50), 3 + 1e-9 * rng.normal(size=50)][:, None]
    windows = SlidingWindow(length=10, standardise="window").fit_transform(X)
    assert np.abs(windows[-30:]).max() < 1e-6


@pytest.mark.parametrize("length", [12, 50, 288])
def test_the_period_is_found(length, rng):
    x = np.sin(np.arange(12 * length) * 2 * np.pi / length) ** 3
    noise = rng.normal(size=len(x)) * 0.3
    assert period(np.c_[x + noise, np.zeros(len(x))], [len(x)]) == pytest.approx(length, rel=0.1)


@pytest.mark.parametrize("level", [0, 100])
def test_the_period_is_that_of_series_not_of_how_long_they_are(level, rng):
    starts, levels = rng.integers(0, 24, (20, 1)), level * rng.normal(size=(20, 1))
    x = np.sin((np.arange(90) + starts) * 2 * np.pi / 24) + levels + 0.1 * rng.normal(size=(20, 90))
    assert period(x.reshape(-1, 1), [90] * 20) in (23, 24, 25)


def test_a_window_is_no_longer_than_half_of_the_longest_series(rng):
    assert period(rng.normal(size=(700, 2)), [7] * 100) == 3


def test_what_does_not_repeat_gets_a_length_too(rng):
    assert period(np.arange(1000.0)[:, None], [1000]) == 100
    assert period(np.ones((1000, 1)), [1000]) == 100
    assert period(rng.normal(size=(7, 2)), [7]) == 1


def test_time_that_is_irregular_is_noticed(rng):
    X = pd.DataFrame({"x": rng.normal(size=100)})
    X.index = pd.date_range("2024-01-01", periods=100, freq="min")
    window = SlidingWindow(length=5).fit(X)
    assert window.step_ == 60
    late = X.index.to_numpy().copy()
    late[50] += np.timedelta64(20, "s")
    with pytest.warns(UserWarning, match=r"of 99 steps .* 2 differ .* 60 s \(40 s to 80 s\)"):
        window.transform(X.set_index(late))
    assert len(window.transform(X.drop(X.index[50]))) == 46 + 45


@pytest.mark.parametrize("step", ["10min", "6h"])
def test_other_steps_than_those_learned_are_told_of(step, rng):
    X = pd.DataFrame({"x": rng.normal(size=100)})
    hourly, other = (X.set_index(pd.date_range("2024", periods=100, freq=f)) for f in ("h", step))
    window = SlidingWindow(length=5).fit(hourly)
    seconds = f"{pd.Timedelta(step).total_seconds():g} s apart, those that were learned from 3600 s"
    with pytest.warns(UserWarning, match=seconds):
        window.transform(other)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"causal": True, "stride": 2}, lambda X: X, "stride=2; causal=True scores each point"),
        ({"length": 3, "stride": 4}, lambda X: X, "stride=4 exceeds the 3 points of a window"),
        ({"key": "unit"}, lambda X: X, "key='unit': X has no such column"),
        ({"key": "x"}, lambda X: X.mask(X["x"] == 2), "key='x': no key in row 2"),
        ({}, lambda X: X[::-1], "times of X go back, by up to 0 days 00:01:00; sort"),
        ({}, lambda X: X.assign(x=np.inf), "inf"),
        ({"key": "y"}, lambda X: X[["y"]], "key='y': X has no other column"),
        ({"key": "y"}, lambda X: X[["x", "y", "y"]], "key='y': X has several columns of that"),
        ({}, lambda X: X * np.nan, r"no observed value \(all NaN\)"),
        ({"length": "long"}, lambda X: X, "length='long'; expected"),
    ],
)
def test_what_cannot_be_used_is_refused(options, change, message):
    X = pd.DataFrame({"x": np.arange(30.0), "y": 0.0})
    X.index = pd.date_range("2024-01-01", periods=30, freq="min")
    with pytest.raises(ValueError, match=message):
        SlidingWindow(**options).fit(change(X))


def test_scores_must_be_as_many_as_windows():
    X = np.arange(9.0)[:, None]
    with pytest.raises(ValueError, match=r"has shape \(9,\); X has 7 windows"):
        SlidingWindow(length=3).fit(X).point_scores(X, np.zeros(9))


GENERATED = parametrize_with_checks([SlidingWindow()])


@pytest.mark.parametrize(
    "check",
    [c for _, c in GENERATED.args[1] if not any(part in str(c) for part in ROW_FOR_ROW)],
    ids=GENERATED.kwargs["ids"],
)
def test_scikit_learn_check(check):
    check(SlidingWindow())


def test_times_belong_in_the_index(rng):
    times = pd.date_range("2024", periods=50, freq="h")
    table = pd.DataFrame({"x": rng.standard_normal(50), "at": times})
    with pytest.raises(ValueError, match=r"Column 'at' of X holds times; .* X.set_index\('at'\)"):
        SlidingWindow().fit(table)
    texts = table.set_index(times.astype(str))[["x"]]
    with pytest.warns(UserWarning, match="index of X holds texts, such as '2024-01-01 00:00:00'"):
        SlidingWindow().fit(texts)
    by_day = table.assign(day=times.normalize()).drop(columns="at")
    SlidingWindow(key="day", length=8).fit(by_day)  # a key may be one
    SlidingWindow().fit(table.set_index(pd.Index([f"row {i}" for i in range(50)]))[["x"]])


def test_rounding_in_flat_windows_is_no_shape(rng):
    x = np.repeat(rng.standard_normal(200), 10)[:, None]
    windows = SlidingWindow(length=10, stride=10, standardise="window").fit(x)
    assert not windows.transform(x).any()


def test_units_are_of_the_values_that_are_known(rng):
    x = rng.standard_normal((5000, 2))
    x[100:4900, 1] = np.nan
    scale = SlidingWindow(length=10, standardise="train").fit(x).scale_
    np.testing.assert_allclose(scale, 1, rtol=0.15)

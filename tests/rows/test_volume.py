"""Volumes under the surface, beside their definition written out, and in cases known by thought."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from aedetect.metrics import vus_pr, vus_roc


def literal(outlier, scores, window):
    """Paparrizos et al. (2022), threshold by threshold, in the words of the paper."""
    n, areas = len(outlier), []
    for width in range(window + 1):
        label = np.zeros(n)
        for i in range(n):
            for j in np.flatnonzero(outlier):
                if i == j:
                    label[i] = 1
                elif abs(i - j) <= width // 2:
                    label[i] = max(label[i], (1 - abs(i - j) / width) ** 0.5)
        ranges, inside = [], False
        for i in range(n):
            if label[i] > 0:
                ranges = [*ranges[:-1], [*ranges[-1], i]] if inside else [*ranges, [i]]
            inside = label[i] > 0
        positive = (outlier.sum() + label.sum()) / 2
        recalls, falses, precisions = [0.0], [0.0], [1.0]
        for threshold in sorted(set(scores)):
            flagged = scores <= threshold
            hit = label[flagged].sum()
            found = sum(any(flagged[i] for i in some) for some in ranges)
            recalls.append(min(hit / positive, 1) * found / len(ranges))
            falses.append((flagged.sum() - hit) / (n - positive))
            precisions.append(hit / flagged.sum())
        roc = pr = 0.0
        for k in range(1, len(recalls)):
            pr += (recalls[k] - recalls[k - 1]) * precisions[k]
        recalls, falses = [*recalls, 1.0], [*falses, 1.0]
        for k in range(1, len(recalls)):
            roc += (falses[k] - falses[k - 1]) * (recalls[k] + recalls[k - 1]) / 2
        areas.append((roc, pr))
    return np.mean(areas, axis=0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30),
    st.integers(0, 8),
)
@settings(deadline=None)
def test_volumes_are_those_of_the_definition(points, window):
    outlier, scores = (np.array(some) for some in zip(*points, strict=True))
    if outlier.all() or not outlier.any():
        outlier[0] = not outlier[0]
    found = vus_roc(outlier, scores, window), vus_pr(outlier, scores, window)
    assert found == pytest.approx(literal(outlier, scores.astype(float), window))


def test_of_one_range_without_soft_borders_they_are_areas_of_points_with_recall_of_points(rng):
    outlier = np.arange(200) // 20 == 4
    scores = rng.normal(size=200) - outlier
    assert vus_roc(outlier, scores, 0) == pytest.approx(roc_auc_score(outlier, -scores))
    assert vus_pr(outlier, scores, 0) == pytest.approx(average_precision_score(outlier, -scores))


def test_what_comes_a_little_early_is_forgiven():
    outlier = np.arange(500) // 50 == 5
    early = np.where(np.arange(500) // 50 == 5, -1.0, 0.0)
    early = np.r_[early[5:], np.zeros(5)]
    assert vus_pr(outlier, early, 20) > vus_pr(outlier, early, 0)
    assert vus_pr(outlier, -outlier.astype(float), 0) == 1


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_order_alone_counts(shift, rng):
    outlier, scores = rng.random(300) < 0.1, rng.normal(size=300)
    for volume in (vus_roc, vus_pr):
        assert volume(outlier, np.exp(scores) + shift, 9) == volume(outlier, scores, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outlier": np.array([1, 0, 0])}, "outlier is of int64; expected booleans"),
        ({"outlier": np.array([False] * 3)}, "outlier is False for all 3 points"),
        ({"scores": np.zeros(4)}, "4 scores for 3 points"),
        ({"scores": np.array([0, np.nan, 1])}, "1 of the scores are not finite"),
        ({"window": -1}, "window=-1; expected an integer at least 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    given_ = {"outlier": np.array([True, False, False]), "scores": np.arange(3.0), "window": 2}
    for volume in (vus_roc, vus_pr):
        with pytest.raises((TypeError, ValueError), match=message):
            volume(**given_ | change)

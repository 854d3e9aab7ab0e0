"""When did the machine fail, and could it have been known before?

NAB's machine temperature: one reading every five minutes for 79 days, which end with a failure that
had begun earlier. A detector learns the first 10 days and scores the others, each point by nothing
that came after it. Run: ``python examples/sensor.py --data DIR [--figure sensor.png]``, where DIR
holds ``nab.npz`` with the series' times, values and windows around the known anomalies.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from aedetect import make_series_detector

SERIES = "realKnownCause/machine_temperature_system_failure.csv"
DAY = 24 * 12  # points


def read(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Temperatures by time, and which points lie in a window around a known anomaly."""
    with np.load(folder / "nab.npz") as file:
        times, values, truth = (file[f"{SERIES}|{part}"] for part in ("t", "x", "window"))
    table = pd.DataFrame({"temperature": values}, index=pd.to_datetime(times, unit="s"))
    kept = ~table.index.duplicated()
    return table[kept], truth[kept] > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="file to draw")
    args = parser.parse_args()
    table, truth = read(args.data)
    first, rest, known = table[: 10 * DAY], table[10 * DAY :], truth[10 * DAY :]

    detector = make_series_detector(length=DAY // 4, causal=True, random_state=0).fit(first)
    points, alarms = detector.score_points(rest), detector.alarms(rest)
    print(alarms.sort_values("score").head(8).to_string(index=False))
    borders = np.flatnonzero(np.diff(np.r_[False, known, False])).reshape(-1, 2)
    for start, end in borders:
        flagged = points.index[start:end][points["label"].iloc[start:end] == -1]
        told = "not noticed" if flagged.empty else f"noticed {flagged[0]}"
        print(f"known anomaly from {rest.index[start]} to {rest.index[end - 1]}: {told}")
    print(f"of all other points, {(points['label'][~known] == -1).mean():.1%} are flagged")

    if args.figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.plot(rest.index, rest["temperature"], linewidth=0.5)
        lower.plot(points.index, -points["score"], linewidth=0.5)
        lower.axhline(-detector.offset_, color="grey", linestyle="--", linewidth=0.8)
        for start, end in borders:
            upper.axvspan(rest.index[start], rest.index[end - 1], alpha=0.2, color="tab:red")
        upper.set_ylabel("temperature")
        lower.set(ylabel="error", yscale="log")
        figure.savefig(args.figure)


if __name__ == "__main__":
    main()

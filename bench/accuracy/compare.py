#!/usr/bin/env python3
"""Times one fit with a forecast of the next day, ours beside MSTL + AutoETS of statsforecast and LightGBM, on the same generated
series, one after the other in one run, and prints ratios. Machines are noisy: read the ratios.

    python3 -m venv target/compare
    target/compare/bin/pip install statsforecast lightgbm scikit-learn
    target/compare/bin/python bench/accuracy/compare.py [--long]

Ours is `cargo bench --bench accuracy -- --fit FILE`: the whole engine with all candidates and its calibration, median of five. The
peers get one core each, after a fit of a short series that is not counted, for numba compiles at its first. LightGBM is what
an expert would set up: four quantiles, lags of a day and one and two weeks, the means around them, and the time of day and week.
`--long` adds 13 months at 5 min, which takes MSTL many minutes.
"""
import argparse
import csv
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time

for library in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[library] = "1"

try:
    import lightgbm
    import numpy as np
    import pandas as pd
    from statsforecast.models import MSTL, AutoETS
except ImportError as missing:
    sys.exit(f"{missing}; see the head of {__file__} for how to install what is compared with")

QUANTILES = (0.5, 0.9, 0.95, 0.99)
HOUSE = pathlib.Path(__file__).resolve().parents[2]


def payments(days, minutes):
    """A service that is busy by day and on working days, grows a little and is noisy; the same in every run."""
    random = np.random.default_rng(7)
    at = pd.date_range("2026-01-05", periods=days * 1440 // minutes, freq=f"{minutes}min", tz="UTC")
    hour = (at.hour + at.minute / 60).to_numpy()
    busy = 1.2 + np.sin((hour - 8) / 24 * 2 * np.pi) + 0.5 * np.exp(-(((hour - 19) / 1.5) ** 2))
    week = np.where(at.dayofweek < 5, 1.0, 0.6)
    growth = 1 + 0.3 * np.arange(len(at)) / len(at)
    return pd.Series(1000 * busy * week * growth * random.lognormal(0, 0.08, len(at)), index=at)


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ours(series):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "load.csv"
        series.rename_axis("timestamp").rename("value").to_csv(file, date_format="%Y-%m-%dT%H:%M:%SZ")
        command = ["cargo", "bench", "--locked", "--quiet", "--bench", "accuracy", "--", "--fit", str(file)]
        if "TIDETABLE_ACCURACY" in os.environ:  # a bench that is built already
            command = [os.environ["TIDETABLE_ACCURACY"], "--fit", str(file)]
        printed = subprocess.run(command, cwd=HOUSE, check=True, capture_output=True, text=True).stdout
    row = next(csv.DictReader(io.StringIO(printed)))
    return (float(row["fit_ms"]) + float(row["forecast_ms"])) / 1e3


def mstl(series, day):
    model = MSTL(season_length=[day, 7 * day], trend_forecaster=AutoETS(model="ZZN"))
    return timed(lambda: model.fit(series.to_numpy()).predict(h=day, level=[80, 90, 98]))


def features(series, day, at):
    lags = [day, 7 * day, 14 * day]
    around = series.rolling(day // 12, center=True, min_periods=1).mean()
    columns = {f"lag{lag}": series.shift(lag).reindex(at) for lag in lags}
    columns |= {f"around{lag}": around.shift(lag).reindex(at) for lag in lags}
    columns |= {"minute": at.hour * 60 + at.minute, "weekday": at.dayofweek}
    return pd.DataFrame(columns, index=at)


def boosted(series, day):
    def work():
        ahead = pd.date_range(series.index[-1] + series.index.freq, periods=day, freq=series.index.freq)
        whole = series.reindex(series.index.append(ahead))
        known, coming = features(whole, day, series.index[14 * day :]), features(whole, day, ahead)
        for level in QUANTILES:
            model = lightgbm.LGBMRegressor(
                objective="quantile", alpha=level, n_estimators=300, num_leaves=31, learning_rate=0.05, n_jobs=1, verbose=-1
            )
            model.fit(known, series.iloc[14 * day :]).predict(coming)

    return timed(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="add 13 months at 5 min")
    arguments = parser.parse_args()
    sizes = [("16 weeks at 30 min", 112, 30), ("4 weeks at 5 min", 28, 5), ("8 weeks at 5 min", 56, 5)]
    if arguments.long:
        sizes.append(("13 months at 5 min", 395, 5))
    short = payments(21, 60)
    mstl(short, 24), boosted(short, 24)
    print("| series | points | ours | MSTL + AutoETS | times ours | LightGBM | times ours |\n|---|---|---|---|---|---|---|")
    for name, days, minutes in sizes:
        series, day = payments(days, minutes), 1440 // minutes
        own, seasonal, trees = ours(series), mstl(series, day), boosted(series, day)
        print(
            f"| {name} | {len(series):,} | {own * 1e3:.1f} ms | {seasonal:.2f} s | {seasonal / own:.0f} | {trees:.2f} s | {trees / own:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

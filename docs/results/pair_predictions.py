"""Predictions of recorded pairs by their class, before their responses are looked at, by every rule.

    python docs/results/pair_predictions.py KNOWN NEW OUT.csv

KNOWN holds the pairs that are fitted (all 461: see `measured_synapses.md`), NEW others in the same layout, of which
only class, clamp and trains are used. Each rule of `experiments/measured_synapses.py` is fitted to all known pairs,
which takes 4 to 8 minutes of CPU time. OUT.csv has a row for each rule, pair, clamp, train and pulse: the mean response
of a new pair of that class, its 95 % interval, and that of a single response, in mV or pA.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

import fwsim as fw
from fwsim.fitting import FittedPopulation, read_pairs

OPTIONS = {"warmup": 500, "moves": 1000, "outliers": 0.03, "seed": 0}
LEVEL = 0.95
TRAIN = ["pair", "class", "clamp", "protocol"]


def predictions(fitted: Mapping[str, FittedPopulation], new: pd.DataFrame) -> pd.DataFrame:
    """What populations, by name of their rule, say of every train of new pairs; amplitudes are not read.

    Parameters
    ----------
    fitted
        Populations with the classes and clamps of the new pairs.
    new
        A table as from `fwsim.fitting.read_pairs`.

    Returns
    -------
    DataFrame
        `rule`, `pair`, `class`, `clamp`, `protocol`, `pulse`, `time_s`, and the bands of `FittedPopulation.bands`.

    Raises
    ------
    ConfigError
        A class or a clamp was not fitted.
    """
    pulses = (
        new[[*TRAIN, "pulse", "time_s"]].drop_duplicates([*TRAIN, "pulse"]).sort_values([*TRAIN, "pulse"])
    )
    rows = []
    for rule, population in fitted.items():
        known: dict[tuple, pd.DataFrame] = {}
        for _, train in pulses.groupby(TRAIN):
            group, clamp, times = train["class"].iloc[0], train["clamp"].iloc[0], tuple(train["time_s"])
            if (group, clamp, times) not in known:
                bands = population.bands(times, group, clamp=clamp, level=LEVEL)
                known[group, clamp, times] = bands.drop_vars("time").to_dataframe().reset_index(drop=True)
            found = pd.concat([train.reset_index(drop=True), known[group, clamp, times]], axis=1)
            rows.append(found.assign(rule=rule))
    return pd.concat(rows, ignore_index=True).pipe(lambda table: table[["rule", *table.columns.drop("rule")]])


def main(known: str, new: str, out: str) -> None:
    """Fit every rule to the known pairs, and write what they say of the new ones."""
    if Path(out).exists():
        raise SystemExit(f"{out} exists; delete it, or give another name")
    table, others = read_pairs(known), read_pairs(new)
    missing = sorted(set(others["class"]) - set(table["class"]))
    if missing:
        print(f"left out, since no pair of the class was fitted: {', '.join(missing)}")
        others = others[~others["class"].isin(missing)]
    experiment = runpy.run_path(str(Path(__file__).parents[2] / "experiments" / "measured_synapses.py"))
    rules = {k: v for k, v in experiment["candidates"]().items() if not k.endswith(experiment["ALONE"])}
    fitted = {name: fw.fit_population(rule, table, **OPTIONS) for name, rule in rules.items()}
    predictions(fitted, others).to_csv(out, index=False, float_format="%.4g")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])

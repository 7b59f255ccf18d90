"""Which rule predicts what recorded pairs of cortical neurons were not fitted to?

Hundreds of pairs of mouse and human neurons (Seeman et al. 2018, eLife 7:e37349; Campagnola et al. 2022, Science
375:eabj5861; as extracted for Beninger et al. 2024, Cell Rep. 43:113785) are fitted together by several rules, with
responses as sums of quanta and the parameters of a pair as a draw from those of its class. From every pair, one
frequency is left out, or every recovery longer than 0.3 s, and each rule predicts it. Two rules are also fitted to each
pair alone. Expect that the class helps most where few sweeps are known. `synapse_classes` has the classes themselves.

The data are a CSV file: `--data PATH`, or its path in the environment variable FWSIM_SYNPHYS. `--data simulated` draws
pairs of two classes instead.

The recording holds, for every rule and pair, the log predictive density of what was left out, and how many single
responses were inside their predictive intervals. A small share of the responses may be outliers. A response of 0 stands
for all that could not be seen; its place in the predicted distribution is drawn among theirs.

    fwsim run measured_synapses --data simulated --rules 4 --left-out recovery
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.fitting import FittedPopulation, differences, read_pairs, synthetic_pairs, without_held_out
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context

QUICK = {"data": "simulated", "warmup": 100, "moves": 60, "exact": 0, "rules": 2}
CPU_ONLY = True

ALONE = ", each pair alone"
LONG = 0.3  # s; longer recoveries are left out
REPEATS = 2  # single responses for each draw of the parameters


class Config(Base):
    """Which pairs, which rules, and how long."""

    data: str = ""
    "CSV file of sweeps or its folder; empty for the path in FWSIM_SYNPHYS; or simulated."
    left_out: Literal["frequency", "recovery", "sweeps"] = "frequency"
    "What is left out of every pair: one of its frequencies in turn, recoveries above 0.3 s, or sweeps of the rest."
    rules: int = Field(default=8, ge=2, le=8)
    "Number of rules to compare, in their order in the file."
    alone: bool = True
    "Whether two rules are also fitted to each pair alone."
    every: int = Field(default=1, ge=1)
    "Take every so many-th pair, in the order of their names; 1 for all."
    warmup: int = Field(default=1000, ge=1)
    "Moves of every chain before its proposals are fixed."
    moves: int = Field(default=2000, ge=1)
    "Moves of every chain after that."
    chains: int = Field(default=2, ge=1)
    "Chains of every fit."
    exact: int = Field(default=4, ge=0, le=64)
    "Sites up to which the likelihood is exact."
    outliers: float = Field(default=0.03, ge=0, lt=1)
    "Share of responses that are outliers."
    level: float = Field(default=0.95, gt=0, lt=1)
    "Probability of intervals."


def run(config: Config, context: Context) -> xr.Dataset:
    """Fit every rule without what is left out, and let it predict that."""
    rules = {name: rule for name, rule in candidates().items() if config.alone or not name.endswith(ALONE)}
    rules = dict(list(rules.items())[: config.rules])
    seed = context.seed_of("pairs")
    table = synthetic_pairs(seed) if config.data == "simulated" else read_pairs(config.data or None)
    table = taken(table, config.left_out, config.every)
    known = without_held_out(table)
    found = []
    for number, (name, rule) in enumerate(rules.items()):
        population = fw.fit_population(
            rule,
            known,
            pooled=not name.endswith(ALONE),
            warmup=config.warmup,
            moves=config.moves,
            chains=config.chains,
            exact=config.exact,
            outliers=config.outliers,
            seed=context.seed_of("moves"),
            progress=context.show,
            checkpoint=context.checkpoints / f"rule_{number}.pt",
        )
        found.append(judged(population, table, config.level, context.numpy_generator("places")))
    joined = xr.concat(found, xr.DataArray(np.array(list(rules), dtype=object), dims="rule", name="rule"))
    labels = table.groupby("pair")[["class", "species"]].first().loc[joined.cell.values]
    joined = joined.assign_coords({k: ("cell", labels[k].to_numpy(dtype=object)) for k in labels})
    return differences(joined.density).merge(joined).assign_attrs(left_out=config.left_out)


def candidates() -> dict[str, fw.rules.PresynapticRule]:
    """Rules to compare; those fitted to each pair alone are what has been done before."""
    tm = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
    two = fw.LinearNonlinear(-1.0, (0.3, -0.3), (0.05, 0.5), readout="logistic")
    return {
        "Tsodyks–Markram": tm,
        f"Tsodyks–Markram{ALONE}": tm,
        f"linear–nonlinear 2{ALONE}": two,
        "linear–nonlinear 2": two,
        "independent depression": fw.IndependentDepression(U=0.3, tau_rec=0.2, tau_facil=0.1),
        "linear–nonlinear 1": fw.LinearNonlinear(-1.0, (-0.3,), (0.2,), readout="logistic"),
        "augmented release": fw.AugmentedRelease(U=0.3, tau_rec=0.2, tau_facil=0.1, tau_aug=2.0),
        "calcium-dependent recovery": fw.CalciumRecovery(U=0.3, tau_rec=0.2, tau_facil=0.1),
    }


def taken(table: pd.DataFrame, left_out: str, every: int) -> pd.DataFrame:
    """Every so many-th pair, marked; what is left out of a pair does not depend on how many are taken."""
    pairs = sorted(table.pair.unique())[::every]
    table = marked(table, left_out)
    return table[table.pair.isin(pairs)]


def marked(table: pd.DataFrame, left_out: str) -> pd.DataFrame:
    """Add the column `held_out`; a pair of one frequency, or without long recoveries, keeps everything.

    `"sweeps"` serves choices that must not see what the other two leave out: that is missing, and of what remains every
    fifth sweep of a pair is left out.
    """
    long, rate = (table.recovery_s > LONG) & (table.pulse >= 8), one_rate(table)
    if left_out == "sweeps":
        table = table.assign(amplitude=table.amplitude.mask(long | rate))
        table = table[table.groupby("protocol").amplitude.transform("count") > 0]
        by = ["pair", "protocol", "sweep"]
        sweeps = table.loc[table.amplitude.notna(), by].drop_duplicates()
        fifth = sweeps[sweeps.groupby("pair").cumcount() % 5 == 4]
        out = pd.Series(
            pd.MultiIndex.from_frame(table[by]).isin(pd.MultiIndex.from_frame(fifth)), table.index
        )
    else:
        out = long if left_out == "recovery" else rate
    if not out.any():
        raise fw.ConfigError(f"left_out={left_out!r} leaves out nothing of these pairs; use another")
    return table.assign(held_out=out)


def one_rate(table: pd.DataFrame) -> pd.Series:
    """Which responses have the frequency of their pair that is left out, another one in turn."""
    chosen = {}
    for k, (pair, rates) in enumerate(table.groupby("pair")["frequency_Hz"].unique().items()):
        chosen[pair] = np.sort(rates)[k % len(rates)] if len(rates) > 1 else np.nan
    return table.frequency_Hz == table.pair.map(chosen)


def judged(
    population: FittedPopulation, table: pd.DataFrame, level: float, random: np.random.Generator
) -> xr.Dataset:
    """Log predictive density of every pair, and how many of its single responses are inside their intervals."""
    density = population.log_predictive(table)
    place = places(population, table[table.held_out & table.amplitude.notna()], table, random)
    inside = (place.place > 0.5 - level / 2) & (place.place < 0.5 + level / 2)
    counted = inside.groupby(place.pair).agg(["sum", "count"]).reindex(density.cell.values, fill_value=0)
    worst = float(population.disagreement.amax()) if population.pooled else float("nan")
    return labelled_dataset({
        "density": ("cell", density.values, "1", "log predictive density of what was left out, in nats"),
        "inside": ("cell", counted["sum"].to_numpy(), "1", "responses left out that are inside their interval"),
        "predicted": ("cell", counted["count"].to_numpy(), "1", "responses left out"),
        "disagreement": ((), worst, "1", "largest R̂ of means and spreads of classes"),
    }, {"cell": np.array(density.cell.values, dtype=object)})  # fmt: skip


def places(
    population: FittedPopulation, out: pd.DataFrame, table: pd.DataFrame, random: np.random.Generator
) -> pd.DataFrame:
    """Add the column `place`: the predicted probability of a smaller response, uniform if predictions are right.

    Among equal responses, those of 0, the place is drawn (randomised probability integral transform).
    """
    by = ["pair", "protocol", *(["clamp"] if "clamp" in table else [])]
    trains = table.groupby([*by, "pulse"])["time_s"].first()
    found: list[pd.DataFrame] = []
    for labels, rows in out.groupby(by):
        options: dict[str, Any] = {"clamp": labels[2]} if len(by) > 2 else {}
        train = trains.loc[labels]
        drawn = population.cell(labels[0]).responses(train.to_list(), repeats=REPEATS, **options)
        several = np.sort(drawn.flatten(0, 1).numpy(), 0)
        column = np.searchsorted(train.index, rows.pulse)
        low, high = (
            np.array([np.searchsorted(several[:, k], y, side) for k, y in zip(column, rows.amplitude)])
            for side in ("left", "right")
        )
        place = (low + random.random(len(rows)) * (high - low + 1)) / (len(several) + 1)
        found.append(rows.assign(place=place))
    return pd.concat(found)

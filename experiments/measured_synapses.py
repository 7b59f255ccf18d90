"""Which rule predicts what recorded pairs of cortical neurons were not fitted to, and how do classes of pairs differ?

Hundreds of pairs of mouse and human neurons (Seeman et al. 2018, eLife 7:e37349; Campagnola et al. 2022, Science
375:eabj5861; as extracted for Beninger et al. 2024, Cell Rep. 43:113785) are fitted together by several rules, with
responses as sums of quanta and the parameters of a pair as a draw from those of its class. From every pair, one
frequency is left out, or every recovery longer than 0.3 s, and each rule predicts it. The same rule fitted to each pair
alone shows what the class adds. Expect that the class helps most where few sweeps are known.

The data are a CSV file: `--data PATH`, or its path in the environment variable FWSIM_SYNPHYS. `--data simulated` draws
pairs of two classes instead.

The recording holds the log predictive density of every pair by every rule, how often intervals of one rule contain
single responses that were left out, and the distributions of the classes by that rule, fitted to everything.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.fitting import FittedPopulation, compare_populations, read_pairs, synthetic_table
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context

QUICK = {"data": "simulated", "warmup": 100, "moves": 60, "exact": 0, "rules": "few"}

ALONE = "Tsodyks–Markram, each pair alone"
LONG = 0.3  # s; longer recoveries are left out
SIMULATED = {"mouse a→b": (0.6, 0.4, 0.01), "mouse c→d": (0.1, 0.1, 0.5)}  # U, tau_rec, tau_facil


class Config(Base):
    """Which pairs, which rules, and how long."""

    data: str = ""
    "CSV file of sweeps or its folder; empty for the path in FWSIM_SYNPHYS; or simulated."
    left_out: Literal["frequency", "recovery"] = "frequency"
    "What is left out of every pair: one of its frequencies in turn, or recoveries above 0.3 s."
    rule: str = "Tsodyks–Markram"
    "Rule whose intervals and classes are shown, one of those compared."
    rules: Literal["all", "few"] = "all"
    "Rules to compare."
    warmup: int = Field(default=1500, ge=1)
    "Moves of every chain before its proposals are fixed."
    moves: int = Field(default=3000, ge=1)
    "Moves of every chain after that."
    chains: int = Field(default=2, ge=1)
    "Chains of every fit."
    exact: int = Field(default=4, ge=0, le=64)
    "Sites up to which the likelihood is exact."
    level: float = Field(default=0.95, gt=0, lt=1)
    "Probability of intervals."


def run(config: Config, context: Context) -> xr.Dataset:
    """Compare rules on what was left out, then fit one to everything."""
    rules = candidates()
    if config.rules == "few":
        rules = {name: rules[name] for name in ("Tsodyks–Markram", ALONE)}
    if config.rule not in rules or config.rule == ALONE:
        raise fw.ConfigError(
            f"rule={config.rule!r} is not compared; use one of {', '.join(n for n in rules if n != ALONE)}"
        )
    table = marked(pairs(config, context), config.left_out)
    shared: dict[str, Any] = {
        "groups": "class",
        "warmup": config.warmup,
        "moves": config.moves,
        "chains": config.chains,
        "exact": config.exact,
        "seed": context.seed_of("moves"),
        "progress": context.show,
    }
    compared = compare_populations(rules, table, options={ALONE: {"pooled": False}}, **shared)
    rule = rules[config.rule]
    known = table.assign(amplitude=table.amplitude.mask(table.held_out))
    known = known[known.groupby("protocol")["amplitude"].transform("count") > 0]
    covered = coverage(fw.fit_population(rule, known, **shared), table, config.level)
    population = fw.fit_population(rule, table, checkpoint=context.checkpoints / "population.pt", **shared)
    summary = population.summary(config.level)
    context.save_table("classes", summary)
    recording = compared.merge(labelled_dataset({
        "covered": ((), covered[0], "1", "share of responses left out that the interval contains"),
        "predicted": ((), covered[1], "1", "number of responses left out"),
        "disagreement": ((), float(population.disagreement.amax()), "1", "largest R̂ of means and spreads of classes"),
    }))  # fmt: skip
    return recording.merge(classes(summary)).assign_attrs(rule_shown=config.rule, left_out=config.left_out)


def candidates() -> dict[str, fw.rules.PresynapticRule]:
    """Rules to compare, from fewest parameters to most."""
    tm = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
    return {
        "Tsodyks–Markram": tm,
        ALONE: tm,
        "independent depression": fw.IndependentDepression(U=0.3, tau_rec=0.2, tau_facil=0.1),
        "augmented release": fw.AugmentedRelease(U=0.3, tau_rec=0.2, tau_facil=0.1, tau_aug=2.0),
        "linear–nonlinear 2": fw.LinearNonlinear(-1.0, (0.3, -0.3), (0.05, 0.5), readout="logistic"),
    }


def pairs(config: Config, context: Context) -> pd.DataFrame:
    """Read or draw the table."""
    if config.data != "simulated":
        return read_pairs(config.data or None)
    random = context.numpy_generator("pairs")
    tables = []
    for name, values in SIMULATED.items():
        for k in range(4):
            U, tau_rec, tau_facil = np.array(values) * np.exp(0.2 * random.standard_normal(3))
            trains = {f"{rate} Hz": [j / rate for j in range(8)] for rate in (10, 20, 50)}
            drawn = synthetic_table(
                fw.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil),
                trains, sweeps=6, cv=0.4, seed=int(random.integers(2**31)),
            )  # fmt: skip
            rates = drawn.protocol.str.split().str[0].astype(float)
            tables.append(
                drawn.assign(pair=f"{name} {k}", frequency_Hz=rates, recovery_s=0.1, **{"class": name})
            )
    return pd.concat(tables, ignore_index=True)


def marked(table: pd.DataFrame, left_out: str) -> pd.DataFrame:
    """Add the column `held_out`; a pair of one frequency, or without long recoveries, keeps everything."""
    if left_out == "recovery":
        out = (table.recovery_s > LONG) & (table.pulse >= 8)
    else:
        chosen = {}
        for k, (pair, rates) in enumerate(table.groupby("pair")["frequency_Hz"].unique().items()):
            chosen[pair] = np.sort(rates)[k % len(rates)] if len(rates) > 1 else np.nan
        out = table.frequency_Hz == table.pair.map(chosen)
    if not out.any():
        raise fw.ConfigError(f"left_out={left_out!r} leaves out nothing of these pairs; use the other")
    return table.assign(held_out=out)


def coverage(population: FittedPopulation, table: pd.DataFrame, level: float) -> tuple[float, int]:
    """Share of single responses inside the intervals that the other responses of their pair give, and their number."""
    inside: list[np.ndarray] = []
    by = ["pair", "protocol", *(["clamp"] if "clamp" in table else [])]
    for labels, rows in table.groupby(by):
        out = rows[rows.held_out]
        if out.amplitude.notna().any():
            train = rows.groupby("pulse")["time_s"].first()
            clamp = labels[2] if len(by) > 2 else None
            bands = population.cell(labels[0]).bands(train.to_list(), clamp=clamp, level=level)
            place, seen = np.searchsorted(train.index, out.pulse), out.amplitude.to_numpy()
            good = (seen >= bands.response_low.values[place]) & (seen <= bands.response_high.values[place])
            inside.append(good[~np.isnan(seen)])
    joined = np.concatenate(inside)
    return float(joined.mean()), len(joined)


def classes(summary: pd.DataFrame) -> xr.Dataset:
    """Distributions of classes as `[class, parameter]`."""
    indexed = summary.rename(columns={"group": "class"}).set_index(["class", "parameter"])
    text = {
        "typical": "value of a typical pair",
        "typical_low": "lower end of its interval",
        "typical_high": "upper end of its interval",
        "spread": "standard deviation between pairs, on the unbounded scale",
        "spread_low": "lower end of its interval",
        "spread_high": "upper end of its interval",
        "cells": "pairs",
    }
    made = indexed[list(text)].to_xarray()
    for name, meaning in text.items():
        made[name].attrs = {"units": "1", "long_name": meaning}
    return made

"""How do classes of recorded pairs of cortical neurons differ, and the pairs of one class?

All sweeps of every pair (Seeman et al. 2018, eLife 7:e37349; Campagnola et al. 2022, Science 375:eabj5861; as extracted
for Beninger et al. 2024, Cell Rep. 43:113785) are fitted together by Tsodyks–Markram, with the parameters of a pair as
a draw from those of its class. Groups may also be species, or species and calcium. Expect wide intervals: most classes
have few pairs, and time constants longer than the recoveries or shorter than the intervals are left open.

The data are a CSV file: `--data PATH`, or its path in the environment variable FWSIM_SYNPHYS. `--data simulated` draws
pairs of two classes instead. `tables/measured_classes.csv` of the run is the table that `fwsim.measured` reads. The
recording also holds draws of the rule's coordinates of every pair, for `fwsim analyse RUN --analysis synapse_clusters`.

    fwsim run synapse_classes --data simulated
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.fitting import FittedPopulation, class_table, read_pairs, synthetic_pairs
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context

QUICK = {"data": "simulated", "warmup": 100, "moves": 60, "exact": 0}
CPU_ONLY = True
DRAWS = 200  # draws of every pair that the recording holds
GROUPS = {"class": ["class"], "species": ["species"], "calcium": ["species", "calcium_mM"]}


class Config(Base):
    """Which groups, and how long."""

    data: str = ""
    "CSV file of sweeps or its folder; empty for the path in FWSIM_SYNPHYS; or simulated."
    groups: Literal["class", "species", "calcium"] = "class"
    "What the groups are: classes of neurons, species, or species and calcium."
    warmup: int = Field(default=1000, ge=1)
    "Moves of every chain before its proposals are fixed."
    moves: int = Field(default=2000, ge=1)
    "Moves of every chain after that."
    chains: int = Field(default=2, ge=1)
    "Chains of the fit."
    exact: int = Field(default=4, ge=0, le=64)
    "Sites up to which the likelihood is exact."
    outliers: float = Field(default=0.03, ge=0, lt=1)
    "Share of responses that are outliers."
    level: float = Field(default=0.95, gt=0, lt=1)
    "Probability of intervals."


def run(config: Config, context: Context) -> xr.Dataset:
    """Fit everything, and describe the groups."""
    seed = context.seed_of("pairs")
    table = synthetic_pairs(seed) if config.data == "simulated" else read_pairs(config.data or None)
    groups = GROUPS[config.groups]
    population = fw.fit_population(
        fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1),
        table.astype(dict.fromkeys(groups, str)),
        groups=groups,
        warmup=config.warmup,
        moves=config.moves,
        chains=config.chains,
        exact=config.exact,
        outliers=config.outliers,
        seed=context.seed_of("moves"),
        progress=context.show,
        checkpoint=context.checkpoints / "population.pt",
    )
    summary = population.summary(config.level)
    context.save_table("groups", summary)
    context.save_table("measured_classes", class_table(population))
    return described(summary).merge(drawn(population, table))


def drawn(population: FittedPopulation, table: pd.DataFrame) -> xr.Dataset:
    """Some draws of the rule's coordinates, of every pair and of the distribution of every group."""
    cells, size = population.cells, population.cells.rule_size
    rows = np.unique(np.linspace(0, len(population.z) - 1, DRAWS).astype(int))
    labels = table.groupby("pair")[["class", "species"]].first().loc[list(cells.names)]
    several = ("draw", "group", "axis")
    return labelled_dataset(
        {
            "place": (
                ("draw", "cell", "axis"),
                population.z[rows, :, :size].numpy(),
                "1",
                "coordinates of a pair",
            ),
            "mean_of_group": (
                several,
                population.mean[rows, :, :size].numpy(),
                "1",
                "mean over the pairs of a group",
            ),
            "covariance_of_group": (
                (*several, "axis_too"),
                population.covariance[rows, :, :size, :size].numpy(),
                "1",
                "covariance over the pairs of a group",
            ),
        },
        {
            "group": np.array(population.groups, dtype=object),
            "axis": np.array([axis.name for axis in cells.axes[:size]], dtype=object),
            "cell": np.array(cells.names, dtype=object),
            "class": ("cell", labels["class"].to_numpy(dtype=object)),
            "species": ("cell", labels["species"].to_numpy(dtype=object)),
            "group_of_cell": ("cell", np.array(population.groups, dtype=object)[cells.group.numpy()]),
        },
    )


def described(summary: pd.DataFrame) -> xr.Dataset:
    """Distributions of groups as `[group, parameter]`."""
    indexed = summary.set_index(["group", "parameter"])
    text = {
        "typical": "value of a typical pair",
        "typical_low": "lower end of its interval",
        "typical_high": "upper end of its interval",
        "spread": "standard deviation between pairs, on the unbounded scale",
        "spread_low": "lower end of its interval",
        "spread_high": "upper end of its interval",
        "cells": "pairs",
        "r_hat": "R̂ of mean and spread",
    }
    made = indexed[list(text)].to_xarray()
    for name, meaning in text.items():
        made[name].attrs = {"units": "1", "long_name": meaning}
    return made

"""Classes of recorded synapses that come with fwsim, as normal distributions of a rule's coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fwsim.errors import ConfigError, choice, type_of, whole
from fwsim.fitting.coordinates import SCALES
from fwsim.names import known_arguments
from fwsim.rules.rule import PresynapticRule
from fwsim.rules.tsodyks_markram import TsodyksMarkram
from fwsim.seeds import check_seed, torch_generator

if TYPE_CHECKING:
    import pandas as pd

    from fwsim.fitting.population import FittedPopulation

FILE = Path(__file__).with_suffix(".csv")
AXES = {"U": "logit", "tau_rec": "log", "tau_facil": "log"}
"""Coordinates of the distributions, and their scales."""


@dataclass(frozen=True, eq=False)
class MeasuredClass:
    """Synapses of one class of recorded pairs, from `fwsim.measured`.

    Parameters
    ----------
    name
        Species, presynaptic and postsynaptic class, such as `"mouse sim1→sim1"`.
    pairs
        Number of recorded pairs of the class.
    mean, covariance
        Of the coordinates of a new pair, `[axis]` and `[axis, axis]`: logit U, log tau_rec, log tau_facil (s).
    """

    name: str
    pairs: int
    mean: Tensor
    covariance: Tensor

    @property
    def rule(self) -> TsodyksMarkram:
        """The rule in the middle of the distribution."""
        values: dict[str, Any] = {name: float(value) for name, value in _values(self.mean).items()}
        return TsodyksMarkram(**values)

    def sample(self, n: int, seed: int = 0) -> TsodyksMarkram:
        """A rule with the parameters of `n` new synapses of the class, `[n]`: heterogeneous synapses for networks."""
        whole("n", n, least=1)
        check_seed(seed)
        noise = torch.randn(n, len(AXES), generator=torch_generator(seed), dtype=torch.float64)
        return TsodyksMarkram(**_values(self.mean + noise @ torch.linalg.cholesky(self.covariance).T))

    def farther(self, rule: PresynapticRule) -> float:
        """Share of the synapses of this class that lie farther from its middle than a rule, all values together.

        Near 1 for a typical synapse; below 0.05 it is one that the class has in less than 5 % of cases, even if each of
        its values alone is among those of the class. The rule has tau_rec and tau_facil, as numbers; instead of its U,
        its first release is compared, which has one meaning in all conventions.

        Raises
        ------
        ConfigError
            The rule has other parameters, or a value of 0 or infinity.
        """
        names = list(AXES)[1:]
        if any(not hasattr(rule, name) for name in names):
            raise ConfigError(
                f"{type(rule).__name__} has no tau_rec and tau_facil; give a rule such as TsodyksMarkram"
            )
        values = [rule.at_pre(rule.rest())[1], *(getattr(rule, name) for name in names)]
        place = torch.tensor([float(value) for value in values], dtype=torch.float64)
        z = torch.stack([SCALES[scale][0](value) for scale, value in zip(AXES.values(), place)])
        if not bool(z.isfinite().all()):
            raise ConfigError(
                "the first release must lie between 0 and 1, and time constants above 0, to be compared"
            )
        off = z - self.mean
        square = off @ torch.linalg.solve(self.covariance, off)
        return float(torch.special.gammaincc(torch.tensor(len(AXES) / 2, dtype=torch.float64), square / 2))


@known_arguments
def measured(name: str) -> MeasuredClass:
    """Synapses of a class of recorded pairs of cortical neurons, ready for networks: `measured(name).sample(n)`.

    Parameters
    ----------
    name
        Species, presynaptic and postsynaptic class: `"mouse sim1→sim1"`, or with `->` for the arrow.

    Returns
    -------
    MeasuredClass
        The distribution of a `TsodyksMarkram` rule over the pairs of the class, fitted to 461 pairs together
        (docs/results/synapse_classes.md). It is as wide as pairs differ and the recordings leave open, and a class of
        few pairs is close to all classes. The chains of that fit do not agree yet for most larger classes (R̂ up to
        1.7): another fit will give other numbers, within the intervals of that page or a little beyond.

    Raises
    ------
    ConfigError
        No class has this name.

    Notes
    -----
    Recordings: Seeman et al. 2018, eLife 7:e37349; Campagnola et al. 2022, Science 375:eabj5861; as extracted for
    Beninger, Rossbroich, Tóth & Naud 2024, Cell Rep. 43:113785.
    """
    classes = read_classes(FILE)
    wanted = name.replace("->", "→") if isinstance(name, str) else name
    choice("name", wanted, tuple(classes))
    return classes[wanted]


@cache
def read_classes(file: Path) -> dict[str, MeasuredClass]:
    """Every class of a table made by `class_table`, those of most pairs first."""
    import pandas as pd

    found = {}
    for row in pd.read_csv(file).itertuples():
        mean = torch.tensor([getattr(row, axis) for axis in AXES], dtype=torch.float64)
        entries = [[getattr(row, _entry(a, b)) for b in AXES] for a in AXES]
        found[row.name] = MeasuredClass(
            row.name, int(row.pairs), mean, torch.tensor(entries, dtype=torch.float64)
        )
    return found


@known_arguments
def class_table(population: FittedPopulation) -> pd.DataFrame:
    """The distribution of a new pair of each class, as a table of means and covariances that `measured` reads.

    Draws of a class's mean and covariance are summed up by the mean of the means, and by the mean of the covariances
    plus the covariance of the means: the first two moments of what the posterior predicts for a new pair.
    """
    import pandas as pd

    if not hasattr(population, "cells"):
        raise ConfigError(f"population is {type_of(population)}; give what fwsim.fit_population returns")
    names = [axis.name for axis in population.cells.axes]
    rows = [names.index(axis) for axis in AXES]
    found = []
    for g, group in enumerate(population.groups):
        mean = population.mean[:, g][:, rows]
        covariance = population.covariance[:, g][:, rows][:, :, rows].mean(0) + torch.cov(mean.T)
        row: dict[str, object] = {"name": group, "pairs": int((population.cells.group == g).sum())}
        row |= {axis: f"{float(value):.5g}" for axis, value in zip(AXES, mean.mean(0))}
        row |= {
            _entry(a, b): f"{float(covariance[i, j]):.5g}"
            for i, a in enumerate(AXES)
            for j, b in enumerate(AXES)
        }
        found.append(row)
    return pd.DataFrame(found).sort_values(["pairs", "name"], ascending=[False, True], ignore_index=True)


def _entry(one: str, other: str) -> str:
    """Column of a covariance; the table has both halves, so that a reader needs no order."""
    return f"{one}_with_{other}"


def _values(coordinates: Tensor) -> dict[str, Any]:
    """Parameters of the rule from coordinates `[..., axis]`."""
    return {name: SCALES[scale][1](coordinates[..., k]) for k, (name, scale) in enumerate(AXES.items())}

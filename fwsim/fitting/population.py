"""Fit of one rule to many cells at once: each a draw from the distribution of its group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import torch
from torch import Tensor

from fwsim.errors import ConfigError, choice, whole
from fwsim.fitting.cells import Cells, recorded_cells, without_common
from fwsim.fitting.checks import check_level
from fwsim.fitting.coordinates import R
from fwsim.fitting.hierarchy import Around, normal
from fwsim.fitting.metropolis import moved, still
from fwsim.fitting.population_run import PopulationRun
from fwsim.fitting.quadratic import LEARN, unknown
from fwsim.fitting.synapse_draws import SynapseDraws
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.progress import Progress, check_progress
from fwsim.seeds import check_seed, torch_generator
from fwsim.units import outside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import ArrayLike

AGREE = 1.1  # potential scale reduction above which chains disagree
CHUNK = 20  # draws at a time, to bound memory
UPDATE = 400  # moves of a new cell


@dataclass(frozen=True, eq=False)
class FittedPopulation(Generic[R]):
    """Cells of several groups, fitted together; from `fwsim.fit_population`.

    Parameters
    ----------
    cells
        What was recorded, with its likelihood.
    z
        Draws of the coordinates of each cell, `[draw, cell, axis]`.
    mean, covariance
        Draws of the distribution of each group, `[draw, group, axis]` and `[draw, group, axis, axis]`.
    chain
        Chain of each draw, `[draw]`.
    acceptance
        Accepted fraction of each of the three proposals of cells, and of groups with their cells.
    pooled
        Whether cells were fitted as members of their groups, or each by itself.
    """

    cells: Cells[R]
    z: Tensor
    mean: Tensor
    covariance: Tensor
    chain: Tensor
    acceptance: tuple[float, ...]
    pooled: bool

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return self.cells.groups

    def group(self, name: str, *, seed: int = 0) -> SynapseDraws[R]:
        """New cells of a group, one for each draw of its distribution."""
        k = self._group(name)
        check_seed(seed)
        z = self._new(k, torch.arange(len(self.mean)), torch_generator(seed))
        return SynapseDraws(self.cells, z, self.mean[:, k].median(0).values)

    def cell(self, name: str) -> SynapseDraws[R]:
        """One of the recorded cells, by its draws."""
        if str(name) not in self.cells.names:
            raise ConfigError(
                f"there is no cell {name!r}; {len(self.cells.names)} were fitted, see cells.names"
            )
        z = self.z[:, self.cells.names.index(str(name))]
        return SynapseDraws(self.cells, z, z.median(0).values)

    def rule(self, group: str) -> R:
        """The rule in the middle of a group's distribution (posterior median of its mean coordinates)."""
        return self.group(group).rule

    def sample(self, group: str, n: int, seed: int = 0) -> R:
        """A rule with the parameters of `n` new cells of a group, `[n]`: heterogeneous synapses for networks."""
        k = self._group(group)
        whole("n", n, least=1)
        check_seed(seed)
        generator = torch_generator(seed)
        draws = torch.randint(len(self.mean), (n,), generator=generator)
        return self.cells.rule_at(self._new(k, draws, generator))

    def predict(self, times: ArrayLike | Tensor, group: str, *, clamp: str | None = None) -> Tensor:
        """Mean response of a new cell of a group at every spike, `[..., spike]`: the median over cells."""
        return self.group(group).predict(times, clamp=clamp)

    def bands(
        self,
        times: ArrayLike | Tensor,
        group: str,
        *,
        clamp: str | None = None,
        level: float = 0.95,
        seed: int = 0,
    ) -> xr.Dataset:
        """Bands of the mean response and of a single response of a new cell; see `SynapseDraws.bands`."""
        return self.group(group, seed=seed).bands(times, clamp=clamp, level=level, seed=seed)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each group and parameter: typical value and spread over cells, each with an interval.

        `typical` is the value at the mean coordinate, in the parameter's unit; `spread` is the standard deviation
        over cells on the unbounded scale (logarithms of times and gains, logits of probabilities). `r_hat` above 1.1
        says that the chains disagree about this row.
        """
        import pandas as pd

        check_level(level)
        ends = torch.tensor([0.5 - level / 2, 0.5, 0.5 + level / 2], dtype=torch.float64)
        rows: list[dict[str, Any]] = []
        disagreement = self.disagreement.tolist()
        for g, group in enumerate(self.groups):
            for k, axis in enumerate(self.cells.axes):
                low, middle, high = axis.back(torch.quantile(self.mean[:, g, k], ends)).tolist()
                thin, usual, wide = torch.quantile(self.spread[:, g, k], ends).tolist()
                rows.append(
                    {
                        "group": group,
                        "cells": int((self.cells.group == g).sum()),
                        "parameter": axis.name,
                        "unit": axis.unit,
                        "typical": middle,
                        "typical_low": low,
                        "typical_high": high,
                        "spread": usual,
                        "spread_low": thin,
                        "spread_high": wide,
                        "r_hat": disagreement[g][k],
                    }
                )
        return pd.DataFrame(rows)

    def update(
        self, table: pd.DataFrame, group: str, *, moves: int = UPDATE, seed: int = 0
    ) -> SynapseDraws[R]:
        """A new cell of a group after a few sweeps: what they and the group say together.

        Parameters
        ----------
        table
            Responses of one cell, in the form of the fitted table.
        group
            Its group.
        moves
            Moves of each draw.
        seed
            Of the moves.
        """
        k = self._group(group)
        whole("moves", moves, least=1)
        check_seed(seed)
        new = self._likewise(table.assign(**{"cell": "new"}).drop(columns="pair", errors="ignore"))
        generator = torch_generator(seed, "update")
        around = Around.of(self.mean[:, None, k], self.covariance[:, None, k])
        z = around.mean + (around.root @ normal((*around.mean.shape, 1), generator))[..., 0]
        value = new.log_likelihood(z)
        now = still(z, value, self.cells.prior()[1])
        quadratic, seen = unknown(*z.shape[1:]), [(z, value)]

        def log_likelihood(z: Tensor) -> Tensor:
            seen.append((z, new.log_likelihood(z)))
            return seen[-1][1]

        for step in range(moves):
            adapt = step < moves // 2
            if adapt:
                quadratic = quadratic.after(seen)
                quadratic = quadratic.learned(around) if step % LEARN == 0 else quadratic
            seen.clear()
            now = moved(now, around, quadratic, log_likelihood, generator, adapt=adapt)
        return SynapseDraws(self.cells, now.z[:, 0], now.z[:, 0].median(0).values)

    def log_predictive(self, table: pd.DataFrame) -> xr.DataArray:
        """Log predictive density of what the fit did not see, by cell, in nats.

        Parameters
        ----------
        table
            What was fitted together with what was left out, of the same cells: the density is that of the difference,
            given the rest of the same sweeps.
        """
        import xarray as xr

        everything, known = without_common(self._likewise(table, self.cells), self.cells)
        both = torch.cat(
            [everything.log_likelihood(z) - known.log_likelihood(z) for z in self.z.split(CHUNK)]
        )
        density = torch.logsumexp(both, 0) - math.log(len(both))
        attrs = {"units": "1", "long_name": "log predictive density of what was left out, in nats"}
        return xr.DataArray(density.numpy(), {"cell": list(self.cells.names)}, "cell", attrs=attrs)

    @property
    def spread(self) -> Tensor:
        """Draws of the standard deviations of coordinates over the cells of each group, `[draw, group, axis]`."""
        return self.covariance.diagonal(dim1=-2, dim2=-1).sqrt()

    @property
    def disagreement(self) -> Tensor:
        """Potential scale reduction (R̂) `[group, axis]`, that of the mean or of the spread: near 1 if chains agree."""
        return torch.maximum(
            *(scale_reduction(draws, self.chain) for draws in (self.mean, self.spread.log()))
        )

    def _new(self, group: int, draws: Tensor, generator: torch.Generator) -> Tensor:
        """Coordinates of a new cell of a group for each of these draws of its distribution, `[draw, axis]`."""
        root = torch.linalg.cholesky(self.covariance[draws, group])
        return self.mean[draws, group] + (root @ normal((*root.shape[:-1], 1), generator))[..., 0]

    def _group(self, name: str) -> int:
        if not self.pooled:
            raise ConfigError(
                "cells were fitted each by itself, so groups have no distribution; use pooled=True"
            )
        choice("group", name, self.groups)
        return self.groups.index(name)

    def _likewise(self, table: pd.DataFrame, same: Cells | None = None) -> Cells[R]:
        """The likelihood of another table, with the axes of this one."""
        found = recorded_cells(
            self.cells.rule,
            table.assign(_group="all"),
            "_group",
            self.cells.fixed,
            self.cells.cv,
            self.cells.exact,
            self.cells.outliers,
        )
        strange = [clamp for clamp in found.clamps if clamp not in self.cells.clamps]
        if strange:
            raise ConfigError(f"clamp {strange[0]!r} was not fitted; use {', '.join(self.cells.clamps)}")
        clamp = torch.tensor([self.cells.clamps.index(name) for name in found.clamps])
        found = replace(
            found, axes=self.cells.axes, clamps=self.cells.clamps, sweep_clamp=clamp[found.sweep_clamp]
        )
        if same is None:
            return found
        if set(found.names) != set(same.names):
            raise ConfigError("the table has other cells than the fit; give all rows of the fitted cells")
        order = torch.tensor([same.names.index(name) for name in found.names])
        return replace(
            found,
            names=same.names,
            train_cell=order[found.train_cell],
            sweep_cell=order[found.sweep_cell],
        )


@known_arguments
def fit_population(
    rule: R,
    table: pd.DataFrame,
    *,
    groups: str | Sequence[str] = "class",
    pooled: bool = True,
    fixed: str | Sequence[str] = (),
    quantal_cv: float = 0.3,
    outliers: float = 0.0,
    exact: int = 4,
    chains: int = 2,
    warmup: int = 1500,
    moves: int = 3000,
    seed: int = 0,
    progress: Progress = None,
    checkpoint: str | Path | None = None,
) -> FittedPopulation[R]:
    """Fit a presynaptic rule to many cells, whose parameters are draws from the distribution of their group.

    A response is a sum of quanta from release sites that deplete one by one, plus recording noise (`fwsim.fitting.
    quanta`). Each cell has its own parameters of the rule, number of sites, and for each clamp a gain and a noise. On
    the unbounded scale (logarithms, logits) these are normal in a group, with a mean and a covariance of their own; so
    what a cell leaves open is filled in by its group, and cells of small groups by the other groups. The posterior of
    everything is drawn by Metropolis steps of the cells, Gibbs steps of the groups, and steps of both together.

    Parameters
    ----------
    rule
        An instance: it gives the convention, every fixed value, and a starting point. Its release is a probability.
    table
        One row per response: `protocol, sweep, pulse, time_s, amplitude`, and `cell` or `pair`; with a column `clamp`,
        each clamp of a cell has its own gain and noise. A response of 0 could not be seen, and counts as at most 0.
        See `fwsim.fitting.read_pairs`.
    groups
        Column, or several, that gives the group of a cell.
    pooled
        `False`: every cell by itself, with the weak prior alone. For comparison.
    fixed
        Names of parameters of the rule that keep their value.
    quantal_cv
        Coefficient of variation of a quantum.
    outliers
        Share of responses that say nothing about the synapse, such as spontaneous events: from 0 to below 1. They have
        a Cauchy distribution around 0, whose scale is the response to a release of 1. Without them, noise is normal,
        and a single response far from all others can outweigh the rest.
    exact
        Cells with at most so many sites have the exact likelihood, a sum over hidden sites, in place of a normal
        approximation to them. It takes longer.
    chains
        Number of chains; two or more show whether they agree.
    warmup, moves
        Moves of every chain before and after its proposals are fixed. At most 1000 draws are kept.
    seed
        Of all random numbers.
    progress
        `None` for a bar on a terminal, `False` for none, or a function `(done, total)`.
    checkpoint
        A file to which the state is written now and then, and from which a run that was interrupted goes on.

    Raises
    ------
    ConfigError
        The table, the rule or an option is not allowed.
    RecordingError
        The checkpoint is damaged, or cannot be written.

    Warns
    -----
    UserWarning
        The chains disagree about a group: make more moves.
    """
    for name, value, least in (("chains", chains, 1), ("warmup", warmup, 1), ("moves", moves, 1)):
        whole(name, value, least=least)
    whole("exact", exact, least=0)
    check_seed(seed)
    check_progress(progress)
    cells = recorded_cells(rule, table, groups, fixed, quantal_cv, exact, outliers)
    file = None if checkpoint is None else local_path(checkpoint, "checkpoint")
    draws = PopulationRun(cells, chains, warmup, moves, pooled, seed).draws(file, progress)
    result = FittedPopulation(cells, *draws, pooled)
    if chains > 1 and pooled:
        _warn(result, moves)
    return result


def _warn(result: FittedPopulation, moves: int) -> None:
    """Say in one line where the chains disagree most, if they do."""
    worst = result.disagreement
    if bool((worst < AGREE).all()):
        return
    group, axis = divmod(int(worst.nan_to_num(torch.inf).argmax()), worst.shape[1])
    value, name = float(worst[group, axis]), f"{result.cells.axes[axis].name} of {result.groups[group]!r}"
    said = f"the chains disagree (R̂ = {value:.2f} for {name})"
    if math.isnan(value):
        said = f"the chains are too short to say whether they agree about {name}"
    warnings.warn(f"{said}; give moves={2 * moves} or more", stacklevel=outside())


def scale_reduction(draws: Tensor, chain: Tensor) -> Tensor:
    """Split R̂ of draws `[draw, …]`, `[…]` (Gelman et al. 2013, §11.4); NaN for fewer than four draws of a chain."""
    parts = [half for c in chain.unique() for half in draws[chain == c].chunk(2)]
    length = min(len(part) for part in parts)
    if length < 2:
        return torch.full(draws.shape[1:], torch.nan, dtype=draws.dtype)
    stacked = torch.stack([part[:length] for part in parts])
    within = stacked.var(1).mean(0)
    between = stacked.mean(1).var(0)
    return ((within * (length - 1) / length + between) / within).sqrt()

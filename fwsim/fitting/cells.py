"""Recorded cells as a likelihood of their parameters: each has its rule, its sites, and a gain and noise by clamp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

import torch
from torch import Tensor

from fwsim.errors import ConfigError, number
from fwsim.fitting import compiled
from fwsim.fitting.coordinates import Coordinate, R, rule_axes, with_values
from fwsim.fitting.quanta import approximate_log_likelihood, exact_log_likelihood
from fwsim.fitting.responses import CELLS, Responses, gather_labelled
from fwsim.rules.derive.sites import SiteChances
from fwsim.rules.parameters import leaves

if TYPE_CHECKING:
    import pandas as pd

SITES = Coordinate("sites", "log above 1", 1.0, 1e4, (1.5, 60.0), "1")
GAIN = 0.3, 60.0  # typical range of gain and noise in mean responses
NOISE = 0.03, 3.0
WIDE = 1e4  # largest factor between a gain or noise and the mean response
WIDTHS = 2.0  # standard deviations of the prior in half of the range from which starting points are drawn


@dataclass(frozen=True, eq=False)
class Cells(Generic[R]):
    """Recorded cells, and the likelihood of what they responded.

    Parameters
    ----------
    rule
        Contains the options and every fixed parameter.
    axes
        Free parameters of a cell: those of the rule, `sites`, and `gain` and `noise` for each clamp.
    names
        Of the cells.
    groups
        Names of the groups.
    group
        Index of the group of each cell, `[cell]`.
    clamps
        Names of the clamps, one empty name if there is only one.
    times
        Trains as one cell was given them, `[train, pulse]` in s.
    train_cell
        Index of the cell of each train.
    response
        `[sweep, pulse]`, 0 where nothing could be seen, NaN where missing.
    sweep_train, sweep_cell, sweep_clamp
        Index of the train, the cell and the clamp of each sweep.
    cv
        Coefficient of variation of a quantum.
    exact
        Cells with at most so many sites have the exact likelihood, the others the approximate one.
    fixed
        Names of fixed parameters.
    outliers
        Share of responses that are outliers.
    """

    rule: R
    axes: tuple[Coordinate, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    group: Tensor
    clamps: tuple[str, ...]
    times: Tensor
    train_cell: Tensor
    response: Tensor
    sweep_train: Tensor
    sweep_cell: Tensor
    sweep_clamp: Tensor
    cv: float
    exact: int
    fixed: tuple[str, ...]
    outliers: float = 0.0

    @property
    def rule_size(self) -> int:
        """Number of free parameters of the rule."""
        return len(self.axes) - 1 - 2 * len(self.clamps)

    def rule_at(self, z: Tensor) -> R:
        """The rule at coordinates `[..., axis]`."""
        if not self.rule_size:
            return self.rule
        free = range(self.rule_size)
        names = [self.axes[k].name for k in free]
        return with_values(self.rule, names, torch.stack([self.axes[k].back(z[..., k]) for k in free], -1))

    def sites_at(self, z: Tensor) -> Tensor:
        """Number of sites, not whole, `[...]`."""
        return SITES.back(z[..., self.rule_size])

    def gain_and_noise_at(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Response to a release of 1, and standard deviation of the recording, `[..., clamp]`."""
        first = self.rule_size + 1
        return z[..., first::2].exp(), z[..., first + 1 :: 2].exp()

    def log_likelihood(self, z: Tensor) -> Tensor:
        """Of all sweeps of each cell, `[..., cell, axis]` → `[..., cell]`; −∞ where a release is no probability."""
        total = torch.zeros(z.shape[:-1], dtype=z.dtype)
        if not len(self.response):
            return total
        by_sweep = self.sweep_log_likelihood(z)
        total.index_add_(-1, self.sweep_cell, by_sweep)
        return torch.where(total.isnan(), -torch.inf, total)

    def sweep_log_likelihood(self, z: Tensor) -> Tensor:
        """Of each sweep, `[..., cell, axis]` → `[..., sweep]`."""
        chances = self.rule_at(z[..., self.train_cell, :]).site_chances(self.times)
        good = ((chances.release >= 0) & (chances.release <= 1) | self.times.isnan()).all(-1)
        shape = *z.shape[:-2], *self.times.shape  # a rule without free parameters is the same for all
        chances = SiteChances(*(part.nan_to_num(0.0).clamp(0, 1).expand(shape) for part in chances))
        sites = self.sites_at(z).index_select(-1, self.sweep_cell)
        where = self.sweep_cell * len(self.clamps) + self.sweep_clamp
        gain, noise = (part.flatten(-2).index_select(-1, where) for part in self.gain_and_noise_at(z))
        if compiled.available(self.exact):
            flat = [part.reshape(-1, sites.shape[-1]) for part in (sites, gain, noise)]
            rows = SiteChances(*(part.reshape(-1, *part.shape[-2:]) for part in chances))
            found = compiled.sweep_log_likelihood(
                self.response,
                self.sweep_train,
                rows,
                flat[0],
                flat[1],
                flat[2],
                self.cv,
                self.exact,
                self.outliers,
            )
            value = found.reshape(sites.shape)
        else:
            value = self._plain(chances, sites, gain, noise)
        return torch.where(good[..., self.sweep_train], value, -torch.inf)

    def _plain(self, chances: SiteChances, sites: Tensor, gain: Tensor, noise: Tensor) -> Tensor:
        """The same without the native engine, `[..., sweep]`."""
        chances = SiteChances(*(part[..., self.sweep_train, :] for part in chances))
        common = self.cv, self.outliers
        value = approximate_log_likelihood(self.response, chances, sites, gain / sites, noise, *common)
        few = sites < self.exact + 0.5
        if bool(few.any()):
            whole = sites[few].round()
            part = SiteChances(*(each[few] for each in chances))
            response = self.response.expand(*few.shape, -1)[few]
            value[few] = exact_log_likelihood(response, part, whole, gain[few] / whole, noise[few], *common)
        return value

    def only(self, kept: Tensor) -> Cells[R]:
        """The same cells with only those sweeps where `kept` `[sweep]` is true."""
        used, sweep_train = self.sweep_train[kept].unique(return_inverse=True)
        return replace(
            self,
            times=self.times[used],
            train_cell=self.train_cell[used],
            response=self.response[kept],
            sweep_train=sweep_train,
            sweep_cell=self.sweep_cell[kept],
            sweep_clamp=self.sweep_clamp[kept],
        )

    def prior(self) -> tuple[Tensor, Tensor]:
        """Centre and standard deviation of each axis, `[axis]`, before anything is measured."""
        ends = torch.stack([torch.stack([axis.forward(end) for end in axis.spread]) for axis in self.axes])
        return ends.mean(1), (ends[:, 1] - ends[:, 0]) / (2 * WIDTHS)

    def start(self) -> Tensor:
        """A starting point for every cell, `[cell, axis]`: the given rule, and the gain of the mean response."""
        given = {name: float(value) for name, value, _ in leaves(self.rule)}
        centre, _ = self.prior()
        z = centre.repeat(len(self.names), 1)
        for k, axis in enumerate(self.axes[: self.rule_size]):
            if axis.name in given:
                z[:, k] = axis.forward(min(max(given[axis.name], axis.spread[0]), axis.spread[1]))
        release = self.rule_at(z[self.train_cell]).respond(self.times)[self.sweep_train]
        known = ~(self.response.isnan() | release.isnan())
        sums = torch.zeros(2, len(self.names) * len(self.clamps), dtype=torch.float64)
        where = self.sweep_cell * len(self.clamps) + self.sweep_clamp
        for total, values in zip(sums, (self.response, release)):
            total.index_add_(0, where, torch.where(known, values, 0.0).sum(-1))
        ratio = (sums[0] / sums[1]).unflatten(0, (len(self.names), len(self.clamps)))
        first = self.rule_size + 1
        found = ratio.isfinite() & (ratio > 0)
        z[:, first::2] = torch.where(found, ratio.clamp(min=1e-300).log(), z[:, first::2])
        return z


def recorded_cells(
    rule: R,
    table: pd.DataFrame,
    groups: str | Sequence[str],
    fixed: str | Sequence[str],
    cv: float,
    exact: int,
    outliers: float = 0.0,
) -> Cells[R]:
    """Check a table of cells in groups, and prepare the likelihood; see `fwsim.fit_population`.

    Raises
    ------
    ConfigError
        The table or an option is not allowed.
    """
    number("quantal_cv", cv, least=0)
    number("outliers", outliers, least=0, below=1)
    columns = list(getattr(table, "columns", ()))
    if not any(name in columns for name in CELLS):
        raise ConfigError("the table has no column cell or pair; say which cell each response comes from")
    by = [groups] if isinstance(groups, str) else list(groups)
    has_clamp = "clamp" in columns and "clamp" not in by
    data, labels = gather_labelled(table, [*by, *(["clamp"] if has_clamp else [])])
    joined = labels.assign(group=labels[by].agg(", ".join, axis=1) if len(by) > 1 else labels[by[0]])
    per_cell = joined.groupby("cell")["group"].nunique()
    if (per_cell > 1).any():
        raise ConfigError(
            f"cell {per_cell.idxmax()!r} is in {per_cell.max()} groups of {', '.join(by)}; give each cell one"
        )
    of_cell = joined.drop_duplicates("cell").set_index("cell")["group"]
    names = tuple(sorted(of_cell.unique()))
    clamps = tuple(sorted(labels["clamp"].unique())) if has_clamp else ("",)
    sweep_clamp = torch.tensor([clamps.index(c) for c in labels["clamp"]] if has_clamp else [0] * len(labels))
    times, train_cell, sweep_train = _trains(data)
    found = Cells(
        rule=rule,
        axes=(*rule_axes(rule, data.times, fixed), SITES, *_clamp_axes(data, clamps, sweep_clamp)),
        names=data.cells,
        groups=names,
        group=torch.tensor([names.index(of_cell[name]) for name in data.cells]),
        clamps=clamps,
        times=times,
        train_cell=train_cell,
        response=data.amplitude,
        sweep_train=sweep_train,
        sweep_cell=data.cell,
        sweep_clamp=sweep_clamp,
        cv=float(cv),
        exact=exact,
        fixed=(fixed,) if isinstance(fixed, str) else tuple(fixed),
        outliers=float(outliers),
    )
    return found.only(~found.response.isnan().all(-1))  # a sweep without responses says nothing


def without_common(one: Cells[R], other: Cells[R]) -> tuple[Cells[R], Cells[R]]:
    """Two recordings of the same cells without the sweeps that are in both, whose likelihoods are equal."""
    keys = [_keys(each) for each in (one, other)]
    common = Counter(keys[0]) & Counter(keys[1])
    kept = []
    for each in keys:
        left = common.copy()
        found = []
        for key in each:
            found.append(left[key] == 0)
            left[key] -= left[key] > 0
        kept.append(torch.tensor(found, dtype=torch.bool))
    return one.only(kept[0]), other.only(kept[1])


def _keys(cells: Cells) -> list[tuple[object, ...]]:
    """What determines the likelihood of each sweep."""
    times, response = cells.times[cells.sweep_train].numpy(), cells.response.numpy()
    size = (~cells.times[cells.sweep_train].isnan()).sum(-1).tolist()
    place = zip(cells.sweep_cell.tolist(), cells.sweep_clamp.tolist())
    return [(*at, t[:n].tobytes(), y[:n].tobytes()) for at, n, t, y in zip(place, size, times, response)]


def _trains(data: Responses) -> tuple[Tensor, Tensor, Tensor]:
    """Times and cell of each train that a cell was given, and the train of each sweep."""
    both = data.cell * len(data.protocols) + data.protocol
    pairs, sweep_train = both.unique(return_inverse=True)
    cell, protocol = pairs // len(data.protocols), pairs % len(data.protocols)
    return data.times[protocol], cell, sweep_train


def _clamp_axes(data: Responses, clamps: Sequence[str], sweep_clamp: Tensor) -> list[Coordinate]:
    """Gain and noise of each clamp, in the units of its responses."""
    axes = []
    for k, clamp in enumerate(clamps):
        size = float(torch.nanmean(data.amplitude[sweep_clamp == k]))
        if not size > 0:
            raise ConfigError(
                f"the mean response{clamp and f' in clamp {clamp}'} is not positive; turn the sign of amplitudes round"
            )
        box = size / WIDE, size * WIDE
        for name, (low, high) in (("gain", GAIN), ("noise", NOISE)):
            text = f"{name}_{clamp}" if clamp else name
            axes.append(Coordinate(text, "log", *box, (low * size, high * size), "1"))
    return axes

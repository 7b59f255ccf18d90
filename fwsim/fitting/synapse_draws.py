"""Synapses as draws of their parameters: of a new cell of a group, or of a recorded cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, choice, whole
from fwsim.fitting.bands import bands
from fwsim.fitting.cells import Cells
from fwsim.fitting.checks import as_times, check_level
from fwsim.fitting.coordinates import R
from fwsim.fitting.percentiles import central
from fwsim.fitting.posterior import Interval
from fwsim.fitting.quanta import simulate
from fwsim.rules.derive.sites import SiteChances
from fwsim.seeds import check_seed, torch_generator

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

REPEATS = 20  # single responses for each draw of the parameters, for the band of one response


@dataclass(frozen=True, eq=False)
class SynapseDraws(Generic[R]):
    """Draws of a synapse's parameters.

    Parameters
    ----------
    cells
        Meaning of the coordinates.
    z
        `[draw, axis]`.
    middle
        Coordinates of the typical synapse, `[axis]`.
    """

    cells: Cells[R]
    z: Tensor
    middle: Tensor

    @property
    def rule(self) -> R:
        """The rule of the typical synapse, with numbers as parameters."""
        return self.cells.rule_at(self.middle)

    @property
    def parameters(self) -> dict[str, float]:
        """Every parameter of the typical synapse in its unit: of the rule, sites, gains and noise."""
        return {axis.name: float(axis.back(self.middle[k])) for k, axis in enumerate(self.cells.axes)}

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Central interval of each parameter over the draws."""
        check_level(level)
        found = torch.stack(central(self.z, level))
        return {
            axis.name: Interval(*axis.back(found[:, k]).tolist()) for k, axis in enumerate(self.cells.axes)
        }

    def sample(self, n: int, seed: int = 0) -> R:
        """A rule with the parameters of `n` synapses, drawn with replacement, `[n]`."""
        whole("n", n, least=1)
        check_seed(seed)
        rows = torch.randint(len(self.z), (n,), generator=torch_generator(seed))
        return self.cells.rule_at(self.z[rows])

    def predict(self, times: ArrayLike | Tensor, *, clamp: str | None = None) -> Tensor:
        """Mean response at every spike of trains that begin at rest, the median over the draws.

        Parameters
        ----------
        times
            `[..., spike]` in s, ascending, padded with NaN.
        clamp
            Which clamp's gain; needed if there are several.

        Returns
        -------
        Tensor
            `[..., spike]`, in the unit of the responses.
        """
        train = as_times(times)
        rows = train.reshape(-1, train.shape[-1])
        return torch.stack([self._means(row, clamp).median(0).values for row in rows]).reshape(train.shape)

    def responses(
        self, times: ArrayLike | Tensor, *, clamp: str | None = None, repeats: int = 1, seed: int = 0
    ) -> Tensor:
        """Single random responses to a train `[spike]`, `[repeat, draw, spike]`: quanta, recording noise, outliers."""
        whole("repeats", repeats, least=1)
        check_seed(seed)
        chances = self.cells.rule_at(self.z).site_chances(self._one(times).expand(len(self.z), -1))
        shape = (repeats, *self.z.shape[:-1])
        generator = torch_generator(seed)
        sites, gain, noise = (part.expand(shape) for part in self._quantal(clamp))
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        full = (sites + uniform).floor()  # a whole number whose mean is `sites`
        chances = SiteChances(*(part.clamp(0, 1).expand(*shape, -1) for part in chances))
        return simulate(chances, full, gain / full, noise, self.cells.cv, generator, self.cells.outliers)

    def bands(
        self, times: ArrayLike | Tensor, *, clamp: str | None = None, level: float = 0.95, seed: int = 0
    ) -> xr.Dataset:
        """Mean response to one train, with bands for the mean and for a single response.

        Parameters
        ----------
        times
            `[spike]` in s.
        clamp
            Which clamp's gain and noise; needed if there are several.
        level
            Probability of both bands.
        seed
            Seed of the random responses.

        Returns
        -------
        Dataset
            `mean`, `mean_low`, `mean_high`, `response_low`, `response_high` over `spike`, with coordinate `time`.
        """
        check_level(level)
        train = self._one(times)
        means = self._means(train, clamp)
        single = self.responses(train, clamp=clamp, repeats=REPEATS, seed=seed).flatten(0, 1)
        return bands(train, means.median(0).values, central(means, level), single, level)

    def _means(self, train: Tensor, clamp: str | None) -> Tensor:
        """Mean response of every draw, `[draw, spike]`."""
        _, gain, _ = self._quantal(clamp)
        return gain[:, None] * self.cells.rule_at(self.z).respond(train.expand(len(self.z), -1))

    def _quantal(self, clamp: str | None) -> tuple[Tensor, Tensor, Tensor]:
        """Sites, gain and noise of every draw, `[draw]`."""
        clamps = self.cells.clamps
        if clamp is None and len(clamps) > 1:
            raise ConfigError(f"there are several clamps; give clamp= one of {', '.join(map(repr, clamps))}")
        if clamp is not None:
            choice("clamp", clamp, clamps)
        index = 0 if clamp is None else clamps.index(clamp)
        gain, noise = self.cells.gain_and_noise_at(self.z)
        return self.cells.sites_at(self.z), gain[..., index], noise[..., index]

    @staticmethod
    def _one(times: ArrayLike | Tensor) -> Tensor:
        train = as_times(times)
        if train.ndim != 1 or not len(train):
            raise ShapeError(f"times have shape {list(train.shape)}; give one train [spike] of at least one")
        return train

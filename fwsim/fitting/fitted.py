"""A fitted rule: predictions, uncertainty, and residuals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import numpy as np
import torch

from fwsim.errors import ShapeError, whole
from fwsim.fitting.bands import bands
from fwsim.fitting.checks import as_times, check_level
from fwsim.fitting.coordinates import R
from fwsim.fitting.optimise import Problem
from fwsim.fitting.percentiles import central, expanded
from fwsim.fitting.posterior import Interval, Posterior, curvature, percentile_intervals, undetermined
from fwsim.fitting.responses import Responses, gather
from fwsim.fitting.sampling import Chains, sample
from fwsim.seeds import check_seed, torch_generator

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import ArrayLike
    from torch import Tensor

DRAWS = 20  # single responses per bootstrap replicate, for the band of one response


@dataclass(frozen=True, eq=False)
class Fit(Generic[R]):
    """A rule fitted to responses: mean response = gain × release.

    Parameters
    ----------
    problem
        The fitted problem: coordinates of the rule, trains, noise.
    responses
        The responses to which it was fitted.
    log_likelihood
        Of all responses, in nats, as if they were independent.
    posterior
        Laplace's approximation around the maximum.
    replicates
        Coordinates of the fits to resampled sweeps, `[replicate, axis]`.
    penalty
        Effective number of parameters, which accounts for the correlation of responses within a sweep.
    level
        Probability of the intervals.
    agreement
        Fraction of starts that ended at this maximum.
    """

    problem: Problem
    responses: Responses
    log_likelihood: float
    posterior: Posterior
    replicates: Tensor
    penalty: float
    level: float
    agreement: float

    @property
    def rule(self) -> R:
        """The rule with the best parameters; an `amplitude`, if it has one, is as given."""
        return self.problem.at.rule_at(self.posterior.mode)

    @property
    def gain(self) -> float:
        """Response to a release of 1, in the unit of the responses; the geometric mean over protocols."""
        return float(self.problem.at.gain_at(self.posterior.mode).log().mean().exp())

    @property
    def gains(self) -> dict[str, float]:
        """Gain of each protocol."""
        names = self.responses.protocols
        return dict(zip(names, self.problem.at.gain_at(self.posterior.mode).expand(len(names)).tolist()))

    @property
    def parameters(self) -> dict[str, float]:
        """Every fitted parameter in its unit: those of the rule, gains, dispersion and exponent of the noise."""
        at = self.problem.at
        return dict(zip(at.names, at.values(self.posterior.mode).tolist()))

    @property
    def intervals(self) -> dict[str, Interval]:
        """Interval of every fitted parameter, from the bootstrap over sweeps (over cells, if there are several).

        It lies between percentiles of the replicates, which are moved outwards for few sweeps (Hesterberg 2015,
        Am. Stat. 69:371).
        """
        return percentile_intervals(self.problem.at, self.replicates, self._percentiles(self.level))

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the data do not determine.

        Their interval, by bootstrap or posterior, reaches a limit of the search, or spans a factor of ten
        (times, gains and other positive ones) or half of the range (the others).
        """
        sources = self.intervals, self.posterior.intervals(self.level)
        axes = self.problem.at.axes
        return tuple(
            axis.name for axis in axes if any(undetermined(axis, source[axis.name]) for source in sources)
        )

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return 2 * self._free - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Bayesian information criterion, by the number of responses."""
        number = float(self.responses.moments().count.sum())
        return self._free * math.log(number) - 2 * self.log_likelihood

    @property
    def tic(self) -> float:
        """Takeuchi's information criterion, with whole sweeps as the independent units."""
        return 2 * self.penalty - 2 * self.log_likelihood

    @property
    def _free(self) -> int:
        return len(self.posterior.mode)

    def _percentiles(self, level: float) -> float:
        """Level of the percentiles of the replicates that make an interval of this level."""
        return expanded(level, self.responses.units, self.responses.strata)

    def predict(self, times: ArrayLike | Tensor) -> Tensor:
        """Mean response at every spike of trains that begin at rest.

        Parameters
        ----------
        times
            `[..., spike]` in s, ascending, padded with NaN.

        Returns
        -------
        Tensor
            `[..., spike]`, in the unit of the responses.
        """
        return self.gain * self.rule.respond(as_times(times))

    def bands(self, times: ArrayLike | Tensor, *, level: float | None = None, seed: int = 0) -> xr.Dataset:
        """Mean response to one train, with bands for the mean and for a single response.

        Parameters
        ----------
        times
            `[spike]` in s.
        level
            Probability of both bands; `None`: as in the fit.
        seed
            Seed of the random responses.

        Returns
        -------
        Dataset
            `mean`, `mean_low`, `mean_high`, `response_low`, `response_high` over `spike`, with coordinate `time`.
        """
        level = self.level if level is None else level
        check_level(level)
        check_seed(seed)
        train = as_times(times)
        if train.ndim != 1 or not len(train):
            raise ShapeError(
                f"times have shape {list(train.shape)}; bands are of one train [spike] of at least one"
            )
        at, noise = self.problem.at, self.problem.noise
        gain = at.gain_at(self.replicates).log().mean(-1, keepdim=True).exp()
        means = gain * at.rule_at(self.replicates).respond(train.expand(len(gain), -1))
        dispersion, exponent = (part[:, None] for part in at.noise_at(self.replicates))
        spread = noise.spread(means, dispersion, exponent, self.problem.size)
        generator = torch_generator(seed)
        single = noise.sample(means.repeat(DRAWS, 1), spread.repeat(DRAWS, 1), generator)
        return bands(train, self.predict(train), central(means, self._percentiles(level)), single, level)

    def residuals(self, responses: pd.DataFrame | xr.Dataset | Responses | None = None) -> xr.Dataset:
        """Measured and predicted mean responses, `[protocol, pulse]`, with the error of the measured mean.

        Parameters
        ----------
        responses
            Other responses than the fitted ones, for example of a protocol that was left out. The gain is that of the
            protocol if it was fitted and has its own, otherwise `gain`.
        """
        import xarray as xr

        data = self.responses if responses is None else gather(responses)
        moments = data.moments()
        gain = torch.tensor([self.gains.get(name, self.gain) for name in data.protocols], dtype=torch.float64)
        predicted = gain[:, None] * self.rule.respond(data.times)
        error = (moments.variance / moments.count).sqrt()
        columns = {
            "measured": (moments.mean, "mean response"),
            "standard_error": (error, "standard error of the mean response"),
            "predicted": (predicted, "predicted mean response"),
            "residual": ((moments.mean - predicted) / error, "residual in standard errors"),
            "count": (moments.count, "responses"),
        }
        dimensions = ("protocol", "pulse")
        return xr.Dataset(
            {
                k: (dimensions, v.numpy().copy(), {"units": "1", "long_name": text})
                for k, (v, text) in columns.items()
            },
            coords={
                "protocol": np.array(data.protocols, dtype=object),
                "pulse": ("pulse", np.arange(moments.mean.shape[-1]), {"units": "1", "long_name": "pulse"}),
                "time": (dimensions, data.times.numpy().copy(), {"units": "s", "long_name": "time"}),
            },
        )

    def sample_posterior(self, *, steps: int = 2000, seed: int = 0) -> Chains:
        """Draw from the posterior under a flat prior in the box of the search, instead of approximating it.

        Useful if `posterior`, a normal distribution around the estimate, cannot be right: for parameters at a limit,
        skewed or open to one side. The likelihood is raised to the power (parameters / `penalty`). As in
        `posterior`, responses of one sweep then do not count as independent. Needs the extra `mcmc`.

        Parameters
        ----------
        steps
            Number of steps of every walker; the first quarter is dropped.
        seed
            Seed of starting points and moves.

        Raises
        ------
        ConfigError
            emcee is not installed.

        Notes
        -----
        Sources: Foreman-Mackey, Hogg, Lang & Goodman 2013, PASP 125:306 (emcee), with the moves of ter Braak 2006,
        Stat. Comput. 16:239; Pauli, Racugno & Ventura 2011, Statist. Sinica 21:149 (power of the likelihood).
        """
        whole("steps", steps, least=100)
        check_seed(seed)
        bend = curvature(self.problem, self.responses, self.posterior.mode)
        return sample(self.problem, self.responses, self.posterior, bend, steps, seed)

    def summary(self) -> pd.DataFrame:
        """One row per parameter: value, unit, both intervals, whether the data determine it."""
        import pandas as pd

        bootstrap, laplace, open_ones = (
            self.intervals,
            self.posterior.intervals(self.level),
            self.undetermined,
        )
        rows = [
            {
                "parameter": axis.name,
                "value": self.parameters[axis.name],
                "unit": axis.unit,
                "low": bootstrap[axis.name].low,
                "high": bootstrap[axis.name].high,
                "laplace_low": laplace[axis.name].low,
                "laplace_high": laplace[axis.name].high,
                "determined": axis.name not in open_ones,
            }
            for axis in self.problem.at.axes
        ]
        return pd.DataFrame(rows)

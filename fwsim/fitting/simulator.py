"""A rule and a stimulation protocol as simulator and prior, for simulation-based inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Uniform

from fwsim.errors import ConfigError, ShapeError, number, whole
from fwsim.fitting.checks import as_times
from fwsim.fitting.coordinates import Bounds, Coordinates, coordinates
from fwsim.fitting.noise import named
from fwsim.fitting.responses import gather
from fwsim.names import known_arguments
from fwsim.rules.rule import PresynapticRule


@dataclass(frozen=True, eq=False)
class Simulator:
    """Responses of a rule with the parameters θ; see `simulator`.

    Parameters
    ----------
    at
        Coordinates of θ: logarithms of times and gains, logits of probabilities.
    trains
        Names of the protocols.
    times
        Their spikes, `[protocol, pulse]` in s, padded with NaN.
    noise
        `"gamma"` or `"normal"`.
    size
        Typical response, at which `dispersion` is the squared coefficient of variation.
    sweeps
        Number of sweeps over which responses are averaged.
    """

    at: Coordinates
    trains: tuple[str, ...]
    times: Tensor
    noise: str
    size: float
    sweeps: int

    @property
    def names(self) -> list[str]:
        """Names of the parameters θ."""
        return self.at.names

    @property
    def prior(self) -> Distribution:
        """Flat within the limits of the search, in the coordinates; as sbi, torch and pyro take it."""
        return Independent(Uniform(self.at.low.float(), self.at.high.float(), validate_args=False), 1)

    def values(self, theta: Tensor) -> Tensor:
        """Parameters in their units, `[..., parameter]`."""
        return self.at.values(theta.double())

    def __call__(self, theta: Tensor) -> Tensor:
        """Simulate responses `[batch, response]` for `theta [batch, parameter]`; all protocols one after the other.

        The noise is that of torch's own generator: `torch.manual_seed` repeats it.
        """
        if theta.ndim not in (1, 2) or theta.shape[-1] != len(self.names):
            raise ShapeError(
                f"theta has shape {list(theta.shape)}; expected [batch, parameter] with parameter={len(self.names)}"
            )
        z = torch.atleast_2d(theta).double()
        present = self.times.isfinite()
        rule = self.at.rule_at(z[:, None])
        mean = self.at.gain_at(z) * rule.respond(self.times.expand(len(z), -1, -1))[:, present]
        kind = named(self.noise)
        dispersion, exponent = (part[:, None] for part in self.at.noise_at(z))
        spread = kind.spread(mean, dispersion, exponent, self.size)
        shape = (self.sweeps, *mean.shape)
        drawn = kind.sample(mean.expand(shape), spread.expand(shape), torch.default_generator).mean(0)
        return (drawn if theta.ndim == 2 else drawn[0]).float()

    def observed(self, responses: Any) -> Tensor:
        """Mean responses of a table as `[response]`, in the order of the simulated ones.

        Raises
        ------
        ShapeError
            The table has other protocols or other spikes.
        """
        data = gather(responses)
        if set(data.protocols) != set(self.trains):
            raise ShapeError(
                f"the table has the protocols {', '.join(data.protocols)}; simulated are {', '.join(self.trains)}"
            )
        order = [data.protocols.index(name) for name in self.trains]
        times, mean = data.times[order], data.moments().mean[order]
        if times.shape != self.times.shape or not torch.allclose(
            times, self.times, atol=1e-9, equal_nan=True
        ):
            raise ShapeError(
                "the table has spikes at other times than the simulated protocols; give the same trains"
            )
        return mean[self.times.isfinite()].float()


@known_arguments
def simulator(
    rule: PresynapticRule,
    trains: Mapping[str, Sequence[float]],
    *,
    fixed: str | Sequence[str] = (),
    bounds: Bounds | None = None,
    noise: str = "gamma",
    size: float = 1.0,
    sweeps: int = 1,
) -> Simulator:
    """Make simulator and prior of a rule under a protocol, for sbi and its like.

    Parameters
    ----------
    rule
        Gives the options, and the values of fixed parameters.
    trains
        Protocol → spike times in s.
    fixed
        Parameters that keep their value.
    bounds
        Parameter → limits of the prior, in its unit; `gain`, `dispersion` and `exponent` (of the noise) too.
    noise
        `"gamma"`, or `"normal"`.
    size
        Typical response, around which the limits of the gain are.
    sweeps
        Number of sweeps that are averaged in one simulation.

    Examples
    --------
    >>> import fwsim as fw
    >>> rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
    >>> simulate = simulator(rule, {"50Hz": [0.0, 0.02, 0.04]}, fixed="U")
    >>> simulate.names
    ['tau_rec', 'tau_facil', 'gain', 'dispersion', 'exponent']
    >>> simulate(simulate.prior.sample((10,))).shape
    torch.Size([10, 3])
    """
    named(noise)
    number("size", size, above=0)
    whole("sweeps", sweeps, least=1)
    if not isinstance(trains, Mapping) or not trains:
        raise ConfigError(f"trains are {trains!r}; give a dict of protocols and their spike times in s")
    parts = [as_times(train) for train in trains.values()]
    times = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=torch.nan)
    at = coordinates(rule, times, size, "shared", fixed, bounds)
    return Simulator(at, tuple(trains), times, noise, size, sweeps)

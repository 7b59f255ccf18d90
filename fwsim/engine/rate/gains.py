"""Gain functions: from the field of a unit to its rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, number
from fwsim.names import known_arguments
from fwsim.rules.parameters import own
from fwsim.units import checked, si, unusual

Gain = Callable[[Tensor], Tensor]
"""Any function of fields `[batch, unit]` that gives rates `[batch, unit]`."""

NODES = 64  # of each integral of the Siegert function; 1e-10 of the rate
USUAL = 1.0  # s and V; more is probably meant in ms and mV
FOLDS = 40.0  # e-folds after which an integrand is left out


@dataclass(frozen=True, eq=False)
class Relu:
    """r = max(h, 0)."""

    def __call__(self, h: Tensor) -> Tensor:
        """Rates of fields."""
        return torch.relu(h)


@dataclass(frozen=True, eq=False)
class Tanh:
    """r = tanh h."""

    def __call__(self, h: Tensor) -> Tensor:
        """Rates of fields."""
        return torch.tanh(h)


@dataclass(frozen=True, eq=False)
class Softplus:
    """r = α ln(1 + e^{h/α}); see `softplus`."""

    alpha: float | Tensor

    def __call__(self, h: Tensor) -> Tensor:
        """Rates of fields."""
        if isinstance(self.alpha, Tensor):
            return self.alpha * functional.softplus(h / self.alpha, threshold=FOLDS)
        return functional.softplus(h, 1 / self.alpha, FOLDS)


@dataclass(frozen=True, eq=False)
class Siegert:
    """Rate of a leaky integrate-and-fire neuron; see `siegert`."""

    tau: float | Tensor
    threshold: float | Tensor
    reset: float | Tensor
    refractory: float | Tensor
    sd: float | Tensor

    def __call__(self, h: Tensor) -> Tensor:
        """Rates of mean potentials."""
        # The integral is scaled by e^{−top²} so that nothing overflows far below threshold.
        width = math.sqrt(2.0) * self.sd
        low, top = (self.reset - h) / width, (self.threshold - h) / width
        above, depth = top.clamp(min=0), (-top).clamp(min=0)
        scale = torch.exp(-above.square())
        steep = _steep(above, above - torch.minimum(low.clamp(min=0), above))
        flat = _flat(depth, (-low).clamp(min=0))
        passage = math.sqrt(math.pi) * self.tau * (steep + scale * flat)
        return scale / (self.refractory * scale + passage)

    def rectified(self, scale: Any, low: float = -2.0, high: float = 8.0) -> tuple[float, float]:
        """Make the neuron a rectified unit: rates closest to scale · max(field, 0), by least squares.

        Parameters
        ----------
        scale
            Rate in Hz for a field of 1.
        low, high
            Fields between which the rates are compared.

        Returns
        -------
        background, potential
            In V: `gain(background + potential * field)` are the rates.

        Raises
        ------
        ConfigError
            `scale` is not positive, `low` is not below `high`, or the parameters of the neuron are not numbers.
        """
        from scipy.optimize import least_squares

        scale = checked("scale", scale, "rate", above=0)
        number("low", low)
        number("high", high, above=low)
        if not all(isinstance(each, int | float) for each in vars(self).values()):
            raise ConfigError("rectified needs a neuron whose parameters are numbers, not tensors")
        field, threshold, sd = np.linspace(low, high, 81), float(self.threshold), float(self.sd)

        def residual(values: np.ndarray) -> np.ndarray:
            potential = torch.as_tensor(threshold + sd * (values[0] + np.exp(values[1]) * field))
            return self(potential).numpy() / scale - np.maximum(field, 0)

        shift, stretch = least_squares(residual, [-2.0, -1.0]).x
        return float(threshold + sd * shift), float(sd * np.exp(stretch))


relu = Relu()
tanh = Tanh()


@known_arguments
def softplus(alpha: float | Tensor = 1.0) -> Softplus:
    """Make the gain r = α ln(1 + e^{h/α}), which is max(h, 0) with a corner rounded over α.

    Parameters
    ----------
    alpha
        In units of h, positive; a number or a tensor that broadcasts against `[batch, unit]`.
    """
    return Softplus(_positive("softplus", "alpha", alpha))


@known_arguments
def siegert(
    *,
    tau: float | Tensor = 0.02,
    threshold: float | Tensor = 0.02,
    reset: float | Tensor = 0.01,
    refractory: float | Tensor = 0.002,
    sd: float | Tensor = 0.001,
) -> Siegert:
    """Make the gain of a leaky integrate-and-fire neuron in white noise, the Siegert transfer function.

    1/r = τ_ref + τ√π ∫ e^{u²}(1 + erf u) du from (V_reset − h)/σ to (θ − h)/σ, with σ = √2·sd, for
    τ dV/dt = −V + h + sd √(2τ) ξ(t). The field h is the mean potential in V, so weights are in V/Hz.
    It is smooth, and differentiable in h and all parameters.

    Source: Siegert 1951, Phys. Rev. 81:617; in this form Brunel 2000, J. Comput. Neurosci. 8:183, eq. 21.

    Parameters
    ----------
    tau, refractory
        Membrane time constant and refractory period in s.
    threshold, reset
        Relative to the resting potential, in V.
    sd
        Stationary standard deviation that the potential would have without threshold, in V.

    Raises
    ------
    ConfigError
        A parameter is not positive (`refractory` may be 0), or `reset` is not below `threshold`.
    """
    times = {"tau": tau, "refractory": refractory}
    potentials = {"threshold": threshold, "reset": reset, "sd": sd}
    positive = {"tau": tau, "sd": sd}
    dimensions = {"tau": "time", "sd": "voltage"}
    values = {name: _positive("siegert", name, value, dimensions[name]) for name, value in positive.items()}
    refractory = _number("siegert", "refractory", refractory, "time")
    if bool((torch.as_tensor(refractory) < 0).any()):
        raise ConfigError(f"siegert: refractory={refractory!r} is not allowed; it must be at least 0 s")
    threshold = _number("siegert", "threshold", threshold, "voltage")
    reset = _number("siegert", "reset", reset, "voltage")
    if not bool((torch.as_tensor(threshold - reset) > 0).all()):
        raise ConfigError(f"siegert: reset={reset!r} is not below threshold={threshold!r}; lower it")
    for dimension, usual in (("time", times), ("voltage", potentials)):
        for name, given in usual.items():
            unusual(f"siegert: {name}", given, dimension, USUAL)
    return Siegert(threshold=threshold, reset=reset, refractory=refractory, **values)


def _steep(top: Tensor, length: Tensor) -> Tensor:
    """∫ e^{u²−top²}(1 + erf u) du over the `length` below `top` ≥ 0, where the integrand rises steeply."""
    reach = torch.minimum(length, FOLDS / top.clamp(min=1.0))
    nodes, weights = _quadrature(top.dtype, top.device)
    back = reach[..., None] * nodes
    integrand = torch.exp(-back * (2 * top[..., None] - back)) * (1 + torch.erf(top[..., None] - back))
    return reach * (integrand @ weights)


def _flat(start: Tensor, stop: Tensor) -> Tensor:
    """∫ erfcx(x) dx from `start` to `stop` ≥ 0, which falls as 1/x: equal nodes in ln(1 + x)."""
    begin, span = torch.log1p(start), torch.log1p(stop) - torch.log1p(start)
    nodes, weights = _quadrature(start.dtype, start.device)
    x = torch.expm1(begin[..., None] + span[..., None] * nodes)
    return span * ((torch.special.erfcx(x) * (1 + x)) @ weights)


@lru_cache(maxsize=8)
def _quadrature(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss–Legendre quadrature on [0, 1]."""
    points, widths = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = torch.as_tensor((points + 1) / 2), torch.as_tensor(widths / 2)
    return nodes.to(device, dtype), weights.to(device, dtype)


def _positive(owner: str, name: str, value: Any, dimension: str = "voltage") -> float | Tensor:
    value = _number(owner, name, value, dimension)
    if not bool((torch.as_tensor(value) > 0).all()):
        raise ConfigError(f"{owner}: {name}={value!r} is not allowed; it must be positive")
    return value


def _number(owner: str, name: str, value: Any, dimension: str) -> float | Tensor:
    as_they_are(f"{owner}: {name}", value)
    value = si(f"{owner}: {name}", value, dimension)
    try:
        if isinstance(value, bool):
            raise TypeError
        value = own(value) if isinstance(value, Tensor) or hasattr(value, "__array__") else float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{owner}: {name}={value!r} is not a number or a tensor") from None
    if not bool(torch.as_tensor(value).isfinite().all()):
        raise ConfigError(f"{owner}: {name}={value!r} is not allowed; it must be finite")
    return value

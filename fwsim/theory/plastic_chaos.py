"""Mean field of random networks with Hebbian plasticity, from sampled paths of one unit.

    τ dh_i/dt = −h_i + Σ_j (J_ij + A_ij) φ_j,   φ = tanh h,   J_ij of variance g²/N
    τ_A dA_ij/dt = −A_ij + (k/N) φ_i φ_j

is a `RateNetwork` with the gain `tanh` and the memory `Hebbian(tau=tau_A, eta_rate=k/(N*tau_A))`. In the limit of many
units Σ_j A_ij φ_j depends on the others only through the autocorrelation C(t, s) = ⟨φ(t) φ(s)⟩, so that each unit obeys

    τ dh/dt = −h + η(t) + k ∫_{−∞}^{t} e^{−(t−s)/τ_A} C(t, s) φ(s) ds/τ_A,   ⟨η(t) η(s)⟩ = g² C(t, s)

with Gaussian η; C follows from the solutions h. The model is that of Clark & Abbott 2024, Phys. Rev. X
(arXiv 2302.08985); the equations here were derived anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import toeplitz

from fwsim.errors import ConfigError, ShapeError, number, whole
from fwsim.names import known_arguments
from fwsim.seeds import check_seed
from fwsim.theory.chaos import STRONGEST, chaos_autocorrelation, hermite
from fwsim.theory.values import numbers

ROUNDS = 120
MIXED = 6  # earlier rounds that Anderson's mixing uses
HISTORY = 8.0  # time constants of the memory after which it is forgotten, e^−8 = 0.0003
PERIOD = 204.8  # membrane time constants
FREEZING = 2000  # rounds, at most, to the fixed point of a network whose plasticity was halted
SETTLED = 1e-3  # of the mean square rate before the halt: how far from that fixed point rounds end
SILENT = 1e-6  # autocorrelation at lag 0 below which there is no activity


@dataclass(frozen=True, eq=False)
class PlasticActivity:
    """Stationary activity of a random network with Hebbian plasticity.

    Parameters
    ----------
    lag
        `[lag]`, in units of the membrane time constant, from 0.
    autocorrelation
        ⟨φ(t) φ(t + lag)⟩, `[lag]`.
    residual
        Largest difference between the autocorrelation that was assumed and the one that it causes.
    converged
        Whether the residual is below the tolerance.
    """

    lag: np.ndarray
    autocorrelation: np.ndarray
    residual: float
    converged: bool
    _solved: _Paths = field(repr=False)

    def frozen(self) -> Frozen:
        """Mean field of the fixed point to which activity goes when plasticity is halted.

        From then on A is constant, Σ_j A_ij φ_j* = k ∫ e^{−s/τ_A} c(s) φ_i(−s) ds/τ_A with c(s) = ⟨φ* φ(−s)⟩, so that
        h* = η* + k ∫ … explicitly, with η* jointly Gaussian with the past η: covariances g² c(s) and g² ⟨φ*²⟩.
        Without activity the fixed point is h* = 0, and its overlap NaN.
        """
        return _freeze(self._solved)


@dataclass(frozen=True)
class Frozen:
    """Fixed point of a network whose plasticity was halted.

    Parameters
    ----------
    overlap
        Cosine between the rates at the fixed point and those at the moment of halting. Without meaning if the fixed
        point is not stable.
    square
        Mean square of the rates at the fixed point.
    radius
        g √⟨(1 − φ²)²⟩, the spectral radius of J φ′ there. The fixed point is stable if it is below 1 and A adds no
        unstable direction.
    """

    overlap: float
    square: float
    radius: float


@dataclass(frozen=True, eq=False)
class _Paths:
    """What a round of the mean field has drawn: `field`, `rate [time, path]` over one period."""

    coupling: float
    kernel: np.ndarray  # k e^{−s/τ_A} ds/τ_A by lag, trapezoidal
    autocorrelation: np.ndarray  # [time], periodic
    field: np.ndarray
    rate: np.ndarray


@known_arguments
def plastic_autocorrelation(
    coupling: float,
    plasticity: float,
    tau_memory: float,
    *,
    period: float | None = None,
    dt: float = 0.1,
    paths: int = 400,
    start: ArrayLike | None = None,
    seed: int = 0,
    tolerance: float = 2e-3,
) -> PlasticActivity:
    """Autocorrelation of the chaotic state of a random network with Hebbian plasticity, by sampling its mean field.

    Paths of one unit are drawn with an assumed C, and C is corrected until it is the one that they have, with the same
    random numbers in every round. Anderson's mixing finds the chaotic solution, from which plain iteration moves away.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N; at most 5.
    plasticity
        k; below 0 it is anti-Hebbian.
    tau_memory
        Time constant of the memory in units of the membrane time constant.
    period
        Length of a path, after which it repeats, in the same units; at least 32 `tau_memory`. The autocorrelation must
        vanish within half of it. By default 204.8, or 32 `tau_memory` if that is longer.
    dt
        Step in the same units.
    paths
        Number of paths. Statistical errors decrease with the root of paths · period.
    start
        Autocorrelation to start from, by lag in steps of `dt` from 0 up to half a period, or one value for all lags;
        that of the chaos without plasticity by default. With start = 0.5 or so, a static solution is found where there
        is one.
    seed
        Of the paths.
    tolerance
        Largest residual, relative to the autocorrelation at lag 0.

    Raises
    ------
    ConfigError
        A value is not allowed, or the period is too short for its steps or for the memory.
    ShapeError
        `start` is neither one value nor values by lag.
    """
    number("coupling", coupling, least=0.0, most=STRONGEST)
    number("plasticity", plasticity)
    number("tau_memory", tau_memory, above=0.0)
    number("dt", dt, above=0.0)
    least = 4 * HISTORY * tau_memory  # `frozen` looks back over half a period, twice what the memory spans
    period = max(PERIOD, least) if period is None else period
    number("period", period, above=0.0)
    whole("paths", paths, least=2)
    check_seed(seed)
    number("tolerance", tolerance, above=0.0)
    steps = 2 * round(period / dt / 2)
    if steps < 16:
        raise ConfigError(f"period={period:g} has {steps} steps of dt={dt:g}; give at least 16")
    if period < least * (1 - 1e-5):  # messages round
        raise ConfigError(
            f"period={period:g} is too short for tau_memory={tau_memory:g}; give at least {least:g}"
        )
    lag = np.minimum(np.arange(steps), steps - np.arange(steps)) * dt
    C = chaos_autocorrelation(lag, max(coupling, 1.3)) if start is None else _started(start, steps)
    normal = np.fft.rfft(np.random.default_rng(seed).standard_normal((steps, paths)), axis=0)
    length = math.ceil(HISTORY * tau_memory / dt)
    kernel = plasticity * dt / tau_memory * np.exp(-np.arange(length + 1) * dt / tau_memory)
    kernel[[0, -1]] /= 2

    def respond(assumed: np.ndarray) -> tuple[np.ndarray, _Paths]:
        power = coupling**2 * np.maximum(np.fft.rfft(assumed).real, 0.0)
        waves = normal * np.sqrt(power)[:, None]
        field_ = np.fft.irfft(waves, steps, axis=0)
        feedback = kernel * assumed[: length + 1]
        rate = _unit(field_, feedback, dt)
        # A linear unit under the same fields has a known C: a control variate, with which sampling errors are smaller.
        slope = min(float(np.mean(1 - rate**2)), 0.8 / max(np.abs(feedback).sum(), 1e-12))
        transfer, variance = _linear(power, slope * feedback, dt)
        while variance[0] > STRONGEST**2 and slope > 0:
            slope = slope / 2 if slope > 0.01 else 0.0
            transfer, variance = _linear(power, slope * feedback, dt)
        if variance[0] < SILENT**2:
            return _autocorrelation(rate), _Paths(coupling, kernel, assumed, field_, rate)
        linear = np.tanh(np.fft.irfft(waves * transfer[:, None], steps, axis=0))
        known = np.polynomial.polynomial.polyval(variance / variance[0], hermite(np.tanh, variance[0]) ** 2)
        share = _slope((linear**2).mean(0), (rate**2).mean(0))
        found = _autocorrelation(rate) + share * (known - _autocorrelation(linear))
        return found, _Paths(coupling, kernel, assumed, field_, rate)

    C, residual, solved = _anderson(respond, C, tolerance)
    half = steps // 2
    converged = residual <= tolerance * max(C[0], SILENT)
    if converged and C[0] < SILENT:
        C = np.zeros_like(C)
    return PlasticActivity(lag[:half], C[:half], residual, bool(converged), solved)


def _autocorrelation(rate: np.ndarray) -> np.ndarray:
    """Mean over paths and times of periodic rates `[time, path]`, by lag."""
    spectrum = (np.abs(np.fft.rfft(rate, axis=0)) ** 2).mean(1)
    return np.fft.irfft(spectrum, len(rate)) / len(rate)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of the regression of y on x."""
    x = x - x.mean()
    return float(x @ y / max(x @ x, 1e-300))


def _weights(dt: float) -> tuple[float, float, float]:
    """Of a step of the leak: what is kept, and what the forces at its beginning and end add."""
    keep = math.exp(-dt)
    second = 1 - (1 - keep) / dt
    return keep, (1 - keep) - second, second


def _linear(power: np.ndarray, feedback: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Transfer function of a linear unit, and the autocorrelation of its h under fields with this spectrum."""
    steps = 2 * (len(power) - 1)
    transfer = 1 / (1 / _leak(steps, dt) - np.fft.rfft(feedback, steps))
    return transfer, np.fft.irfft(power * np.abs(transfer) ** 2, steps)


def _leak(steps: int, dt: float) -> np.ndarray:
    """Transfer function of the leak, `[frequency]`."""
    keep, first, second = _weights(dt)
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(steps))
    return (second + first * delay) / (1 - keep * delay)


def _started(start: ArrayLike, steps: int) -> np.ndarray:
    """Autocorrelation of a period, `[time]`, from the given lags; 0 at others."""
    given = numbers("start", start)
    half = np.zeros(steps // 2 + 1)
    if given.ndim > 1 or not 0 < given.size <= half.size:
        raise ShapeError(
            f"start has shape {list(given.shape)}; give one value, or [lag] with at most {half.size} lags"
        )
    if not np.isfinite(given).all():
        raise ConfigError("start has NaN or infinite values; give finite ones")
    half[: given.size] = given
    if given.size == 1:
        half[:] = given
    return np.concatenate([half, half[1 : steps - half.size + 1][::-1]])


def _unit(field_: np.ndarray, kernel: np.ndarray, dt: float) -> np.ndarray:
    """Rates of a unit under a periodic field `[time, path]` and the feedback of its own past, in the second period."""
    steps, length = len(field_), len(kernel) - 1
    keep, first, second = _weights(dt)
    past = kernel[:0:-1].copy()
    rate = np.empty((length + 2 * steps, field_.shape[1]))
    h = field_[0].copy()
    rate[: length + 1] = np.tanh(h)
    force = field_[0] + past @ rate[:length] + kernel[0] * rate[length]
    for t in range(1, 2 * steps):
        here = length + t
        known = field_[t % steps] + past @ rate[here - length : here]
        h = keep * h + first * force
        ahead = np.tanh(h + second * force)
        h += second * (known + kernel[0] * ahead)
        np.tanh(h, out=rate[here])
        force = known + kernel[0] * rate[here]
    return rate[length + steps :]


def _anderson(
    respond: Callable[[np.ndarray], tuple[np.ndarray, _Paths]], C: np.ndarray, tolerance: float
) -> tuple[np.ndarray, float, _Paths]:
    """Fixed point of C → respond(C), also where plain iteration moves away from it."""
    inputs: list[np.ndarray] = []
    gaps: list[np.ndarray] = []
    best: tuple[np.ndarray, float, _Paths] | None = None
    for _ in range(ROUNDS):
        found, solved = respond(C)
        gap = found - C
        residual = float(np.abs(gap).max())
        if best is None or residual < best[1]:
            best = C, residual, solved
        if residual <= tolerance * max(C[0], SILENT):
            break
        inputs, gaps = [*inputs, C][-MIXED:], [*gaps, gap][-MIXED:]
        C = C + gap
        if len(gaps) > 1:
            changes = np.diff(np.array(gaps), axis=0).T
            moves = np.diff(np.array(inputs), axis=0).T
            weights = np.linalg.lstsq(changes, gap, rcond=1e-6)[0]
            C = C - (moves + changes) @ weights
    assert best is not None  # ROUNDS is not 0
    return best


def _freeze(solved: _Paths) -> Frozen:
    g, C = solved.coupling, solved.autocorrelation
    if C[0] < SILENT:
        return Frozen(math.nan, 0.0, g)
    window = min(2 * len(solved.kernel), len(C) // 2)
    # Fields are smooth: directions of the past in which they hardly vary would only add rounding errors.
    values, vectors = np.linalg.eigh(toeplitz(C[:window]))
    kept = values > 1e-5 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    halts = np.arange(window, len(C), max((len(C) - window) // 8, 1))
    back = halts[:, None] - np.arange(window)  # [halt, lag]
    past = np.moveaxis(solved.rate[back], 1, 0).reshape(window, -1)  # [lag, sample]
    modes = vectors.T @ np.moveaxis(solved.field[back], 1, 0).reshape(window, -1)
    fresh = np.random.default_rng(0).standard_normal(past.shape[1])
    cross, square, before = C[:window].copy(), C[0], math.inf
    for _ in range(FREEZING):
        weights = (vectors.T @ cross) / values
        rest = max(square - weights @ (vectors.T @ cross), 0.0)
        h = weights @ modes + g * math.sqrt(rest) * fresh
        h *= (
            g * math.sqrt(square) / max(math.sqrt(np.mean(h**2)), SILENT)
        )  # its variance, without sampling error
        h += (solved.kernel * cross[: len(solved.kernel)]) @ past[: len(solved.kernel)]
        rate = np.tanh(h)
        change, found = past @ rate / rate.size - cross, float(np.mean(rate**2))
        step = max(float(np.abs(change).max()), abs(found - square))
        cross, square = cross + change, found
        # Steps that shrink by a ratio q have step · q/(1 − q) left to go: with a small step, much if q is near 1.
        if step <= SETTLED * C[0] * (1 - step / before):
            break
        before = step
    radius = g * math.sqrt(np.mean((1 - rate**2) ** 2))
    overlap = (past[0] @ rate) / np.linalg.norm(past[0]) / np.linalg.norm(rate)
    return Frozen(float(overlap), square, radius)

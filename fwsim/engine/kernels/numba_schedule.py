"""One step of a network with a schedule of storing, and its way back, for a whole batch at once.

What torch does with some fifteen small operations is one loop here; the products with W and C stay with torch. The
states that were stored are read where they are, among all hidden states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fwsim.engine.cell import EPSILON
from fwsim.engine.kernels.numba_vectors import inlined, kernel


class Kept(NamedTuple):
    """What a run goes through and its way back needs.

    Parameters
    ----------
    states
        h_0 … h_S of every step, `[inner + 1, time, batch, unit]`.
    normal, scale
        The normalised field before gain and bias `[inner, time, batch, unit]`, and one over its deviation
        `[inner, time, batch]`.
    attention
        κ h(τ)·h_s, `[inner, time, batch, past]`.
    """

    states: np.ndarray
    normal: np.ndarray
    scale: np.ndarray
    attention: np.ndarray


@inlined
def positive(value: Any) -> Any:
    """ReLU, of which NaN and −∞ come out as NaN, so that a run that diverged is noticed."""
    return value - value if value < 0 else value


@kernel
def settle(
    z: np.ndarray,
    kept: Kept,
    step: int,
    stored: np.ndarray,
    kappa: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
) -> None:
    """Run the inner loop of one step from its sustained input.

    Parameters
    ----------
    z
        `[batch, unit]`.
    kept
        Written for this step.
    step
        Which step it is.
    stored, kappa
        Steps whose states are read, and their weights, `[past]`.
    gain, bias
        Of the normalisation, `[unit]`.
    """
    states, normal, scale, attention = kept
    inner, units = len(normal), z.shape[1]
    for b in range(len(z)):
        for i in range(units):
            states[0, step, b, i] = positive(z[b, i])
        for s in range(inner):
            before, field, after = states[s, step, b], normal[s, step, b], states[s + 1, step, b]
            for i in range(units):
                field[i] = z[b, i]
            for p in range(len(stored)):
                past = states[inner, stored[p], b]
                overlap = kappa.dtype.type(0)
                for i in range(units):
                    overlap += past[i] * before[i]
                overlap *= kappa[p]
                attention[s, step, b, p] = overlap
                for i in range(units):
                    field[i] += overlap * past[i]
            mean = kappa.dtype.type(0)
            for i in range(units):
                mean += field[i]
            mean /= units
            variance = kappa.dtype.type(0)
            for i in range(units):
                field[i] -= mean
                variance += field[i] * field[i]
            one_over = kappa.dtype.type(1 / np.sqrt(variance / units + EPSILON))
            scale[s, step, b] = one_over
            for i in range(units):
                field[i] *= one_over
                after[i] = positive(field[i] * gain[i] + bias[i])


@kernel
def unsettle(
    d_z: np.ndarray,
    d_hidden: np.ndarray,
    d_gain: np.ndarray,
    d_bias: np.ndarray,
    d_state: np.ndarray,
    d_field: np.ndarray,
    kept: Kept,
    step: int,
    stored: np.ndarray,
    kappa: np.ndarray,
    gain: np.ndarray,
) -> None:
    """Take the gradient of a step's last state back to z, to the states that it read, and to gain and bias.

    Parameters
    ----------
    d_z
        `[batch, unit]`; written.
    d_hidden
        Of the last states of all steps, `[time, batch, unit]`; that of this step is read, those stored are added to.
    d_gain, d_bias
        `[unit]`; added to.
    d_state, d_field
        Room, `[unit]`.
    kept, step, stored, kappa, gain
        As `settle` left them.
    """
    states, normal, scale, attention = kept
    inner, units = len(normal), d_z.shape[1]
    for b in range(d_z.shape[0]):
        for i in range(units):
            d_state[i] = d_hidden[step, b, i]
            d_z[b, i] = 0
        for s in range(inner - 1, -1, -1):
            before, xhat, after = states[s, step, b], normal[s, step, b], states[s + 1, step, b]
            mean, along = kappa.dtype.type(0), kappa.dtype.type(0)
            for i in range(units):
                through = d_state[i] if after[i] > 0 else kappa.dtype.type(0)
                d_bias[i] += through
                d_gain[i] += through * xhat[i]
                through *= gain[i]
                mean += through
                along += through * xhat[i]
                d_field[i] = through
            mean /= units
            along /= units
            for i in range(units):
                d_field[i] = (d_field[i] - mean - xhat[i] * along) * scale[s, step, b]
                d_z[b, i] += d_field[i]
                d_state[i] = 0
            for p in range(len(stored)):
                past, d_past = states[inner, stored[p], b], d_hidden[stored[p], b]
                overlap = kappa.dtype.type(0)
                for i in range(units):
                    overlap += past[i] * d_field[i]
                overlap *= kappa[p]
                read = attention[s, step, b, p]
                for i in range(units):
                    d_past[i] += read * d_field[i] + overlap * before[i]
                    d_state[i] += overlap * past[i]
        for i in range(units):
            if states[0, step, b, i] > 0:
                d_z[b, i] += d_state[i]

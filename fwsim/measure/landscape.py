"""Energy of an inner loop, if it has one."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, type_of
from fwsim.measure.inner import InnerLoop
from fwsim.names import known_arguments


@known_arguments
def energy(loop: InnerLoop, states: Tensor, previous: Tensor | None = None) -> Tensor:
    """Energy that no iteration of the inner loop increases; it exists for symmetric A without normalisation.

    E(h, h′) = ½[G(h) + G(h′) − z·(h + h′) − hᵀA h′] with h′ the state one iteration earlier and G the sum over
    units of ∫ f⁻¹: ½h² for relu, h artanh h + ½ ln(1−h²) for tanh, 0 for sign. It decreases at every parallel
    update; E(h, h) = G(h) − z·h − ½hᵀA h is the energy of a fixed point and of updates one unit at a time.

    Parameters
    ----------
    loop
        The inner loop with fixed memory and input.
    states
        `[..., unit]`, with values that the activation can take.
    previous
        States one iteration earlier, `[..., unit]`; by default the same as `states`.

    Returns
    -------
    Tensor
        `[...]`, NaN where a state is.

    Raises
    ------
    ShapeError
        States are not tensors `[..., unit]` of the loop's precision.
    ConfigError
        The loop has a normalisation, or A is not symmetric: no Lyapunov function is known.

    Notes
    -----
    Hopfield 1984, PNAS 81:3088; Marcus & Westervelt 1989, Phys. Rev. A 40:501 (parallel updates).
    """
    if not isinstance(loop, InnerLoop):
        raise ConfigError(f"loop is {type_of(loop)}; give an InnerLoop, as InnerLoop.of makes it")
    if loop.cell.normalise != "none":
        raise ConfigError(
            f"energy with normalise={loop.cell.normalise!r}: layer normalisation leaves no Lyapunov function; "
            "use normalise='none', or measure basins and fixed_points"
        )
    previous = states if previous is None else previous
    for name, given in (("states", states), ("previous", previous)):
        _require_states(name, given, loop)
    asymmetry = (loop.matrix - loop.matrix.mT).abs().max()
    if not bool(asymmetry <= 1e-5 * loop.matrix.abs().max()):
        raise ConfigError(
            f"energy with a matrix that is not symmetric (|A − Aᵀ| up to {float(asymmetry):.2g}): no Lyapunov "
            "function is known; use basins and fixed_points"
        )
    potential = _potential(states, loop.cell.activation) + _potential(previous, loop.cell.activation)
    field = ((states + previous) * loop.sustained).sum(-1)
    coupling = ((states @ loop.matrix) * previous).sum(-1)
    return (potential - field - coupling) / 2


def _require_states(name: str, states: Tensor, loop: InnerLoop) -> None:
    units, dtype = loop.matrix.shape[-1], loop.matrix.dtype
    if isinstance(states, Tensor) and states.ndim and states.shape[-1] == units and states.dtype == dtype:
        return
    given = f"{states.dtype} {list(states.shape)}" if isinstance(states, Tensor) else type_of(states)
    raise ShapeError(
        f"{name} is {given}; give a tensor [..., unit] with unit={units} in {dtype}, as the loop is"
    )


def _potential(states: Tensor, activation: str) -> Tensor:
    """Σ over units of ∫ f⁻¹; infinite for values that the activation cannot take."""
    if activation == "relu":
        return torch.where(states < 0, torch.inf, states**2 / 2).sum(-1)
    if activation == "sign":
        return torch.zeros_like(states[..., 0])
    entropy = torch.special.xlogy(1 + states, 1 + states) + torch.special.xlogy(1 - states, 1 - states)
    return torch.where(states.abs() > 1, torch.inf, entropy / 2).sum(-1)

"""A step whose inner loop runs to its fixed point, and gradients there without the way to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fwsim.engine import checks
from fwsim.engine.cell import Cell
from fwsim.engine.inputs import as_input
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.precision import own_precision
from fwsim.engine.state import State
from fwsim.engine.transforms import transformed
from fwsim.errors import ConfigError, ShapeError, instance, number
from fwsim.names import known_arguments


@known_arguments
def equilibrium(
    net: FastWeightNetwork,
    x: Tensor,
    state: State,
    *,
    iterations: int = 256,
    tolerance: float | None = None,
) -> tuple[Tensor, State]:
    """Take one step whose inner loop runs until it no longer changes the state.

    At the fixed point h = F(h, θ) gradients follow from the implicit function theorem,
    dh/dθ = (I − ∂F/∂h)⁻¹ ∂F/∂θ, with memory that does not grow with the number of iterations. They are those of an
    unrolled loop that has converged, `net(x, state, inner_steps=many)`.

    Source: Bai, Kolter & Koltun 2019, Deep equilibrium models (arXiv 1909.01377).

    Parameters
    ----------
    net
        The network; its own number of iterations plays no part.
    x
        Input of the step, `[batch, input]`.
    state
        From which the step goes on, such as the one after storing: `_, state = net(items)`.
    iterations
        Largest number of iterations. A trial that has not converged by then has the gradient of its last iteration
        alone.
    tolerance
        A trial has converged when an iteration changes it by less than this, relative to 1 + |h|; by default ε^0.7 of
        the dtype (1e-5 in single precision).

    Returns
    -------
    hidden
        `[batch, unit]`.
    state
        After the step, with the hidden state written.

    Raises
    ------
    ConfigError, ShapeError
        Input or state do not fit the network; or a second derivative is wanted, for which the loop must be unrolled.
    """
    instance("net", net, FastWeightNetwork, "a FastWeightNetwork")
    checks.counts(iterations=(iterations, 1))
    tolerance = torch.finfo(net.W.dtype).eps ** 0.7 if tolerance is None else tolerance
    number("tolerance", tolerance, above=0)
    if not isinstance(x, Tensor) or x.ndim != 2:
        raise ShapeError(f"x has shape {list(getattr(x, 'shape', []))}; give a tensor [batch, input]")
    if net.wiring.special:
        raise ConfigError(
            f"equilibrium is for a memory that the loop's state reads and writes, without gates, not one with "
            f"{net.wiring.special}; use net(x, state, inner_steps=...)"
        )
    if transformed():
        raise ConfigError("equilibrium cannot run inside torch.func; use net(x, state, inner_steps=...)")
    x = as_input("x", x[:, None], net.W, net.inputs, "input")[:, 0]
    trace = net.before_step(x, state)
    matrix = x.new_zeros(len(x), net.units, net.units) if trace is None else trace.memory().sum(1)
    with own_precision(x.device):
        hidden = _hidden(net, x, state.hidden, matrix, iterations, tolerance)
    if trace is not None and net.write_order == "final":
        trace = trace.written(hidden)
    return hidden, State(hidden, trace, state.step + 1)


def _hidden(
    net: FastWeightNetwork, x: Tensor, before: Tensor, matrix: Tensor, iterations: int, tolerance: float
) -> Tensor:
    """The hidden state after the step, with the gradients of the fixed point."""
    sustained = before @ net.W.T + x @ net.C.T + net.b
    cell = net.cell()
    with torch.no_grad():
        settled, converged = _settled(cell, sustained, matrix, iterations, tolerance)
    answer = _answer(matrix, settled)
    return _Implicit.apply(cell.iterate(sustained, answer), cell, sustained, answer, matrix, converged)


def _answer(matrix: Tensor, states: Tensor) -> Tensor:
    return (matrix @ states[..., None])[..., 0]


def _settled(
    cell: Cell, sustained: Tensor, matrix: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Iterate until no trial changes; the states `[batch, unit]`, and whether each has converged."""
    state = cell.start(sustained)
    for _ in range(iterations):
        after = cell.iterate(sustained, _answer(matrix, state))
        converged = (after - state).norm(dim=-1) <= tolerance * (1 + after.norm(dim=-1))
        state = after
        if bool(converged.all()):
            break
    return state, converged


class _Implicit(torch.autograd.Function):
    """Hands the state on; its gradient g becomes (I − Jᵀ)⁻¹ g, where J is the Jacobian of an iteration."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        cell: Cell,
        sustained: Tensor,
        answer: Tensor,
        matrix: Tensor,
        converged: Tensor,
    ) -> Tensor:
        """Hand it on; all but the state are constants."""
        ctx.cell = cell
        ctx.save_for_backward(sustained, answer, matrix, converged)
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple:
        """Solve for the gradient, `[batch, unit]`."""
        if torch.is_grad_enabled():
            raise ConfigError(
                "equilibrium has no second derivative (create_graph=True); unroll the loop of a network with "
                "kernel='reference': net(x, state, inner_steps=...)"
            )
        sustained, answer, matrix, converged = ctx.saved_tensors
        with own_precision(upstream.device):
            slope = torch.func.vmap(torch.func.jacrev(ctx.cell.iterate, argnums=1))(sustained, answer)
            system = torch.eye(upstream.shape[-1]).to(upstream) - (slope @ matrix).mT
            # A singular system gives infinity, which the training reports as divergence.
            solved = torch.linalg.solve_ex(system, upstream[..., None])[0][..., 0]
        return torch.where(converged[:, None], solved, upstream), None, None, None, None, None

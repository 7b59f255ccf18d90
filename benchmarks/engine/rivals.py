"""What a user could pick instead: per-step torch loops, the same compiled, and a JAX scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

import fwsim as fw
from engine.shapes import DECAY, STRENGTH, Shape

Work = Callable[[], object]


def torch_step(
    hidden: Tensor, memory: Tensor, drive: Tensor, net: fw.FastWeightNetwork
) -> tuple[Tensor, Tensor]:
    """One step as public re-implementations write it, with the matrix of each batch element."""
    activation = torch.relu if net.activation == "relu" else torch.tanh
    sustained = drive + hidden @ net.W.T
    state = activation(sustained)
    for _ in range(net.inner_steps):
        field = sustained + torch.bmm(memory, state.unsqueeze(2)).squeeze(2)
        state = activation(layer_norm(field, (net.units,), net.gain, net.bias))
    return state, DECAY * memory + STRENGTH * torch.bmm(state.unsqueeze(2), state.unsqueeze(1))


def torch_loop(net: fw.FastWeightNetwork, x: Tensor, step: Callable = torch_step) -> Tensor:
    """All steps, `[batch, time, unit]`."""
    drive = linear(x, net.C, net.b)
    hidden = x.new_zeros(x.shape[0], net.units)
    memory = x.new_zeros(x.shape[0], net.units, net.units)
    states = []
    for t in range(x.shape[1]):
        hidden, memory = step(hidden, memory, drive[:, t], net)
        states.append(hidden)
    return torch.stack(states, dim=1)


def gated_delta_recurrence(key: Tensor, value: Tensor, query: Tensor, keep: Tensor, store: Tensor) -> Tensor:
    """Gated delta rule of one layer, step by step as its equation says, `[batch, time, value]`.

    S ← α S, S ← S + β (v − S k) kᵀ, o = S q, with k of unit norm; α and β are `keep` and `store`, `[batch, time]`.
    This is what flash-linear-attention has as its plain reference (Yang, Kautz & Hatamizadeh 2025), written anew.
    """
    S = value.new_zeros(len(value), value.shape[-1], key.shape[-1])
    key, answers = torch.nn.functional.normalize(key, dim=-1), []
    for t in range(value.shape[1]):
        k = key[:, t]
        S = keep[:, t, None, None] * S
        error = value[:, t] - (S * k[:, None]).sum(-1)
        S = S + (store[:, t, None] * error)[:, :, None] * k[:, None]
        answers.append((S * query[:, t, None]).sum(-1))
    return torch.stack(answers, dim=1)


def jax_scan(shape: Shape, form: str) -> tuple[Callable, Callable]:
    """Jitted `(parameters, x) → states` and its gradient of Σ states² for all of these."""
    import jax
    import jax.numpy as jnp

    activation = jax.nn.relu if shape.activation == "relu" else jnp.tanh

    def settle(parameters: tuple, hidden: object, drive: object, read: Callable) -> object:
        W, _, _, gain, bias = parameters
        sustained = hidden @ W.T + drive
        state = activation(sustained)
        for _ in range(shape.inner_steps):
            field = sustained + read(state)
            centred = field - field.mean(-1, keepdims=True)
            scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
            state = activation(centred * scale * gain + bias)
        return state

    def dense(parameters: tuple, carry: tuple, drive: object) -> tuple:
        hidden, memory = carry
        state = settle(parameters, hidden, drive, lambda h: jnp.einsum("bij,bj->bi", memory, h))
        memory = DECAY * memory + STRENGTH * state[:, :, None] * state[:, None, :]
        return (state, memory), state

    def attention(parameters: tuple, carry: tuple, drive: object) -> tuple:
        hidden, past, t = carry
        age = t - 1 - jnp.arange(shape.time)
        weight = jnp.where(age >= 0, STRENGTH * DECAY ** jnp.maximum(age, 0), 0.0)

        def read(h: object) -> object:
            return jnp.einsum("bt,btn->bn", jnp.einsum("btn,bn->bt", past, h) * weight, past)

        state = settle(parameters, hidden, drive, read)
        past = jax.lax.dynamic_update_slice(past, state[:, None], (0, t, 0))
        return (state, past, t + 1), state

    def states(parameters: tuple, x: object) -> object:
        _, C, b, _, _ = parameters
        drive = (x @ C.T + b).swapaxes(0, 1)
        hidden = jnp.zeros((shape.batch, shape.units))
        if form == "dense":
            carry = (hidden, jnp.zeros((shape.batch, shape.units, shape.units)))
        else:
            carry = (hidden, jnp.zeros((shape.batch, shape.time, shape.units)), 0)
        step = dense if form == "dense" else attention
        _, out = jax.lax.scan(lambda carry, d: step(parameters, carry, d), carry, drive)
        return out.swapaxes(0, 1)

    gradient = jax.grad(lambda parameters, x: (states(parameters, x) ** 2).sum(), argnums=(0, 1))
    return jax.jit(states), jax.jit(gradient)


def jax_works(shape: Shape, form: str, net: fw.FastWeightNetwork, x: Tensor) -> tuple[Work, Work]:
    """Forward and gradient with the network's parameters, ready to be called and waited for."""
    import jax
    import jax.numpy as jnp

    states, gradient = jax_scan(shape, form)
    given = (net.W, net.C, net.b, net.gain, net.bias)
    parameters = tuple(jnp.asarray(parameter.detach().numpy()) for parameter in given)
    inputs = jnp.asarray(x.detach().numpy())

    def forward() -> np.ndarray:
        return np.asarray(jax.block_until_ready(states(parameters, inputs)))

    return forward, lambda: jax.block_until_ready(gradient(parameters, inputs))


def torch_works(run: Callable[[Tensor], Tensor], net: torch.nn.Module, x: Tensor) -> tuple[Work, Work]:
    """Forward without gradients, and the gradient of Σ states² for parameters and inputs."""
    inputs = x.clone().requires_grad_()
    own = (
        (net.W, net.C, net.b, net.gain, net.bias)
        if isinstance(net, fw.FastWeightNetwork)
        else tuple(net.parameters())
    )
    leaves = (*own, inputs)

    def forward() -> np.ndarray:
        with torch.no_grad():
            return run(x).numpy()

    return forward, lambda: torch.autograd.grad(run(inputs).square().sum(), leaves)

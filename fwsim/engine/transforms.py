"""Networks inside `torch.func` and forward mode, whose tensors have no numbers of their own; and second derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad

from fwsim.engine.precision import own_precision
from fwsim.errors import ConfigError


def transformed() -> bool:
    """Whether `torch.func` (vmap, jacrev, jvp, …) or forward-mode differentiation is under way.

    Their tensors stand for others, which only plain torch can compute with.
    """
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def stands_for_others(x: Tensor) -> bool:
    """Whether a tensor is one of `torch.func`, of which no single number can be read under vmap."""
    return torch._C._functorch.is_functorch_wrapped_tensor(x) or torch._C._functorch.is_legacy_batchedtensor(
        x
    )


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Compute with plain tensors as if no transform was under way, such as random numbers, which vmap does not draw."""
    with temporarily_clear_interpreter_stack():
        yield


def once_differentiable(backward: Callable[..., tuple]) -> Callable[..., tuple]:
    """As torch's own, for the backward pass of a kernel: its gradients can be taken, not differentiated again.

    torch's own takes the gradients for constants, without a word, where what comes from above needs no gradient.
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *gradients: Any) -> tuple:
        if any(isinstance(each, Tensor) and stands_for_others(each) for each in gradients):
            raise ConfigError(_refusal("several backward passes at once (is_grads_batched, vmap)"))
        devices = (each.device for each in gradients if isinstance(each, Tensor))
        with torch.no_grad(), own_precision(next(devices, torch.device("cpu"))):
            outputs = backward(ctx, *gradients)
        if not torch.is_grad_enabled():
            return outputs
        # What was saved is handed on as well: a second pass is to find this place from wherever it is asked about.
        saved = [each for each in ctx.saved_tensors if each is not None and each.requires_grad]
        alike = [each if each is None else each.detach().requires_grad_() for each in outputs]
        return _Once.apply(len(saved), *saved, *alike)

    return wrapper


class _Once(torch.autograd.Function):
    """Hands gradients on, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, saved: int, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        """Hand them on; the first `saved` tensors are none of them."""
        return tuple(each if each is None else each.view_as(each) for each in given[saved:])

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple:
        """Refuse."""
        raise ConfigError(_refusal("a second derivative (create_graph=True)"))


def _refusal(what: str) -> str:
    return f"compiled kernels cannot take {what}; make the network with kernel='reference', which can"

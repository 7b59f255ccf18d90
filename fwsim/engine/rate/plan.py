"""Which kernel a rate network is simulated with, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fwsim.engine.native import library
from fwsim.engine.transforms import transformed
from fwsim.errors import ConfigError
from fwsim.rules.rule import AssociativeRule

if TYPE_CHECKING:
    from fwsim.engine.rate.network import RateNetwork

KERNELS = ("auto", "reference", "native")
RUNS = (
    "presynaptic rules, a Hebbian memory, gains that can be called with a symbol of sympy, and fwsim's normalisations, "
    "in float32 or float64 on the CPU"
)


@dataclass(frozen=True)
class RatePlan:
    """What a call or a simulation will do, and why.

    Parameters
    ----------
    kernel
        `"reference"` or `"native"`.
    why
        One sentence.
    """

    kernel: str
    why: str


def plan(net: RateNetwork) -> RatePlan:
    """Choose the kernel of a network, or check the one that was asked for.

    Raises
    ------
    ConfigError
        The kernel that was asked for cannot run this network.
    """
    if net.kernel == "reference":
        return RatePlan("reference", "kernel='reference' was asked for")
    obstacle = _obstacle(net)
    if obstacle is None:
        return RatePlan("native", "everything in the network can be compiled")
    if net.kernel == "native":
        raise ConfigError(f"kernel='native' cannot run {obstacle}; it runs {RUNS}, use kernel='auto'")
    return RatePlan("reference", f"the native engine cannot run {obstacle}")


def _obstacle(net: RateNetwork) -> str | None:
    """Name what compiled code cannot run, if there is something."""
    like = net.weights[0]
    if like.device.type != "cpu":
        return f"the device {like.device.type!r}"
    if like.dtype not in (torch.float32, torch.float64):
        return str(like.dtype)
    if transformed():
        return "anything under torch.func or forward-mode differentiation"
    if missing := library.obstacle():
        return f"anything: it {missing} ({library.remedy()})"
    if net.connected is not None:
        return "a memory that connects only some pairs"
    from fwsim.engine.rate import compiled, rows

    if rows.gain_expression(net.gain) is None:
        return f"the gain {_name(net.gain)}"
    if type(net.normalise) not in compiled.KINDS:
        return f"the normalisation {_name(net.normalise)}"
    for each in net.projections:
        if isinstance(each.synapse, AssociativeRule):
            return f"the associative rule {_name(each.synapse)}"
        unknown = None if each.synapse is None else rows.unknown(each.synapse)
        if unknown:
            return f"the function {unknown} of {_name(each.synapse)}"
    return None


def _name(value: object) -> str:
    return getattr(value, "__name__", type(value).__name__)

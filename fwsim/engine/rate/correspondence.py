"""From the fast-weight network in steps to the same memory in continuous time."""

from __future__ import annotations

from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.rate.gains import Gain, relu, tanh
from fwsim.engine.rate.matrix import check, per_second
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.rate.normalisation import layer_norm
from fwsim.engine.rate.projection import Projection
from fwsim.errors import ConfigError, instance, whole
from fwsim.names import known_arguments
from fwsim.rules.hebbian import Hebbian

GAINS: dict[str, Gain] = {"relu": relu, "tanh": tanh}


@known_arguments
def continuous(net: FastWeightNetwork, tau: float, dt: float) -> RateNetwork:
    """Make the rate network that a fast-weight network stands for.

    The memory keeps its time constants in s; its strength per write becomes one per second (`per_second`). What
    the two share, and where they part:

    - with the memory held, both have the same fixed points, and S inner iterations correspond to S·τ of
      settling: started at h = z they differ by less the larger S is;
    - a unit writes all the time, not once a step, so the memory agrees where τ ≪ net.dt ≪ τ_k: the rates settle
      within a step, and little is forgotten during it;
    - W acts on the present rates, not on those of the step before: the same where inputs last for many steps.

    Parameters
    ----------
    net
        Trained or not; its weights are copied.
    tau
        Membrane time constant in s.
    dt
        Step of the rate network in s.

    Returns
    -------
    RateNetwork
        Its drive is that of `held`.

    Raises
    ------
    ConfigError
        The network uses the sign function, has no inner loop, or a memory without a continuous form.
    """
    instance("net", net, FastWeightNetwork, "a FastWeightNetwork")
    if net.wiring.special:
        raise ConfigError(
            f"a memory with {net.wiring.special} has no continuous form; use one of h hᵀ, without gates"
        )
    if net.activation not in GAINS:
        raise ConfigError(f"activation={net.activation!r} has no continuous form; use 'relu' or 'tanh'")
    if net.inner_steps == 0:
        raise ConfigError("a network with inner_steps=0 never reads its memory; give it an inner loop")
    rule = net.memory
    memory = per_second(rule, net.dt) if isinstance(rule, Hebbian) else check(rule)
    plain = net.normalise == "none"
    return RateNetwork(
        Projection(nn.Parameter(net.W.detach().clone(), requires_grad=False)),
        tau=tau,
        gain=GAINS[net.activation],
        memory=memory,
        dt=dt,
        normalise="none" if plain else layer_norm(net.gain.detach().clone(), net.bias.detach().clone()),
        self_connections=net.self_connections,
    )


@known_arguments
def held(net: FastWeightNetwork, x: Tensor, steps: int) -> Tensor:
    """Input of the rate network: C x + b, each held for `steps` of its steps.

    Parameters
    ----------
    net
        The fast-weight network.
    x
        `[batch, time, input]`.
    steps
        Steps of the rate network for one of the fast-weight network, `round(net.dt/dt)`.

    Returns
    -------
    Tensor
        `[batch, time·steps, unit]`.
    """
    instance("net", net, FastWeightNetwork, "a FastWeightNetwork")
    whole("steps", steps, least=1)
    checks.sequence("x", x, net.inputs)
    drive = nn.functional.linear(x, net.C.detach(), net.b.detach())
    return drive.repeat_interleave(steps, dim=1)

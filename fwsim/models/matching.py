"""A rate network with inputs and answers for tasks of delayed matching."""

from __future__ import annotations

from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.rate.projection import Projection
from fwsim.errors import ConfigError, choice, instance, number, whole
from fwsim.names import known_arguments
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.tsodyks_markram import TsodyksMarkram

Plasticity = Literal["presynaptic", "anti_hebbian", "none"]


@runtime_checkable
class Matching(Protocol):
    """What a network has to know of its task."""

    @property
    def dt(self) -> float:
        """Step in s."""

    @property
    def inputs(self) -> int:
        """Number of inputs."""

    @property
    def classes(self) -> int:
        """Number of answers."""


class Signed(nn.Module):
    """Dale's law: all weights of a unit have its sign, and none connects a unit to itself.

    For `torch.nn.utils.parametrize`; what is trained are sizes, of which negative ones count as 0.

    Parameters
    ----------
    sign
        Sign of each presynaptic unit, `[pre]`: 1 excites, −1 inhibits. Other numbers multiply the sizes as well.
    """

    sign: Tensor

    def __init__(self, sign: Tensor) -> None:
        super().__init__()
        if not isinstance(sign, Tensor) or sign.ndim != 1:
            raise ConfigError(f"sign={sign!r} is not allowed; give a tensor [pre], 1 or -1 for each unit")
        self.register_buffer("sign", sign * (1 - torch.eye(len(sign))))

    def forward(self, size: Tensor) -> Tensor:
        """Sizes `[post, pre]` → weights."""
        return torch.relu(size) * self.sign


class MatchingNetwork(nn.Module):
    """A rate network with inputs and answers, whose weights have signs.

    Four fifths of the units excite, and only they answer. Inputs excite. Weights before training are those of Masse et
    al. 2019, Nature Neuroscience 22:1159.

    Parameters
    ----------
    task
        Gives the step and the numbers of inputs and answers.
    units
        Number of units N.
    plasticity
        `"presynaptic"`: every second unit has facilitating synapses (U 0.15, τ_facil `slow`, τ_rec `fast`), the others
        have depressing ones (U 0.45, τ_facil `fast`, τ_rec `slow`), as in Masse et al. 2019. `"anti_hebbian"`: synapses
        that do not change, and fast weights dA/dt = −A/`slow` + η r rᵀ with a trained η, which begins at −0.1/s; after
        Kozachkov et al. 2022, PLOS Computational Biology 18:e1010776, who train one strength for each synapse. They
        connect no unit to itself, and are not subject to Dale's law. `"none"`: only synapses that do not change.
    fast, slow
        Time constants in s.
    noise
        Standard deviation that noise alone gives to the activity.

    Attributes
    ----------
    core
        The `RateNetwork`, with a time constant of 100 ms.
    excitatory
        Number of excitatory units, which come first.

    Examples
    --------
    >>> import fwsim as fw
    >>> task = fw.tasks.DelayedMatch(dt=0.025)
    >>> model = fw.models.MatchingNetwork(task, 20)
    >>> scores, rate = model(task.sample(4, torch.Generator().manual_seed(0)).inputs)
    >>> scores.shape, rate.shape
    (torch.Size([4, 100, 3]), torch.Size([4, 100, 20]))
    """

    def __init__(
        self,
        task: Matching,
        units: int = 100,
        *,
        plasticity: Plasticity = "presynaptic",
        fast: float = 0.2,
        slow: float = 1.5,
        noise: float = 0.5,
    ) -> None:
        super().__init__()
        instance("task", task, Matching, "a task, such as fwsim.tasks.DelayedMatch()")
        whole("units", units, least=2)
        choice("plasticity", plasticity, get_args(Plasticity))
        self.excitatory = units * 4 // 5
        inhibits = torch.arange(units) >= self.excitatory
        # Inhibition that is stronger than excitation balances four times as many excitatory units.
        shape = torch.where(inhibits[:, None] | inhibits, 0.2, 0.1)
        size = nn.Parameter(torch.distributions.Gamma(shape, 1.0).sample())
        synapse = mixed_synapses(units, fast, slow) if plasticity == "presynaptic" else None
        memory = None
        if plasticity == "anti_hebbian":
            self.strength = nn.Parameter(torch.tensor([-0.1]))
            memory = Hebbian(tau=[slow], eta_rate=self.strength)
        self.core = RateNetwork(
            Projection(size, synapse=synapse),
            tau=0.1,
            dt=task.dt,
            noise=noise,
            memory=memory,
            self_connections=False,
        )
        parametrize.register_parametrization(self.core.weights, "0", Signed(torch.where(inhibits, -1.0, 1.0)))
        self.weights_in = nn.Parameter(torch.distributions.Gamma(0.2, 1.0).sample((units, task.inputs)))
        self.bias_in = nn.Parameter(torch.zeros(units))
        self.weights_out = nn.Parameter(
            torch.distributions.Gamma(0.1, 1.0).sample((task.classes, self.excitatory))
        )
        self.bias_out = nn.Parameter(torch.zeros(task.classes))

    def forward(self, inputs: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Scores of answers `[trial, time, answer]` and rates `[trial, time, unit]`."""
        rate, _ = self.core(self.drive(inputs), seed=seed)
        return self.scores(rate), rate

    def drive(self, inputs: Tensor) -> Tensor:
        """Input to the units, `[trial, time, unit]`, of inputs `[trial, time, input]`; inputs excite."""
        return inputs @ torch.relu(self.weights_in).T + self.bias_in

    def scores(self, rate: Tensor) -> Tensor:
        """What excitatory units say, `[…, answer]`, with rates `[…, unit]`."""
        return rate[..., : self.excitatory] @ torch.relu(self.weights_out).T + self.bias_out


@known_arguments
def mixed_synapses(units: int, fast: float, slow: float) -> TsodyksMarkram:
    """Synapses of Masse et al. 2019: every second unit has facilitating ones, the others have depressing ones.

    Parameters
    ----------
    units
        Number of presynaptic units.
    fast, slow
        Time constants in s; see `MatchingNetwork`.
    """
    whole("units", units, least=1)
    number("fast", fast, unit="s", above=0)
    number("slow", slow, unit="s", above=0)
    facilitates = torch.arange(units) % 2 == 0
    quick, lasting = torch.tensor(float(fast)), torch.tensor(float(slow))
    return TsodyksMarkram(
        U=torch.where(facilitates, 0.15, 0.45),
        tau_rec=torch.where(facilitates, quick, lasting),
        tau_facil=torch.where(facilitates, lasting, quick),
    )

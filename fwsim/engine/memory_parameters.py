"""A memory rule as part of a module, which trains its parameters or moves them with itself between devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from fwsim.errors import ConfigError, choice
from fwsim.rules.memory_rule import MemoryRule

SIGNED = ("eta", "eta_rate")
"""Parameters that mean something below 0 too: anti-Hebbian memories."""


class HoldsMemory(nn.Module):
    """A module with a memory rule, or without one.

    Parameters that are trained are `log_NAME` or `memory_NAME` of the module; the others are its buffers `memory_NAME`.
    """

    _given_memory: MemoryRule | None

    def _hold(self, memory: MemoryRule | None, learn: Sequence[str] | Mapping[str, str]) -> None:
        """Hold a rule, and train those of its parameters that `learn` names; see `FastWeightNetwork`."""
        if not isinstance(learn, Sequence | Mapping):
            raise ConfigError(f"learn={learn!r} is not allowed; give names of the memory's parameters")
        self.learn = (learn,) if isinstance(learn, str) else tuple(learn)
        if len(set(self.learn)) < len(self.learn):
            raise ConfigError(f"learn={learn!r} is not allowed; name each parameter once")
        if self.learn and memory is None:
            raise ConfigError(
                f"learn={self.learn!r} with memory=None has nothing to train; give a memory rule"
            )
        self._given_memory = None if memory is None else _own(memory)
        scales = learn if isinstance(learn, Mapping) else {}
        values = {} if self._given_memory is None else self._given_memory.values()
        for name in self.learn:
            choice("learn", name, tuple(values))
            self._train(name, values[name].detach(), scales.get(name))
        for name, value in values.items():
            if name not in self.learn:
                self.register_buffer(f"memory_{name}", value)

    def _train(self, name: str, value: Tensor, scale: str | None) -> None:
        """Make a parameter of the rule one of the module: as its logarithm (`"log"`), or as it is (`"signed"`)."""
        positive = bool(((value > 0) & value.isfinite()).all())
        if scale is None:
            scale = "signed" if not positive and name in SIGNED else "log"
        choice(f"learn of {name}", scale, ("log", "signed") if name in SIGNED else ("log",))
        if scale == "signed":
            self.register_parameter(f"memory_{name}", nn.Parameter(value.float()))
        elif positive:
            self.register_parameter(f"log_{name}", nn.Parameter(value.log().float()))
        else:
            raise ConfigError(f"learn={name!r} needs {name} > 0 and finite, since its logarithm is trained")

    @property
    def memory(self) -> MemoryRule | None:
        """The memory rule with its present parameters, trained ones included, on the module's device."""
        if self._given_memory is None:
            return None
        given = self._given_memory.values()
        values = {name: self._value(name) for name in given}
        if all(values[name] is given[name] for name in given):
            return self._given_memory
        return self._given_memory.with_values(**values)

    def _value(self, name: str) -> Tensor:
        """Present value of a parameter of the rule."""
        logarithm = self._parameters.get(f"log_{name}")
        return getattr(self, f"memory_{name}") if logarithm is None else logarithm.exp()


def _own(memory: MemoryRule) -> MemoryRule:
    """Copy a rule, so that what is loaded into one network does not change another; gradients still pass."""
    return memory.with_values(
        **{name: value if value.requires_grad else value.clone() for name, value in memory.values().items()}
    )

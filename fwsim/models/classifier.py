"""A classifier of token sequences around any recurrent network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fwsim.engine.network import FastWeightNetwork
from fwsim.errors import ConfigError, instance, type_of, whole
from fwsim.models.recurrent import Core
from fwsim.names import KnownArguments


class SequenceClassifier(KnownArguments, nn.Module):
    """Embedding → recurrent core → ReLU layer → class scores of the last step (Ba et al. 2016, section 4.1).

    Parameters
    ----------
    core
        Any network from `core`.
    tokens
        Size of the vocabulary.
    classes
        Number of classes.
    readout
        Units of the ReLU layer.
    """

    def __init__(self, core: Core, tokens: int, classes: int, readout: int = 100) -> None:
        super().__init__()
        instance("core", core, nn.Module, "a network from fwsim.models.core")
        for name, given in (("tokens", tokens), ("classes", classes), ("readout", readout)):
            whole(name, given, least=1)
        self.embedding = nn.Embedding(tokens, core.inputs)
        self.core = core
        self.readout = nn.Sequential(nn.Linear(core.units, readout), nn.ReLU(), nn.Linear(readout, classes))

    def forward(self, tokens: Tensor, *, inner_steps: int | Sequence[int] | None = None) -> Tensor:
        """Token numbers `[batch, time]` → class scores `[batch, class]`; `inner_steps` as in `FastWeightNetwork`."""
        x = self.embedding(tokens)
        if inner_steps is None:
            hidden, _ = self.core(x)
        elif isinstance(self.core, FastWeightNetwork):
            hidden, _ = self.core(x, inner_steps=inner_steps)
        else:
            raise ConfigError(
                f"inner_steps={inner_steps!r} is for fast weights; {type_of(self.core)} has no inner loop"
            )
        return self.readout(hidden[:, -1])

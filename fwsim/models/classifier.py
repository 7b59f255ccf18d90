"""A classifier of token sequences around any recurrent network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.transforms import stands_for_others
from fwsim.errors import ConfigError, ShapeError, instance, type_of, whole
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
        self._check(tokens)
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

    def _check(self, tokens: Tensor) -> None:
        """Raise unless they are token numbers `[batch, time]`; on a GPU only their form is looked at."""
        if not isinstance(tokens, Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            given = tokens.dtype if isinstance(tokens, Tensor) else type_of(tokens)
            raise ConfigError(f"tokens are {given}; give a torch tensor of int64 [batch, time]")
        if tokens.ndim != 2 or not tokens.shape[1]:
            raise ShapeError(
                f"tokens have shape {list(tokens.shape)}; give [batch, time] of at least one step"
            )
        most = self.embedding.num_embeddings
        if tokens.numel() and tokens.device.type == "cpu" and not stands_for_others(tokens):
            low, high = (int(each) for each in tokens.aminmax())
            if low < 0 or high >= most:
                raise ConfigError(f"tokens go from {low} to {high}; this classifier knows 0 to {most - 1}")

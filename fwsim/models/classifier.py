"""A classifier of token sequences around any recurrent network."""

from __future__ import annotations

from torch import Tensor, nn

from fwsim.models.recurrent import Core


class SequenceClassifier(nn.Module):
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
        self.embedding = nn.Embedding(tokens, core.inputs)
        self.core = core
        self.readout = nn.Sequential(nn.Linear(core.units, readout), nn.ReLU(), nn.Linear(readout, classes))

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `[batch, time]` → class scores `[batch, class]`."""
        hidden, _ = self.core(self.embedding(tokens))
        return self.readout(hidden[:, -1])

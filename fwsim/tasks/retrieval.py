"""Associative retrieval: `c9k8j3f1??c` → 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.errors import ConfigError, truth, whole
from fwsim.names import KnownArguments
from fwsim.seeds import check_generator

LETTERS, DIGITS = 26, 10
MARK = LETTERS + DIGITS  # the token "?"
BLANK = MARK + 1  # the token "_" of a delay
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789?_"


class Sequences(NamedTuple):
    """Token numbers `tokens [sequence, time]`, the correct digit `target [sequence]`, and the pair that contains it.

    `pair [sequence]` counts the pairs from 0.
    """

    tokens: Tensor
    target: Tensor
    pair: Tensor


@dataclass(frozen=True)
class AssociativeRetrieval(KnownArguments):
    """Letter–digit pairs, two marks, and a letter; the answer is that letter's digit.

    Source: Ba et al. 2016, section 4.1 (K = 4, letters distinct, digits independent, no delay).

    Parameters
    ----------
    pairs
        Number of pairs K.
    distinct_keys
        Draw letters without replacement. Otherwise a letter may occur again with another digit, and the last one
        counts.
    distinct_values
        Draw digits without replacement.
    delay
        Blanks between the pairs and the marks.

    Examples
    --------
    >>> task = AssociativeRetrieval(pairs=2)
    >>> sequences = task.sample(3, torch.Generator().manual_seed(0))
    >>> sequences.tokens.shape
    torch.Size([3, 7])
    """

    pairs: int = 4
    distinct_keys: bool = True
    distinct_values: bool = False
    delay: int = 0

    def __post_init__(self) -> None:
        whole("pairs", self.pairs, least=1)
        for name, distinct, available in (
            ("distinct_keys", self.distinct_keys, LETTERS),
            ("distinct_values", self.distinct_values, DIGITS),
        ):
            truth(**{name: distinct})
            if distinct and self.pairs > available:
                raise ConfigError(
                    f"pairs={self.pairs} with {name} is not possible; at most {available} are there"
                )
        whole("delay", self.delay)

    @property
    def tokens(self) -> int:
        """Size of the vocabulary: 26 letters, 10 digits, the mark, and the blank if there is a delay."""
        return LETTERS + DIGITS + 1 + (self.delay > 0)

    @property
    def classes(self) -> int:
        """Number of answers."""
        return DIGITS

    @property
    def length(self) -> int:
        """Number of time steps T."""
        return 2 * self.pairs + self.delay + 3

    def sample(self, sequences: int, generator: torch.Generator) -> Sequences:
        """Draw sequences, all at once.

        Parameters
        ----------
        sequences
            Number of sequences.
        generator
            On the CPU, so that every device gets the same sequences.
        """
        whole("sequences", sequences)
        check_generator(generator)
        keys = _draw(sequences, self.pairs, LETTERS, self.distinct_keys, generator)
        values = _draw(sequences, self.pairs, DIGITS, self.distinct_values, generator)
        asked = torch.randint(self.pairs, (sequences, 1), generator=generator)
        key = keys.gather(1, asked)
        number = torch.arange(self.pairs)
        pair = torch.where(keys == key, number, -1).amax(1)  # the last pair with this letter

        tokens = torch.empty(sequences, self.length, dtype=torch.long)
        tokens[:, 0 : 2 * self.pairs : 2] = keys
        tokens[:, 1 : 2 * self.pairs : 2] = LETTERS + values
        tokens[:, 2 * self.pairs : -3] = BLANK
        tokens[:, -3:-1] = MARK
        tokens[:, -1] = key[:, 0]
        return Sequences(tokens, values.gather(1, pair[:, None])[:, 0], pair)

    def text(self, tokens: Tensor) -> list[str]:
        """Sequences as text, for reading."""
        return ["".join(SYMBOLS[token] for token in row) for row in tokens.tolist()]


def _draw(rows: int, columns: int, available: int, distinct: bool, generator: torch.Generator) -> Tensor:
    if distinct:
        return torch.rand(rows, available, generator=generator).argsort(1)[:, :columns]
    return torch.randint(available, (rows, columns), generator=generator)

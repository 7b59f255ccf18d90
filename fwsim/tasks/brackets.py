"""Nested brackets: finish the inner bracket, then return to the outer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.errors import number, whole
from fwsim.names import KnownArguments
from fwsim.seeds import check_generator

NOTHING = -1  # steps without a target


class BracketSequences(NamedTuple):
    """Token numbers, the target symbols, and the depth within each bracket, all `[sequence, time]`.

    `target` is the symbol of the bracket that a step closes, and `inside` counts the levels that were opened and closed
    within it; both are −1 in steps that open a bracket.
    """

    tokens: Tensor
    target: Tensor
    inside: Tensor


@dataclass(frozen=True)
class NestedBrackets(KnownArguments):
    """Brackets that open with a symbol and close without: at each closing, name the symbol of the closed bracket.

    `a b c ) ) d ) )` → c, b, d, a. While the network works on the inner brackets it has to remember the outer ones, and
    then return to them in reverse order, like a stack.

    Parameters
    ----------
    pairs
        Brackets in a sequence.
    depth
        Largest number of brackets that are open at the same time.
    symbols
        Number of symbols, drawn independently.
    opening
        Probability of opening a bracket if closing one is possible too.

    Examples
    --------
    >>> task = NestedBrackets(pairs=3, depth=2)
    >>> task.sample(5, torch.Generator().manual_seed(0)).target.shape
    torch.Size([5, 6])
    """

    pairs: int = 8
    depth: int = 8
    symbols: int = 8
    opening: float = 0.7

    def __post_init__(self) -> None:
        for name in ("pairs", "depth", "symbols"):
            whole(name, getattr(self, name), least=1)
        number("opening", self.opening, least=0, most=1)

    @property
    def tokens(self) -> int:
        """Size of the vocabulary: the symbols, and the closing bracket."""
        return self.symbols + 1

    @property
    def classes(self) -> int:
        """Number of answers."""
        return self.symbols

    @property
    def length(self) -> int:
        """Number of time steps T."""
        return 2 * self.pairs

    def sample(self, sequences: int, generator: torch.Generator) -> BracketSequences:
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
        symbols = torch.randint(self.symbols, (sequences, self.length), generator=generator)
        opening = torch.rand(sequences, self.length, generator=generator) < self.opening
        tokens, target, inside = (torch.full((sequences, self.length), NOTHING) for _ in range(3))
        row = torch.arange(sequences)
        opened, height = torch.zeros(2, sequences, dtype=torch.long)
        stack = torch.zeros(
            sequences, self.depth + 1, dtype=torch.long
        )  # symbol of the open bracket at each level
        deepest = torch.zeros(sequences, self.depth + 1, dtype=torch.long)  # deepest level within it
        for step in range(self.length):
            possible = (opened < self.pairs) & (height < self.depth)
            opens = possible & (opening[:, step] | (height == 0))
            # A closed bracket passes its depth to the surrounding one; an opened one begins at its own level.
            around = (height - 1).clamp(min=0)
            target[:, step] = torch.where(opens, NOTHING, stack[row, height])
            inside[:, step] = torch.where(opens, NOTHING, deepest[row, height] - height)
            reached = torch.maximum(deepest[row, around], deepest[row, height])
            deepest[row, around] = torch.where(opens, deepest[row, around], reached)
            tokens[:, step] = torch.where(opens, symbols[:, step], self.symbols)
            height = torch.where(opens, height + 1, height - 1)
            opened += opens
            stack[row, height] = torch.where(opens, symbols[:, step], stack[row, height])
            deepest[row, height] = torch.where(opens, height, deepest[row, height])
        return BracketSequences(tokens, target, inside)

"""Tasks that a network can solve in part without a memory for bindings."""

from __future__ import annotations

import math
from fractions import Fraction

from fwsim.errors import whole
from fwsim.names import known_arguments


@known_arguments
def binding_plateau(pairs: int, values: int = 10) -> float:
    """Best accuracy in associative retrieval without knowing which value belongs to which key.

    Who knows only which values occurred answers the most frequent: E[largest count]/pairs, exactly.

    Parameters
    ----------
    pairs
        Number K of key–value pairs.
    values
        Number of equally likely, independent values (10 digits).
    """
    whole("pairs", pairs, least=1)
    whole("values", values, least=1)
    expected = sum(1 - _largest_at_most(count, pairs, values) for count in range(pairs))
    return float(expected / pairs)


def _largest_at_most(count: int, pairs: int, values: int) -> Fraction:
    """P(no value occurs more than `count` times), from the exponential generating function."""
    one = [Fraction(1, math.factorial(j)) for j in range(min(count, pairs) + 1)]
    ways = [Fraction(1)] + [Fraction(0)] * pairs
    for _ in range(values):
        ways = [
            sum((one[j] * ways[n - j] for j in range(min(n + 1, len(one)))), Fraction(0))
            for n in range(pairs + 1)
        ]
    return ways[pairs] * math.factorial(pairs) / Fraction(values) ** pairs

"""Nested brackets against a stack written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.tasks import NestedBrackets


def answers(tokens, close):
    """What a stack answers at each closing, and how deep it was within: pairs of symbol and levels inside."""
    stack, found = [], []
    for token in tokens:
        if token != close:
            stack.append([token, 0])
            found.append((-1, -1))
            continue
        symbol, inside = stack.pop()
        if stack:
            stack[-1][1] = max(stack[-1][1], inside + 1)
        found.append((symbol, inside))
    assert not stack
    return found


@given(
    pairs=st.integers(1, 9),
    depth=st.integers(1, 6),
    symbols=st.integers(1, 5),
    opening=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_answers_are_those_of_a_stack(pairs, depth, symbols, opening, seed):
    task = NestedBrackets(pairs, depth, symbols, opening)
    drawn = task.sample(10, torch.Generator().manual_seed(seed))
    assert drawn.tokens.shape == (10, task.length)
    for tokens, target, inside in zip(*(values.tolist() for values in drawn), strict=True):
        assert list(zip(target, inside, strict=True)) == answers(tokens, symbols)
        assert tokens.count(symbols) == pairs
    assert int(drawn.inside.max()) < depth


def test_how_deep_sequences_go_follows_the_probability_to_open():
    def deepest(opening):
        drawn = NestedBrackets(opening=opening).sample(2000, torch.Generator().manual_seed(0))
        return (drawn.inside == 7).any(1).double().mean().item()

    assert deepest(1.0) == 1
    assert deepest(0.0) == 0
    assert deepest(0.7) == pytest.approx(0.7**7, abs=0.03)  # the first bracket opens in any case


@pytest.mark.parametrize(
    "arguments", [{"pairs": 0}, {"depth": 1.5}, {"symbols": True}, {"opening": 1.1}, {"opening": "no"}]
)
def test_impossible_tasks(arguments):
    with pytest.raises(fw.ConfigError, match="not allowed"):
        NestedBrackets(**arguments)

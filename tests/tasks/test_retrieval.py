"""Sequences of associative retrieval, and the plateau of a network that does not bind."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim import tasks
from fwsim.tasks import AssociativeRetrieval


def draw(task, sequences=2000, seed=0):
    return task.sample(sequences, torch.Generator().manual_seed(seed))


@given(
    pairs=st.integers(1, 10),
    delay=st.integers(0, 4),
    keys=st.booleans(),
    values=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_answer_is_the_digit_of_the_last_pair_with_that_letter(pairs, delay, keys, values, seed):
    task = AssociativeRetrieval(pairs, distinct_keys=keys, distinct_values=values, delay=delay)
    sequences = draw(task, 20, seed)
    assert sequences.tokens.shape == (20, task.length)
    assert int(sequences.tokens.max()) < task.tokens
    for text, target, pair in zip(task.text(sequences.tokens), sequences.target, sequences.pair, strict=True):
        listed, rest = text[: 2 * pairs], text[2 * pairs :]
        assert rest[:-1] == "_" * delay + "??"
        table = dict(zip(listed[::2], listed[1::2], strict=True))
        assert table[rest[-1]] == str(int(target)) == listed[2 * int(pair) + 1]
        assert not keys or len(table) == pairs
        assert not values or len(set(listed[1::2])) == pairs


def test_the_papers_sequences():
    task = AssociativeRetrieval()
    assert (task.pairs, task.length, task.tokens, task.classes) == (4, 11, 37, 10)
    sequences = draw(task, 20_000)
    digits = sequences.tokens[:, 1:8:2] - 26
    repeated = (digits.sort(1).values.diff(dim=1) == 0).any(1).double().mean()
    assert repeated.item() == pytest.approx(1 - 0.9 * 0.8 * 0.7, abs=0.015)  # digits are independent
    assert torch.bincount(sequences.pair).double().div(20_000).tolist() == pytest.approx(
        [0.25] * 4, abs=0.015
    )


@pytest.mark.parametrize(("pairs", "accuracy"), [(2, 0.55), (3, 0.43), (4, 0.3835), (8, 0.29991)])
def test_the_commonest_digit_scores_the_binding_plateau(pairs, accuracy):
    """The best guess of who knows the digits but not the pairs, on sequences and in theory."""
    assert fw.theory.binding_plateau(pairs) == pytest.approx(accuracy, abs=5e-6)
    sequences = draw(AssociativeRetrieval(pairs), 200_000)
    digits = sequences.tokens[:, 1 : 2 * pairs : 2] - 26
    counts = torch.nn.functional.one_hot(digits, 10).sum(1)
    scored = (counts.argmax(1) == sequences.target).double().mean().item()
    assert scored == pytest.approx(accuracy, abs=4 * (0.25 / 200_000) ** 0.5)


def test_the_same_seed_gives_the_same_sequences():
    task = AssociativeRetrieval()
    assert torch.equal(draw(task, seed=3).tokens, draw(task, seed=3).tokens)
    assert not torch.equal(draw(task, seed=3).tokens, draw(task, seed=4).tokens)


@pytest.mark.parametrize(
    "arguments",
    [{"pairs": 0}, {"pairs": 27}, {"pairs": 11, "distinct_values": True}, {"delay": -1}, {"pairs": 2.5}],
)
def test_impossible_tasks(arguments):
    with pytest.raises(fw.ConfigError, match=r"^(pairs|delay)=.* is not (allowed|possible)"):
        AssociativeRetrieval(**arguments)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tasks.AssociativeRetrieval(distinct_keys=1), r"distinct_keys=1 .* True or False"),
        (lambda: tasks.AssociativeRetrieval(distinct_values="x"), "distinct_values='x' .* True or False"),
        (lambda: tasks.DelayedMatch(category="x"), "category='x' .* True or False"),
        (lambda: tasks.DelayedMatch(distractor=3), "distractor=3 .* True or False"),
        (lambda: tasks.DelayedMatch(motion="x"), "motion is a str; give a Motion"),
        (lambda: tasks.GlimpseLayout().glimpses([[0.0]]), "images is a list; give a torch tensor"),
        (lambda: tasks.read_idx(None), "IDX file=None is no path"),
        (lambda: tasks.load_mnist(3), "data=3 is no path"),
    ],
)
def test_what_tasks_refuse(call, said):
    with pytest.raises(fw.ConfigError, match=said):
        call()


@pytest.mark.parametrize("generator", [None, 5, "x"])
@pytest.mark.parametrize(
    "draw",
    [
        tasks.AssociativeRetrieval().sample,
        tasks.NestedBrackets().sample,
        tasks.DelayedMatch().sample,
        tasks.SequentialMatch().sample,
        tasks.DualMatch().sample,
        tasks.Catch().start,
    ],
)
def test_without_a_generator_nothing_is_drawn(draw, generator):
    """Torch would take its global generator for None, and no seed would repeat the trials."""
    with pytest.raises(fw.ConfigError, match=r"generator is .*; give a torch.Generator"):
        draw(3, generator)

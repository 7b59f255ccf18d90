"""Schedules of inner iterations: what they draw and when, that they repeat, and that they reach the network."""

import pytest
import torch

import fwsim as fw
from fwsim.training import (
    InnerSteps,
    Training,
    cross_entropy,
    error_rate,
    shuffled,
    train,
    train_varied,
    varied,
)


def numbers(epoch):
    return torch.Generator().manual_seed(epoch)


def drawn(schedule, progress, count=4000):
    generator = torch.Generator().manual_seed(0)
    return [schedule.at(progress, generator) for _ in range(count)]


def test_first_a_fixed_number_then_all_equally_often():
    schedule = InnerSteps(most=4, first=2, after=0.3)
    assert set(drawn(schedule, 0.29)) == {(1, 2)}
    late = [last for storing, last in drawn(schedule, 0.3) if storing == 1]
    counts = torch.bincount(torch.tensor(late))
    assert counts[0] == 0
    assert counts[1:].tolist() == pytest.approx([1000] * 4, abs=120)  # over 4 standard deviations
    assert set(drawn(InnerSteps(most=4, first=3, after=1.0, storing=None), 0.999)) == {3}


def test_a_ramp_raises_the_largest_number():
    schedule = InnerSteps(most=9, first=1, after=0.2, ramp=0.4, storing=None)
    largest = [max(drawn(schedule, progress, 400)) for progress in (0.1, 0.2, 0.3, 0.4, 0.6, 0.9)]
    assert largest == [1, 1, 3, 5, 9, 9]


def test_what_makes_no_sense_is_refused():
    for wrong in ({"most": 0}, {"first": -1}, {"after": 1.5}, {"ramp": -0.1}, {"storing": 1.5}):
        with pytest.raises(fw.ConfigError, match=next(iter(wrong))):
            InnerSteps(**wrong)
    with pytest.raises(fw.ConfigError, match="most=2 is below first=5"):
        InnerSteps(most=2, first=5, ramp=0.5)


def test_a_training_with_it_goes_on_where_it_stopped(tmp_path):
    """Two epochs, then two more, are the four in one go: numbers are drawn by epoch, not from where a run stands."""
    task = fw.tasks.AssociativeRetrieval(pairs=1)
    examples = task.sample(256, torch.Generator().manual_seed(0))

    def trained(epochs, folder):
        torch.manual_seed(0)
        net = fw.FastWeightNetwork(6, 8, fw.Hebbian(tau=20.0, eta=0.2))
        model = fw.models.SequenceClassifier(net, task.tokens, task.classes, 6)
        batches = varied(shuffled(examples, 64, numbers), InnerSteps(after=0.25), 4, 4, numbers)
        train(
            model,
            cross_entropy,
            batches,
            4,
            None,
            Training(epochs, schedule="constant"),
            checkpoints=folder,
            resume=True,
        )
        return model

    trained(2, tmp_path / "a")
    resumed, whole = trained(4, tmp_path / "a"), trained(4, tmp_path / "b")
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
    assert error_rate(whole, examples, inner_steps=(1, 0)) != error_rate(whole, examples, inner_steps=(1, 8))


def test_every_batch_carries_its_number():
    examples = fw.tasks.AssociativeRetrieval(pairs=1).sample(40, torch.Generator().manual_seed(0))
    batches = varied(shuffled(examples, 10, numbers), InnerSteps(after=0.5), 2, 4, numbers)
    assert [batch[2] for batch in batches(0)] == [(1, 1)] * 4
    assert [batch[2] for batch in batches(1)] == [batch[2] for batch in batches(1)] != [(1, 1)] * 4


def test_the_first_part_may_end_within_an_epoch():
    examples = fw.tasks.AssociativeRetrieval(pairs=1).sample(40, torch.Generator().manual_seed(0))
    schedule = InnerSteps(most=10**6, after=0.5)
    (first, *others) = (
        batch[2] for batch in varied(shuffled(examples, 10, numbers), schedule, 1, 4, numbers)(0)
    )
    assert [first, others[0]] == [(1, 1)] * 2
    assert all(last > 1 for _, last in others[1:])


def small(task):
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(6, 8, fw.Hebbian(tau=20.0, eta=0.2))
    return fw.models.SequenceClassifier(net, task.tokens, task.classes, 6)


def test_train_varied_is_train_with_varied_batches():
    """The same weights as its parts give; the score is the mean error over the numbers that were given."""
    task = fw.tasks.AssociativeRetrieval(pairs=1)
    examples, validation = (task.sample(count, torch.Generator().manual_seed(count)) for count in (130, 60))
    schedule, training, validated = InnerSteps(after=0.5), Training(2, schedule="constant"), [(1, 0), (1, 5)]
    one, other = small(task), small(task)
    history = train_varied(
        one, examples, validation, training, schedule, numbers, lambda epoch: numbers(epoch + 9),
        validated=validated, batch=50,
    )  # fmt: skip
    batches = varied(shuffled(examples, 50, numbers), schedule, 2, 3, lambda epoch: numbers(epoch + 9))

    def validate(model):
        return sum(error_rate(model, validation, inner_steps=each) for each in validated) / 2

    expected = train(other, cross_entropy, batches, 3, validate, training)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for name in ("loss", *(each for each in expected.data_vars if "valid" in each)):
        assert history[name].values.tolist() == expected[name].values.tolist()


def test_train_varied_needs_a_number_to_validate():
    task = fw.tasks.AssociativeRetrieval(pairs=1)
    examples = task.sample(10, numbers(0))
    with pytest.raises(fw.ConfigError, match="validated is empty"):
        train_varied(
            small(task), examples, examples, Training(1), InnerSteps(), numbers, numbers, validated=[]
        )

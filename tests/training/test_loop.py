"""The training loop on a problem with a known solution, and its promises on stopping and resuming."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import fwsim as fw
from fwsim.training import Training, error_rate, load_checkpoint, shuffled, train, train_classifier
from fwsim.training.loop import UNREAD


def problem(seed=0, noise=0.0):
    torch.manual_seed(seed)
    model = nn.Linear(3, 1)
    x = torch.randn(256, 3)
    y = x @ torch.tensor([[1.0], [-2.0], [3.0]]) + 0.5 + noise * torch.randn(256, 1)

    def batches(epoch):
        order = torch.randperm(256, generator=torch.Generator().manual_seed(epoch))
        return ((x[rows], y[rows]) for rows in order.split(32))

    def objective(model, batch):
        return (model(batch[0]) - batch[1]).square().mean()

    return model, objective, batches, lambda model: objective(model, (x, y)).item()


def fit(model, objective, batches, validate, epochs=20, **options):
    keep = {name: options.pop(name) for name in ("checkpoints", "resume") if name in options}
    training = Training(epochs, learning_rate=0.1, **options)
    return train(model, objective, batches, 8, validate, training, **keep)


def test_least_squares_is_found():
    model, *rest = problem()
    history = fit(model, *rest, epochs=40)
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[1.0, -2.0, 3.0]]), atol=1e-3, rtol=0)
    assert model.bias.item() == pytest.approx(0.5, abs=1e-3)
    assert history.sizes["epoch"] == 40
    assert "learning_rate" not in history  # else no experiment that records it could be swept over its rate
    assert history.validation[-1] < 1e-3 * history.validation[0]


def test_the_best_epoch_is_kept(tmp_path):
    model, objective, batches, _ = problem()
    scores, seen = iter([3.0, 1.0, 2.0, 5.0]), []

    def validate(model):
        seen.append(model.weight.detach().clone())
        return next(scores)

    history = fit(model, objective, batches, validate, epochs=4, checkpoints=tmp_path)
    assert (history.attrs["best_epoch"], history.attrs["best_validation"]) == (2, 1.0)
    assert torch.equal(model.weight, seen[1])
    assert torch.equal(load_checkpoint(tmp_path / "best.pt")["model"]["weight"], seen[1])
    assert torch.equal(load_checkpoint(tmp_path / "last.pt")["model"]["weight"], seen[3])


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    """Also where a run goes on."""
    whole, objective, batches, _ = problem(noise=0.1)
    seen = []

    def noted(model, batch):
        seen.append(model.weight.detach().clone())
        return objective(model, batch)

    expected = fit(whole, noted, batches, None, epochs=4)
    assert expected.validation.isnull().all()
    assert expected.attrs["best_epoch"] == 4
    assert not any(
        torch.equal(whole.weight, before) for before in seen
    )  # the last step was taken after all of them

    def interrupted(epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return batches(epoch)

    model, *_ = problem(noise=0.1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, objective, interrupted, None, epochs=4, checkpoints=tmp_path)
    model, *_ = problem(noise=0.1)
    fit(model, objective, batches, None, epochs=4, checkpoints=tmp_path, resume=True)
    assert torch.equal(model.weight, whole.weight)


def test_patience_without_validation_is_an_error():
    model, objective, batches, _ = problem()
    with pytest.raises(fw.ConfigError, match="patience=2 needs a validation score"):
        fit(model, objective, batches, None, patience=2)


def test_patience_stops_early():
    model, objective, batches, _ = problem()
    scores = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    history = fit(model, objective, batches, lambda model: next(scores), epochs=6, patience=2)
    assert history.validation.values.tolist() == [3.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
@pytest.mark.parametrize("killed_in", [1, 7])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, schedule, killed_in):
    whole, *rest = problem(noise=0.1)
    expected = fit(whole, *rest, schedule=schedule, epochs=10)

    model, objective, batches, validate = problem(noise=0.1)

    def interrupted(epoch):
        for number, batch in enumerate(batches(epoch)):
            if epoch == killed_in and number == 3:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        fit(model, objective, interrupted, validate, schedule=schedule, epochs=10, checkpoints=tmp_path)
    model, *rest = problem(noise=0.1)
    history = fit(model, *rest, schedule=schedule, epochs=10, checkpoints=tmp_path, resume=True)
    assert torch.equal(model.weight, whole.weight)
    assert history.loss.values.tolist() == expected.loss.values.tolist()


def test_batches_are_the_drawn_order_of_all_examples():
    examples = fw.tasks.Sequences(torch.arange(20).reshape(10, 2), torch.arange(10), torch.zeros(10))
    batches = shuffled(examples, 4, lambda epoch: torch.Generator().manual_seed(epoch))
    drawn = torch.randperm(10, generator=torch.Generator().manual_seed(3))
    inputs, target = (torch.cat(parts) for parts in zip(*batches(3)))
    assert torch.equal(target, drawn)
    assert torch.equal(inputs, examples.tokens[drawn])
    assert [len(target) for _, target in batches(3)] == [4, 4, 2]


def test_error_rate_counts_wrong_answers():
    tokens = torch.arange(5001) % 3
    examples = fw.tasks.Sequences(tokens[:, None], torch.zeros(5001, dtype=torch.long), tokens)
    assert error_rate(lambda inputs: nn.functional.one_hot(inputs[:, 0], 3), examples) == 3334 / 5001


def test_clip_bounds_the_gradient():
    seen = []
    model, objective, batches, validate = problem()
    model.weight.register_hook(lambda gradient: seen.append(gradient.norm().item()))
    before = model.weight.detach().clone()
    fit(model, objective, batches, validate, epochs=1, clip=1e-12, schedule="constant")
    assert max(seen) > 1
    assert torch.allclose(model.weight, before, atol=1e-2)  # Adam sees gradients below its epsilon


def test_a_loss_that_diverges_stops_the_run():
    model, _, batches, validate = problem()
    with pytest.raises(fw.DivergedError, match="loss"):
        fit(model, lambda model, batch: model(batch[0]).sum() * float("inf"), batches, validate)


@pytest.mark.parametrize("validated", [True, False])
def test_weights_that_diverge_in_the_last_step_are_not_kept(tmp_path, validated):
    model, objective, batches, _ = problem()
    steps = iter(range(100))

    def diverges(model, batch):
        loss = objective(model, batch)
        return loss if next(steps) < 15 else loss - loss.detach() + (model.weight * 0).sqrt().sum()

    with pytest.raises(fw.DivergedError, match="weight became NaN or infinite at step 15"):
        fit(
            model,
            diverges,
            batches,
            (lambda model: 0.0) if validated else None,
            epochs=2,
            checkpoints=tmp_path,
        )
    assert load_checkpoint(tmp_path / "last.pt")["rows"][-1]["loss"] > 0
    assert len(load_checkpoint(tmp_path / "last.pt")["rows"]) == 1


@pytest.fixture
def unread(monkeypatch):
    """Losses wait before they are read, as on a GPU; 8 steps are an epoch."""
    return lambda count: monkeypatch.setitem(UNREAD, "cpu", count)


@pytest.mark.parametrize("count", [3, 8, 64])
def test_losses_that_wait_change_nothing(unread, count):
    model, *rest = problem()
    expected = fit(model, *rest, epochs=3)
    unread(count)
    late, *rest = problem()
    history = fit(late, *rest, epochs=3)
    assert torch.equal(model.weight, late.weight)
    assert history.loss.values.tolist() == expected.loss.values.tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_training_is_the_same():
    model, *rest = problem()
    expected = fit(model, *rest, epochs=3)
    other, objective, batches, _ = problem()
    history = train(
        other,
        lambda model, batch: objective(model, [each.cuda() for each in batch]),
        batches,
        8,
        lambda model: 0.0,
        Training(3, learning_rate=0.1),
        device="cuda",
    )
    assert history.loss.values == pytest.approx(expected.loss.values, rel=1e-4)


@pytest.mark.parametrize("then", ["goes on", "fails"])
def test_losses_that_wait_name_the_step_that_diverged(unread, then):
    unread(5)
    model, objective, batches, validate = problem()
    steps = iter(range(100))

    def diverges(model, batch):
        step = next(steps)
        if then == "fails" and step == 11:
            raise ValueError("of the numbers that are not finite")
        return objective(model, batch) * (float("nan") if step >= 10 else 1.0)

    with pytest.raises(fw.DivergedError) as caught:
        fit(model, diverges, batches, validate)
    assert caught.value.step == 10


def test_weight_decay_takes_its_share_of_every_step():
    model, x = nn.Linear(3, 1), torch.zeros(2, 3)
    before = model.weight.detach().clone()
    training = Training(2, learning_rate=0.1, schedule="constant", weight_decay=0.5)
    train(model, lambda model, x: model(x).sum() * 0, lambda epoch: [x], 1, lambda model: 0.0, training)
    # no gradient reaches the weights: what is left is (1 − rate · decay) a step, and the best epoch is the first
    assert torch.allclose(model.weight, before * (1 - 0.1 * 0.5))


NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([NAN, 0.5, 0.1], 3),
        ([NAN, 0.1, 0.5], 2),
        ([NAN, NAN, 0.5], 3),
        ([0.5, NAN, 0.1], 3),
        ([0.1, NAN, 0.5], 1),
        ([float("inf"), NAN, 0.5], 3),
        ([NAN, float("inf"), NAN], 2),
        ([0.5, float("-inf"), NAN], 2),
        ([NAN, -float("inf"), 0.0], 2),
    ],
)
def test_a_score_that_is_nan_is_never_the_best(tmp_path, scores, best):
    model, objective, batches, _ = problem()
    given, seen = iter(scores), []

    def validate(model):
        seen.append(model.weight.detach().clone())
        return next(given)

    history = fit(model, objective, batches, validate, epochs=3, checkpoints=tmp_path)
    assert (history.attrs["best_epoch"], history.attrs["best_validation"]) == (best, scores[best - 1])
    assert torch.equal(model.weight, seen[best - 1])
    assert torch.equal(load_checkpoint(tmp_path / "best.pt")["model"]["weight"], seen[best - 1])


def test_where_all_scores_are_nan_the_last_epoch_is_kept_and_said(tmp_path):
    model, objective, batches, _ = problem()
    seen = []

    def validate(model):
        seen.append(model.weight.detach().clone())
        return NAN

    with pytest.warns(UserWarning, match="NaN in all 3 epochs; the weights of the last one are kept"):
        history = fit(model, objective, batches, validate, epochs=3, checkpoints=tmp_path)
    assert history.attrs["best_epoch"] == 0
    assert math.isnan(history.attrs["best_validation"])
    assert torch.equal(model.weight, seen[-1])
    assert torch.equal(load_checkpoint(tmp_path / "best.pt")["model"]["weight"], seen[-1])


def test_scores_that_are_nan_use_up_patience():
    model, objective, batches, _ = problem()
    scores = iter([NAN, 2.0, NAN, NAN, 0.0])
    history = fit(model, objective, batches, lambda model: next(scores), epochs=5, patience=2)
    assert history.sizes["epoch"] == 4
    assert history.attrs["best_epoch"] == 2
    with pytest.warns(UserWarning, match="NaN in all 2 epochs"):
        history = fit(*problem()[:3], lambda model: NAN, epochs=5, patience=2)
    assert history.sizes["epoch"] == 2


def test_class_scores_that_are_nan_are_wrong_answers():
    tokens = torch.tensor([[0], [1], [2]])
    examples = fw.tasks.Sequences(tokens, tokens[:, 0], torch.zeros(3))

    def model(inputs):
        scores = nn.functional.one_hot(inputs[:, 0], 3).float()
        return torch.where(inputs == 1, torch.nan, scores)  # the first NaN counts as the largest

    assert error_rate(model, examples) == 1 / 3
    nothing = fw.tasks.Sequences(tokens[:0], tokens[:0, 0], torch.zeros(0))
    with pytest.raises(fw.ShapeError, match="no examples"):
        error_rate(model, nothing)
    with pytest.raises(fw.ShapeError, match="no examples"):
        train_classifier(nn.Linear(1, 3), nothing, None, Training(1), torch.Generator)


@pytest.mark.parametrize(
    ("listed", "steps", "said"), [(True, 7, "8"), (False, 7, "more than 7"), (True, 9, "8"), (False, 9, "8")]
)
def test_an_epoch_has_as_many_batches_as_were_said(tmp_path, listed, steps, said):
    model, objective, batches, validate = problem()
    before = model.weight.detach().clone()
    given = (lambda epoch: list(batches(epoch))) if listed else batches
    with pytest.raises(
        fw.ConfigError, match=rf"batches\(0\) gives {said} batches, but steps_per_epoch={steps}"
    ):
        train(model, objective, given, steps, validate, Training(2), checkpoints=tmp_path)
    assert not listed or torch.equal(model.weight, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [0, -1, 2.0, "2", True, None])
def test_steps_an_epoch_are_a_number(steps):
    model, objective, batches, validate = problem()
    with pytest.raises(fw.ConfigError, match="steps_per_epoch="):
        train(model, objective, batches, steps, validate, Training(2))


@pytest.mark.parametrize(
    "change", [{"model": nn.ReLU()}, {"objective": None}, {"batches": [1]}, {"validate": 3}]
)
def test_what_is_no_function_or_has_nothing_to_train(change):
    given = dict(zip(("model", "objective", "batches", "validate"), problem())) | change
    with pytest.raises(fw.ConfigError, match=next(iter(change))):
        fit(*given.values())


@pytest.mark.parametrize("score", [None, "low", torch.zeros(2), 1j])
def test_a_score_is_one_number(score):
    model, objective, batches, _ = problem()
    with pytest.raises(fw.ConfigError, match="validate returns"):
        fit(model, objective, batches, lambda model: score)


@pytest.mark.parametrize("batch", [0, -1, 1.5, "8", True])
def test_a_batch_is_a_whole_number(batch):
    examples = fw.tasks.Sequences(torch.zeros(10, 2), torch.zeros(10), torch.zeros(10))
    with pytest.raises(fw.ConfigError, match="batch="):
        train_classifier(nn.Linear(2, 2), examples, None, Training(1), torch.Generator, batch=batch)


@pytest.mark.parametrize(
    "options",
    [
        *({"epochs": value} for value in (0, -1, 1.5, 2.0, True, "3", None, NAN)),
        *({"learning_rate": value} for value in (0, -1e-3, NAN, float("inf"), True, "1e-3", None)),
        *({"schedule": value} for value in ("cosine", None, ["constant"])),
        *({"clip": value} for value in (0, -1, NAN, None, "1", True)),
        *({"weight_decay": value} for value in (-0.1, NAN, float("inf"), None, "0", False)),
        *({"patience": value} for value in (0, -1, 1.5, True, "2", NAN)),
        *({"precision": value} for value in ("8-bit", 32, None)),
    ],
    ids=str,
)
def test_bad_options(options):
    name, value = next(iter(options.items()))
    with pytest.raises(fw.ConfigError, match=f"^{name}=") as caught:
        Training(**{"epochs": 1, **options})
    assert repr(value) in str(caught.value)


def test_good_options():
    Training(1, patience=1, clip=float("inf"))
    Training(np.int64(3), np.float32(0.1), "constant", 1, 0, None, "bf16-mixed")


TASK = fw.tasks.AssociativeRetrieval()
ONCE = Training(1)
DRAWN = TASK.sample(8, torch.Generator().manual_seed(0))


def classifier():
    return fw.models.SequenceClassifier(fw.models.LSTM(4, 4), TASK.tokens, TASK.classes)


def order(epoch):
    return torch.Generator().manual_seed(epoch)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: fw.training.train_classifier(c, "x", None, ONCE, order), "examples are a str"),
        (
            lambda c: fw.training.train_classifier(
                c, DRAWN._replace(target=DRAWN.target[:5]), None, ONCE, order
            ),
            "8 inputs and 5 targets; give one target for each input",
        ),
        (lambda c: fw.training.train_classifier(c, DRAWN, None, ONCE, order(0)), "order is a Generator"),
        (
            lambda c: fw.training.train_classifier(c, DRAWN, None, ONCE, lambda epoch: 3),
            "generator is an int",
        ),
        (
            lambda c: fw.training.train_classifier(c, DRAWN, None, ONCE, order, checkpoints=__file__),
            "is a file; give the name of a folder",
        ),
        (lambda c: fw.training.error_rate("x", DRAWN), "model is a str"),
        (
            lambda c: fw.training.train(c, lambda m, b: 3.0, lambda e: iter([DRAWN]), 1, None, ONCE),
            "objective returns a float; it must return the loss",
        ),
        (
            lambda c: fw.training.train(
                c, lambda m, b: torch.ones(()), lambda e: iter([DRAWN]), 1, None, ONCE
            ),
            r"a tensor \[\] without gradient",
        ),
        (lambda c: fw.training.train_trials(c, "x", "y", steps=20), "task is a str; give a task"),
        (
            lambda c: fw.training.train_trials(c, fw.tasks.DelayedMatch(), "y", steps=20),
            "streams is a str; give an experiment's context",
        ),
    ],
)
def test_what_training_refuses_before_it_begins(call, said):
    with pytest.raises(fw.FwsimError, match=said):
        call(classifier())

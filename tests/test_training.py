"""The training loop on a problem with a known solution, and its promises on stopping and resuming."""

import pytest
import torch
from torch import nn

import fwsim as fw
from fwsim.training import UNREAD, Training, error_rate, load_checkpoint, shuffled, train


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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"not a checkpoint"])
def test_a_broken_checkpoint_is_one_line(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(fw.RecordingError, match=r"last\.pt"):
        fit(*problem(), checkpoints=tmp_path, resume=True)


def test_weight_decay_takes_its_share_of_every_step():
    model, x = nn.Linear(3, 1), torch.zeros(2, 3)
    before = model.weight.detach().clone()
    training = Training(2, learning_rate=0.1, schedule="constant", weight_decay=0.5)
    train(model, lambda model, x: model(x).sum() * 0, lambda epoch: [x], 1, lambda model: 0.0, training)
    # no gradient reaches the weights: what is left is (1 − rate · decay) a step, and the best epoch is the first
    assert torch.allclose(model.weight, before * (1 - 0.1 * 0.5))


def test_a_checkpoint_of_another_model(tmp_path):
    fit(*problem(), epochs=1, checkpoints=tmp_path)
    _, *rest = problem()
    with pytest.raises(fw.RecordingError, match="another model"):
        fit(nn.Linear(4, 1), *rest, checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"learning_rate": 0}, {"schedule": "cosine"}, {"clip": -1}, {"weight_decay": -0.1}],
)
def test_bad_options(options):
    with pytest.raises(fw.ConfigError):
        Training(**{"epochs": 1, **options})

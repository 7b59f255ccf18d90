"""Checkpoints of a training: damage is noticed, what does not fit is refused before anything changes."""

import io
import os

import numpy as np
import pytest
import torch
from torch import nn

import fwsim as fw
from fwsim.recording.tensor_files import ENDING, save
from fwsim.training import Training, train
from fwsim.training.checkpoints import load_checkpoint, load_weights
from tests.survival.fuzzing import flipped

STEPS = 4


def job(
    epochs, folder=None, *, seed=0, schedule="constant", resume=False, scores=None, model=None, **options
):
    """Train a small network; return its history and itself."""
    torch.manual_seed(seed)
    model = model or nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(STEPS * 8, 3, generator=torch.Generator().manual_seed(1))

    def batches(epoch):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        return x[order].split(8)

    def objective(model, batch):
        return (model(batch) - batch.sum(1, keepdim=True)).square().mean()

    validate = (lambda model: objective(model, x).item()) if scores is None else lambda model: next(scores)
    training = Training(epochs, **{"learning_rate": 0.05, "schedule": schedule, **options})
    history = train(model, objective, batches, STEPS, validate, training, checkpoints=folder, resume=resume)
    return history, model


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_bit_that_flips_anywhere_is_noticed(tmp_path, name):
    job(2, tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for place in [8 * len(whole) - 1, *np.random.default_rng(0).integers(8 * len(whole), size=40).tolist()]:
        path.write_bytes(flipped(whole, place))
        with pytest.raises(fw.RecordingError, match=rf"{name}.* delete it"):
            load_checkpoint(path)
    _, model = job(1, seed=3)
    before = [value.clone() for value in model.state_dict().values()]
    with pytest.raises(fw.RecordingError, match=name):
        job(3, tmp_path, resume=True, model=model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values()))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"no checkpoint" * 20])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(fw.RecordingError, match=r"last\.pt is no checkpoint"):
        job(2, tmp_path, resume=True)


def test_files_that_torch_wrote_itself_or_that_are_no_files(tmp_path):
    torch.save({"model": {}}, tmp_path / "a.pt")
    with pytest.raises(fw.RecordingError, match="does not end with a digest"):
        load_checkpoint(tmp_path / "a.pt")
    save(tmp_path / "b.pt", {"model": torch.ones(2)})
    assert torch.equal(torch.load(tmp_path / "b.pt", weights_only=True)["model"], torch.ones(2))
    os.mkfifo(tmp_path / "c.pt")
    for path in (tmp_path / "c.pt", tmp_path / "none.pt", tmp_path):
        with pytest.raises(fw.RecordingError, match="cannot be read"):
            load_checkpoint(path)


def test_code_is_never_loaded(tmp_path):
    class Call:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    save(tmp_path / "x.pt", {"model": Call()})
    with pytest.raises(fw.RecordingError, match="cannot be read"):
        load_checkpoint(tmp_path / "x.pt")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    save(tmp_path / "x.pt", {"model": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "x.pt", {"model": 2})
    assert load_checkpoint(tmp_path / "x.pt") == {"model": 1}


def test_a_draft_that_is_a_link_is_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".x.pt.part").symlink_to(tmp_path / "mine")
    save(tmp_path / "x.pt", {"model": 1})
    assert (tmp_path / "mine").read_text() == "mine"
    assert load_checkpoint(tmp_path / "x.pt") == {"model": 1}


# --- going on otherwise than the run began --------------------------------------------------------------


@pytest.mark.parametrize("begun", [3, 4])
def test_a_constant_schedule_goes_on_to_any_number_of_epochs(tmp_path, begun):
    expected, whole = job(5)
    job(begun, tmp_path)
    history, model = job(5, tmp_path, resume=True)
    assert same(model, whole)
    assert history.loss.values.tolist() == expected.loss.values.tolist()
    assert history.step_size.values.tolist() == expected.step_size.values.tolist()


@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_a_finished_run_that_is_resumed_is_as_it_was(tmp_path, schedule):
    expected, whole = job(3, tmp_path, schedule=schedule)
    files = contents(tmp_path)
    history, model = job(3, tmp_path, schedule=schedule, resume=True, seed=9)
    assert same(model, whole)
    assert history.equals(expected)
    assert contents(tmp_path) == files


@pytest.mark.parametrize(
    ("schedule", "change", "message"),
    [
        ("onecycle", {"epochs": 5}, "epochs=5, but the one-cycle schedule of the run .* is for 3"),
        ("onecycle", {"epochs": 2}, "epochs=2, but the one-cycle schedule of the run .* is for 3"),
        ("constant", {"epochs": 2}, "epochs=2, but the run in .* has done 3"),
        ("constant", {"learning_rate": 0.1}, "learning_rate=0.1, but the run in .* was trained with 0.05"),
        ("constant", {"schedule": "onecycle"}, "schedule='onecycle', but .* with 'constant'"),
        ("constant", {"weight_decay": 0.1}, "weight_decay=0.1, but .* with 0.0"),
        ("constant", {"clip": 1.0}, "clip=1.0, but .* with inf"),
    ],
)
def test_another_training_is_refused_before_anything_changes(tmp_path, schedule, change, message):
    job(3, tmp_path, schedule=schedule)
    files = contents(tmp_path)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    before = [value.clone() for value in model.state_dict().values()]
    with pytest.raises(fw.ConfigError, match=message):
        job(
            **{
                "epochs": 3,
                "folder": tmp_path,
                "schedule": schedule,
                "model": model,
                "resume": True,
                **change,
            }
        )
    assert contents(tmp_path) == files
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values()))


def test_patience_may_change(tmp_path):
    job(5, tmp_path, scores=iter([1.0, 2.0]), patience=1)
    history, _ = job(5, tmp_path, scores=iter([3.0, 0.5, 0.6]), patience=3, resume=True)
    assert history.validation.values.tolist() == [1.0, 2.0, 3.0, 0.5, 0.6]
    assert history.attrs["best_epoch"] == 4


def test_nan_scores_survive_a_resume(tmp_path):
    with pytest.warns(UserWarning, match="NaN in all"):
        job(2, tmp_path, scores=iter([float("nan")] * 2))
    history, _ = job(4, tmp_path, scores=iter([0.5, float("nan")]), resume=True)
    assert (history.attrs["best_epoch"], history.attrs["best_validation"]) == (3, 0.5)


# --- contents that are whole, but of something else ----------------------------------------------------


def test_a_checkpoint_of_another_model(tmp_path):
    job(1, tmp_path)
    with pytest.raises(fw.RecordingError, match=r"another model .*0\.weight has shape"):
        job(2, tmp_path, resume=True, model=nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))
    with pytest.raises(fw.RecordingError, match=r"another model .*missing"):
        job(2, tmp_path, resume=True, model=nn.Linear(3, 1))
    model = nn.Linear(3, 1)
    for weights in (
        None,
        {"weight": 1.0},
        {"weight": torch.zeros(1, 3), "bias": torch.zeros(1, dtype=torch.long)},
    ):
        with pytest.raises(fw.RecordingError, match="another model"):
            load_weights(model, weights)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("model", None),
        ("model", {}),
        ("optimiser", None),
        ("optimiser", {}),
        ("optimiser", {"state": {}, "param_groups": []}),
        ("optimiser", {"state": {}, "param_groups": [{"lr": "high", "betas": (0.9, 0.999)}]}),
        ("random", None),
        ("random", torch.zeros(3)),
        ("random", torch.zeros(5056, dtype=torch.uint8)),
        ("rows", None),
        ("rows", [1.0, 2.0]),
        ("rows", [{"loss": 1.0}]),
        ("best", None),
        ("best_epoch", 7),
        ("best_epoch", -2),
        ("best_epoch", None),
        ("options", None),
        ("options", {}),
    ],
)
def test_a_part_that_is_something_else_is_refused(tmp_path, part, value):
    job(2, tmp_path)
    content = load_checkpoint(tmp_path / "last.pt")
    for change in ({**content, part: value}, {name: each for name, each in content.items() if name != part}):
        save(tmp_path / "last.pt", change)
        with pytest.raises(fw.RecordingError):
            job(4, tmp_path, resume=True)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(0),
        torch.zeros(1),
        torch.zeros(12),
        torch.zeros(4, 3, dtype=torch.long),
        torch.zeros(4, 3).to_sparse(),
        3.0,
        None,
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_sums_of_the_optimiser_that_do_not_fit_never_reach_it(tmp_path, name, value):
    """A fused optimiser reads as far as its weights go, whatever it is given."""
    job(1, tmp_path)
    content = load_checkpoint(tmp_path / "last.pt")
    content["optimiser"]["state"][0][name] = value
    save(tmp_path / "last.pt", content)
    with pytest.raises(fw.RecordingError, match="no checkpoint of this training"):
        job(2, tmp_path, resume=True)


@pytest.mark.parametrize(
    "betas", [(), (0.9,), (0.9, 0.99, 0.999), (0.9, 1.0), (-0.1, 0.9), ("a", 0.9), None], ids=str
)
def test_rates_that_the_optimiser_cannot_have_are_refused(tmp_path, betas):
    job(1, tmp_path)
    content = load_checkpoint(tmp_path / "last.pt")
    content["optimiser"]["param_groups"][0]["betas"] = betas
    save(tmp_path / "last.pt", content)
    with pytest.raises(fw.RecordingError, match="no checkpoint of this training"):
        job(2, tmp_path, resume=True)


def test_sums_with_strides_of_their_own_are_laid_out_again(tmp_path):
    _, whole = job(3)
    job(2, tmp_path)
    content = load_checkpoint(tmp_path / "last.pt")
    sums = content["optimiser"]["state"][0]
    sums["exp_avg"] = sums["exp_avg"].T.contiguous().T
    save(tmp_path / "last.pt", content)
    _, model = job(3, tmp_path, resume=True)
    assert same(model, whole)


def test_best_weights_of_another_run_are_refused(tmp_path):
    job(3, tmp_path / "a", scores=iter([3.0, 1.0, 2.0]))
    job(3, tmp_path / "b", scores=iter([1.0, 3.0, 2.0]))
    (tmp_path / "a" / "best.pt").write_bytes((tmp_path / "b" / "best.pt").read_bytes())
    with pytest.raises(fw.RecordingError, match=r"best\.pt is of another run"):
        job(4, tmp_path / "a", resume=True)


@pytest.mark.parametrize(("epoch", "fits"), [(0, True), (1, False), (2, True), (3, False), (-1, False)])
def test_best_weights_are_of_the_best_epoch_or_of_the_one_that_was_killed(tmp_path, epoch, fits):
    """Two epochs are done, the first was the best; the third may have written its weights before it was killed."""
    job(2, tmp_path, scores=iter([1.0, 2.0]))
    save(tmp_path / "best.pt", {**load_checkpoint(tmp_path / "best.pt"), "epoch": epoch})
    if fits:
        assert job(3, tmp_path, scores=iter([3.0]), resume=True)[0].attrs["best_epoch"] == 1
    else:
        with pytest.raises(fw.RecordingError, match=r"best\.pt is of another run"):
            job(3, tmp_path, scores=iter([3.0]), resume=True)


def test_the_digest_is_of_what_torch_wrote(tmp_path):
    save(tmp_path / "x.pt", {"a": torch.arange(3)})
    whole = (tmp_path / "x.pt").read_bytes()
    assert torch.load(io.BytesIO(whole[:-ENDING]), weights_only=True)["a"].tolist() == [0, 1, 2]

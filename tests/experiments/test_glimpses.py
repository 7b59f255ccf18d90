"""Glimpses on digits that a package ships: every model learns, and memory is what holds the whole."""

import itertools
import struct

import numpy as np
import pytest
import torch

from fwsim import study
from fwsim.errors import ConfigError
from fwsim.study import Context, load_experiment
from fwsim.tasks import split_mnist

NAME = "glimpses"
SMALL = {
    "units": 24,
    "embedding": 40,
    "epochs": 6,
    "learning_rate": 1e-2,
    "batch": 64,
    "validation_images": 100,
    "recorded": 20,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The 8×8 digits of scikit-learn, drawn with 3×3 pixels a pixel in 28×28, as IDX files."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
    images, labels = datasets.load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 8, 8) * 15.9, np.ones((3, 3)))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    folder = tmp_path_factory.mktemp("digits")
    for part, rows in (("train", slice(0, 1_400)), ("t10k", slice(1_400, None))):
        for kind, values in (("images-idx3", images[rows]), ("labels-idx1", labels[rows].astype(np.uint8))):
            header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return folder


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A short run of fast weights, analysed."""
    folder = tmp_path_factory.mktemp(NAME) / "run"
    run = study.run(NAME, {**SMALL, "data": str(digits)}, folder=folder, device="cpu")
    return study.analyse(run)


def test_fast_weights_learn_and_need_what_they_stored(run):
    """Bands, set before the run: below 25 % error (chance 90), more than twice that when nothing is read."""
    result = run.result
    assert float(result.test_error) < 25
    assert float(result.lesion_error.sel(blocked="none")) == float(result.test_error)
    assert float(result.lesion_error.sel(blocked="all")) > 2 * float(result.test_error)
    drawn = {path.stem for path in run.files}
    assert {"layout", "learning", "attention"} <= drawn


def test_attention_is_to_what_was_stored_and_readable(run):
    share = run.result.share
    before = np.flatnonzero(run.result.stored)
    assert before.tolist() == [0, 6, 12, 18]
    for step in range(24):
        allowed = [time for time in before if time < step]
        rest = share.isel(time=step).drop_isel(past=allowed)
        assert float(abs(rest).max()) == 0
        assert float(share.isel(time=step).sum()) == pytest.approx(1.0 if allowed else 0.0, abs=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        {"model": "lstm"},
        {"model": "irnn", "learning_rate": 3e-3},
        {"model": "convnet"},
        {"store": "every", "levels": 3, "sharing": "none", "inner_steps": 2, "dropout": 0.1},
        {"store": "region", "controls": "none", "embedding": 0},
        {"model": "lstm", "controls": "none", "embedding": 0, "dropout": 0.1},
        {"maps": 4},
        {"model": "lstm", "maps": 4, "embedding": 0},
        {"schedule": "constant", "learning_rate": 3e-3, "clip": 10.0},
    ],
)
def test_other_models_run_and_learn_something(values, digits, tmp_path):
    """Band, set before the run: below 80 % error after two epochs (chance 90)."""
    experiment = load_experiment(NAME)
    config = experiment.configure({**SMALL, "epochs": 2, **values, "data": str(digits)})
    assert float(experiment.run(config, Context(tmp_path)).test_error) < 80


def test_the_eye_sees_every_glimpse_by_itself_and_passes_controls():
    """Against the convolution and maxima written out for one glimpse."""
    parts = load_experiment(NAME).run.__globals__
    layout = parts["GlimpseLayout"]()
    torch.manual_seed(0)
    eye = parts["Eye"](layout, maps=2)
    seen = torch.rand(3, 24, layout.channels)
    found = eye(seen)
    assert found.shape == (3, 24, eye.channels) == (3, 24, 2 * 9 + 9)
    torch.testing.assert_close(found[..., -9:], seen[..., -9:])
    padded = torch.nn.functional.pad(seen[1, 5, :49].reshape(7, 7), (1, 1, 1, 1))
    expected = []
    for row, column, number in itertools.product(range(3), range(3), range(2)):
        kernel, bias = eye.convolution.weight[number, 0], eye.convolution.bias[number]
        window = [
            (padded[down : down + 3, right : right + 3] * kernel).sum() + bias
            for down in range(2 * row, 2 * row + 3)
            for right in range(2 * column, 2 * column + 3)
        ]
        expected.append(torch.stack(window).max().clamp(min=0))
    assert 0 < sum(value > 0 for value in expected) < 18
    torch.testing.assert_close(found[1, 5, :18], torch.stack(expected))


def test_untrained_networks_differ_in_nothing_but_the_schedule(digits):
    """Storing nothing gives what blocking every step gives, with the same weights."""
    experiment = load_experiment(NAME)
    parts = experiment.run.__globals__
    images = split_mnist(str(digits), validation=1, test=8)[2].images
    scores = []
    for store, blocked in (("whole", range(24)), ("none", ())):
        config = experiment.configure(SMALL | {"store": store})
        layout = parts["GlimpseLayout"](store=store)
        torch.manual_seed(0)
        model = parts["build"](config, layout, 10)
        model.layout = parts["GlimpseLayout"]()  # the same controls
        scores.append(model(images, blocked=blocked))
    torch.testing.assert_close(*scores)


def test_lesions_block_the_steps_that_they_name(tmp_path):
    parts, given = load_experiment(NAME).run.__globals__, []

    def model(images, blocked):
        given.append(list(blocked))
        return torch.eye(2)[[0] * len(images)]

    layout, images = parts["GlimpseLayout"](), torch.zeros(4, 28, 28, dtype=torch.uint8)
    test = parts["LabelledImages"](images, torch.tensor([0, 0, 0, 1]))
    found = parts["lesions"](model, layout, test, Context(tmp_path))
    assert found["lesion_error"].values.tolist() == [25] * 4
    integrating = [5, 11, 17, 23]
    assert dict(zip(found["blocked"].values.tolist(), given, strict=True)) == {
        "none": [],
        "integrating": integrating,
        "looking": [step for step in range(24) if step not in integrating],
        "all": list(range(24)),
    }


def test_without_images_to_choose_by_all_are_trained_on_and_the_last_epoch_is_kept(digits, tmp_path):
    values = {**SMALL, "epochs": 2, "model": "irnn", "validation_images": 0, "data": str(digits)}
    assert [len(part.target) for part in split_mnist(str(digits), validation=0)] == [1_400, 0, 397]
    run = study.run(NAME, values, folder=tmp_path / "run", device="cpu")
    analysed = study.analyse(run)
    assert analysed.result.validation_error.isnull().all()
    assert float(analysed.result.test_error) < 90
    assert "learning" in {path.stem for path in analysed.files}


def test_no_images_left_to_train_on(digits, tmp_path):
    experiment = load_experiment(NAME)
    with pytest.raises(ConfigError, match="leave none"):
        experiment.run(experiment.configure({"data": str(digits)}), Context(tmp_path))

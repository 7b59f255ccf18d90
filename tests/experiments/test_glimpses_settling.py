"""The recorded loop of the last step is the network's own, and the analysis finds a whole that was called up."""

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from analysis import glimpses_settling as analysis
from fwsim.engine.recursive import RecursiveNetwork
from fwsim.study import Context, files
from fwsim.tasks import GlimpseLayout, LabelledImages


@pytest.fixture(scope="module")
def made():
    """The functions of the experiment."""
    return files.load(files.find("glimpses_settling"), ("Config", "run"))


@pytest.fixture
def model(made):
    torch.manual_seed(0)
    layout = GlimpseLayout()
    memory = fw.Hebbian(tau=19.5, eta=0.5)
    core = RecursiveNetwork(12, 10, memory, layout.stored, layout.cleared, layout.weights("levels"))
    return made.GlimpseClassifier(layout, core, 10)


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (64, 28, 28), dtype=torch.uint8, generator=generator)
    return LabelledImages(pixels, torch.arange(64) % 10)


def test_only_integrating_steps_iterate(model, images):
    """Before the first integrating step nothing changes; at it and after it the states do."""
    with torch.no_grad():
        once, _ = model.states(images.images)
        many, _ = model.states(images.images, 5)
    first = next(step for step, glimpse in enumerate(model.layout.steps) if glimpse.integrate)
    torch.testing.assert_close(once[:, :first], many[:, :first])
    assert float((once[:, first] - many[:, first]).abs().max()) > 1e-3
    assert {net.inner_steps for net in model.core.networks} == {1, 5}


def test_the_recorded_loop_is_that_of_the_last_step(made, model, images, tmp_path):
    config = made.Config(recorded=20)
    recording = made.recorded(model, images, config, Context(tmp_path))
    with torch.no_grad():
        hidden, _ = model.states(images.images[:20])
    path = recording["path"].sel(iteration=1).values
    np.testing.assert_allclose(path, hidden[:, -1].numpy(), rtol=1e-4, atol=1e-5)
    assert recording["error"].sizes == {"count": 12}


@pytest.mark.parametrize("schedule", ["one", "late"])
def test_the_schedule_trains(made, model, images, tmp_path, schedule):
    """With `late` batches have more than one iteration after the first part; validation asks for several numbers."""
    trained, asked, states = [], set(), model.states
    config = made.Config(schedule=schedule, epochs=6, after=0.5, learning_rate=1e-3)

    def counted(shown, inner_steps=1):
        if torch.is_grad_enabled():
            trained.append(inner_steps)
        else:
            asked.add(inner_steps)
        return states(shown, inner_steps)

    model.states = counted
    history = made.trained(model, images, images, config, Context(tmp_path, show=False))
    assert history.sizes["epoch"] == len(trained) == 6  # a batch each
    assert trained[:3] == [1, 1, 1]
    assert (max(trained[3:]) > 1) == (schedule == "late")
    assert asked == ({1} if schedule == "one" else {1, 4, 32})


def test_the_analysis_finds_the_whole_that_was_called_up():
    """All loops end at the latest of four stored states that do not overlap, and begin between them."""
    trials, counts = 8, [0, 1, 64]
    stored = np.stack([np.roll(np.eye(4, 8), shift, axis=1) for shift in range(trials)])
    begins, ends = stored.mean(1), stored[:, 3]
    attention = np.ones((trials, 3, 4))
    attention[:, 1:, :3] = 0
    recording = xr.Dataset(
        {
            "path": (("trial", "iteration", "unit"), np.stack([begins, ends, ends], 1)),
            "stored": (("trial", "past", "unit"), stored),
            "attention": (("trial", "iteration", "past"), attention),
            "change": ("trial", np.zeros(trials)),
            "error": ("count", [1.0, 2.0, 3.0, 4.0]),
        },
        {"iteration": counts, "count": [1, 4, 16, 64]},
    )
    result = analysis.analyse(recording)
    assert float(result["overlap"].sel(iteration=64)) == pytest.approx(1)
    assert float(result["overlap"].sel(iteration=0)) < 0.6
    assert result["share"].values == pytest.approx([0.25, 1, 1])
    (row,) = analysis.table(result)
    assert row["settled (%)"] == row["nearest to the latest whole (%)"] == "100.0"
    assert row["error after 16 (%)"] == "3.00"
    assert set(analysis.plot(result)) == {"settling"}

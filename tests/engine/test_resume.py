"""An interrupted simulation goes on as if it had not been, and only as the run that it was."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.recording import checkpoints, digests, first_difference
from tests.engine.test_network import ONE, THREE, inputs, network

STEPS = 60


class StopError(Exception):
    pass


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 3 * 4 * 60)
    monkeypatch.setattr("fwsim.recording.folder.CHUNK_BYTES", 8000)
    monkeypatch.setattr("fwsim.recording.folder.PAUSE", 0)


def simulate(net, x, to, stop=STEPS, **options):
    began = []

    def drive(start, end):
        began.append(start)
        if start >= stop:
            raise StopError
        return x[:, start:end]

    options = {"record": ("hidden", "attention", fw.Record("memory", every=7)), "steps": STEPS, **options}
    return fw.simulate(net, drive, to=to, **options), began


def interrupted(net, x, to, **options):
    with pytest.raises(StopError):
        simulate(net, x, to, stop=30, **options)


@pytest.mark.parametrize("form", ["dense", "attention", "hybrid"])
@pytest.mark.parametrize("memory", [ONE, THREE], ids=["one", "three"])
def test_every_form_goes_on_to_the_same_bits(tmp_path, form, memory):
    net, x = network(memory, form=form), inputs(time=STEPS)
    whole, _ = simulate(net, x, tmp_path / "whole")
    interrupted(net, x, tmp_path / "cut")
    resumed, began = simulate(net, x, tmp_path / "cut", resume=True)
    assert began[1] >= 20  # 0 is asked for to know the shape
    assert first_difference(whole, resumed) is None
    assert resumed.attrs["inputs_sha256"] == whole.attrs["inputs_sha256"]
    done, began = simulate(net, x, tmp_path / "cut", resume=True)
    assert len(began) == 1
    assert first_difference(whole, done) is None


def test_with_nothing_there_a_resumed_run_begins(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    run, began = simulate(net, x, tmp_path / "new", resume=True)
    assert began[1] == 0
    assert run.valid_steps == STEPS


def test_only_the_same_run_goes_on(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    interrupted(net, x, tmp_path / "cut")
    before = sorted((entry, entry.stat().st_mtime_ns) for entry in (tmp_path / "cut").rglob("*"))
    heavier = network(ONE)
    with torch.no_grad():
        heavier.W.add_(0.1)
    for other, options, said in (
        (net, {"seed": 1}, "another seed: 0, now 1"),
        (net, {"record": ("hidden", "attention", fw.Record("memory", every=5))}, "another record of memory"),
        (net, {"record": ("hidden", "inner")}, "another record of inner"),
        (network(THREE), {}, "another configuration"),
        (heavier, {}, "another inputs_sha256"),
    ):
        with pytest.raises(fw.RecordingError, match=said) as caught:
            simulate(other, x, tmp_path / "cut", resume=True, **options)
        assert "\n" not in str(caught.value)
    assert sorted((entry, entry.stat().st_mtime_ns) for entry in (tmp_path / "cut").rglob("*")) == before
    with pytest.raises(fw.ConfigError, match="give to="):
        fw.simulate(net, x, resume=True)
    with pytest.raises(fw.RecordingError, match=r"exists already.*resume=True"):
        simulate(net, x, tmp_path / "cut")


def test_a_run_with_another_drive_does_not_go_on(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)

    def stop(done, total):
        if done >= 30:
            raise StopError

    with pytest.raises(StopError):
        fw.simulate(net, x, record="hidden", to=tmp_path / "cut", progress=stop)
    with pytest.raises(fw.RecordingError, match="another inputs_sha256"):
        fw.simulate(net, 2 * x, record="hidden", to=tmp_path / "cut", resume=True)
    run = fw.simulate(net, x, record="hidden", to=tmp_path / "cut", resume=True)
    assert first_difference(fw.simulate(net, x, record="hidden"), run) is None


def test_a_damaged_checkpoint_is_refused_and_without_one_the_run_starts_over(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    whole, _ = simulate(net, x, tmp_path / "whole")
    interrupted(net, x, tmp_path / "cut")
    kept = tmp_path / "cut" / "checkpoint.npz"
    good = kept.read_bytes()
    for bad in (b"", good[: len(good) // 2], b"pickle"):
        kept.write_bytes(bad)
        with pytest.raises(fw.RecordingError, match="delete it, and the run starts over"):
            simulate(net, x, tmp_path / "cut", resume=True)
    kept.unlink()
    resumed, _ = simulate(net, x, tmp_path / "cut", resume=True)
    assert first_difference(whole, resumed) is None


def test_a_checkpoint_without_its_earliest_states_is_refused(tmp_path):
    """Those that are left would be another memory; only a matrix into which they were merged may replace them."""
    net, x = network(ONE, form="attention"), inputs(time=STEPS)
    interrupted(net, x, tmp_path / "cut")
    kept = dict(np.load(tmp_path / "cut" / checkpoints.FILE))
    kept["state/history"] = kept["state/history"][:, 5:]
    journal = digests.Journal(tmp_path / "cut", new=False)
    checkpoints.write(tmp_path / "cut", kept, journal)
    journal.close()
    with pytest.raises(fw.RecordingError, match="matrix is missing"):
        simulate(net, x, tmp_path / "cut", resume=True)


def test_a_memory_that_diverges_alone_names_its_first_step_and_trial():
    net = fw.FastWeightNetwork(
        1, 3, fw.Hebbian(tau=1e9, eta=1e37), inner_steps=0, form="dense", kernel="reference"
    )
    with torch.no_grad():
        net.C.fill_(1.0)
    x = torch.tensor([1.0, 2.0])[:, None, None].expand(2, 60, 1)
    with pytest.raises(fw.DivergedError, match="memory became NaN or infinite") as caught:
        fw.simulate(net, x, record=fw.Record("hidden", every=60))
    step = caught.value.step
    (_, state), (_, before) = net(x[:, : step + 1]), net(x[:, :step])
    assert state.memory.isfinite().flatten(1).all(1).tolist() == [True, False]
    assert bool(before.memory.isfinite().all())
    assert caught.value.trial == 1
    assert not bool(net(x)[1].memory[0].isfinite().all())  # the other one diverges later


def test_hidden_states_that_diverge_unseen_name_their_step():
    net = network({"tau": 100.0, "eta": 5.0}, normalise="none").float()
    x = 10 * inputs(time=60).float()
    with pytest.raises(fw.DivergedError) as one:
        fw.simulate(net, x)
    with pytest.raises(fw.DivergedError) as other:
        fw.simulate(net, x, record=fw.Record("memory", every=60))
    assert (one.value.step, one.value.trial) == (other.value.step, other.value.trial)

"""Where recordings are written: what is there is replaced once the new one is whole, or left alone."""

import json
import threading

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import RecordingError
from fwsim.recording import open_recording
from fwsim.recording.places import is_recording
from tests.engine.test_network import ONE, inputs, network
from tests.engine.test_resume import STEPS, StopError, interrupted, simulate


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 3 * 4 * 60)
    monkeypatch.setattr("fwsim.recording.folder.CHUNK_BYTES", 8000)
    monkeypatch.setattr("fwsim.recording.folder.PAUSE", 0)


def hidden_in(folder):
    return [each.name for each in folder.iterdir() if each.name.startswith(".")]


def test_a_recording_is_replaced_once_the_new_one_is_whole(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    old, _ = simulate(net, x, tmp_path / "run")
    seen = []

    def drive(start, stop):
        seen.append(open_recording(tmp_path / "run").attrs["inputs_sha256"])
        return 2 * x[:, start:stop]

    new = fw.simulate(net, drive, steps=STEPS, to=tmp_path / "run", overwrite=True)
    assert set(seen) == {old.attrs["inputs_sha256"]}
    np.testing.assert_array_equal(new.hidden, fw.simulate(net, 2 * x).hidden)
    assert not hidden_in(tmp_path)
    with pytest.raises(RecordingError, match=r"hidden.*(missing|replaced)"):
        old.hidden.load()


def test_a_run_that_fails_leaves_the_old_recording(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    old = simulate(net, x, tmp_path / "run")[0].load()
    with pytest.raises(StopError):
        simulate(net, x, tmp_path / "run", stop=30, overwrite=True)
    xr.testing.assert_identical(open_recording(tmp_path / "run").load(), old)
    assert not hidden_in(tmp_path)


def test_with_nothing_there_overwrite_writes_and_interrupted_runs_are_replaced_too(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    first = simulate(net, x, tmp_path / "run", overwrite=True)[0].load()
    interrupted(net, x, tmp_path / "cut")
    again, _ = simulate(net, x, tmp_path / "cut", overwrite=True)
    np.testing.assert_array_equal(again.hidden, first.hidden)


@pytest.mark.parametrize("kind", ["folder", "file", "link", "run", "zarr"])
def test_only_recordings_are_replaced(tmp_path, kind):
    net, x, path = network(ONE), inputs(time=5), tmp_path / "mine"
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        fw.simulate(net, x, to=tmp_path / "run")
        path.symlink_to(tmp_path / "run")
    else:
        path.mkdir()
        content = {"folder": "x", "run": json.dumps({"name": "npm"}), "zarr": json.dumps({"attributes": {}})}
        (path / ("zarr.json" if kind == "zarr" else "run.json")).write_text(content[kind])
    before = sorted((each, each.lstat().st_mtime_ns) for each in tmp_path.rglob("*"))
    with pytest.raises(RecordingError, match="is no recording by fwsim, so overwrite=True leaves it"):
        fw.simulate(net, x, to=path, overwrite=True)
    assert sorted((each, each.lstat().st_mtime_ns) for each in tmp_path.rglob("*")) == before


def test_a_replacement_that_was_killed_between_two_names_is_put_back(tmp_path):
    net, x, path = network(ONE), inputs(time=5), tmp_path / "run"
    old = fw.simulate(net, x, to=path).load()
    path.rename(tmp_path / f".run.{'0' * 32}.replaced")
    fw.simulate(net, 2 * x, to=tmp_path / "new").load()
    (tmp_path / "new").rename(tmp_path / f".run.{'1' * 32}.part")
    with pytest.raises(RecordingError, match="exists already"):
        fw.simulate(net, x, to=path)
    xr.testing.assert_identical(open_recording(path).load(), old)
    assert not hidden_in(tmp_path)


def test_one_run_at_a_time_writes_a_recording(tmp_path):
    net, x = network(ONE), inputs(time=STEPS)
    whole, _ = simulate(net, x, tmp_path / "whole")
    interrupted(net, x, tmp_path / "cut")
    reached, go_on = threading.Event(), threading.Event()

    def drive(start, stop):
        if start >= 40:
            reached.set()
            assert go_on.wait(30)
        return x[:, start:stop]

    options = {"record": ("hidden", "attention", fw.Record("memory", every=7)), "steps": STEPS}
    done = []
    first = threading.Thread(
        target=lambda: done.append(fw.simulate(net, drive, to=tmp_path / "cut", resume=True, **options))
    )
    first.start()
    try:
        assert reached.wait(30)
        for way in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(RecordingError, match="is being written by another run; wait for it"):
                simulate(net, x, tmp_path / "cut", **way)
    finally:
        go_on.set()
        first.join()
    second, _ = simulate(net, x, tmp_path / "cut", resume=True)
    for run in (*done, second):
        np.testing.assert_array_equal(run.hidden, whole.hidden)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing", "swapped", "metadata", "coordinate"])
def test_a_resumed_run_looks_at_the_chunks_before(tmp_path, damage):
    net, x = network(ONE), inputs(time=STEPS)
    interrupted(net, x, tmp_path / "cut")
    file = tmp_path / "cut" / "memory" / "c.0.0.0.0"
    file = {"metadata": file.with_name("zarr.json"), "coordinate": tmp_path / "cut" / "time" / "c.0"}.get(
        damage, file
    )
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:-3])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    elif damage == "swapped":
        file.write_bytes(file.with_name("c.0.1.0.0").read_bytes())
    else:
        file.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    before = sorted((each, each.stat().st_mtime_ns) for each in tmp_path.rglob("*"))
    with pytest.raises(RecordingError, match=r"is damaged|is missing"):
        simulate(net, x, tmp_path / "cut", resume=True)
    assert sorted((each, each.stat().st_mtime_ns) for each in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.clear() or kept.update(other=np.zeros(1)),
        lambda kept: kept.pop("elapsed"),
        lambda kept: kept.pop("count/memory"),
        lambda kept: kept.pop("state/hidden"),
        lambda kept: kept.update({"count/extra": np.array(1)}),
        lambda kept: kept.update({"begin/hidden": np.array([1, 2])}),
        lambda kept: kept.update({"begin/hidden": np.array(1)}),
        lambda kept: kept.update({"buffer/hidden": kept["buffer/hidden"][..., :-1]}),
        lambda kept: kept.update({"buffer/hidden": kept["buffer/hidden"].astype(np.float16)}),
        lambda kept: kept.update({"state/hidden": kept["state/hidden"][:1]}),
        lambda kept: kept.update({"state/history": kept["state/history"][..., 0]}),
        lambda kept: kept.update({"state/extra": np.zeros(1)}),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line(tmp_path, change):
    """As another version may have written it, with a digest that is right."""
    from fwsim.recording.digests import digest

    net, x = network(ONE, form="hybrid"), inputs(time=STEPS)
    interrupted(net, x, tmp_path / "cut")
    file = tmp_path / "cut" / "checkpoint.npz"
    with np.load(file) as stored:
        kept = dict(stored)
    change(kept)
    np.savez(file, **kept)
    for announced in (False, True):
        if announced:
            with (tmp_path / "cut" / "journal.sha256").open("a") as journal:
                journal.write(f"{digest(file.read_bytes())}  checkpoint.npz\n")
        with pytest.raises(RecordingError, match="delete it, and the run starts over") as caught:
            simulate(net, x, tmp_path / "cut", resume=True)
        assert "\n" not in str(caught.value)
    file.unlink()
    assert simulate(net, x, tmp_path / "cut", resume=True)[0].valid_steps == STEPS


def test_of_two_runs_that_begin_together_one_is_told_so(tmp_path, monkeypatch):
    net, x = network(ONE), inputs(time=5)
    make = fw.recording.folder.arrays.save

    def late(group, *given):
        if not (tmp_path / "run").exists():
            monkeypatch.setattr("fwsim.recording.folder.arrays.save", make)
            fw.simulate(net, x, to=tmp_path / "run", resume=True)
        make(group, *given)

    monkeypatch.setattr("fwsim.recording.folder.arrays.save", late)
    with pytest.raises(RecordingError, match="was begun by another run meanwhile; wait for it"):
        fw.simulate(net, x, to=tmp_path / "run", resume=True)
    assert open_recording(tmp_path / "run").valid_steps == 5
    assert not hidden_in(tmp_path)


def test_what_is_a_recording(tmp_path):
    fw.simulate(network(ONE), inputs(time=5), to=tmp_path / "run")
    assert is_recording(tmp_path / "run")
    (tmp_path / "run" / "zarr.json").write_bytes(b"damaged")
    assert is_recording(tmp_path / "run")
    assert not is_recording(tmp_path)
    assert not is_recording(tmp_path / "nothing")


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.numpy(),
        lambda x: x.numpy().astype(np.longdouble),
        lambda x: x.numpy()[:, ::-1][:, ::-1],
        lambda x: x.numpy().astype(">f8"),
        lambda x: x.tolist(),
        lambda x: xr.DataArray(x.numpy(), dims=("trial", "time", "input")),
        lambda x: xr.DataArray(x.numpy(), dims=("batch", "hidden_time", "unit")),
        lambda x: xr.DataArray(x.numpy()),
        lambda x: lambda start, stop: x.numpy()[:, start:stop],
    ],
)
def test_drives_of_every_form_give_the_same(form):
    net, x = network(ONE), inputs(time=6)
    given = form(x)
    options = {"steps": 6} if callable(given) else {}
    np.testing.assert_array_equal(fw.simulate(net, given, **options).hidden, fw.simulate(net, x).hidden)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_drives_of_every_dtype_are_converted(dtype):
    net = network(ONE).float()
    values = np.random.default_rng(0).integers(0, 2, (2, 5, 4)).astype(dtype)
    expected = fw.simulate(net, torch.from_numpy(values.astype(np.float32))).hidden
    for given in (values, torch.from_numpy(values)):
        np.testing.assert_array_equal(fw.simulate(net, given).hidden, expected)
    with pytest.raises(fw.ConfigError, match=r"too large for torch\.float32"):
        fw.simulate(net, np.full((1, 2, 4), 1e300))


@pytest.mark.parametrize("as_function", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (50, 1, 4), (1, 6, 1)])
def test_a_drive_that_repeats_numbers_is_converted_once(shape, as_function, monkeypatch):
    """An expanded tensor of a thousand trials would otherwise be written out and looked through in every block."""
    net = network(ONE)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    repeated, written_out = values.expand(50, 6, 4), values.double().expand(50, 6, 4).contiguous()
    expected = fw.simulate(net, written_out).hidden
    seen, to = [], torch.Tensor.to

    def converted(tensor, *how, **options):
        seen.append(tensor.numel())
        return to(tensor, *how, **options)

    monkeypatch.setattr(torch.Tensor, "to", converted)
    given = (lambda start, stop: repeated[:, start:stop]) if as_function else repeated
    np.testing.assert_array_equal(fw.simulate(net, given, steps=6).hidden, expected)
    assert max(seen) <= max(values.numel(), 6)  # the times of the steps are converted too


def test_repeated_numbers_are_checked():
    net = network(ONE).float()
    for bad, message in ((1e300, r"too large for torch\.float32"), (torch.nan, "NaN")):
        given = torch.full((1, 1, 1), bad, dtype=torch.float64).expand(2, 5, 4)
        with pytest.raises(fw.ConfigError, match=message):
            fw.simulate(net, given)
    half = torch.tensor([[[70_000]]]).expand(1, 2, 4)  # too large for float16, whose largest number is 65,504
    with pytest.raises(fw.ConfigError, match=r"too large for torch\.float16"):
        fw.simulate(network(ONE, kernel="reference").half(), half)


def test_a_table_is_one_trial():
    import pandas as pd

    net, x = network(ONE), inputs(time=6)[:1]
    run = fw.simulate(net, pd.DataFrame(x[0].numpy()))
    np.testing.assert_array_equal(run.hidden, fw.simulate(net, x).hidden)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: x.numpy()])
def test_a_function_may_fill_the_same_array_each_time(form, monkeypatch):
    """The network gets a copy, so that a block that is still at work when the next is asked for stays as it was."""
    net, x = network(ONE), inputs(time=STEPS)
    buffers, seen = {}, []
    run = type(net).run

    def noted(self, given, *rest, **options):
        seen.append(given)
        return run(self, given, *rest, **options)

    monkeypatch.setattr(type(net), "run", noted)

    def drive(start, stop):
        buffer = buffers.setdefault(stop - start, torch.empty_like(x[:, start:stop]))
        return form(buffer.copy_(x[:, start:stop]))

    np.testing.assert_array_equal(fw.simulate(net, drive, steps=STEPS).hidden, fw.simulate(net, x).hidden)
    assert torch.equal(torch.cat(seen[: len(seen) // 2], 1), x)


def test_a_recording_keeps_nothing_of_the_callers_arrays():
    net = fw.FastWeightNetwork(4, 5, fw.Hebbian(tau=[1.0, 9.0], eta=[0.3, 0.1]), learn=("tau",)).double()
    state = fw.State(torch.rand(2, 5).double(), torch.rand(2, 2, 5, 5).double())
    run = fw.simulate(net, steps=0, state=state, record=["hidden", "memory"])
    before = run.copy(deep=True)
    state.hidden.zero_()
    state.memory.zero_()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    xr.testing.assert_identical(run, before)

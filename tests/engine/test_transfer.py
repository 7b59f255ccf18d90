"""Blocks that arrive one late make the same recording, and the same errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import fwsim as fw
from fwsim.engine.observer import Block, at
from fwsim.engine.transfer import arriving, one_late
from fwsim.models import LSTM
from fwsim.recording import first_difference
from tests.engine.test_network import ONE, inputs, network
from tests.engine.test_rate_graph import network as rate_network

STEPS = 60


def block(number, **changes):
    return replace(Block({}, torch.tensor(True), lambda: None, number, {}), **changes)


def on_its_way(block):
    """What a stream and pinned memory do, on the CPU: the numbers leave at once, and count when they arrive."""
    samples = {name: values.clone() for name, values in block.samples.items()}
    block.samples.clear()
    return lambda: replace(block, samples=samples)


@pytest.fixture
def late(monkeypatch):
    """Blocks of few steps that arrive one late."""
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 3 * 4 * 60)
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 3 * 4 * 60)
    monkeypatch.setattr("fwsim.recording.folder.CHUNK_BYTES", 8000)
    monkeypatch.setattr("fwsim.recording.folder.PAUSE", 0)
    return lambda: monkeypatch.setattr(
        "fwsim.engine.simulation.arriving", lambda blocks, device: one_late(blocks, on_its_way)
    )


def logged(fails_at=None):
    events = []

    def computed():
        for number in range(3):
            if number == fails_at:
                raise KeyboardInterrupt
            events.append(f"compute {number}")
            yield block(number)

    def send(block):
        events.append(f"send {block.steps}")
        return lambda: events.append(f"wait {block.steps}") or block

    def run():
        for block in one_late(computed(), send):
            events.append(f"write {block.steps}")

    return events, run


def test_a_block_is_written_while_the_next_one_is_computed():
    events, run = logged()
    run()
    assert events == [
        "compute 0", "send 0", "compute 1", "send 1", "wait 0", "write 0",
        "compute 2", "send 2", "wait 1", "write 1", "wait 2", "write 2",
    ]  # fmt: skip


def test_what_was_computed_before_a_failure_is_written():
    events, run = logged(fails_at=2)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert [event for event in events if event.startswith("write")] == ["write 0", "write 1"]


def test_on_a_cpu_nothing_is_delayed():
    blocks = iter([block(0)])
    assert arriving(blocks, torch.device("cpu")) is blocks


@pytest.mark.parametrize("steps", [range(0), range(3, 2, 7), range(0, 9), range(2, 9, 3), range(8, 9)])
def test_samples_at_their_steps(steps):
    values = torch.arange(18.0).reshape(2, 9)
    assert torch.equal(at(values, steps), values[:, list(steps)])


def fast_weights():
    return (
        network(ONE, form="hybrid"),
        inputs(time=STEPS),
        ("hidden", "attention", fw.Record("memory", every=7)),
    )


def rates():
    return rate_network(), torch.randn(3, STEPS, 6), ("rate", "u", fw.Record("memory", every=7))


def lstm():
    return LSTM(3, 4), inputs(time=STEPS)[..., :3].float(), ("hidden",)


@pytest.mark.parametrize("make", [fast_weights, rates, lstm])
def test_the_recording_is_the_same(tmp_path, late, make):
    net, x, record = make()
    expected = fw.simulate(net, x, record=record)
    late()
    assert first_difference(expected, fw.simulate(net, x, record=record)) is None
    assert first_difference(expected, fw.simulate(net, x, record=record, to=tmp_path / "run")) is None


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, late):
    net, x, record = fast_weights()
    whole = fw.simulate(net, x, record=record)
    late()
    stop = STEPS // 2

    def drive(start, end):
        if start >= stop:
            raise KeyboardInterrupt
        return x[:, start:end]

    options = {"record": record, "steps": STEPS, "to": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        fw.simulate(net, drive, **options)
    stop = STEPS + 1
    resumed = fw.simulate(net, drive, **options, resume=True)
    assert first_difference(whole, resumed) is None


def test_a_run_that_diverges_says_so_one_late_and_keeps_what_was_finite(tmp_path, late):
    net = network({"tau": 100.0, "eta": 5.0}, normalise="none").float()
    x = 10 * inputs(time=STEPS).float()
    x[:, :45] = 0  # what diverges does so within a few steps
    with torch.no_grad():
        net.b.zero_()
    caught = []
    for name in ("now", "late"):
        with pytest.raises(fw.DivergedError) as error:
            fw.simulate(net, x, to=tmp_path / name)
        caught.append((error.value.step, error.value.trial, str(error.value)))
        late()
    assert caught[0] == caught[1]
    assert caught[0][0] > 45
    kept = [fw.open_recording(tmp_path / name) for name in ("now", "late")]
    assert kept[0].sizes["time"] == kept[1].sizes["time"] > 0
    assert first_difference(kept[0], kept[1]) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("make", [fast_weights, rates, lstm])
def test_what_comes_from_a_gpu_does_not_depend_on_the_blocks(monkeypatch, make):
    net, x, record = make()
    whole = fw.simulate(net, x, record=record, device="cuda")
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 3 * 4 * 60)
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 3 * 4 * 60)
    blocks = fw.simulate(net, x, record=record, device="cuda")
    for name in whole.data_vars:
        torch.testing.assert_close(torch.tensor(blocks[name].values), torch.tensor(whole[name].values))

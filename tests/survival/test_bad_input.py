"""Whatever is typed or lies in a file gives a result or one clear line, soon, and a failure changes nothing on disk."""

import gzip
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import fwsim as fw
from fwsim import cli, study
from fwsim.errors import FwsimError
from fwsim.fitting import gather, read_table
from fwsim.spiking import read_spikes
from fwsim.tasks import read_idx
from fwsim.training import Training, train

SECONDS = 10  # that an answer may take on a busy machine

VALUES = [
    "-1",
    "0",
    "2",
    "1e400",
    "nan",
    "3mV",
    "100ms",
    "",
    "é",
    "a" * 300,
    "{}",
    "[1",
    "--",
    "-",
    "\t",
    "1,2",
    "=",
    "$x",
    "%s",
]
OPTIONS = [
    "--tau",
    "--taus",
    "--steps",
    "--order",
    "--offset",
    "--seed",
    "--device",
    "--config",
    "--quick",
    "--nonsense",
]
COMMANDS = [
    ["run", "trace", "--no-analyse"],
    ["run", "--again"],
    ["sweep", "trace", "--quick", "--workers", "1", "--over"],
    ["resume"],
    ["analyse"],
    ["checksum"],
    ["new"],
    ["fit"],
    [],
]
TYPED = st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), max_size=8)
WORDS = st.one_of(st.sampled_from(OPTIONS), st.sampled_from(VALUES), TYPED)
LINES = st.tuples(st.sampled_from(COMMANDS), st.lists(WORDS, max_size=4)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def damaged(good):
    """Contents of a file: damaged somewhere, or anything."""
    junk = st.one_of(
        st.binary(max_size=8), st.sampled_from([b"1e999", b"-1", b"null", b"\xff", b"9" * 20, b",,", b"\n"])
    )
    places = st.tuples(st.integers(0, len(good)), st.integers(0, 40), junk)
    return st.one_of(
        places.map(lambda p: good[: p[0]] + p[2] + good[p[0] + p[1] :]), st.binary(max_size=200), st.just(b"")
    )


EXAMPLES = [1, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


@pytest.fixture(params=EXAMPLES)
def fuzz(request, record_property):
    """Try a check on many inputs, and report how many there were."""

    def run(check, inputs, number):
        tried = 0

        @settings(
            max_examples=number * request.param,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(inputs)
        def attempt(value):
            nonlocal tried
            tried += 1
            began = time.monotonic()
            check(value)
            assert time.monotonic() - began < SECONDS

        attempt()
        record_property("inputs tried", tried)

    return run


def tree(folder):
    return {entry: entry.stat().st_mtime_ns for entry in folder.rglob("*")}


def refused(call):
    """Message of the error of fwsim that a call raises, if it raises one; it is one line."""
    try:
        call()
        said = ""
    except FwsimError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 2000
    return said


def test_command_line(fuzz, toy, capfd):
    def check(tokens):
        before = tree(toy)
        with pytest.raises(SystemExit) as caught:
            cli.main(tokens)
        _, err = capfd.readouterr()
        assert caught.value.code in (0, 1, 2)
        if caught.value.code:
            assert err.startswith("fwsim: ")
            assert err.count("\n") == 1
            assert "unexpected" not in err
            assert tree(toy) == before

    fuzz(check, LINES, 100)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("given.toml", b'steps = 3\ntau = "200 ms"\ntaus = [0.5, 10.0]\n'),
        ("given.json", b'{"steps": 3, "order": 1}'),
    ],
)
def test_configuration_files(fuzz, toy, capfd, name, good):
    def check(content):
        (toy / name).write_bytes(content)
        before = tree(toy)
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", "trace", "--config", name, "--no-analyse", "--steps", "2"])
        _, err = capfd.readouterr()
        assert caught.value.code in (0, 2)
        if caught.value.code:
            assert err.startswith("fwsim: ")
            assert err.count("\n") == 1
            assert tree(toy) == before

    fuzz(check, damaged(good), 60)


def test_manifests_of_runs(fuzz, toy, capfd):
    study.run("trace", {"steps": 2}, folder="runs/bad")
    path = toy / "runs" / "bad" / "run.json"
    good = path.read_bytes()

    def check(content):
        path.write_bytes(content)
        before = tree(toy)
        for command in (["list"], ["checksum", "bad"], ["resume", "bad"], ["compare", "bad"]):
            with pytest.raises(SystemExit) as caught:
                cli.main(command)
            _, err = capfd.readouterr()
            assert caught.value.code in (0, 1, 2)
            assert err.count("\n") <= 1
            assert "unexpected" not in err
        assert tree(toy) == before

    fuzz(check, damaged(good), 15)


RESPONSES = b"protocol,sweep,pulse,time_s,amplitude\n" + b"".join(
    b"20 Hz,%d,%d,%.2f,%.3f\n" % (sweep, pulse, 0.05 * pulse, 1 + 0.1 * pulse + 0.01 * sweep)
    for sweep in range(3)
    for pulse in range(5)
)
SPIKES = b"unit,time_s,trial\n1,0.1,0\n2,0.2,0\n1,0.35,1\n"


def test_tables_of_responses(fuzz, tmp_path):
    def check(content):
        (tmp_path / "table.csv").write_bytes(content)
        refused(lambda: gather(read_table([tmp_path / "table.csv"])))

    assert not refused(lambda: check(RESPONSES))
    fuzz(check, damaged(RESPONSES), 150)


def test_tables_of_spikes(fuzz, tmp_path):
    def check(content):
        (tmp_path / "spikes.csv").write_bytes(content)
        refused(lambda: read_spikes(tmp_path / "spikes.csv"))

    fuzz(check, damaged(SPIKES), 150)


def test_idx_files(fuzz, tmp_path):
    def check(content):
        (tmp_path / "images").write_bytes(content)
        refused(lambda: read_idx(tmp_path / "images"))

    good = b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03abcdef"
    assert not refused(lambda: check(good))
    fuzz(check, damaged(good), 100)
    fuzz(check, damaged(gzip.compress(good, mtime=0)), 100)


def test_checkpoints_of_training(fuzz, tmp_path):
    x = torch.ones(4, 2)

    def go(epochs, resume):
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        objective = lambda model, batch: model(batch).square().mean()  # noqa: E731
        train(
            model, objective, lambda epoch: [x], 1, lambda model: objective(model, x).item(), Training(epochs),
            checkpoints=tmp_path, resume=resume,
        )  # fmt: skip

    go(1, False)
    good = (tmp_path / "last.pt").read_bytes()

    def check(content):
        (tmp_path / "last.pt").write_bytes(content)
        if refused(lambda: go(1, True)):
            assert (tmp_path / "last.pt").read_bytes() == content

    fuzz(check, damaged(good), 40)


def test_checkpoints_of_recordings(fuzz, tmp_path, monkeypatch):
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 60)
    monkeypatch.setattr("fwsim.recording.folder.PAUSE", 0)
    net = fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=9.0, eta=0.3), kernel="reference")

    def drive(start, stop):
        if start > 20:
            raise KeyboardInterrupt
        return torch.ones(1, stop - start, 2)

    with pytest.raises(KeyboardInterrupt):
        fw.simulate(net, drive, steps=40, to=tmp_path / "run.zarr")
    good = (tmp_path / "run.zarr" / "checkpoint.npz").read_bytes()

    def check(content):
        if content == good:
            return
        (tmp_path / "run.zarr" / "checkpoint.npz").write_bytes(content)
        try:
            said = refused(lambda: fw.simulate(net, drive, steps=40, to=tmp_path / "run.zarr", resume=True))
        except KeyboardInterrupt:  # the damage was in what nobody reads, and the run went on
            return
        assert "checkpoint.npz is damaged" in said

    fuzz(check, damaged(good), 60)

"""Folders that somebody made on purpose: nothing in them is executed, waited for, unpacked without bound, or lost."""

import json
import os
import pickle
import shutil

import numcodecs
import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.recording import digests, open_recording
from fwsim.study import Run, manifest, run, signatures
from tests.survival.fuzzing import OTHERS, Watch, bounded_addresses, fresh, tree
from tests.survival.test_recordings import resealed

COMMANDS = [
    ["checksum", "here"],
    ["report", "here"],
    ["analyse", "here"],
    ["compare", "here"],
    ["run", "--again", "here"],
    ["list"],
]


@pytest.fixture(autouse=True)
def bounded():
    """A fault fills no memory but that of this process."""
    with bounded_addresses():
        yield


@pytest.fixture
def here(toy):
    """Folder of a finished run."""
    return run("trace", {"steps": 3}, folder="here").folder


def believed(here):
    """Let a run's folder say that it is as the run left it, whatever is there now."""
    resealed(here / "recording.zarr")
    entries = manifest.read(here)
    from fwsim.study import digests as of_run

    manifest.write(here, {**entries, "digests": of_run.write(here).digest})


def silent(watch):
    assert not [each for found in watch.faults.values() for each in found]


class Payload:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return open, ("unpickled", "w")


def old_store(folder):
    """A store of Zarr format 2 whose only chunk would be unpickled, written by hand."""
    (folder / "trace").mkdir(parents=True)
    attributes = {
        "fwsim_schema": 1,
        "experiment_configuration": "{}",
        "steps": 1,
        "dt": 1.0,
        "wall_time": 0.0,
    }
    array = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None,
        "order": "C", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text(json.dumps(attributes))
    (folder / "trace" / ".zarray").write_text(json.dumps(array))
    (folder / "trace" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["time"]}')
    (folder / "trace" / "0").write_bytes(pickle.dumps(np.array([Payload()], object)))


@pytest.mark.parametrize("state", ["finished", "interrupted", "of the first format"])
@pytest.mark.parametrize("beside", [False, True])
def test_stores_of_format_2_are_refused_before_anything_is_decoded(toy, here, monkeypatch, state, beside):
    decoded = []
    monkeypatch.setattr(numcodecs.Pickle, "decode", lambda *given, **_: decoded.append(given))
    store = here / "recording.zarr"
    if not beside:  # else the files of format 2 lie beside those of format 3, which zarr may prefer
        shutil.rmtree(store)
        old_store(store)
    else:
        draft = toy / "old"
        old_store(draft)
        shutil.copytree(draft, store, dirs_exist_ok=True)
    entries = manifest.read(here)
    if state == "finished":
        believed(here)
    elif state == "interrupted":
        manifest.write(here, {**entries, "state": "interrupted", "digests": None})
    else:
        plain = {
            name: value for name, value in entries.items() if name not in ("digests", "sha256", "signature")
        }
        (here / "run.json").write_text(json.dumps({**plain, "fwsim_run": 1}))
    watch = Watch()
    watch.call(lambda: open_recording(store).load())
    watch.call(lambda: Run(here).recording.load())
    for tokens in COMMANDS:
        watch.command(tokens)
    silent(watch)
    assert not decoded
    assert not (toy / "unpickled").exists()
    if not beside:
        assert watch.call(lambda: open_recording(store)).refused


PLACES = ["recording.zarr/trace/c.0", "recording.zarr/zarr.json", "recording.zarr/digests/zarr.json", "digests.json",
          "run.json", "experiment.py", "analysis.py"]  # fmt: skip
KINDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a secret": lambda path: path.symlink_to(OTHERS),
    "folder": os.mkdir,
}


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_at_once(toy, here, kind, every):
    """By half of the commands: each comes with every kind and with every place; the slow tests have all."""
    watch = Watch()
    for number, place in enumerate(PLACES, list(KINDS).index(kind)):
        file = fresh(toy / "here", toy / "there") / place
        file.unlink(missing_ok=True)
        KINDS[kind](file)
        for tokens in COMMANDS if every else COMMANDS[number % 2 :: 2]:
            watch.about = f"{kind} for {place}"
            tokens = [each.replace("here", "there") for each in tokens]
            said = watch.command([*tokens, "--trust"] if tokens[0] not in ("checksum", "list") else tokens)
            if tokens[0] == "checksum":
                assert said.refused, watch.about
            assert "Linux version" not in str(said)
        watch.call(lambda: Run("there").recording.load())
    silent(watch)


def packed_zeros(size, says=None):
    """Chunk of zeros that takes a thousandth of its size, with its checksum; its header may say another size."""
    content = bytearray(numcodecs.Blosc(cname="zstd", clevel=9).encode(np.zeros(size, np.uint8)))
    content[4:8] = (says or size).to_bytes(4, "little")
    return numcodecs.CRC32C(location="end").encode(bytes(content)).tobytes()


@pytest.mark.parametrize("says", [None, 800, 2**31 - 1])
def test_chunks_that_unpack_to_more_than_they_declare_are_not_unpacked(toy, says):
    """In a store whose digests are right; the header of the chunk says what it unpacks to, or something else."""
    fw.recording.whole.write_recording(xr.Dataset({"noise": ("time", np.zeros(100))}), toy / "store")
    chunk = next((toy / "store" / "noise").glob("c.*"))
    bomb = packed_zeros(2**28, says)
    assert len(bomb) < 2**20
    watch = Watch(bytes=2**26)
    chunk.write_bytes(bomb)
    resealed(toy / "store")
    assert watch.call(lambda: open_recording(toy / "store").load(), toy).refused
    silent(watch)


@pytest.mark.parametrize("shape", [[10**12], [2**63], [10**400]])
def test_sizes_that_are_only_declared_take_no_memory(here, shape):
    for name in ("trace", "label", "time"):
        file = here / "recording.zarr" / name / "zarr.json"
        content = json.loads(file.read_text())
        for chunks in ([20], shape):
            content["shape"], content["chunk_grid"]["configuration"]["chunk_shape"] = shape, chunks
            file.write_text(json.dumps(content))
            resealed(here / "recording.zarr")
            watch = Watch()
            assert watch.call(lambda: open_recording(here / "recording.zarr").load()).refused
            silent(watch)


@pytest.mark.parametrize(
    "content", ['{"name": "npm"}', "[]", "{}", '{"fwsim_run": 2}', '{"fwsim_run": 1, "state": "x"}']
)
def test_folders_with_a_run_json_of_others_are_not_replaced(toy, content):
    precious = toy / "precious"
    precious.mkdir()
    (precious / "data.txt").write_text("years of work")
    (precious / "run.json").write_text(content)
    watch, before = Watch(), tree(precious)
    for tokens in (
        ["run", "trace", "--steps", "2", "--no-analyse"],
        ["run", "trace", "--quick", "--no-analyse"],
        ["sweep", "leak", "--quick", "--workers", "1", "--over", "tau=1:2:lin2"],
    ):
        assert watch.command([*tokens, "--to", "precious", "--force"], toy).refused
    silent(watch)
    assert tree(precious) == before


def test_code_of_a_run_that_was_changed_is_not_executed(toy, here):
    for name in ("experiment.py", "analysis.py"):
        work = fresh(toy / "here", toy / "there")
        (work / name).write_text((work / name).read_text() + "\nopen('executed', 'w')\n")
        believed(work)
        watch = Watch()
        for tokens in COMMANDS[1:5]:
            watch.command([each.replace("here", "there") for each in tokens])
        silent(watch)
        assert not (toy / "executed").exists()


def test_a_key_of_others_signs_nothing(here, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("other")))
    assert not manifest.is_own(here, manifest.read(here))
    assert signatures.key_path().exists()


def test_nothing_compressed_is_read_as_a_checkpoint(toy):
    """zip knows deflate, whose content may be a thousand times as long."""
    from fwsim.recording import checkpoints
    from fwsim.recording.checkpoints import FILE

    (toy / "store").mkdir()
    content = {"a": np.zeros(2**24, np.uint8)}
    np.savez_compressed(toy / "store" / FILE, **content)
    allowed = digests.digest((toy / "store" / FILE).read_bytes())
    watch = Watch()
    assert "is compressed" in watch.call(lambda: checkpoints.read(toy / "store", (allowed,))).refused
    silent(watch)

"""A finished run is as it was left, or says what is not."""

import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr

from fwsim.errors import ConfigError, FwsimError, RecordingError
from fwsim.recording import checksums
from fwsim.study import again, analyse, compare, manifest, results, run, write_report
from fwsim.study.integrity import damage
from tests.study.test_execute import write_experiment
from tests.survival.fuzzing import ctrl_c, flipped, loaded


@pytest.fixture
def done(toy):
    found = run("trace", {"steps": 3}, folder="here")
    analyse(found)
    return found


def flip(path, bit):
    path.write_bytes(flipped(path.read_bytes(), bit))


def files(folder):
    return sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.endswith(".lock"))


FLIPS = [1, pytest.param(20, marks=pytest.mark.slow)]


@pytest.mark.parametrize("flips", FLIPS)
def test_no_flip_of_a_bit_goes_unnoticed(fwsim, done, flips, record_property):
    whole, random, tried = checksums(done.recording), np.random.default_rng(flips), 0
    for path in files(done.folder):
        before = path.read_bytes()
        for _ in range(flips if before else 0):
            flip(path, int(random.integers(8 * len(before))))
            if path.name in ("run.json", "digests.json") and loaded(before) == loaded(path.read_bytes()):
                path.write_bytes(before)  # a blank became another one
                continue
            tried += 1
            code, out, err = fwsim("checksum", "here")
            assert code, path
            assert err.count("\n") == 1
            assert path.name in out + err
            try:
                found = checksums(done.recording)
            except FwsimError:
                found = whole
            assert found == whole
            path.write_bytes(before)
    assert fwsim("checksum", "here")[0] == 0
    record_property("flips tried", tried)


def test_checksum_names_what_differs_is_missing_or_is_extra(fwsim, done):
    code, values, _ = fwsim("checksum", "here")
    assert code == 0
    assert {line.split()[1] for line in values.splitlines()} == set(done.recording.variables)
    (done.folder / "analysis.py").write_text("changed")
    (done.recording_path / "noise" / "c.0").unlink()
    flip(done.recording_path / "trace" / "c.0", 9)
    (done.recording_path / "trace" / "c.1").touch()
    (done.folder / "results" / "table.csv").unlink()
    (done.folder / "checkpoints" / "more").touch()
    code, out, err = fwsim("checksum", "here")
    assert code == 1
    assert out.splitlines() == [
        "analysis.py differs",
        "checkpoints/more is extra",
        "recording.zarr/noise/c.0 is missing",
        "recording.zarr/trace/c.0 differs",
        "recording.zarr/trace/c.1 is extra",
        "results/table.csv is missing",
    ]
    assert err == "fwsim: here: 6 files are not as the run left it; restore from a copy, or run again\n"


@pytest.mark.parametrize("name", ["results", "results-old", "agreement"])
def test_checksum_looks_at_every_analysis(fwsim, done, name):
    folder = done.folder / name
    if name != "results":
        shutil.copytree(done.folder / "results", folder)
    assert fwsim("checksum", "here")[0] == 0
    (folder / "table.csv").unlink()
    code, out, _ = fwsim("checksum", "here")
    assert (code, out) == (1, f"{name}/table.csv is missing\n")


def test_an_analysis_of_another_run_is_not_shown(toy, done):
    other = run("trace", {"steps": 4}, folder="other")
    analyse(other)
    shutil.copytree(other.folder / "results", done.folder / "results-old")
    assert results.damage(other.folder / "results", other.manifest["digests"]) is None
    assert "old is of another state of the run" in results.damage(
        done.folder / "results-old", done.manifest["digests"]
    )
    assert "is of another state of the run); analyse again." in write_report(done).read_text()


def test_repetitions_print_the_same(fwsim, toy):
    write_experiment(
        toy,
        "import time\nreturn xr.Dataset({'x': 1.0, 'epoch_time': ((), time.time(), {'long_name': 'wall time of it'})})",
    )
    printed = [
        fwsim("run", "made", "--no-analyse", "--to", name) and fwsim("checksum", name)[1] for name in "ab"
    ]
    assert printed[0] == printed[1]
    assert printed[0].endswith("  x\n")


@pytest.mark.parametrize("use", [analyse, again])
def test_what_was_recorded_is_checked_when_it_is_used(toy, done, use):
    chunks = [done.recording_path / name / "c.0" for name in ("trace", "noise")]
    contents = [chunk.read_bytes() for chunk in chunks]
    for chunk, content in zip(chunks, reversed(contents)):
        chunk.write_bytes(content)  # each is whole, and in the place of the other
    with pytest.raises(RecordingError, match=r"recording\.zarr/(trace|noise) is damaged.*c\.0"):
        use("here")


@pytest.mark.parametrize("use", [analyse, again, write_report])
def test_another_recording_in_its_place_is_noticed(toy, done, use):
    other = run("trace", {"steps": 3}, seed=1, folder="other")
    shutil.rmtree(done.recording_path)
    shutil.copytree(other.recording_path, done.recording_path)
    with pytest.raises(RecordingError, match=r"here is not as the run left it: recording\.zarr/digests/zarr"):
        use("here")
    shutil.rmtree(done.recording_path)
    done.recording_path.symlink_to(other.recording_path.absolute())
    with pytest.raises(RecordingError, match="here is not as the run left it"):
        use("here")


def test_what_is_added_to_a_recording_is_no_part_of_it(done):
    whole = set(done.recording.variables)
    shutil.copytree(done.recording_path / "trace", done.recording_path / "more")
    assert set(done.recording.variables) == whole
    assert [each for each in damage(done) if each.startswith("recording.zarr/more/")]


def test_links_pipes_and_devices_are_no_chunks(done):
    chunk = done.recording_path / "trace" / "c.0"
    for replace in (
        lambda: chunk.symlink_to("/dev/zero"),
        lambda: os.mkfifo(chunk),
        lambda: chunk.mkdir(),
        lambda: chunk.symlink_to(done.recording_path / "noise" / "c.0"),
    ):
        chunk.rmdir() if chunk.is_dir() else chunk.unlink()
        replace()
        with pytest.raises(RecordingError, match=r"recording\.zarr/trace"):
            done.recording.load()
        assert damage(done)


def test_runs_of_older_versions_have_no_digests(done):
    entries = {**done.manifest, "fwsim_run": 1}
    for name in ("sha256", "signature", "digests", "analysis_sha256"):
        del entries[name]
    (done.folder / "run.json").write_text(json.dumps(entries))
    (done.folder / "digests.json").unlink()
    assert done.state == "finished"
    assert done.recording.sizes["time"] == 3
    with pytest.raises(ConfigError, match=r"older fwsim.*--trust"):
        analyse(done)
    assert analyse(done, trust=True).table is not None


def test_the_list_of_digests_cannot_be_left_out_or_exchanged(toy, done):
    other = run("trace", {"steps": 4}, folder="other")
    shutil.copy(other.folder / "digests.json", done.folder / "digests.json")
    with pytest.raises(RecordingError, match=r"digests.json differs"):
        _ = done.recording
    (done.folder / "digests.json").unlink()
    with pytest.raises(RecordingError, match=r"digests.json is damaged: No such file"):
        _ = done.recording


def test_an_analysis_is_whole_or_absent(toy, done, monkeypatch):
    folder, of = done.folder / "results", done.manifest["digests"]
    assert results.damage(folder, of) is None
    (folder / "mine.txt").write_text("a note")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    for place in ("fwsim.study.analysis.save_figure", "fwsim.study.digests.write"):
        with monkeypatch.context() as patch:
            patch.setattr(place, ctrl_c)
            with pytest.raises(KeyboardInterrupt):
                analyse(done)
        assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert not list(done.folder.glob(".results.*.part"))
    analyse(done)
    assert (folder / "mine.txt").read_text() == "a note"


def test_an_analysis_that_cannot_take_the_place_of_the_old_one_leaves_it(toy, done, monkeypatch):
    """Ctrl-C between the two renamings."""
    folder, rename = done.folder / "results", os.rename
    before = {each.name: each.read_bytes() for each in folder.iterdir()}

    def stop(source, target):
        if source.name.endswith(".new.part"):
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            analyse(done)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert not list(done.folder.glob(".results.*.part"))


def test_a_report_notices_an_analysis_that_is_not_whole(toy, done):
    (done.folder / "results" / "trace.svg").unlink()
    assert "trace.svg is missing" in results.damage(done.folder / "results", done.manifest["digests"])
    page = write_report(done)
    assert "<svg" in page.read_text()
    assert (done.folder / "results" / "trace.svg").exists()
    shutil.copytree(done.folder / "results", done.folder / "results-old")
    listed = done.folder / "results-old" / "digests.json"
    listed.write_text(listed.read_text().replace(done.manifest["digests"], "0" * 64))
    assert "damaged" in results.damage(done.folder / "results-old", done.manifest["digests"])
    assert "It is not shown, since it is not whole (" in write_report(done).read_text()


@pytest.mark.parametrize("name", ["../escaped", "a/b", ".hidden", ""])
def test_names_of_figures_stay_in_their_folder(toy, done, name):
    (toy / "analysis" / "other.py").write_text(
        "import xarray as xr\nfrom matplotlib.figure import Figure\n"
        f"def analyse(recording): return xr.Dataset()\ndef plot(result): return {{{name!r}: Figure()}}"
    )
    with pytest.raises(ConfigError, match="cannot be stored"):
        analyse(done, "other")
    assert not list(toy.rglob("escaped*"))
    assert not (done.folder / "results-other").exists()


def test_nothing_is_written_through_a_link(toy, done):
    (toy / "victim").write_text("precious")
    (toy / "away").mkdir()
    for name in ("report.html", "run.json.part", ".run.json.part"):
        (done.folder / name).unlink(missing_ok=True)
        (done.folder / name).symlink_to(toy / "victim")
    write_report(done)
    done.update(error=None)
    (toy / "analysis" / "mine.py").symlink_to(toy / "dangling")
    from fwsim.study.files import copy_pair

    with pytest.raises(ConfigError, match="exists already"):
        copy_pair("mine", "trace")
    shutil.rmtree(done.folder / "results")
    (done.folder / "results").symlink_to(toy / "away")
    with pytest.raises(RecordingError, match="results is a link"):
        analyse(done)
    write_experiment(
        toy, "(context.folder / 'tables').symlink_to('../away')\ncontext.save_table('t', [{'a': 1}])"
    )
    with pytest.raises(RecordingError, match="tables is a link"):
        run("made", folder="links")
    assert (toy / "victim").read_text() == "precious"
    assert not (toy / "dangling").exists()
    assert not list((toy / "away").iterdir())


def test_names_that_other_libraries_expand(toy):
    for name in ("~", "memory:", "x#y?z*"):
        done = run("trace", {"steps": 2}, folder=toy / name / "here")
        assert done.recording.sizes["time"] == 2
        assert (toy / name / "here" / "recording.zarr" / "zarr.json").is_file()
    assert xr.open_zarr(toy / "~" / "here" / "recording.zarr", consolidated=False).sizes["time"] == 2


def entries_of(done):
    return json.loads((done.folder / "run.json").read_text())


def _refused(use):
    try:
        use()
    except FwsimError as error:
        return str(error)
    return ""


BROKEN = [None, 0, -1, 1e400, "", "x", [], {}, True, "../../up", [[]], 10**400]


@pytest.mark.parametrize("sealed", [False, True])
def test_manifests_with_wrong_fields(toy, done, sealed):
    whole = entries_of(done)
    for name in whole:
        for value in ("missing", *BROKEN):
            entries = {key: each for key, each in whole.items() if key != name or value != "missing"}
            if value != "missing":
                entries[name] = value
            if sealed:
                entries["sha256"] = manifest.digest(entries)
            (done.folder / "run.json").write_text(json.dumps(entries))
            for use in (
                lambda: done.state,
                lambda: done.recording,
                lambda: again(done),
                lambda: compare(done),
            ):
                said = _refused(use)
                assert "\n" not in said
                assert len(said) < 1000


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('{"fwsim_run": 2, "seed": ' + "9" * 5000 + "}"),
        lambda path: path.write_text(
            '{"fwsim_run": 2, "configuration": ' + '{"a":' * 50_000 + "1" + "}" * 50_001
        ),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("null"),
        lambda path: os.mkfifo(path),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("gone"),
        lambda path: path.symlink_to("../good/run.json"),
    ],
)
def test_manifests_that_are_none(fwsim, toy, make):
    run("trace", {"steps": 2}, folder="runs/good")
    shutil.copytree("runs/good", "runs/bad")
    (toy / "runs" / "bad" / "run.json").unlink()
    make(toy / "runs" / "bad" / "run.json")
    for command in (
        ["report"],
        ["resume"],
        ["analyse"],
        ["checksum"],
        ["run", "--again"],
        ["compare"],
        ["explore"],
    ):
        code, _, err = fwsim(*command, "runs/bad")
        assert code in (1, 2)
        assert err.startswith("fwsim: ")
        assert err.count("\n") == 1
        assert "unexpected" not in err
    code, out, _ = fwsim("list")
    assert code == 0
    assert "finished" in out
    assert "damaged" in out
    with pytest.raises(ConfigError):
        run("trace", {"steps": 2}, folder="runs/bad", force=True)

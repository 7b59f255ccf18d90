"""Nothing that happens to the files of a recording changes a value without a word."""

import contextlib
import itertools
import json
import os
import pickle
import shutil
import stat

import numcodecs
import numpy as np
import pytest
import torch
import xarray as xr
import zarr

import fwsim as fw
from fwsim import ConfigError, RecordingError
from fwsim.recording import open_recording
from fwsim.recording.digests import listed_digests
from fwsim.recording.whole import complete, write_recording
from tests.recording.runs import record

STREAMED, WHOLE = "streamed", "whole"


def made():
    """What an experiment may return: numbers, texts, truth values, times, complex numbers, coordinates of all kinds."""
    days = np.datetime64("2020-01-01") + np.arange(3)
    return xr.Dataset(
        {
            "activity": (("trial", "x"), np.random.default_rng(0).standard_normal((4, 3)), {"units": "Hz"}),
            "name": ("x", np.array(["a", "bcd", ""])),
            "word": ((), "é"),
            "hit": ("x", [True, False, True]),
            "day": ("x", days.astype("M8[ns]")),
            "span": ("x", (days - days[0]).astype("m8[ns]")),
            "wave": ("x", np.exp(1j * np.arange(3))),
            "few": ((), np.int8(-3)),
            "none": (("trial", "empty"), np.zeros((4, 0))),
        },
        {"x": [0.5, 1.0, 2.0], "label": ("x", ["p", "q", "r"]), "place": ("x", [3, 1, 2])},
        {"number": np.float64(3), "list": [1, 2], "text": "t"},
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fwsim.recording.folder.CHUNK_BYTES", 1500)
        record(folder / STREAMED, steps=100)
        write_recording(made(), folder / WHOLE)
    return folder


@pytest.fixture(params=[STREAMED, WHOLE])
def copy(request, stores, tmp_path):
    return shutil.copytree(stores / request.param, tmp_path / "run.zarr")


def test_a_whole_recording_comes_back_as_it_was(stores):
    back = open_recording(stores / WHOLE)
    expected = made()
    assert set(back.coords) == set(expected.coords)
    assert back.attrs == {"number": 3.0, "list": [1, 2], "text": "t", "fwsim_schema": 2}
    for name, variable in expected.variables.items():
        assert back[name].dims == variable.dims
        assert back[name].attrs == variable.attrs
        np.testing.assert_array_equal(np.asarray(back[name]).astype(variable.dtype), variable)
        assert back[name].dtype.kind == variable.dtype.kind.replace("U", "T")
    assert back.activity.chunks is not None


@pytest.mark.parametrize("kind", [STREAMED, WHOLE])
def test_plain_xarray_reads_the_same(stores, kind):
    mine, theirs = (
        open_recording(stores / kind).load(),
        xr.open_zarr(stores / kind, consolidated=False).load(),
    )
    assert set(mine.variables) == set(theirs.variables)
    assert set(mine.coords) == set(theirs.coords)
    for name in mine.variables:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


@pytest.mark.parametrize(("files", "places"), [(7, 2), pytest.param(1, 50, marks=pytest.mark.slow)])
def test_no_flip_of_a_bit_changes_anything_without_a_word(copy, files, places):
    """Every so many files, at so many places: an error, or the values and attributes that were."""
    good = open_recording(copy).load()
    rng = np.random.default_rng(0)
    for file in sorted(file for file in copy.rglob("*") if file.is_file())[::files]:
        content = file.read_bytes()
        for place in rng.integers(0, 8 * len(content), places):
            damaged = bytearray(content)
            damaged[place // 8] ^= 1 << (place % 8)
            file.write_bytes(damaged)
            with contextlib.suppress(RecordingError):
                xr.testing.assert_identical(open_recording(copy).load(), good)
        file.write_bytes(content)


def test_no_file_may_go_be_cut_or_change_places(copy):
    good = open_recording(copy).load()
    files = sorted(file for file in copy.rglob("*") if file.is_file())
    for file, other in list(itertools.pairwise(files))[::5]:
        content = file.read_bytes()
        for damaged in (None, b"", content[:-1], content + b"\0", other.read_bytes()):
            if damaged == content:
                continue
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            with pytest.raises(RecordingError):
                open_recording(copy).load()
            file.write_bytes(content)
    xr.testing.assert_identical(open_recording(copy).load(), good)


@pytest.mark.parametrize("kind", ["pipe", "device", "link", "folder"])
def test_what_is_no_plain_file_is_refused_at_once(copy, kind, tmp_path):
    for file in (copy / "zarr.json", *sorted(copy.glob("*/*"))[::9]):
        aside = file.rename(tmp_path / "aside")
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "device":
            if os.geteuid():
                pytest.skip("only root makes devices")
            os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
        elif kind == "link":
            file.symlink_to(aside)
        else:
            file.mkdir()
        with pytest.raises(RecordingError):
            open_recording(copy).load()
        file.rmdir() if kind == "folder" else file.unlink()
        aside.rename(file)


@pytest.mark.parametrize("change", ["moved", "deleted", "replaced", "chunk"])
def test_what_goes_after_it_was_opened_is_an_error_when_it_is_read(copy, change, stores, tmp_path):
    run = open_recording(copy)
    name = "hidden" if "hidden" in run else "activity"
    if change == "moved":
        copy.rename(tmp_path / "elsewhere")
    elif change == "deleted":
        shutil.rmtree(copy)
    elif change == "replaced":
        shutil.rmtree(copy)
        if name == "hidden":
            record(copy, steps=100, first_step=7)
        else:
            write_recording(made().assign(activity=2 * made().activity), copy)
    else:
        next((copy / name).glob("c.*")).unlink()
    with pytest.raises(RecordingError, match=r"is missing|was replaced"):
        run[name].load()


def test_the_current_folder_may_change(tmp_path, monkeypatch):
    """Also within the drive of a run, and for what is opened by a relative path."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    net = fw.FastWeightNetwork(2, 3, None)

    def drive(start, stop):
        os.chdir(tmp_path / "other")
        return torch.ones(1, stop - start, 2)

    run = fw.simulate(net, drive, steps=5, to="run.zarr")
    os.chdir(tmp_path)
    lazy = open_recording("run.zarr")
    os.chdir(tmp_path / "other")
    assert bool(run.hidden.notnull().all())
    assert bool(lazy.hidden.notnull().all())
    assert bool(fw.load_state(run).hidden.isfinite().all())
    assert not list((tmp_path / "other").iterdir())
    again = pickle.loads(pickle.dumps(lazy))  # as it goes to a worker, whose folder is another
    np.testing.assert_array_equal(again.hidden, lazy.hidden)


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fw.simulate(fw.FastWeightNetwork(2, 3, None), torch.ones(1, 2, 2), to="~/run.zarr")
    assert [each.name for each in tmp_path.iterdir()] == ["run.zarr"]
    assert open_recording("~/run.zarr").sizes["time"] == 2
    for path in ("", ".", "s3://bucket/x", "a::b", None, 3):
        with pytest.raises((ConfigError, RecordingError)) as caught:
            open_recording(path)
        assert "\n" not in str(caught.value)


def test_what_is_added_leaves_a_whole_recording_at_every_moment(stores, tmp_path, monkeypatch):
    path = shutil.copytree(stores / STREAMED, tmp_path / "run.zarr")
    before = open_recording(path).load()
    added = xr.Dataset({"score": ("unit", np.arange(5.0))}, {"kind": ("unit", list("aabbb"))})
    put = zarr.storage._local._put
    for stop in range(12):
        left = [stop]

        def killed(*given, left=left, **options):
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("killed")
            return put(*given, **options)

        monkeypatch.setattr("zarr.storage._local._put", killed)
        try:
            complete(path, added, {"experiment": "x"})
        except RuntimeError:
            found = open_recording(path).load()
            xr.testing.assert_identical(
                found.drop_attrs(deep=False), before.drop_attrs(deep=False).assign_coords()
            )
            continue
        break
    monkeypatch.undo()
    complete(path, added, {"experiment": "x"})
    found = open_recording(path)
    assert found.attrs["experiment"] == "x"
    assert "kind" in found.coords
    np.testing.assert_array_equal(found.score, np.arange(5.0))
    np.testing.assert_array_equal(found.hidden, before.hidden)
    assert not (path / "journal.sha256").exists()


def test_digests_cover_every_file(copy):
    listed = listed_digests(copy)
    files = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    assert set(listed) == files - {"digests/zarr.json"}


def sealed(path):
    """Give a store that somebody changed digests that fit."""
    from fwsim.recording.digests import digest, seal

    files = sorted(file for file in path.rglob("*") if file.is_file() and file.parent.name != "digests")
    seal(path, {str(file.relative_to(path)): digest(file.read_bytes()) for file in files})


@pytest.mark.parametrize("name", ["activity", "x", "name", "few"])
def test_a_chunk_that_inflates_beyond_what_is_declared_is_refused(stores, tmp_path, name):
    path = shutil.copytree(stores / WHOLE, tmp_path / "run.zarr")
    chunk = next((path / name).glob("c*"))
    import google_crc32c

    if name == "name":
        bomb = (2**31 - 1).to_bytes(4, "little") + chunk.read_bytes()[4:-4]
    else:
        bomb = numcodecs.Blosc("zstd").encode(np.zeros(2**27, np.uint8))
    chunk.write_bytes(bomb + google_crc32c.value(bomb).to_bytes(4, "little"))
    sealed(path)
    with pytest.raises(RecordingError, match="does not unpack to a chunk"):
        open_recording(path).load()


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "numcodecs.pickle", "configuration": {}}],
        [{"name": "vlen-utf8"}, {"name": "numcodecs.pickle"}],
        [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
        [{"name": "sharding_indexed", "configuration": {}}],
        [],
        "bytes",
        None,
        [[]],
    ],
)
def test_other_codecs_are_refused_before_anything_is_decoded(stores, tmp_path, codecs):
    path = shutil.copytree(stores / WHOLE, tmp_path / "run.zarr")
    metadata = json.loads((path / "activity" / "zarr.json").read_text())
    (path / "activity" / "zarr.json").write_text(json.dumps({**metadata, "codecs": codecs}))
    sealed(path)
    with pytest.raises(RecordingError, match=r"activity (was not written by a run|is damaged)"):
        open_recording(path)


def test_zarr_of_format_2_is_refused(tmp_path):
    group = zarr.open_group(tmp_path / "old", mode="w", zarr_format=2)
    group.attrs["fwsim_schema"] = 1
    with pytest.raises(RecordingError, match="is not a recording"):
        open_recording(tmp_path / "old")
    (tmp_path / "old" / "zarr.json").write_text('{"zarr_format": 2, "node_type": "group"}')
    with pytest.raises(RecordingError, match="Zarr format 3"):
        open_recording(tmp_path / "old")


@pytest.mark.parametrize("file", ["zarr.json", "activity/zarr.json", "digests/zarr.json"])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        "null",
        "{}",
        '{"attributes": []}',
        "\xff",
        '{"shape": 1}',
    ],
)
def test_nonsense_in_metadata_is_one_line(stores, tmp_path, file, text):
    path = shutil.copytree(stores / WHOLE, tmp_path / "run.zarr")
    (path / file).write_text(text, encoding="latin-1")
    with pytest.raises(RecordingError) as caught:
        open_recording(path).load()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_recordings_that_xarray_wrote_for_schema_1_still_open(tmp_path):
    """As experiments and sweeps were kept: codecs of zarr's own, no checksums, texts, no fwsim_schema."""
    old = made().drop_vars("wave").rename(trial="inner").assign_attrs(experiment_configuration="{}")
    texts = {name: old[name].astype(np.dtypes.StringDType()) for name in ("name", "word")}
    old = old.assign(texts).assign_coords(label=old.label.astype(np.dtypes.StringDType()))
    old.to_zarr(tmp_path / "old.zarr", zarr_format=3, consolidated=False)
    new = open_recording(tmp_path / "old.zarr")
    assert new.attrs["fwsim_schema"] == 2
    assert new.activity.dims == ("iteration", "x")
    assert set(new.coords) == set(old.coords)
    for name in old.variables:
        np.testing.assert_array_equal(np.asarray(new[name]), np.asarray(old[name]), err_msg=name)
    shutil.rmtree(tmp_path / "old.zarr")
    with pytest.raises(RecordingError, match=r"old\.zarr.* is missing"):
        new.activity.load()


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "..", "__proto", 3])
def test_names_that_are_no_folder_are_refused(tmp_path, name):
    with pytest.raises(RecordingError, match="cannot be stored under the name"):
        write_recording(xr.Dataset({name: ("x", [1.0])}), tmp_path / "run.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("values", [np.array([{}], object), np.array([b"a"]), np.array([1, None], object)])
def test_what_is_neither_number_nor_text_is_refused(tmp_path, values):
    with pytest.raises(RecordingError, match="y cannot be stored"):
        write_recording(xr.Dataset({"y": ("x", values)}), tmp_path / "run.zarr")
    assert not list(tmp_path.iterdir())


def test_coordinates_stay_coordinates_where_variables_are_added(tmp_path):
    names = ("unit", ["E", "E", "I"])
    write_recording(xr.Dataset({"rate": ("unit", np.zeros(3))}, {"population": names}), tmp_path / "run")
    complete(tmp_path / "run", xr.Dataset({"tuning": ("unit", np.ones(3))}, {"layer": names}), {})
    run = open_recording(tmp_path / "run")
    assert (set(run.coords), set(run.data_vars)) == ({"population", "layer"}, {"rate", "tuning"})

"""Sweeps on this process: what comes out, what is redone, what is refused."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.study import (
    Interrupted,
    Run,
    StudyError,
    load_experiment,
    resume,
    resume_sweep,
    run,
)
from fwsim.study.runs import past_runs
from fwsim.study.sweeps.run import _bytes, finished_points
from fwsim.study.sweeps.take import points
from fwsim.study.sweeps.worker import Task, work
from tests.survival.fuzzing import ctrl_c

OVER = {"tau": "100ms:10s:log3", "eta": [1.0, 2.0]}


def sweep(experiment="leak", over=OVER, seeds=2, config=None, **options):
    return fw.sweep(experiment, over, seeds, config, **{"workers": 1, "folder": "here", **options})


def edit(toy, old, new, name="leak"):
    path = toy / "experiments" / f"{name}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_dataset_is_labelled(toy):
    recording = sweep(config={"steps": 4})
    assert dict(recording.sizes) == {"tau": 3, "eta": 2, "seed": 2, "time": 4}
    assert recording["sum"].dims == ("tau", "eta", "seed", "time")
    np.testing.assert_allclose(recording.tau, [0.1, 1, 10])
    assert recording.tau.attrs == {"units": "s", "long_name": "Time constant"}
    assert recording.eta.attrs["units"] == "1"
    assert recording["sum"].attrs == {"units": "1", "long_name": "leaky sum"}
    assert recording.time.dims == ("time",)
    assert recording.steps_done.dtype == int
    assert recording.attrs["fwsim_schema"] == 2
    assert "place" not in recording.attrs  # points differ in it
    assert json.loads(recording.attrs["experiment_configuration"])["steps"] == 4
    assert not recording.failed.any()
    stored = Run(toy / "here")
    assert stored.state == "finished"
    assert not (stored.folder / "batches").exists()
    assert stored.experiment.exists()


def test_a_point_is_what_a_run_with_its_seed_records(toy):
    recording = sweep()
    point = recording.sel(tau=1.0, eta=2.0, seed=1, method="nearest").load()
    alone = run("leak", {"tau": 1.0, "eta": 2.0}, seed=int(point.point_seed)).recording
    np.testing.assert_allclose(point["sum"], alone["sum"], rtol=1e-12)


def test_batched_is_unbatched_in_any_order(toy):
    batched = sweep().load()
    order = {"eta": [2.0, 1.0], "tau": batched.tau.values[::-1]}
    alone = sweep(over=order, seeds=[1, 0], batch_size=1, folder="alone").load()
    alone = alone.sortby(["tau", "eta", "seed"]).transpose(*batched.dims)
    np.testing.assert_allclose(batched["sum"], alone["sum"], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(batched.point_seed, alone.point_seed)


def test_zipped_parameters_share_a_dimension(toy):
    recording = sweep(over={("tau", "eta"): ("1,1,2", "1,2,3")})
    assert recording["sum"].dims == ("tau", "seed", "time")
    assert recording.eta.dims == ("tau",)
    assert recording.eta.values.tolist() == [1, 2, 3]
    assert "eta" in recording.coords


def test_seeds_alone_are_a_sweep(toy):
    recording = sweep(over=None, seeds=[7, 3])
    assert dict(recording.sizes) == {"seed": 2, "time": 20}
    assert recording.seed.values.tolist() == [7, 3]
    assert np.abs(np.diff(recording["sum"], axis=0)).max() > 0


def test_experiments_without_batches_are_swept_too(toy):
    recording = sweep("trace", {"tau": "0.1,0.2", "offset": [True, False]}, 1)
    np.testing.assert_allclose(
        recording.trace.sel(tau=0.2, offset=False).squeeze(), np.exp(-recording.time / 0.2)
    )
    assert recording.label.values.tolist() == [f"step {step}" for step in range(20)]
    assert recording.early.dtype == bool


def test_labels_are_values(toy):
    (toy / "experiments" / "optional.py").write_text(
        '"""Q?"""\nimport xarray as xr\nimport fwsim as fw\n'
        "class Config(fw.study.Config):\n"
        "    maybe: float | None = None\n    'Number.'\n    whether: bool | None = None\n    'Truth.'\n"
        "def run(config, context):\n    return xr.Dataset({'v': -1.0 if config.maybe is None else config.maybe})\n"
    )
    swept = sweep("optional", {"maybe": "none,1", "whether": [True, False, None]}, [0, 2**70])
    assert swept.sel(maybe=1.0, whether="true", seed=str(2**70)).v == 1
    assert swept.v.isel(maybe=0, whether=0, seed=0) == -1
    assert np.isnan(swept.maybe[0])
    assert swept.whether.values.tolist() == ["true", "false", "none"]
    assert [point.values["maybe"] for point in points(swept)[::6]] == [None, 1.0]
    assert points(swept)[-1].seed == 2**70
    assert json.loads(points(swept)[0].recording.experiment_configuration)["maybe"] is None
    tau = sweep("leak", {"tau": "2:200:log7"}, 1, folder="tau")
    assert tau.sel(tau=20)["sum"].notnull().all()


def test_points_come_back_as_their_runs_recorded_them(toy):
    """Other lengths, labels, dimensions, variables, types and attributes at each point."""
    (toy / "experiments" / "odd.py").write_text(
        '"""Q?"""\nimport numpy as np, xarray as xr\nimport fwsim as fw\n'
        "class Config(fw.study.Config):\n    size: int = 2\n    'Size.'\n"
        "def run(config, context):\n"
        "    n = config.size\n"
        "    if n == 5:\n        raise ValueError('no')\n"
        "    made = xr.Dataset(\n"
        "        {'whole': ('unit', np.arange(n)), 'true': ('unit', np.arange(n) > 1), 'text': ('unit', ['a'] * n),\n"
        "         'seen': ('time', np.arange(n) * 1.0), 'mixed': ['x', 'y', 1][n - 2]},\n"
        "        {'time': np.arange(n) * 2.0 + n}, {'size_squared': n * n, 'shared': 'yes'})\n"
        "    made['memory'] = (('post', 'pre'), np.ones((2, 3))) if n == 2 else (\n"
        "        ('scale', 'pre', 'post'), np.arange(6.0).reshape(1, 3, 2))\n"
        "    return made.assign(only=n) if n == 3 else made\n"
    )
    with pytest.warns(UserWarning, match="1 of 4"):
        swept = sweep("odd", {"size": [2, 3, 4, 5]}, 1)
    assert swept.memory.dims == ("size", "seed", "scale", "pre", "post")
    assert swept.memory.sel(size=2, seed=0).notnull().sum() == 6
    assert [point.failed for point in points(swept)] == [False, False, False, True]
    for point in points(swept)[:3]:
        alone = run("odd", point.values, seed=int(swept.point_seed[point.index]), folder="alone", force=True)
        alone, taken = alone.recording.load(), point.recording.load()
        dims = {name: each.dims for name, each in alone.variables.items() if name != "mixed"}
        assert {name: each.dims for name, each in taken.variables.items() if name in dims} == dims | {
            "memory": taken.memory.dims
        }
        xr.testing.assert_equal(
            taken.drop_vars("mixed"), alone.drop_vars("mixed").transpose(*taken.dims, missing_dims="ignore")
        )
        assert str(taken.mixed.item()) == str(alone.mixed.item())
        assert taken.attrs["size_squared"] == point.values["size"] ** 2
        for key in ("experiment_configuration", "experiment_seed", "shared"):
            assert taken.attrs[key] == alone.attrs[key]
        assert {name: str(each.dtype) for name, each in taken.variables.items() if name != "mixed"} == {
            name: str(each.dtype) for name, each in alone.variables.items() if name != "mixed"
        }
    with pytest.raises(fw.RecordingError, match=r"size=5, seed=0 failed; failed.csv"):
        points(swept)[3].recording.load()
    with pytest.raises(fw.RecordingError, match="not that of a sweep"):
        points(alone)


@pytest.mark.parametrize("size", [None, 1])
def test_points_of_a_batch_keep_their_own_attributes(toy, size):
    edit(toy, '"place": place}', '"eta_recorded": configs[place].eta, "shared": 1}')
    swept = sweep(over={"eta": [1.0, 2.0, 3.0]}, seeds=1, batch_size=size)
    assert swept.attrs["shared"] == 1
    assert [point.recording.attrs["eta_recorded"] for point in points(swept)] == [1.0, 2.0, 3.0]


def test_lengths_that_differ_are_filled_up(toy):
    recording = sweep("trace", {"steps": [2, 4]}, 1)
    np.testing.assert_allclose(recording.time, [0.1, 0.2, 0.3, 0.4])
    assert np.isnan(recording.trace.sel(steps=2)).sum() == 2
    assert not np.isnan(recording.trace.sel(steps=4)).any()
    assert recording.label.sel(steps=2, seed=0).values.tolist() == ["step 0", "step 1", "", ""]
    edit(toy, '"time": ("time", times, {"units": "s", "long_name": "time"}),', "", "trace")
    recording = sweep("trace", {"steps": [2, 4]}, 1, folder="unlabelled")
    assert np.isnan(recording.trace.sel(steps=2, seed=0)).values.tolist() == [False, False, True, True]


def test_coordinates_that_differ_belong_to_the_parameters(toy):
    edit(
        toy,
        "times = (np.arange(config.steps) + 1) * 0.1",
        "times = np.arange(config.steps) * config.tau",
        "trace",
    )
    recording = sweep("trace", {"tau": [1.0, 2.0]}, 1)
    assert "time" not in recording.coords
    assert recording.time_value.dims == ("tau", "seed", "time")
    np.testing.assert_allclose(recording.time_value.sel(tau=2.0, seed=0), np.arange(20) * 2.0)
    assert "time_value" in recording.coords


@pytest.mark.parametrize("chunk", [8.0, 200.0, 1e9])
def test_large_variables_are_written_in_blocks(toy, monkeypatch, chunk):
    whole = sweep().load()
    monkeypatch.setattr("fwsim.study.sweeps.layout.CHUNK", chunk)
    pieces = sweep(folder="pieces")
    assert (pieces["sum"].chunks == tuple((n,) for n in pieces["sum"].shape)) == (chunk > 1e8)
    xr.testing.assert_equal(pieces.load(), whole)


def test_values_that_are_no_numbers_label_by_their_text(toy):
    recording = sweep("trace", {"taus": [(1.0, 2.0), (3.0,)]}, 1)
    assert recording.taus.values.tolist() == ["[1.0, 2.0]", "3.0"]


def test_failed_points_do_not_stop_the_others(toy):
    with pytest.warns(UserWarning, match="2 of 6 points failed"):
        recording = sweep(over={"eta": [1, 2, 3]}, config={"fails_above": 2.0})
    assert recording.failed.values.tolist() == [[False, False], [False, False], [True, True]]
    assert np.isnan(recording["sum"].sel(eta=3)).all()
    assert not np.isnan(recording["sum"].sel(eta=[1, 2])).any()
    with open("here/failed.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["eta"], row["seed"]) for row in rows] == [("3.0", "0"), ("3.0", "1")]
    assert "DivergedError: hidden became NaN" in rows[0]["error"]
    assert "Traceback" in rows[0]["traceback"]


def test_failed_points_are_run_again_when_asked(toy):
    edit(
        toy,
        "if config.eta > config.fails_above",
        "import pathlib\n        if config.eta > 2 and not pathlib.Path('mended').exists()",
    )
    with pytest.warns(UserWarning, match="2 of 6"):
        partly = sweep(over={"eta": [1, 2, 3]}).load()
    with pytest.raises(ConfigError, match=r"finished.*--retry-failed"):
        resume_sweep("here")
    (toy / "mended").touch()
    whole = resume_sweep("here", workers=1, retry_failed=True).load()
    assert not whole.failed.any()
    assert not (toy / "here" / "failed.csv").exists()
    xr.testing.assert_equal(whole.sel(eta=[1, 2]), partly.sel(eta=[1, 2]).astype(whole.dtypes))
    with pytest.raises(ConfigError, match="nothing can be resumed"):
        resume_sweep("here", retry_failed=True)


def test_no_failure_is_written_through_a_link(toy):
    (toy / "victim").write_text("precious")
    with pytest.warns(UserWarning, match="2 of 6"):
        sweep(over={"eta": [1, 2, 3]}, config={"fails_above": 2.0})
    (toy / "here" / "failed.part").symlink_to(toy / "victim")
    (batch,) = (toy / "here" / "batches").glob("[!.]*")
    (batch / "record.part").symlink_to(toy / "victim")
    with pytest.warns(UserWarning, match="2 of 6"):
        resume_sweep("here", workers=1, retry_failed=True)
    assert (toy / "victim").read_text() == "precious"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_sweep_is_finished_before_its_batches_are_deleted(toy, monkeypatch, error):
    remove = shutil.rmtree

    def stop(path, ignore_errors=False):
        if path.name != "batches":
            remove(path, ignore_errors)
        elif error is KeyboardInterrupt or not ignore_errors:
            raise error

    monkeypatch.setattr(shutil, "rmtree", stop)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            sweep()
    else:
        sweep()
    done = Run(toy / "here")
    assert (done.state, done.differences()) == ("finished", [])


def test_when_all_fail_so_does_the_sweep(toy):
    with pytest.raises(StudyError, match=r"all 4 points failed, the first with DivergedError: hidden"):
        sweep(over={"eta": [1, 2]}, config={"fails_above": 0.0})
    assert Run(toy / "here").state == "failed"
    with pytest.raises(StudyError, match="all 4 points failed"):
        resume_sweep("here", workers=1)


CLASHES = {
    "a number": "{'NAME': ((), 7.0)}, {}",
    "a variable": "{'NAME': ('time', [7.0, 8.0])}, {}",
    "a coordinate": "{'x': ('time', [7.0, 8.0])}, {'NAME': ('time', [7.0, 8.0])}",
    "a scalar coordinate": "{'x': 7.0}, {'NAME': 7.0}",
    "a dimension": "{'x': ('NAME', [7.0, 8.0])}, {}",
    "a labelled dimension": "{'x': ('NAME', [7.0, 8.0])}, {'NAME': [7.0, 8.0]}",
    "a dimension with other labels at each point": "{'x': ('NAME', [7.0, 8.0])}, {'NAME': [config.size, 9.0]}",
    "a dimension of another length at each point": "{'x': ('NAME', [7.0] * config.size)}, {}",
    "both names": "{'x': ('NAME', [7.0, 8.0]), 'NAME_recorded': 1.0}, {}",
}


@pytest.mark.parametrize("name", ["size", "seed", "failed", "point_seed", "point_details"])
@pytest.mark.parametrize("what", CLASHES)
def test_a_recording_may_have_any_name(toy, what, name):
    """The axis keeps the field's name; what was recorded under it gets another, and its own again at a point."""
    made = CLASHES[what].replace("NAME", name)
    (toy / "experiments" / "named.py").write_text(
        '"""Q?"""\nimport xarray as xr\nimport fwsim as fw\n'
        "class Config(fw.study.Config):\n    size: int = 2\n    'Size.'\n"
        f"def run(config, context):\n    return xr.Dataset({made})\n"
    )
    swept = sweep("named", {"size": [2, 3]}, seeds=1)
    assert swept["size"].dims == ("size",)
    assert swept["size"].values.tolist() == [2, 3]
    kept = swept.sel(size=3, seed=0)
    ending = "_recorded_recorded" if what == "both names" else "_recorded"
    assert name + ending in {*kept.variables, *kept.dims}
    alone = run("named", {"size": 3}, seed=int(kept.point_seed), folder="alone").recording.load()
    taken = points(swept)[1].recording.load()
    xr.testing.assert_identical(taken.drop_attrs(), alone.drop_attrs())


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("[None]", "run returned NoneType, not the recording"),
        ("[xr.Dataset({'x': ('a', np.array([object()], dtype=object))})]", "x holds objects"),
    ],
)
def test_what_is_no_recording(toy, returned, said):
    edit(toy, "    steps = configs[0].steps\n", f"    return {returned} * len(configs)\n    steps = 1\n")
    with pytest.raises(StudyError, match=said):
        sweep()


def test_batches_return_one_recording_a_point(toy):
    edit(toy, "for place, each in enumerate(values)", "for place, each in enumerate(values[:1])")
    assert sweep().failed.sum() == 0  # the points then run one by one, which is right
    edit(toy, "return run_batch([config], [context])[0]", "raise ValueError('run alone')")
    with pytest.raises(StudyError, match="run alone"):
        sweep(force=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "0.0.0"}, "a worker has fwsim .* and the sweep 0.0.0"),
        ({"folder": Path("gone")}, "a worker cannot see gone; choose a folder that all machines share"),
        ({"device": "abacus"}, "device='abacus' is unknown"),
    ],
)
def test_workers_that_cannot_run_any_point(toy, changes, said):
    sweep()
    task = Task((toy / "experiments" / "leak.py").read_bytes(), "leak", toy / "here", (), "cpu")
    with pytest.raises(ConfigError, match=said):
        work(dataclasses.replace(task, **changes))


def test_an_interrupted_sweep_goes_on_with_what_is_missing(toy, stopped_after):
    whole = sweep(batch_size=2, folder="whole").load()
    with stopped_after(4), pytest.raises(Interrupted) as caught:
        sweep(batch_size=2)
    stopped = caught.value.run
    assert stopped.state == "interrupted"
    assert finished_points(stopped) == 8
    before = {path.name for path in (stopped.folder / "batches").iterdir()}
    with pytest.raises(ConfigError, match="use resume_sweep"):
        resume(stopped)
    with stopped_after(2):  # no more than two batches are missing
        done = resume_sweep(stopped, workers=1)
    assert len(before) == 4
    xr.testing.assert_equal(done.load(), whole)
    assert len(stopped.manifest["resumed"]) == 1


def test_points_of_a_changed_experiment_are_stale(toy, stopped_after):
    with stopped_after(4), pytest.raises(Interrupted):
        sweep(batch_size=2)
    copy = toy / "here" / "experiment.py"
    copy.write_text(copy.read_text().replace("total = decay * total", "total = 0 * total"))
    with pytest.raises(ConfigError, match=r"here/experiment\.py was changed since the run"):
        resume_sweep("here", workers=1)
    done = resume_sweep("here", workers=1, trust=True)
    new = sweep(experiment=copy, folder="new", batch_size=2)
    np.testing.assert_array_equal(done["sum"], new["sum"])
    assert done.attrs["experiment_sha256"] == new.attrs["experiment_sha256"]


def test_a_kill_while_the_dataset_is_put_together(toy, monkeypatch, stopped_after):
    with monkeypatch.context() as patch:
        patch.setattr("fwsim.study.sweeps.dataset._write_points", ctrl_c)
        with pytest.raises(Interrupted):
            sweep()
    with stopped_after(0):  # nothing is run again
        done = resume_sweep("here", workers=1)
    xr.testing.assert_equal(done.load(), sweep(folder="again").load())


def test_checkpoints_of_a_point_are_its_own_and_survive(toy):
    """A long point goes on from where it was, as a run does."""
    stop = "if config.tau == 2 and step == 9 and not context.resume:\n                raise KeyboardInterrupt"
    edit(toy, "            advance()", f"            advance()\n            {stop}", "trace")
    edit(toy, '"early": (', '"began": ((), done),\n            "early": (', "trace")
    with pytest.raises(Interrupted):
        sweep("trace", {"tau": [1, 2, 3]}, 1)
    assert resume_sweep("here", workers=1).began.values.ravel().tolist() == [0, 10, 0]
    folders = list((toy / "here" / "points").iterdir())
    assert len(folders) == 3


def test_streamed_recordings_are_taken_over(toy):
    (toy / "experiments" / "stream.py").write_text(
        '"""Streamed?"""\nimport torch\nimport fwsim as fw\nfrom fwsim.study import Config as Base\n'
        "class Config(Base):\n    size: int = 2\n    'Units.'\n"
        "def run(config, context):\n    net = fw.FastWeightNetwork(1, config.size, None)\n"
        "    x = torch.randn(1, 5, 1, generator=context.generator('x'))\n"
        "    return fw.simulate(net, x, to=context.recording)\n"
    )
    recording = sweep("stream", {"size": [2, 3]}, 1)
    assert recording.hidden.sizes == {"size": 2, "seed": 1, "trial": 1, "time": 5, "unit": 3}
    assert np.isnan(recording.hidden.sel(size=2, unit=2)).all()
    assert not list((toy / "here").rglob("points/*/recording.zarr"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"over": {"tua": "1,2"}}, "unknown parameter 'tua'"),
        ({"config": {"tau": 1.0}}, "tau is both swept and set"),
        ({"config": {"steps": "x"}}, "steps='x' is not allowed"),
        ({"seeds": 0}, "give at least one"),
        ({"workers": 0}, "workers=0 is not allowed"),
        ({"batch_size": 0}, "batch_size=0 is not allowed"),
        ({"batch_memory": "1 XB"}, "batch memory '1 XB' is not allowed; write e.g. '2 GB'"),
        ({"batch_memory": "1e400 GB"}, "batch memory '1e400 GB' is not allowed"),
        ({"batch_memory": 100}, "allow more batch memory"),
        ({"device": "abacus", "workers": None}, "device='abacus' is unknown"),
        ({"scheduler": "somewhere"}, "scheduler='somewhere' is not known"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "leave workers out"),
        ({"scheduler": "slurm", "workers": None}, "say how many Slurm workers"),
        ({"cluster": {"queue": "gpu"}}, "are for scheduler='slurm'"),
    ],
)
def test_bad_specifications_fail_before_anything_runs(toy, options, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        sweep(**options)
    assert "\n" not in str(caught.value)
    assert not (toy / "here").exists()


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (1500, 1500), ("3 B", 3), ("2kB", 2000), ("1.5 MB", 1.5e6), ("1e-1 GB", 1e8), ("2 KiB", 2048),
        ("1 MiB", 1024**2), ("1GiB", 1024**3),
    ],
)  # fmt: skip
def test_bytes_of_a_batch(given, number):
    assert _bytes(given) == number


def test_a_cluster_that_does_not_answer(toy, monkeypatch):
    monkeypatch.setattr("fwsim.study.sweeps.cluster.ANSWER", "1s")
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 .*dask scheduler"):
        sweep(scheduler="tcp://127.0.0.1:9", workers=None)
    assert not (toy / "here").exists()


def test_a_kill_while_the_folder_is_made_leaves_nothing(toy, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("fwsim.study.manifest.write", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            sweep(folder="runs/here")
    assert not (toy / "runs" / "here").exists()
    assert past_runs() == []
    assert sweep(folder="runs/here").sizes["tau"] == 3


def test_a_run_can_be_replaced_from_its_own_copy(toy):
    sweep()
    assert sweep(experiment=toy / "here" / "experiment.py", force=True).attrs["experiment"] == "experiment"


def test_existing_folders_are_refused(toy):
    sweep(config={"steps": 3})
    with pytest.raises(ConfigError, match=r"here exists.*--force"):
        sweep(config={"steps": 4})
    assert sweep(config={"steps": 4}, force=True).sizes["time"] == 4


def test_quick_and_complete_configurations(toy):
    assert sweep(quick=True).sizes["time"] == 5
    config = load_experiment("leak").configure({"steps": 6})
    assert sweep(config=config, force=True).sizes["time"] == 6
    with pytest.raises(ConfigError, match="quick=True"):
        sweep(config=config, quick=True)


@pytest.mark.parametrize(
    ("experiment", "over", "said"),
    [
        ("leak", [1], r"over=\[1\] is not allowed; give values by parameter"),
        (3, OVER, "3 is no experiment; give a name"),
    ],
)
def test_what_is_no_experiment_or_no_axes_is_refused(toy, experiment, over, said):
    with pytest.raises(ConfigError, match=said):
        sweep(experiment, over)


def test_a_variable_named_like_its_dimension_keeps_its_name(toy):
    (toy / "experiments" / "nested.py").write_text(
        '"""Q?"""\nimport numpy as np, xarray as xr\nimport fwsim as fw\n'
        "class Config(fw.study.Config):\n    size: int = 2\n    'Size.'\n"
        "def run(config, context):\n"
        "    return xr.Dataset({'inner': xr.Variable(('time', 'inner'), np.ones((3, config.size)))})\n"
    )
    swept = sweep("nested", {"size": [2, 3]}, seeds=1)
    assert swept.inner.dims == ("size", "seed", "time", "inner")
    assert swept.inner.isnull().sum() == 3

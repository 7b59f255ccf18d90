"""Runs: what they keep, how they end, and how they go on."""

import json
import shutil
import sys
import time

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError
from fwsim.study import Interrupted, Run, StudyError, again, load_experiment, resume, run, runs, sweep
from tests.survival.fuzzing import ctrl_c

FIELDS = {"steps", "tau", "taus", "order", "offset", "pause"}


def write_experiment(folder, body, name="made"):
    """Write an experiment with one field whose run is `body`."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / "experiments" / f"{name}.py").write_text(
        '"""A question?"""\nimport numpy as np, xarray as xr\nimport fwsim as fw\n'
        "class Config(fw.study.Config):\n    size: int = 2\n    'Size.'\n"
        f"def run(config, context):\n{lines}\n"
    )


def test_a_run_keeps_all_that_repeats_it(toy):
    done = run("trace", {"tau": "300 ms"}, seed=3, device="cpu")
    manifest = done.manifest
    assert done.state == manifest["state"] == "finished"
    assert done.folder.parent.name == "runs"
    assert done.folder.name.startswith("trace-")
    assert done.folder.name.endswith("-3")
    assert set(manifest["configuration"]) == FIELDS
    assert manifest["configuration"]["tau"] == 0.3
    assert (manifest["seed"], manifest["device"], manifest["versions"]["fwsim"]) == (3, "cpu", fw.__version__)
    assert done.experiment.read_bytes() == (toy / "experiments" / "trace.py").read_bytes()
    assert done.analysis.read_bytes() == (toy / "analysis" / "trace.py").read_bytes()
    assert not list(done.folder.glob("*.part"))


def test_the_recording_returns_as_it_was(toy):
    done = run("trace", seed=1)
    stored = done.recording.load()
    experiment = load_experiment("trace")
    again = experiment.run(experiment.configure({}), fw.study.Context(toy / "again", 1))
    xr.testing.assert_equal(stored, again)
    assert stored.early.dtype == bool
    assert stored.label.values.tolist() == again.label.values.tolist()
    assert stored.attrs["experiment"] == "trace"
    assert json.loads(stored.attrs["experiment_configuration"])["steps"] == 20
    assert {name: stored.attrs[name] for name in again.attrs} == again.attrs


def test_the_current_folder_may_change_while_it_runs_and_afterwards(toy, monkeypatch):
    write_experiment(
        toy,
        "import os\nos.chdir('analysis')\n"
        "return fw.simulate(fw.FastWeightNetwork(2, 3, None), np.ones((1, 4, 2)), to=context.recording)",
    )
    done = run("made", folder="here")
    assert not list((toy / "analysis").glob("*.zarr"))
    monkeypatch.chdir("/")
    assert done.state == "finished"
    assert bool(done.recording.hidden.notnull().all())
    assert str(done.folder) == "here"


def test_seeds_make_the_difference(toy):
    one, same, other = (run("trace", {"steps": 5}, seed=seed).recording.noise.values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_runs_of_the_same_second_do_not_collide(toy):
    folders = {run("trace", {"steps": 2}).folder for _ in range(3)}
    assert len(folders) == 3


def test_modules_and_configurations_are_accepted(toy):
    experiment = load_experiment("trace")
    config = experiment.configure({"steps": 3})
    module = sys.modules[experiment.config.__module__]
    assert run(module, config).recording.sizes["time"] == 3
    with pytest.raises(ConfigError, match="quick=True"):
        run(experiment, config, quick=True)


def test_existing_folders_are_refused(toy):
    done = run("trace", {"steps": 3}, folder="here")
    with pytest.raises(ConfigError, match=r"here exists.*--force"):
        run("trace", {"steps": 4}, folder="here")
    assert done.recording.sizes["time"] == 3
    assert run("trace", {"steps": 4}, folder="here", force=True).recording.sizes["time"] == 4


def test_force_never_deletes_what_is_no_run(toy):
    with pytest.raises(ConfigError, match="is not a run"):
        run("trace", folder="experiments", force=True)
    assert (toy / "experiments" / "trace.py").exists()
    (toy / "empty").mkdir()
    assert run("trace", {"steps": 2}, folder="empty").state == "finished"


def test_nothing_is_written_when_something_given_is_wrong(toy):
    for wrong in ({"seed": -1}, {"device": "abacus"}, {"config": {"steps": 0}}):
        with pytest.raises(ConfigError):
            run("trace", **wrong)
    assert not (toy / "runs").exists()


def test_an_experiment_for_the_cpu_refuses_other_devices(toy, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)  # "auto" would be a GPU
    write_experiment(toy, "return xr.Dataset({'on': str(context.device)})")
    with (toy / "experiments" / "made.py").open("a") as file:
        file.write("CPU_ONLY = True\n")
    done = run("made")
    assert (done.manifest["device"], str(done.recording["on"].values)) == ("cpu", "cpu")
    assert sweep("made", {"size": [1, 2]}, folder="many", workers=1).on.values.ravel().tolist() == ["cpu"] * 2
    assert Run("many").manifest["device"] == "cpu"
    repeat = {"folder": "again", "device": "cuda"}
    for refused in (
        lambda: run("made", device="cuda"), lambda: sweep("made", {"size": [1]}, device="cuda:0"),
        lambda: again(done, **repeat), lambda: again(Run("many"), **repeat),
    ):  # fmt: skip
        with pytest.raises(
            ConfigError, match=r"device='cuda(:0)?' is not allowed: made computes on the CPU only"
        ):
            refused()
    with (toy / "experiments" / "made.py").open("a") as file:
        file.write("CPU_ONLY = 1\n")
    with pytest.raises(ConfigError, match="CPU_ONLY=1 is not allowed; it is True or False"):
        run("made")


def test_a_failure_is_kept_and_told(toy):
    write_experiment(toy, "x = 1\nreturn x / 0")
    with pytest.raises(StudyError, match=r"made failed: ZeroDivisionError: .* \(line 9\)") as caught:
        run("made", folder="bad")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    failed = Run(toy / "bad")
    assert failed.state == "failed"
    assert "ZeroDivisionError" in failed.manifest["error"]
    assert "Traceback" in (failed.folder / "error.txt").read_text()


def test_an_experiment_that_ends_python_has_failed(toy):
    write_experiment(toy, "import sys\nsys.exit(0)")
    with pytest.raises(StudyError, match=r"made failed: SystemExit: 0 \(line 9\)"):
        run("made", folder="bad")
    assert Run(toy / "bad").state == "failed"


def test_a_failure_with_a_name_that_is_not_in_utf8_is_kept(toy):
    write_experiment(toy, "raise ValueError('caf\\udce9')")
    with pytest.raises(StudyError, match="traceback is in"):
        run("made", folder="bad")
    assert r"caf\udce9" in (toy / "bad" / "error.txt").read_text("utf-8")


def test_errors_of_fwsim_pass_as_they_are(toy):
    write_experiment(toy, "raise fw.DivergedError(3, 'hidden', 0, 'lower eta')")
    with pytest.raises(fw.DivergedError, match="at step 3"):
        run("made", folder="bad")
    assert Run(toy / "bad").state == "failed"


FULL = "raise OSError(28, 'No space left on device')"


@pytest.mark.parametrize(
    "body", [FULL, f"try:\n    {FULL}\nexcept OSError as error:\n    raise ValueError('x') from error"]
)
@pytest.mark.parametrize("writable", [True, False])
def test_a_full_disk_names_folder_and_remedy(toy, monkeypatch, body, writable):
    write_experiment(
        toy, f"if not context.resume:\n    {body.replace(chr(10), chr(10) + '    ')}\nreturn xr.Dataset()"
    )
    write = fw.study.writing.write_file

    def refuse(path, content):
        if path.name == "error.txt" or b"failed" in (
            content if isinstance(content, bytes) else content.encode()
        ):
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        if not writable:
            patch.setattr("fwsim.study.execute.write_file", refuse)
            patch.setattr("fwsim.study.manifest.writing.write_file", refuse)
        with pytest.raises(
            StudyError, match=r"bad: .*; free some space on the disk, then continue with: fwsim resume bad"
        ):
            run("made", folder="bad")
    assert Run(toy / "bad").state == ("failed" if writable else "interrupted")
    assert resume("bad").state == "finished"


def test_arguments_that_the_experiment_refuses_leave_no_run(toy):
    write_experiment(
        toy,
        "if config.size > 5:\n    raise fw.ConfigError('size is too large; give less')\n"
        "return xr.Dataset({'a': ('x', np.zeros(config.size))})",
    )
    kept = run("made", {"size": 3}, folder="here")
    for force in (False, True):
        with pytest.raises(ConfigError, match="size is too large"):
            run("made", {"size": 9}, folder="here" if force else "there", force=force)
    assert sorted(path.name for path in toy.iterdir() if "here" in path.name) == ["here"]
    assert kept.recording.sizes["x"] == 3


def test_a_run_that_is_refused_after_its_first_results_is_kept(toy):
    write_experiment(
        toy,
        "fw.simulate(fw.FastWeightNetwork(2, 3, None), np.ones((1, 4, 2)), to=context.recording)\n"
        "raise fw.ConfigError('too late; give less')",
    )
    with pytest.raises(ConfigError, match="too late"):
        run("made", folder="here")
    assert Run(toy / "here").state == "failed"
    assert "too late" in (toy / "here" / "error.txt").read_text()


def test_why_a_run_failed_is_said_also_where_nothing_can_be_written(toy, monkeypatch):
    def refuse(path, content):
        raise OSError(30, "Read-only file system", str(path))

    write_experiment(toy, "raise ValueError('the reason')")
    monkeypatch.setattr("fwsim.study.execute.write_file", refuse)
    with pytest.raises(StudyError, match=r"ValueError: the reason .*bad/error.txt cannot be written"):
        run("made", folder="bad")


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("return None", StudyError, "run returned NoneType, not the recording"),
        (
            "return xr.Dataset({'x': ('a', np.array([object()], dtype=object))})",
            RecordingError,
            "cannot be stored",
        ),
    ],
)
def test_what_is_no_recording(toy, body, error, said):
    write_experiment(toy, body)
    with pytest.raises(error, match=said):
        run("made", folder="bad")
    assert Run(toy / "bad").state == "failed"
    with pytest.raises(RecordingError, match="no recording"):
        _ = Run(toy / "bad").recording


def test_an_interrupted_run_goes_on(toy):
    write_experiment(
        toy,
        "if not context.resume:\n    context.checkpoints.joinpath('a').write_text('1')\n"
        "    raise KeyboardInterrupt\n"
        "kept = int((context.checkpoints / 'a').read_text())\n"
        "return xr.Dataset({'seed': context.seed_of('x') % 1000, 'kept': kept})",
    )
    with pytest.raises(Interrupted) as caught:
        run("made", {"size": 5}, seed=4)
    stopped = caught.value.run
    assert stopped.state == "interrupted"
    (toy / "experiments" / "made.py").write_text("changed = True")  # the run has its own copy
    done = resume(stopped.folder)
    assert done.state == "finished"
    assert done.manifest["configuration"] == {"size": 5}
    assert done.recording.seed.item() == fw.study.Context(".", 4).seed_of("x") % 1000
    assert done.recording.kept.item() == 1
    assert len(done.manifest["resumed"]) == 1
    with pytest.raises(ConfigError, match="is finished"):
        resume(stopped.folder)


def test_a_failed_run_can_be_resumed_with_a_mended_copy(toy):
    write_experiment(toy, "raise ValueError('no')")
    with pytest.raises(StudyError):
        run("made", folder="bad")
    (toy / "bad" / "experiment.py").write_text(
        (toy / "bad" / "experiment.py").read_text().replace("raise ValueError('no')", "return xr.Dataset()")
    )
    with pytest.raises(ConfigError, match=r"bad/experiment\.py was changed since the run; read .* --trust"):
        resume("bad")
    assert Run(toy / "bad").state == "failed"
    mended = resume("bad", trust=True)
    assert mended.state == "finished"
    assert mended.manifest["error"] is None
    assert mended.manifest["source_sha256"] == fw.study.files.fingerprint(mended.experiment)


def test_ctrl_c_after_the_end_takes_nothing_back(fwsim, toy, monkeypatch):
    """While the run that was replaced is being deleted."""
    run("trace", {"steps": 2}, folder="here")
    with monkeypatch.context() as patch:
        patch.setattr("fwsim.study.places._remove", ctrl_c)
        code, _, err = fwsim("run", "trace", "--steps", "3", "--no-analyse", "--to", "here", "--force")
    assert (code, err) == (130, "fwsim: interrupted\n")
    done = Run(toy / "here")
    assert (done.state, done.recording.sizes["time"], done.differences()) == ("finished", 3, [])
    run("trace", {"steps": 2}, folder="next")
    assert not list(toy.glob(".here*"))


def test_what_a_run_lacks_comes_with_what_helps(toy):
    done = run("trace", {"steps": 2}, folder="here")
    shutil.rmtree(done.recording_path)
    with pytest.raises(
        RecordingError, match=r"here has no recording \(state: finished\); restore it from a copy"
    ):
        _ = done.recording
    done.update(state="running")
    with (
        done.lock(),
        pytest.raises(RecordingError, match=r"\(state: running\); wait until it has ended"),
    ):
        _ = done.recording
    with pytest.raises(RecordingError, match=r"\(state: interrupted\); continue it with: fwsim resume here"):
        _ = Run("here").recording


STREAM = """
from fwsim.recording import Extent, Record, Recorder
recorder = Recorder([Record("hidden")], Extent(steps=4, dt=1.0, sizes={"trial": 1, "unit": 2}), to=context.recording)
recorder.write("hidden", np.ones((1, 4, 2)))
streamed = recorder.finish({"hidden": np.ones((1, 2)), "step": 4})
"""


def test_a_streamed_recording_is_left_where_it_is(toy):
    write_experiment(toy, STREAM + "return streamed")
    done = run("made")
    assert done.manifest["recording"] == "streamed"
    assert done.recording.hidden.shape == (1, 4, 2)
    assert done.recording.attrs["experiment"] == "made"


def test_variables_are_added_to_a_streamed_recording(toy):
    write_experiment(
        toy, STREAM + "return streamed.assign(target=('trial', ['a']), late=('time', [0, 0, 1, 1]))"
    )
    done = run("made")
    assert done.recording.late.values.tolist() == [0, 0, 1, 1]
    assert done.recording.target.values.tolist() == ["a"]
    np.testing.assert_array_equal(done.recording.hidden, np.ones((1, 4, 2)))


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("streamed.load()", None),
        ("streamed[['hidden']]", None),
        ("streamed.assign_attrs(note='x')", None),
        ("streamed.assign(hidden=2 * streamed.hidden)", "hidden was changed after it was streamed"),
        ("streamed.load().assign(hidden=2 * streamed.hidden)", "hidden was changed after it was streamed"),
        ("streamed.isel(time=[0])", "(hidden|time) was changed after it was streamed"),
    ],
)
def test_a_streamed_variable_is_not_changed_unnoticed(toy, returned, said):
    write_experiment(toy, STREAM + f"return {returned}")
    if said is None:
        assert run("made").recording.hidden.values.tolist() == np.ones((1, 4, 2)).tolist()
        return
    with pytest.raises(RecordingError, match=said):
        run("made")


def test_an_interrupted_stream_can_be_read_and_makes_room(toy):
    stop = "if not context.resume:\n    raise KeyboardInterrupt\nreturn streamed"
    write_experiment(toy, STREAM + stop)
    with pytest.raises(Interrupted) as caught:
        run("made")
    stopped = caught.value.run
    assert stopped.recording.hidden.shape == (1, 4, 2)
    assert resume(stopped).state == "finished"
    assert (stopped.folder / "recording.interrupted.zarr").is_dir()


def test_a_killed_run_counts_as_interrupted_and_a_live_one_as_running(toy, forked):
    code = "import fwsim as fw; fw.study.run('trace', {'pause': '20 ms', 'steps': 10**6}, folder='killed')"
    process = forked(code, folder=toy)
    try:
        kept = toy / "killed" / "checkpoints" / "done.txt"
        while not kept.exists() or not kept.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        running = Run(toy / "killed")
        assert running.state == "running"
        with pytest.raises(ConfigError, match="is running"):
            resume(running)
        with pytest.raises(ConfigError, match="running in another process"):
            run("trace", folder="killed", force=True)
    finally:
        process.kill()
        process.wait()
    assert running.state == "interrupted"


def test_manifests_that_are_not_ours(toy):
    (toy / "odd").mkdir()
    for text, said in (
        ("{}", "is not a run"),
        ("[", "is damaged and no JSON"),
        ('{"fwsim_run": 99}', "has format 99"),
    ):
        (toy / "odd" / "run.json").write_text(text)
        with pytest.raises(ConfigError, match=said):
            runs.find_run("odd")


def test_runs_are_found_by_folder_or_name(toy):
    done = run("trace", {"steps": 2})
    assert runs.find_run(done.folder.name).folder == done.folder
    assert [each.folder for each in runs.past_runs()] == [done.folder]
    with pytest.raises(ConfigError, match="unknown run"):
        runs.find_run("nothing")


def test_a_folder_that_is_no_run_does_not_hide_the_run_of_its_name(toy):
    done = run("trace", {"steps": 2}, folder="runs/same")
    (toy / "same").mkdir()
    assert runs.find_run("same").folder == done.folder

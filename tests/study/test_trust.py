"""Code in a run's folder is executed if this user made the run and nothing was changed, or if the user says so."""

import io
import json
import os
import shutil
import sys

import pytest

from fwsim import cli
from fwsim.errors import ConfigError
from fwsim.study import (
    Interrupted,
    Run,
    again,
    analyse,
    compare,
    manifest,
    resume,
    resume_sweep,
    run,
    signatures,
    sweep,
    write_report,
)
from fwsim.study.trust import UntrustedError
from tests.study.test_execute import write_experiment

MARK = "\nfrom pathlib import Path\nPath('executed').touch()\n"


@pytest.fixture
def done(toy):
    return run("trace", {"steps": 2}, folder="here")


@pytest.fixture
def other_user(tmp_path, monkeypatch):
    """From now on, this is somebody else: another home folder, and so another key."""
    return lambda: monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))


def reseal(done, **entries):
    """Change a manifest as somebody would who is not this user, but knows the format."""
    content = {**done.manifest, **entries}
    content["sha256"] = manifest.digest(content)
    (done.folder / "run.json").write_text(json.dumps(content))


USES = {
    "analyse": analyse,
    "report": write_report,
    "compare": compare,
    "again": lambda given, **options: again(given, folder="again", **options),
}


@pytest.mark.parametrize("name", USES)
def test_runs_of_others_are_not_executed_unasked(toy, done, other_user, name):
    other_user()
    with pytest.raises(UntrustedError, match=r"here holds code that another user.*read .*\.py.*--trust"):
        USES[name]("here")
    assert not (done.folder / "results").exists()
    if name == "compare":
        with pytest.raises(ConfigError, match="is not compared"):
            compare("here", trust=True)
    else:
        USES[name]("here", trust=True)


def test_a_run_of_others_is_resumed_when_it_is_trusted(toy, other_user):
    write_experiment(toy, "if not context.resume:\n    raise KeyboardInterrupt\nreturn xr.Dataset()")
    with pytest.raises(Interrupted):
        run("made", folder="here")
    other_user()
    (toy / "here" / ".lock").unlink()
    before = {each: each.stat().st_mtime_ns for each in (toy / "here").rglob("*")}
    with pytest.raises(UntrustedError):
        resume("here")
    assert {each: each.stat().st_mtime_ns for each in (toy / "here").rglob("*")} == before
    assert resume("here", trust=True).state == "finished"
    assert manifest.is_own(toy / "here", Run(toy / "here").manifest)


def test_a_sweep_of_others_is_resumed_when_it_is_trusted(toy, other_user):
    with pytest.warns(UserWarning, match="1 of 2"):
        sweep("leak", {"eta": [1.0, 3.0]}, 1, {"steps": 2, "fails_above": 2.0}, workers=1, folder="here")
    other_user()
    with pytest.raises(UntrustedError):
        resume_sweep("here", workers=1, retry_failed=True)
    with pytest.warns(UserWarning, match="1 of 2"):
        resume_sweep("here", workers=1, retry_failed=True, trust=True)


@pytest.mark.parametrize(
    ("name", "use"),
    [("analysis.py", analyse), ("analysis.py", write_report), ("experiment.py", write_report)],
)
def test_changed_code_is_not_executed_unasked(toy, done, name, use):
    source = done.folder / name
    source.write_text(source.read_text() + MARK)
    with pytest.raises(UntrustedError, match=rf"here/{name} was changed since the run"):
        use(done)
    assert not (toy / "executed").exists()
    use(done, trust=True)
    assert (toy / "executed").exists()


def test_who_changes_the_manifest_too_is_noticed(toy, done):
    source = done.folder / "analysis.py"
    source.write_text(source.read_text() + MARK)
    from fwsim.study.files import fingerprint

    reseal(done, analysis_sha256=fingerprint(source))
    for signature in (done.manifest["signature"], "0" * 64, "", None):
        reseal(done, signature=signature)
        with pytest.raises(UntrustedError, match="another user"):
            analyse(done)
    assert not (toy / "executed").exists()


def test_what_is_not_executed_needs_no_trust(fwsim, toy, done, other_user, monkeypatch):
    monkeypatch.setattr("bokeh.server.server.BaseServer.run_until_shutdown", lambda server: None)
    other_user()
    assert done.recording.sizes["time"] == 2
    shutil.copy(toy / "analysis" / "trace.py", toy / "analysis" / "mine.py")
    assert analyse(done, "mine").table is not None
    (done.folder / "experiment.py").write_text("raise SystemError")
    for command in ("checksum", "explore"):
        assert "SystemError" not in "".join(map(str, fwsim(command, "here")))
    assert fwsim("list")[0] == 0


@pytest.mark.skipif(not hasattr(os, "chown") or os.geteuid() != 0, reason="only root can give files away")
def test_who_owns_the_files_counts(toy, done):
    for path in ("analysis.py", "run.json", "."):
        os.chown(done.folder / path, 65534, 65534)
        with pytest.raises(UntrustedError):
            analyse(done)
        os.chown(done.folder / path, os.geteuid(), os.getegid())
    assert analyse(done).files


def test_the_key_is_this_users_alone(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = run("trace", {"steps": 2}, folder="here")
    key = signatures.key_path()
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.stat().st_size == signatures.SIZE
    assert list(key.parent.iterdir()) == [key]
    assert key.read_bytes().hex() not in (done.folder / "run.json").read_text()
    shutil.copytree(done.folder, "moved")  # an archive of one's own run stays one's own
    assert analyse("moved").files


@pytest.mark.parametrize("spoil", ["readable", "no place"])
def test_without_a_key_the_owner_of_the_folder_decides(toy, tmp_path, monkeypatch, spoil):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("state" if spoil == "readable" else "file")))
    if spoil == "readable":
        run("trace", {"steps": 2}, folder="first")
        signatures.key_path().chmod(0o644)
    done = run("trace", {"steps": 2}, folder="here")
    assert done.manifest["signature"] is None
    assert analyse(done).files
    if os.geteuid() == 0:
        shutil.copytree(done.folder, "given")
        for path in (toy / "given", *(toy / "given").rglob("*")):
            os.chown(path, 65534, 65534)
        with pytest.raises(UntrustedError):
            analyse("given")


class Terminal(io.StringIO):
    """What is typed, or shown."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", 2), ("", 2)])
def test_a_terminal_asks(toy, done, other_user, monkeypatch, typed, code):
    other_user()
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", shown)
    with pytest.raises(SystemExit) as caught:
        cli.main(["analyse", "here"])
    assert caught.value.code == code
    assert "here holds code that another user" in shown.getvalue()
    assert "[y/N]" in shown.getvalue()
    assert (done.folder / "results").exists() == (code == 0)


def test_a_pipe_is_refused_in_one_line_and_help_says_what_is_executed(fwsim, done, other_user):
    other_user()
    for command in (["analyse"], ["report"], ["compare"], ["run", "--again"]):
        code, _, err = fwsim(*command, "here")
        assert (code, err.count("\n")) == (2, 1)
        assert "--trust" in err
        _, out, _ = fwsim(*command, "--help")
        assert "xecutes" in out
        assert "--trust" in out
    assert "xecutes" in fwsim("resume", "--help")[1]
    assert fwsim("analyse", "here", "--trust")[0] == 0

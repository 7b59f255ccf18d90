"""Folders of runs: what --force replaces, and how."""

import os

import pytest

from fwsim.errors import ConfigError, DivergedError
from fwsim.study import Run, locks, places, run
from tests.study.test_execute import write_experiment


def tree(folder):
    return {str(each): each.lstat().st_mtime_ns for each in folder.rglob("*")}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "npm"}',
        "{}",
        "[1]",
        "",
        '{"fwsim_run": 2}',
        '{"fwsim_run": 1, "state": "finished"}',
        "\xff",
        "[" * 9**5,
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_manifest_is_no_run(toy, text, force):
    (toy / "precious").mkdir()
    (toy / "precious" / "run.json").write_text(text)
    (toy / "precious" / "data.txt").write_text("data")
    before = tree(toy)
    with pytest.raises(ConfigError, match="precious exists and is not a run"):
        run("trace", {"steps": 2}, folder="precious", force=force)
    assert tree(toy) == before


def test_force_refuses_links_and_folders_above(toy, monkeypatch):
    run("trace", {"steps": 2}, folder="here")
    (toy / "link").symlink_to("here")
    (toy / "gone").symlink_to("nowhere")
    (toy / "here" / "inner").mkdir()
    before = tree(toy)
    for name, said in (("link", "is a link"), ("gone", "is a link")):
        with pytest.raises(ConfigError, match=said):
            run("trace", {"steps": 3}, folder=name, force=True)
    with monkeypatch.context() as patch:
        patch.chdir(toy / "here" / "inner")
        for name in ("..", ".", "", "../inner", "../../here", toy, toy / "here"):
            with pytest.raises(ConfigError):
                run(toy / "experiments" / "trace.py", {"steps": 3}, folder=name, force=True)
    assert tree(toy) == before


def test_what_is_replaced_is_kept_until_the_new_run_is_finished(toy):
    run("trace", {"steps": 2}, folder="here")
    body = "import pathlib\nif not pathlib.Path('mended').exists():\n    raise fw.DivergedError(1, 'hidden', 0)\n"
    write_experiment(toy, body + "return xr.Dataset()")
    for attempt in range(2):
        with pytest.raises(DivergedError):
            run("made", folder="here", force=True)
        kept = ["here.replaced", "here.replaced-2"][: attempt + 1]
        assert Run(toy / "here").manifest["replaces"] == kept
        assert Run(toy / "here.replaced").recording.sizes["time"] == 2
    (toy / "mended").touch()
    assert run("made", folder="here", force=True).state == "finished"
    assert not [each for each in toy.iterdir() if "replaced" in each.name or each.name.startswith(".")]


def test_only_its_own_predecessors_are_removed(toy):
    victim = run("trace", {"steps": 2}, folder="victim")
    run("trace", {"steps": 2}, folder="other.replaced")
    for names in (["victim"], ["other.replaced"], ["here.replaced-x"], ["here.replaced/../victim"]):
        places.drop_replaced(toy / "here", names)
    (toy / "here.replaced").symlink_to(victim.folder)
    places.drop_replaced(toy / "here", ["here.replaced"])
    assert victim.state == Run(toy / "other.replaced").state == "finished"


def test_drafts_are_cleared_away_if_they_are_ours_and_nobody_is_at_them(toy):
    hidden = f".here.{'0' * 32}"
    ours, foreign, held, other = (toy / f"{hidden[:-1]}{n}.draft" for n in range(4))
    for folder in (ours, foreign, held):
        folder.mkdir()
        (folder / "experiment.py").touch()
    (foreign / "data.txt").write_text("data")
    other.symlink_to("experiments")
    with locks.hold(held):
        run("trace", {"steps": 2}, folder="here")
        assert [each.exists() for each in (ours, foreign, held, other)] == [False, True, True, True]
    assert (toy / "experiments" / "trace.py").exists()


def test_a_replacement_that_was_killed_in_between_is_taken_back(toy):
    run("trace", {"steps": 2}, folder="here")
    run("trace", {"steps": 3}, folder="new")
    Run(toy / "new").update(state="running", replaces=["here.replaced"])
    os.rename("here", "here.replaced")
    os.rename("new", f".here.{'0' * 32}.draft")
    with pytest.raises(
        ConfigError, match="here exists; choose another place with --to, or replace it with --force"
    ):
        run("trace", {"steps": 4}, folder="here")
    assert Run(toy / "here").recording.sizes["time"] == 2
    assert not list(toy.glob(".here*"))


def test_of_several_replaced_runs_the_last_is_taken_back(toy):
    for name, steps in (("here.replaced", 2), ("here.replaced-2", 3), ("new", 4)):
        run("trace", {"steps": steps}, folder=name)
    Run(toy / "new").update(state="running", replaces=["here.replaced", "here.replaced-2"])
    os.rename("new", f".here.{'0' * 32}.draft")
    run("trace", {"steps": 2}, folder="next")
    assert Run(toy / "here").recording.sizes["time"] == 3
    assert Run(toy / "here.replaced").state == "finished"


def test_the_folder_of_a_run_at_work_is_not_replaced(toy):
    here = run("trace", {"steps": 2}, folder="here")
    with here.lock(), pytest.raises(ConfigError, match="here is running in another process"):
        run("trace", {"steps": 2}, folder="here", force=True)
    assert here.state == "finished"


@pytest.mark.parametrize("given", [3, None, "", "a\0b"])
def test_a_run_needs_a_path(given):
    with pytest.raises(ConfigError, match="is no path; give the name of a file or folder"):
        Run(given)

"""Experiments and analyses as files: how they are found, loaded and copied."""

import sys

import pytest

from fwsim.errors import ConfigError
from fwsim.study import files, load_experiment
from fwsim.study.declared import declared


def test_names_are_found_here_first(toy):
    assert files.find("trace") == toy / "experiments" / "trace.py"
    assert files.find("trace", "analysis") == toy / "analysis" / "trace.py"
    assert "trace" in files.available("experiments")


def test_shipped_experiments_are_found_from_anywhere(tmp_path, monkeypatch):
    checkout, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    shipped = checkout / "fwsim" / "_shipped" / "experiments"
    strangers = checkout / "experiments"
    for folder in (shipped, strangers, elsewhere):
        folder.mkdir(parents=True)
    (shipped / "mine.py").write_text('"""Shipped?"""')
    (strangers / "theirs.py").write_text('"""Of another package."""')
    monkeypatch.setattr(files, "PACKAGE", checkout / "fwsim")
    monkeypatch.chdir(elsewhere)
    assert files.available("experiments") == {"mine": shipped / "mine.py"}
    (checkout / "pyproject.toml").touch()
    assert set(files.available("experiments")) == {"mine", "theirs"}


@pytest.mark.parametrize("given", ["experiments/trace.py", "./experiments/trace.py"])
def test_paths(toy, given):
    assert files.find(given) == toy / "experiments" / "trace.py"


@pytest.mark.parametrize(
    ("given", "said"),
    [("traces", "did you mean 'trace'"), ("elsewhere/trace.py", "no file"), ("trace.py", "no file")],
)
def test_unknown_experiments(toy, given, said):
    with pytest.raises(ConfigError, match=said):
        files.find(given)


def test_docstrings_are_read_without_running(toy):
    bomb = toy / "experiments" / "bomb.py"
    bomb.write_text('"""What happens?\n\nMore."""\nraise SystemExit("ran")\n')
    assert files.question(files.docstring(bomb)) == "What happens?"
    bomb.write_text("def (")
    assert files.docstring(bomb) == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = x / 0\n", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("x = 1\ndef (\n", r"SyntaxError: .* \(line 2\)"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("import sys\nsys.exit()\n", r"SystemExit: .*\(line 2\)"),
        ("x = 1\n", "does not define Config and run; it must have Config, run"),
        ("class Config: pass\ndef run(config, context): pass\n", "must be a subclass"),
        (
            "import fwsim as fw\nQUICK = {'step': 1}\nclass Config(fw.study.Config):\n"
            "    steps: int = 1\n    'Steps.'\ndef run(config, context): pass\n",
            "QUICK has an unknown field 'step'; did you mean 'steps'",
        ),
        *(
            (
                f"import fwsim as fw\nQUICK = {quick}\nclass Config(fw.study.Config):\n"
                "    steps: int = 1\n    'Steps.'\ndef run(config, context): pass\n",
                r"QUICK=.* is not allowed; give values by field, e.g. {'units': 20}",
            )
            for quick in ("{'steps'}", "None", "3")
        ),
        (
            "import fwsim as fw\nBATCHABLE = 'steps'\nclass Config(fw.study.Config):\n"
            "    steps: int = 1\n    'Steps.'\ndef run(config, context): pass\n",
            r"BATCHABLE='steps' is not allowed; give a tuple of names, e.g. \('tau',\)",
        ),
        (
            "import fwsim as fw\nclass Config(fw.study.Config):\n    steps: int = 1\n"
            "def run(config, context): pass\n",
            "without a description: steps",
        ),
    ],
)
def test_broken_experiments(toy, source, said):
    (toy / "experiments" / "broken.py").write_text(source)
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=said) as caught:
        load_experiment("broken")
    assert "\n" not in str(caught.value)
    if "does not load" in str(caught.value):
        assert not [name for name in set(sys.modules) - before if "broken" in name]


def test_loading_leaves_nothing_beside_the_file(toy):
    experiment = load_experiment("trace")
    assert experiment.question == "How fast does a trace decay?"
    assert not list(toy.rglob("__pycache__"))


def test_equally_named_files_are_kept_apart(toy):
    (toy / "other").mkdir()
    source = (toy / "experiments" / "trace.py").read_text()
    (toy / "other" / "trace.py").write_text(source.replace("default=20", "default=30"))
    one, other = load_experiment("trace"), load_experiment("other/trace.py")
    assert (one.configure({}).steps, other.configure({}).steps) == (20, 30)
    assert one.configure({}).steps == 20


def test_quick_is_below_given_values(toy):
    experiment = load_experiment("trace")
    assert experiment.configure({}, quick=True).steps == 4
    assert experiment.configure({"steps": 7}, quick=True).steps == 7
    source = (toy / "experiments" / "trace.py").read_text()
    (toy / "experiments" / "slow.py").write_text(source.replace('QUICK = {"steps": 4}', ""))
    with pytest.raises(ConfigError, match="slow declares no QUICK"):
        load_experiment("slow").configure({}, quick=True)


def test_copying_a_pair(toy):
    made = files.copy_pair("mine", "trace")
    assert [str(path) for path in made] == ["experiments/mine.py", "analysis/mine.py"]
    assert made[0].read_bytes() == (toy / "experiments" / "trace.py").read_bytes()
    made[0].unlink()
    with pytest.raises(ConfigError, match=r"analysis/mine\.py exists already"):
        files.copy_pair("mine", "trace")
    assert not made[0].exists()
    for name in ("a b", "../up", "3d"):
        with pytest.raises(ConfigError, match="cannot name an experiment"):
            files.copy_pair(name, "trace")


def test_what_editors_and_systems_leave_is_no_experiment(toy):
    folder = toy / "experiments"
    (folder / "._trace.py").write_bytes(b"\x00\x05\x16\x07")
    (folder / ".#trace.py").symlink_to("somebody@somewhere")
    (folder / "old.py").mkdir()
    found = files.available("experiments")
    assert "trace" in found
    assert not {"._trace", ".#trace", "old"} & set(found)


def test_a_file_that_is_nested_too_deep_has_no_docstring(toy):
    deep = toy / "experiments" / "deep.py"
    deep.write_text("-" * 100_000 + "1")
    assert files.docstring(deep) == ""
    assert declared(deep) == []


def test_a_name_that_would_not_be_found_is_refused(toy):
    with pytest.raises(ConfigError, match="begin with a letter"):
        files.copy_pair("_mine")

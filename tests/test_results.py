"""`make results`: what every page quotes has a command, what is done is skipped, what is stale is done again."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fwsim import study
from fwsim.study import files

ROOT = Path(__file__).parents[1]
module = files.load(ROOT / "docs" / "results" / "regenerate.py", ("sources", "make"))


@pytest.fixture
def place(toy, monkeypatch):
    """A folder of a user with the toy experiment, whose results go to `page`."""
    (toy / "page").mkdir()
    monkeypatch.setattr(module, "HERE", toy / "page")
    return toy


def in_process(command):
    """Run a command here, since a process of its own takes seconds to start."""
    run = module.Run(module.folder_of(command))
    if not module.is_done(run):
        seed = int(command.rpartition(" ")[2])
        study.run("trace", {"steps": 5}, seed=seed, folder=run.folder, force=run.folder.exists())
    return run


def source(**entries):
    return module.Source("toy", runs=("fwsim run trace --seed {seed}",), over={"seed": [1, 2]}, **entries)


def test_every_table_and_figure_of_a_page_with_commands_is_made_by_one():
    made = {(entry.page, name) for entry in module.sources() for name in [*entry.files, *entry.scripts]}
    for page in {page for page, _ in made}:
        there = [path for kind in ("csv", "png") for path in module.HERE.glob(f"{page}*.{kind}")]
        assert {path.name for path in there} <= {name for _, name in made}


def test_every_command_names_an_experiment_and_its_fields():
    own = {"over", "seed", "seeds"}
    for entry in module.sources():
        for command in entry.runs:
            source = files.find(command.split()[2]).read_text().lower()  # options are, whatever fields are
            named = {
                each.removeprefix("no-").replace("-", "_")
                for each in module.re.findall(r"--([a-z][\w-]*)", command)
            }
            named |= {each.lower() for each in module.re.findall(r"(\w+)=", command)}
            assert [name for name in named - own if f"    {name}: " not in source] == []
        for command in entry.scripts.values():
            assert (ROOT / command.split()[1]).is_file()


@pytest.mark.slow
def test_every_command_is_understood():
    """Options, values and units of every run."""
    from fwsim.study.options import parse
    from fwsim.study.settings import RunSettings, SweepSettings
    from fwsim.study.sweeps.axes import parse_assignments, parse_axes

    for entry in module.sources():
        for command in entry.commands:
            _, kind, name, *tokens = module.shlex.split(command)
            experiment = study.load_experiment(ROOT / "experiments" / f"{name}.py")
            settings = {"run": RunSettings, "sweep": SweepSettings}[kind]
            _, parsed = parse(experiment, tokens, settings)
            parse_axes(experiment, parse_assignments(getattr(parsed, "over", ())))


def test_runs_have_folders_of_their_own():
    commands = {command for entry in module.sources() for command in entry.commands}
    assert len({module.folder_of(command) for command in commands}) == len(commands)
    long = "fwsim run trace" + " --steps 5" * 30
    assert module.folder_of(f"{long} --seed 1") != module.folder_of(f"{long} --seed 2")
    assert len(module.folder_of(f"{long} --seed 1").name) <= module.LONGEST


def test_what_is_done_is_skipped_and_what_is_stale_is_not(place):
    entry = source(files={"toy.csv": "table.csv"}, labels={"seed": [1, 2]})
    assert module.make("toy", [entry], in_process) == []
    records = json.loads((place / "page" / "toy.json").read_text())
    assert [each["seeds"] for each in records] == [[1], [2]]
    assert {"command", "commit", "versions", "wall_time_s"} <= records[0].keys()
    assert set(pd.read_csv(place / "page" / "toy.csv")["seed"]) == {1, 2}

    first = module.Run(module.folder_of(entry.commands[0]))
    started = first.manifest["started"], first.folder.stat().st_ino
    module.make("toy", [entry], in_process)
    assert (first.manifest["started"], first.folder.stat().st_ino) == started
    experiment = place / "experiments" / "trace.py"
    experiment.write_text(experiment.read_text() + "\n# changed\n")
    assert not module.is_done(first)


def test_what_is_outstanding_is_said_and_nothing_is_made_up(place):
    entry = source(files={"toy.csv": "table.csv"})
    in_process(entry.commands[0])
    assert module.make("toy", [entry], module.done) == [entry.commands[1]]
    assert not (place / "page" / "toy.csv").exists()


def test_what_is_published_of_runs_that_are_elsewhere_stays(place):
    old, new = source(files={"old.csv": "table.csv"}), module.Source("toy", ("fwsim run trace --seed 3",))
    path = place / "page" / "toy.json"
    path.write_text(
        json.dumps([{"command": command, "commit": "then"} for command in (*old.commands, "gone")])
    )
    in_process(new.commands[0])
    assert module.make("toy", [old, new], module.done) == old.commands
    records = json.loads(path.read_text())
    assert [each["command"] for each in records] == [*old.commands, *new.commands]
    assert [each["commit"] == "then" for each in records] == [True, True, False]


def test_a_table_between_marks_is_written_anew(place):
    page = place / "page" / "toy.md"
    (place / "page" / "a.csv").write_text("x,y\n1,\n")
    page.write_text("before\n<!-- a.csv -->\nold\n<!-- end -->\nafter\n")
    for _ in range(2):
        module.write_tables(page)
    assert (
        page.read_text()
        == "before\n<!-- a.csv -->\n| x | y |\n| --- | --- |\n| 1 |  |\n<!-- end -->\nafter\n"
    )


MARKED = re.compile(r"<!-- (\S+\.csv) -->\n(.*?)<!-- end -->", re.S)
NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?")
OTHER = (
    "associative_retrieval",
    "attractor_recipes",
    "calibration",
    "claims",
    "engine",
    "glimpses",
    "plastic_phases",
    "sweeps",
    "synapse_fit",
)
"""Pages with tables of trials, of scripts that print, or of theory: their numbers are in no file."""


@pytest.mark.parametrize("page", sorted(module.HERE.glob("*.md")), ids=lambda page: page.stem)
def test_a_table_between_marks_is_its_file(page):
    for name, table in MARKED.findall(page.read_text()):
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.strip().splitlines()]
        with (module.HERE / name).open(newline="", encoding="utf-8") as file:
            assert [rows[0], *rows[2:]] == [[cell.strip() for cell in row] for row in csv.reader(file)]


@pytest.mark.parametrize("page", sorted({path.stem for path in module.HERE.glob("*.md")} - {*OTHER}))
def test_numbers_of_other_tables_are_in_the_files_of_their_page_as_rounded(page):
    known = np.array([_value(number) for cell in _cells(page) for number in NUMBER.findall(cell)])
    text = re.sub(r"`[^`]*`", "", MARKED.sub("", (module.HERE / f"{page}.md").read_text()))
    rows = [line.strip("|").split("|")[1:] for line in text.splitlines() if line.startswith("|")]
    shown = [number for row in rows for cell in row for number in NUMBER.findall(cell)]
    decimal = [number for number in shown if re.fullmatch(r"[\d,]+\.\d+", number)]
    assert [number for number in decimal if not _rounds_to(number, known)] == []


def _cells(page: str) -> list[str]:
    """All cells of the tables of a page, and its other files as they are."""
    tables = [path.open(newline="", encoding="utf-8") for path in module.HERE.glob(f"{page}*.csv")]
    cells = [cell for table in tables for row in csv.reader(table) for cell in row]
    for table in tables:
        table.close()
    return cells + [path.read_text() for path in module.HERE.glob(f"{page}*.json")]


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _rounds_to(text: str, known: np.ndarray) -> bool:
    """Whether a number, or what it is in %, ms or mV, rounds to the text."""
    half = 0.5 * 10.0 ** -len(text.split(".")[1])
    return any(
        np.any(np.abs(scale * known - _value(text)) < half * 1.0001 + 1e-12) for scale in (1, 100, 1000)
    )

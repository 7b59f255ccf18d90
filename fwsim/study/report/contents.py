"""Contents of a report about one run."""

from __future__ import annotations

import csv
import html
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsim.errors import ConfigError, FwsimError, RecordingError
from fwsim.paths import read_plain_file, typed
from fwsim.study import agreement, files, results
from fwsim.study.analysis import analyse
from fwsim.study.config import unit_of
from fwsim.study.experiment import load_experiment
from fwsim.study.report import origins
from fwsim.study.report.vector import inline
from fwsim.study.runs import Run

MOST_TABLE = 10_000_000
"""Largest size in bytes of a table on a page."""
PLAUSIBILITY = "plausibility"
PARTS = {"table": "table", "columns": "meaning of its columns", "captions": "text below its figures"}
"""Names of tables in a folder of an analysis."""
TITLES = {
    "results": "Results",
    "agreement": "With and without spikes",
    "results-plausibility": "Has it been measured?",
}


@dataclass(frozen=True)
class Setting:
    """A field of the configuration; `default` is None if it is unknown or equal to the value."""

    name: str
    value: str
    default: str | None
    description: str


@dataclass(frozen=True)
class Table:
    """Columns and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawn:
    """A figure: its name, what the analysis says about it (or nothing), and its element of a page."""

    name: str
    caption: str
    element: str


@dataclass(frozen=True)
class Analysed:
    """Files of an analysis in a run's folder: a table, and figures as elements of a page."""

    title: str
    table: Table | None
    figures: tuple[Drawn, ...]
    notes: tuple[str, ...] = ()
    """What is not shown, and why."""
    columns: Table | None = None
    """What columns of the table mean."""


@dataclass(frozen=True)
class Contents:
    """Contents of a report about one run.

    Parameters
    ----------
    anchor
        Name of its place on the page.
    run
        The run.
    manifest
        Content of `run.json`.
    doc
        Paragraphs about the experiment.
    settings
        Its configuration.
    analysed
        Analyses, results first.
    notes
        Missing parts, and the commands that add them.
    recorded
        Variables of the recording.
    sources
        Name → text of the files that were run.
    """

    anchor: str
    run: Run
    manifest: Mapping[str, Any]
    doc: tuple[str, ...]
    settings: tuple[Setting, ...]
    analysed: tuple[Analysed, ...]
    notes: tuple[str, ...]
    recorded: Table | None
    sources: Mapping[str, str]

    @property
    def provenance(self) -> dict[str, str]:
        """Time, place, code and random numbers."""
        return origins.provenance(self.manifest)

    @property
    def repeat(self) -> origins.Repeat:
        """How to get the same result."""
        return origins.repeat(self.run, self.manifest)

    @property
    def swept(self) -> Table | None:
        """Parameters of a sweep and their values."""
        rows = origins.swept(self.manifest)
        return Table(("swept", "values"), rows) if rows else None

    @property
    def changed(self) -> tuple[Setting, ...]:
        """Settings that differ from the default."""
        return tuple(each for each in self.settings if each.default is not None)


def gather(run: Run, anchor: str) -> Contents:
    """Read a run's folder; analyse the run if it has a recording and no analysis."""
    manifest = run.manifest
    notes = list(_make_whole(run))
    sources = {
        path.name: path.read_text("utf-8", "replace")
        for path in (run.experiment, run.analysis)
        if path.is_file()
    }
    return Contents(
        anchor,
        run,
        manifest,
        _paragraphs(files.docstring(run.experiment)),
        tuple(_settings(run)),
        tuple(_analysed(run, anchor)),
        tuple(notes),
        _recorded(run),
        sources,
    )


def _make_whole(run: Run) -> Iterator[str]:
    """Analyse what can be analysed, and say what is missing."""
    state = run.state
    if state == "running":
        yield "The run is running. Wait until it has ended, and make the report again."
        return
    if state != "finished":
        reason = f": {run.manifest['error']}" if run.manifest.get("error") else ""
        yield f"The run is {state}{reason}. Continue with: fwsim resume {typed(run.folder)}"
        return
    of = run.manifest.get("digests")
    if not run.analysis.is_file():
        yield "It has no analysis."
    elif results.damage(run.folder / "results", of):
        analyse(run, trust=True)  # `write_report` has asked
    if (
        "circuits" in run.recording.attrs
        and results.damage(run.folder / f"results-{PLAUSIBILITY}", of)
        and PLAUSIBILITY in files.available("analysis")
    ):
        analyse(run, PLAUSIBILITY)
    if f"def {agreement.FUNCTION}(" in _text(run.analysis) and results.damage(run.folder / "agreement", of):
        command = f"fwsim compare {typed(run.folder)}"
        yield f"Its spiking and its tensor version were not compared. Compare them with: {command}"


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _paragraphs(docstring: str) -> tuple[str, ...]:
    return tuple(part for part in docstring.split("\n\n")[1:] if part.strip())


def _settings(run: Run) -> Iterator[Setting]:
    """Fields with unit, default and description, if the run's copy of the experiment can be loaded."""
    values = run.manifest["configuration"]
    try:
        fields = load_experiment(run.experiment).config.model_fields
    except FwsimError:
        fields = {}
    for name, value in values.items():
        field = fields.get(name)
        unit = (unit_of(field) if field else None) or ""
        default = None
        if field and not field.is_required():
            usual = field.get_default(call_default_factory=True)
            if _plain(usual) != _plain(value):
                default = f"{origins.said(usual)} {unit}".strip()
        description = (field.description or "") if field else ""
        yield Setting(name, f"{origins.said(value)} {unit}".strip(), default, description)


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _analysed(run: Run, anchor: str) -> Iterator[Analysed]:
    folders = [run.folder / "results", run.folder / "agreement", *sorted(run.folder.glob("results-*"))]
    of = run.manifest.get("digests")
    for number, folder in enumerate(each for each in folders if os.path.lexists(each)):
        title = TITLES.get(folder.name, folder.name.removeprefix("results-").replace("_", " ").capitalize())
        if wrong := results.damage(folder, of):
            yield Analysed(
                title, None, (), (f"It is not shown, since it is not whole ({wrong}); analyse again.",)
            )
            continue
        tables: dict[str, Table] = {}
        figures, notes = [], []
        for name, what in PARTS.items():
            if os.path.lexists(folder / f"{name}.csv"):
                try:
                    tables[name] = read_table(folder / f"{name}.csv")
                except RecordingError as error:
                    notes.append(f"The {what} is not shown: {error}.")
        captions = {row[0]: row[-1] for row in tables["captions"].rows} if "captions" in tables else {}
        for place, path in enumerate(sorted((*folder.glob("*.svg"), *folder.glob("*.gif")))):
            drawn, caption = path.stem.replace("_", " "), captions.get(path.stem, "")
            label = html.escape(f"{title}, {drawn}: {caption}".removesuffix(": "))
            try:
                element = inline(path, f"{anchor}-{number}-{place}-", label)
                figures.append(Drawn(drawn, caption, element))
            except RecordingError as error:
                notes.append(f"The figure {path.name} is not shown: {error}.")
        yield Analysed(title, tables.get("table"), tuple(figures), tuple(notes), tables.get("columns"))


def read_table(path: Path) -> Table:
    """Table of an analysis, with numbers of four digits.

    Raises
    ------
    RecordingError
        It is no plain file, no text, or empty.
    """
    try:
        text = read_plain_file(path, most=MOST_TABLE).decode()
        columns, *rows = csv.reader(io.StringIO(text, newline=""))
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path.name} is no text in UTF-8") from None
    except (ValueError, csv.Error):
        raise RecordingError(f"{path.name} is empty or no table") from None
    return Table(tuple(columns), tuple(tuple(map(_rounded, row)) for row in rows))


def _rounded(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return text
    name = "_" in text or text.lstrip("-").isdigit()  # 2024_01 is a number for Python, but not in a table
    return text if name else f"{number:.4g}"


def _recorded(run: Run) -> Table | None:
    try:
        recording = run.recording
    except (RecordingError, ConfigError):
        return None
    rows = [
        (
            str(name),
            " × ".join(f"{dim} {size}" for dim, size in values.sizes.items()) or "one number",
            str(values.attrs.get("units", "")),
            str(values.attrs.get("long_name", "")),
        )
        for name, values in recording.data_vars.items()
    ]
    return Table(("variable", "dimensions", "unit", "meaning"), tuple(rows))

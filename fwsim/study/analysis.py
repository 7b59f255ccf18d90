"""Analysis of a run: the numbers, table and figures of its analysis file, stored beside the recording."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, get_args

import pandas as pd
import xarray as xr
from matplotlib.animation import Animation
from matplotlib.figure import Figure

from fwsim.errors import ConfigError, RecordingError, truth, type_of
from fwsim.names import known_arguments
from fwsim.recording import write_netcdf
from fwsim.study import files, results
from fwsim.study import trust as trusted
from fwsim.study.figures import house_style, save_animation, save_figure
from fwsim.study.runs import Run, find_run
from fwsim.study.sweeps.analysis import Figures, Made, analyse_points, point_by_point, with_failures
from fwsim.study.writing import check_name

log = logging.getLogger(__name__)

NOTHING = "Mean of empty slice|Degrees of freedom <= 0|All-NaN"
"""Warnings of numpy if all values are missing."""


@dataclass(frozen=True)
class Report:
    """Results of an analysis.

    Parameters
    ----------
    result
        Its numbers, also in `result.nc`.
    table
        Its table, also in `table.csv`; None if the analysis has no `table`.
    files
        All written files.
    columns
        What columns of the table mean, also in `columns.csv`; empty if the analysis does not say.
    captions
        Captions of the figures by name, also in `captions.csv`; empty if the analysis gives none.
    """

    result: xr.Dataset
    table: pd.DataFrame | None
    files: tuple[Path, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self.files[0].parent


@known_arguments
def analyse(
    given: str | Path | Run,
    analysis: str | Path | None = None,
    *,
    to: str | Path | None = None,
    trust: bool = False,
    force: bool = False,
) -> Report:
    """Analyse a run and write numbers, table and figures to its folder.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    analysis
        Another analysis than the run's own: a path or a name. Its files go to
        `results-<name>` instead of `results`.
    to
        Another folder for the files, if the run's folder may not be written.
    trust
        Execute the run's own analysis even if it was changed, or if another user made the run.
    force
        Write into a folder `to` that contains something else; only files of the same names are replaced.

    Raises
    ------
    ConfigError
        The run or analysis does not exist or is not trusted, the file lacks `analyse` or `plot`, or `to` contains
        something else.
    RecordingError
        The run has no recording, or has changed since it was finished.
    StudyError
        The analysis failed.
    """
    truth(trust=trust, force=force)
    run, source = find_run(given), None
    if analysis is None:
        path, folder, name = run.analysis.absolute(), run.folder / "results", run.manifest["experiment"]
        if not path.is_file():
            raise ConfigError(
                f"{run.folder} has no analysis; write analysis/{name}.py and name it with --analysis"
            )
        source = trusted.source(run, run.analysis.name, trust=trust)
    else:
        path = files.find(analysis, "analysis")
        folder, name = run.folder / f"results-{path.stem}", path.stem
    folder = results.place(folder, to, force=force)
    module = files.load(path, ("analyse", "plot"), source)
    recording = run.recording
    log.info("%s: analysing with %s", run.folder, path)
    made = _made(module, path, name, recording)
    with files.running(path):
        columns = explained(getattr(module, "EXPLAINED", {}), made.table)
        captions = captioned(getattr(module, "CAPTIONS", {}), made.figures)
        digests = run.manifest.get("digests")
        written = save_report(folder, made, digests, columns, captions)
    return Report(made.result, made.table, tuple(written), columns, captions)


def _made(module: ModuleType, path: Path, name: str, recording: xr.Dataset) -> Made:
    """Result, table and figures of a run, or of a sweep as a whole or point by point, as the analysis declares."""

    def numbers(of: xr.Dataset) -> Made:
        with files.running(path):
            result = _checked(module.analyse(of), xr.Dataset, "analyse")
            return Made(result, _table(module, result), {})

    def figures(result: xr.Dataset) -> Figures:
        with files.running(path), house_style():
            plotted = module.plot(result)
            named = plotted if isinstance(plotted, Mapping) else {name: plotted}
            return {key: _checked(each, Figure | Animation, "plot") for key, each in named.items()}

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NOTHING, RuntimeWarning)  # the table shows what is missing
        if point_by_point(module, recording):
            return analyse_points(recording, numbers, figures)
        made = numbers(recording)
        table = None if made.table is None else with_failures(made.table, recording)
        return Made(made.result, table, figures(made.result))


@known_arguments
def configuration(recording: xr.Dataset) -> dict[str, Any]:
    """Configuration of the experiment that made a recording, or of a result with its attribute.

    Raises
    ------
    RecordingError
        It was not made by an experiment.
    """
    if not hasattr(recording, "attrs"):
        raise ConfigError(f"recording is {type_of(recording)}; give the recording of a run (xarray.Dataset)")
    if "experiment_configuration" not in recording.attrs:
        raise RecordingError(
            "the recording is not of an experiment; make it with fwsim.study.run or 'fwsim run'"
        )
    return json.loads(recording.attrs["experiment_configuration"])


def _checked(value: Any, kind: type | UnionType, function: str) -> Any:
    if not isinstance(value, kind):
        allowed = " or ".join(each.__name__ for each in get_args(kind) or (kind,))
        raise TypeError(f"{function} returned {type(value).__name__}, not a {allowed}")
    return value


def _table(module: ModuleType, result: xr.Dataset) -> pd.DataFrame | None:
    make: Callable[[xr.Dataset], Iterable | pd.DataFrame] | None = getattr(module, "table", None)
    if make is None:
        return None
    rows = make(result)
    return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))


def explained(meanings: Mapping[str, str], table: pd.DataFrame | None) -> dict[str, str]:
    """Meaning of each column of a table that `meanings` explains; `*` in a name stands for any text."""
    if not _texts(meanings):
        raise TypeError(f"EXPLAINED is {meanings!r}, not texts by names of columns")
    return _by_name(meanings, [] if table is None else [str(name) for name in table.columns])


def captioned(captions: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Caption of each figure that `captions` names; `*` in a name stands for any text.

    A figure of one point of a sweep, `overlap-tau=3`, has the caption of `overlap`.
    """
    if not _texts(captions):
        raise TypeError(f"CAPTIONS is {captions!r}, not texts by names of figures")
    of_points = {f"{name}-*": caption for name, caption in captions.items()}
    return _by_name({**of_points, **captions}, names)


def _texts(given: object) -> bool:
    return isinstance(given, Mapping) and all(
        isinstance(text, str) for pair in given.items() for text in pair
    )


def _by_name(texts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Text of each name; the last pattern that fits counts."""
    return {
        name: text
        for name in names
        for pattern, text in texts.items()
        if re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL)
    }


def save_report(
    folder: Path,
    made: Made,
    of: str | None = None,
    columns: Mapping[str, str] | None = None,
    captions: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write `result.nc`, tables as `.csv`, all figures and animations, and return their paths.

    The folder is complete or absent, with the digests of its files and of the run `of` which it is an analysis.
    """
    tables = {
        "table": made.table,
        "columns": _rows(columns, "column", "meaning"),
        "captions": _rows(captions, "figure", "caption"),
    }
    written = ["result.nc"]
    with results.renewed(folder, of) as draft:
        write_netcdf(made.result, draft / written[0])
        for name, table in tables.items():
            if table is not None:
                written.append(f"{name}.csv")
                table.to_csv(draft / written[-1], index=False)
        for name, drawn in made.figures.items():
            check_name("figure", name)
            if isinstance(drawn, Animation):
                saved = save_animation(drawn, draft, name)
            else:
                saved = save_figure(drawn, draft, name)
            written += [path.name for path in saved]
    return [folder / name for name in written]


def _rows(texts: Mapping[str, str] | None, *names: str) -> pd.DataFrame | None:
    return pd.DataFrame(list(texts.items()), columns=list(names)) if texts else None

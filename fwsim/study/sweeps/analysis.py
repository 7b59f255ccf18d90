"""Analysis of a sweep point by point, for an analysis that takes one run at a time; failed points are marked.

`SWEPT = ("tau", "seed")` in an analysis file names the fields over which it takes a sweep as a whole. A sweep over
any other field is analysed separately at each point. `SWEPT = ()` means an analysis of single runs. Without `SWEPT`
the analysis always gets the whole sweep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.animation import Animation
from matplotlib.figure import Figure

from fwsim.errors import FwsimError
from fwsim.progress import track
from fwsim.recording import open_recording
from fwsim.study.files import StudyError
from fwsim.study.sweeps import records
from fwsim.study.sweeps.axes import frozen
from fwsim.study.sweeps.dataset import assemble
from fwsim.study.sweeps.points import Point, Space
from fwsim.study.sweeps.records import Failure
from fwsim.study.sweeps.take import SweptPoint, axes_of, is_sweep, points, single

FIGURES = 12  # largest number of points with figures, spread over the sweep
LONGEST = 60  # characters of a point in the name of a figure
FAILED = "failed"
"""Column of a table with the errors of failed points."""
LOST = "the point failed"

Figures = Mapping[str, Figure | Animation]


@dataclass(frozen=True)
class Made:
    """Results of an analysis: numbers, table (None if it has none), figures by name."""

    result: xr.Dataset
    table: pd.DataFrame | None
    figures: Figures


def point_by_point(module: ModuleType, recording: xr.Dataset) -> bool:
    """Whether an analysis file takes the points of this sweep separately."""
    declared = getattr(module, "SWEPT", None)
    return declared is not None and is_sweep(recording) and not _swept(recording) <= set(declared)


def analyse_points(
    recording: xr.Dataset, analyse: Callable[[xr.Dataset], Made], plot: Callable[[xr.Dataset], Figures]
) -> Made:
    """Analyse every point of a sweep separately, and combine the results in the same way as recordings.

    Parameters
    ----------
    recording
        Recording of the sweep.
    analyse
        Function that returns result and table of one recording, without figures.
    plot
        Figures of one result, called for up to twelve points.

    Raises
    ------
    StudyError
        No point could be analysed.
    """
    every, several = points(recording), recording.sizes["seed"] > 1
    drawn = set(np.linspace(0, len(every) - 1, FIGURES).round().astype(int).tolist())
    ended: list[xr.Dataset | Failure] = []
    tables: list[pd.DataFrame] = []
    figures: dict[str, Figure | Animation] = {}
    with track("analysing points", len(every)) as advance:
        for place, point in enumerate(every):
            try:
                made = analyse(point.recording)
                ended.append(made.result)
                tables.append(_rows(point, made.table, several=several))
                if place in drawn:
                    for name, each in plot(made.result).items():
                        figures[_name(name, point, place, figures)] = each
            except FwsimError as error:
                reason = LOST if point.failed else str(error)
                tables.append(_rows(point, pd.DataFrame({FAILED: [reason]}), several=several))
                if len(ended) == place:  # the result failed, not only a figure
                    ended.append(Failure(reason))
            advance()
    failures = [each for each in ended if isinstance(each, Failure)]
    if len(failures) == len(every):
        raise StudyError(f"no point of the sweep could be analysed, the first for: {failures[0].error}")
    return Made(_together(recording, every, ended), _table(tables), figures)


def with_failures(table: pd.DataFrame, recording: xr.Dataset) -> pd.DataFrame:
    """Add the failed points to the table of an analysis of the whole sweep: one row each, with an additional column."""
    lost = [point for point in points(recording) if point.failed] if is_sweep(recording) else []
    if not lost:
        return table
    return _table([table, pd.DataFrame({FAILED: list(map(str, lost))})])


def _swept(recording: xr.Dataset) -> set[str]:
    return {"seed", *(name for axis in axes_of(recording) for name in axis.names)}


def _name(figure: str, point: SweptPoint, place: int, taken: Container[str]) -> str:
    """Name of a figure of a point: its values in letters that a file may have, if need be with its number."""
    text = re.sub(r"[^\w.+=-]+", "_", str(point).replace(", ", " "))
    short = f"{figure}-{text[:LONGEST]}"
    return short if len(text) <= LONGEST and short not in taken else f"{short}_{place}"


def _rows(point: SweptPoint, table: pd.DataFrame | None, *, several: bool) -> pd.DataFrame:
    """Table of a point, preceded by columns that identify the point."""
    values = {name: single(frozen(value)) for name, value in point.values.items()}
    values |= {"seed": point.seed} if several else {}
    rows = pd.DataFrame(index=range(1)) if table is None else table.reset_index(drop=True)
    names = {name: name if name not in rows else f"{name}_swept" for name in values}
    for place, (name, value) in enumerate(values.items()):
        rows.insert(place, names[name], [value] * len(rows))
    return rows


def _table(tables: list[pd.DataFrame]) -> pd.DataFrame:
    together = pd.concat([each.astype(object) for each in tables], ignore_index=True)
    if FAILED in together:
        together[FAILED] = together.pop(FAILED)  # last
    return together.where(together.notna(), "")


def _together(
    recording: xr.Dataset, every: list[SweptPoint], ended: list[xr.Dataset | Failure]
) -> xr.Dataset:
    """Results of all points as one dataset over the parameters."""
    space = Space(axes_of(recording), tuple(int(seed) for seed in recording["seed"].values))
    made = [Point(point.index, point.values, 0, str(place)) for place, point in enumerate(every)]
    described = {name: recording[name].attrs for name in space.parameters}
    kept = {key: value for key, value in recording.attrs.items() if key.startswith("experiment")}
    with TemporaryDirectory(prefix="fwsim-") as folder:
        batches, path = Path(folder, "batches"), Path(folder, "result.zarr")
        records.write(batches, made, ended)
        known = records.read(batches)
        assemble(path, space, described, [(point, known[point.identity]) for point in made], kept)
        result: Any = open_recording(path).load()
    return result.drop_vars("point_seed").drop_encoding()

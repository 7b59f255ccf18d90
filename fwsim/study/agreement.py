"""Agreement between the spiking and the tensor version of a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from fwsim.errors import ConfigError, choice, truth
from fwsim.measure import bootstrap
from fwsim.names import KnownArguments, known_arguments
from fwsim.study import files, results
from fwsim.study import trust as trusted
from fwsim.study.analysis import Report, save_report
from fwsim.study.figures import COLOURS, figure, house_style
from fwsim.study.runs import Run, find_run
from fwsim.study.sweeps.analysis import Made, point_by_point

WHOLE = ("trajectory", "response")  # all values together give one error
KINDS = (*WHOLE, "rate", "recall", "lifetime")
FUNCTION = "versions"
CAPTIONS = {
    "agreement": "Spiking against tensor version, a panel for each quantity: a dot for each setting, with the interval "
    "of the spiking version. On the line both agree. Trajectories are shown by their means."
}


@dataclass(frozen=True, eq=False)
class Versions(KnownArguments):
    """One quantity of a model in its spiking and in its tensor version.

    An analysis defines a function `versions(result)` that returns a list of these, if its model has both versions. It
    may take them from the recording, or run what is missing.

    Parameters
    ----------
    quantity, units
        Name and SI unit.
    kind
        `"trajectory"` or `"response"`, each with one relative error; or `"rate"`, `"recall"`, `"lifetime"`,
        which are compared value by value.
    spiking, tensor
        Values with the same dimensions, except that either may lack `over`.
    over
        Dimension of repetitions, over which intervals are computed; `None` if there are none.
    within
        Dimensions of a trajectory or response; all others are settings.
    """

    quantity: str
    kind: str
    spiking: xr.DataArray
    tensor: xr.DataArray
    units: str = "1"
    over: str | None = None
    within: tuple[str, ...] = ("time", "population", "unit", "spike")

    def __post_init__(self) -> None:
        choice("kind", self.kind, KINDS)

    @property
    def error(self) -> bool:
        """Whether all values together give one error."""
        return self.kind in WHOLE


@known_arguments
def compare(
    given: str | Path | Run,
    analysis: str | Path | None = None,
    *,
    to: str | Path | None = None,
    trust: bool = False,
    force: bool = False,
) -> Report:
    """Compare both versions of a run's model; write numbers, table and figure to its folder `agreement`.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    analysis
        Another analysis than the run's own: a path or a name.
    to
        Another folder for the files, if the run's folder may not be written.
    trust
        Execute the run's own analysis even if it was changed, or if another user made the run.
    force
        Write into a folder `to` that contains something else; only files of the same names are replaced.

    Raises
    ------
    ConfigError
        The run does not exist, its analysis has no two versions, or it is not trusted.
    RecordingError
        The run has changed since it was finished.
    StudyError
        The analysis failed.
    """
    truth(trust=trust, force=force)
    run = find_run(given)
    path, source = run.analysis.absolute(), None
    if analysis is not None:
        path = files.find(analysis, "analysis")
    elif path.is_file():
        source = trusted.source(run, run.analysis.name, trust=trust)
    if not path.is_file() or not hasattr(module := files.load(path, (), source), FUNCTION):
        raise ConfigError(
            f"{run.manifest['experiment']} is not compared: its analysis defines no {FUNCTION}(result); "
            "run one that has a spiking and a tensor version, e.g. working_memory or hebbian_memory"
        )
    folder = results.place(run.folder / "agreement", to, force=force)
    recording = run.recording
    if point_by_point(module, recording):
        raise ConfigError(f"{path.name} takes one run at a time; compare a run of one point of {run.folder}")
    with files.running(path):
        result = agreement(module.versions(module.analyse(recording)))
        with house_style():
            figures = {"agreement": plot(result)}
    made = Made(result, table(result), figures)
    written = save_report(folder, made, run.manifest.get("digests"), captions=CAPTIONS)
    return Report(result, made.table, tuple(written), captions=CAPTIONS)


def agreement(versions: Sequence[Versions]) -> xr.Dataset:
    """Compare quantities: one row for each setting of each quantity.

    Returns
    -------
    Dataset
        Over `row`: `quantity`, `kind`, `setting`. Over `row` and `interval` (estimate and 95 % interval
        over repetitions): `spiking`, `tensor` and `difference`; for trajectories and responses the last is the
        root mean square of the difference divided by that of the tensor version.
    """
    rows = [row for each in versions for row in _rows(each)]
    texts = {name: ("row", [row[name] for row in rows]) for name in ("quantity", "kind", "setting", "units")}
    numbers = {
        name: (("row", "interval"), np.array([row[name] for row in rows], float).reshape(len(rows), 3))
        for name in ("spiking", "tensor", "difference")
    }
    return xr.Dataset({**texts, **numbers}, coords={"interval": ["estimate", "low", "high"]})


def table(result: xr.Dataset) -> pd.DataFrame:
    """Rows of text; a difference agrees if its interval contains 0."""
    rows = []
    for k in range(result.sizes["row"]):
        one = result.isel(row=k)
        whole = str(one["kind"].values) in WHOLE
        _, low, high = one["difference"].values
        rows.append(
            {
                "quantity": str(one["quantity"].values) + _in_units(str(one["units"].values)),
                "setting": str(one["setting"].values),
                "spiking": _said(one["spiking"].values),
                "tensor": _said(one["tensor"].values),
                "error" if whole else "difference": _said(one["difference"].values),
                "agrees": ""
                if whole or not np.isfinite(low) or low == high
                else "yes"
                if low <= 0 <= high
                else "no",
            }
        )
    columns = ["quantity", "setting", "spiking", "tensor", "difference", "error", "agrees"]
    made = pd.DataFrame(rows).fillna("")
    return made[[name for name in columns if name in made]]


def plot(result: xr.Dataset) -> Figure:
    """Draw spiking against tensor values, with one panel for each quantity; for trajectories, their mean."""
    names = list(dict.fromkeys(zip(result["quantity"].values.tolist(), result["units"].values.tolist())))
    width = "single" if len(names) < 2 else "double"
    made, grid = figure(1, max(1, len(names)), width=width, aspect=1.1, squeeze=False)
    for axes, (name, units) in zip(grid[0], names):
        one = result.isel(row=np.flatnonzero((result["quantity"] == name) & (result["units"] == units)))
        middle, low, high = one["spiking"].transpose("interval", "row").values
        tensor = one["tensor"].sel(interval="estimate").values
        axes.errorbar(
            tensor, middle, abs(np.array([low, high]) - middle), fmt="o", ms=3, color=COLOURS["blue"]
        )
        ends = _ends(np.concatenate([tensor, middle, low, high]))
        axes.plot(ends, ends, color=COLOURS["black"], lw=0.5)
        unit = _in_units(units)
        axes.set(xlabel=f"tensor{unit}", ylabel=f"spiking{unit}", title=name)
    return made


def _in_units(units: str) -> str:
    return f" ({units})" if units not in ("", "1") else ""


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Ends of the line on which both versions agree: a tenth beyond all values, so that it is seen at a single one."""
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    beyond = 0.1 * ((most - least) or abs(most) or 1.0)
    return least - beyond, most + beyond


def _rows(each: Versions) -> Iterator[dict[str, Any]]:
    spiking, tensor = each.spiking, each.tensor
    inner = [dim for dim in spiking.dims if dim in each.within] if each.error else []
    outer = [str(dim) for dim in spiking.dims if dim not in inner and dim != each.over]
    for place in itertools.product(*(range(spiking.sizes[dim]) for dim in outer)):
        index = dict(zip(outer, place))
        first, second = (_repeated(values.isel(index), each.over, inner) for values in (spiking, tensor))
        if not (np.isfinite(first).any() and np.isfinite(second).any()):
            continue
        yield {
            "quantity": each.quantity,
            "kind": each.kind,
            "setting": ", ".join(_setting(spiking, dim, k) for dim, k in index.items()),
            "units": each.units,
            **_compared(first, second, each.error),
        }


def _compared(spiking: np.ndarray, tensor: np.ndarray, error: bool) -> dict[str, np.ndarray]:
    """Estimates and intervals of values `[repetition, inner]`; a version without repetitions is the same for all."""
    both = np.stack(np.broadcast_arrays(spiking, tensor), 1)

    def relative_error(mean: np.ndarray) -> float:
        return float(np.sqrt(((mean[0] - mean[1]) ** 2).mean() / (mean[1] ** 2).mean()))

    return {
        "spiking": bootstrap(spiking.mean(1)),
        "tensor": bootstrap(tensor.mean(1)),
        "difference": bootstrap(both, relative_error)
        if error
        else bootstrap((both[:, 0] - both[:, 1]).mean(1)),
    }


def _repeated(values: xr.DataArray, over: str | None, inner: Sequence[Any]) -> np.ndarray:
    """Values `[repetition, inner]`."""
    values = values if over in values.dims else values.expand_dims({over or "repetition": 1})
    values = values.transpose(over or "repetition", *inner)
    return values.values.reshape(len(values), -1)


def _setting(values: xr.DataArray, dim: str, place: int) -> str:
    label = values[dim].values[place]
    text = f"{label:g}" if isinstance(label, (int, float, np.number)) else str(label)
    unit = values[dim].attrs.get("units", "1") if dim in values.coords else "1"
    return f"{dim} {text}" + (f" {unit}" if unit != "1" else "")


def _said(values: np.ndarray) -> str:
    estimate, low, high = values
    exact = not np.isfinite(low) or low == high
    return f"{estimate:.3g}" if exact else f"{estimate:.3g} [{low:.3g}, {high:.3g}]"

"""Extraction of one point of a sweep as the recording that its own run would have made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError, instance
from fwsim.names import known_arguments
from fwsim.study.sweeps.axes import Axis
from fwsim.study.sweeps.layout import ADDED, DETAILS, LAYOUT


@dataclass(frozen=True, eq=False)
class SweptPoint:
    """One point of a sweep.

    Parameters
    ----------
    values
        Values of the swept parameters, by name, as in the configuration.
    seed
        Its seed on the axis of seeds.
    failed
        Whether it failed; then it has no recording.
    index
        Its index along the dimensions of the sweep, `seed` last.
    sweep
        The dataset of the sweep.
    """

    values: Mapping[str, Any]
    seed: int
    failed: bool
    index: tuple[int, ...]
    sweep: xr.Dataset

    @property
    def recording(self) -> xr.Dataset:
        """The recording of this point alone, as `run` makes it: with its own names, lengths, configuration and seed.

        Raises
        ------
        RecordingError
            The point failed.
        """
        if self.failed:
            raise RecordingError(f"the point {self} failed; failed.csv in the folder of the sweep says how")
        return _recording(self)

    def __str__(self) -> str:
        return ", ".join(
            f"{name}={single(value)}" for name, value in {**self.values, "seed": self.seed}.items()
        )


def single(value: Any) -> Any:
    """The single element of a sequence of one, as axes are labelled; any other value unchanged."""
    return value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value


def is_sweep(recording: xr.Dataset) -> bool:
    """Whether a dataset is that of a sweep."""
    instance("recording", recording, xr.Dataset, "the recording of a run or a sweep (xarray.Dataset)")
    return LAYOUT in recording.attrs


def axes_of(recording: xr.Dataset) -> tuple[Axis, ...]:
    """Axes of a sweep, without that of the seeds."""
    return tuple(map(Axis.kept, json.loads(recording.attrs[LAYOUT])["axes"]))


@known_arguments
def points(recording: xr.Dataset) -> list[SweptPoint]:
    """Every point of a sweep, the last dimension fastest.

    Raises
    ------
    RecordingError
        It is not the dataset of a sweep.

    Examples
    --------
    >>> for point in points(fw.sweep("capacity", over={"epsilon": "3,6"}, quick=True)):  # doctest: +SKIP
    ...     print(point, point.recording.sizes)
    """
    if not is_sweep(recording):
        raise RecordingError(
            "the recording is not that of a sweep; give the dataset that fwsim.sweep returns"
        )
    axes = json.loads(recording.attrs[LAYOUT])["axes"]
    failed, seeds = recording["failed"].values, recording["seed"].values
    found = []
    for index in np.ndindex(failed.shape):
        rows = [axis["rows"][place] for axis, place in zip(axes, index, strict=False)]
        values = {
            name: value
            for axis, row in zip(axes, rows, strict=True)
            for name, value in zip(axis["names"], row, strict=True)
        }
        found.append(SweptPoint(values, int(seeds[index[-1]]), bool(failed[index]), index, recording))
    return found


def _recording(point: SweptPoint) -> xr.Dataset:
    layout = json.loads(point.sweep.attrs[LAYOUT])
    at = point.sweep.isel(dict(zip(point.sweep["failed"].dims, point.index, strict=True)))
    own = json.loads(str(at[DETAILS].values.item()) or "{}") if DETAILS in at else {}
    names = {kept: name for name, kept in layout["renamed"].items()}
    names |= {kept: names.get(dim, dim) for dim, kept in layout["valued"].items()}
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    for name, variable in at.variables.items():
        if name in (*point.values, *ADDED) or name in own.get("absent", ()):
            continue
        taken = _own(variable.to_base_variable(), str(name), own)
        if name in layout["types"]:
            taken = taken.astype(np.dtype(layout["types"][name]))
        taken.dims = tuple(names.get(dim, dim) for dim in map(str, taken.dims))
        (coordinates if name in at.coords else variables)[names.get(str(name), str(name))] = taken
    return xr.Dataset(variables, coordinates, _attributes(point, at, own))


def _own(variable: xr.Variable, name: str, own: Mapping[str, Any]) -> xr.Variable:
    """The part of a variable that belongs to the point."""
    lacking = own.get("lacking", {}).get(name, ())
    where: dict[Any, Any] = dict.fromkeys(lacking, 0)
    for dim, places in own.get("places", {}).items():
        if dim in variable.dims:
            where[dim] = slice(*places) if len(places) == 2 else np.array(places[0], dtype=int)
    return variable.isel(where)


def _attributes(point: SweptPoint, at: xr.Dataset, own: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in at.attrs.items() if key not in (LAYOUT, "coordinates", "folder")}
    configuration = {**json.loads(kept["experiment_configuration"]), **point.values}
    kept |= {"experiment_configuration": json.dumps(configuration), "experiment_seed": int(at["point_seed"])}
    return {**kept, **own.get("attributes", {})}

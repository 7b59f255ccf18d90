"""A recording as an NWB file."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording import arrays
from fwsim.recording.in_memory import machine_memory
from fwsim.recording.nwb.extension import NAME, pynwb, run_type
from fwsim.recording.nwb.simulated import spikes
from fwsim.recording.places import complete_file
from fwsim.recording.timeline import Timeline
from fwsim.recording.trains import require_dataset, trains_of

SPIKES = ("spike_time", "spike_unit", "spike_trial")
MOST_AXES = 4
"""Of the data of an NWB time series."""
COMPRESSED = 2**14
"""Bytes from which data are compressed."""


@known_arguments
def write_nwb(run: xr.Dataset, path: str | PathLike[str]) -> None:
    """Write a recording as an NWB file: spikes as units, variables over time as time series, trials, configuration.

    NWB has one time line, so the trials follow each other with a second between them. The configuration is in
    the lab metadata.
    What NWB has no place for, and variables with more units than samples (which nwbinspector takes for swapped axes),
    are scratch arrays. So `read_nwb` returns the same recording, to the last bit.

    Parameters
    ----------
    run
        Any recording.
    path
        File to write, ending in `.nwb`, which must not exist yet; it appears when it is complete.

    Raises
    ------
    ConfigError
        `run` is no dataset, `path` is none of this kind, or pynwb is not installed.
    RecordingError
        The path exists or cannot be written, or the recording has something that NWB cannot store.
    """
    require_dataset(run)
    file = local_path(path, new=True)
    if file.suffix != ".nwb":
        raise ConfigError(f"path={str(path)!r} does not end in .nwb; NWB files do")
    if os.path.lexists(file):
        raise RecordingError(f"{file} exists already; choose another path or remove it")
    package = pynwb("write_nwb")
    if run.nbytes > machine_memory():
        raise RecordingError(
            f"the recording has {run.nbytes / 2**30:.0f} GiB, more than this machine's memory; choose a part: run.sel"
        )
    content = _content(run, package)
    with complete_file(file, ".nwb") as draft, package.NWBHDF5IO(str(draft), "w") as output:
        output.write(content)


def _content(run: xr.Dataset, package: Any) -> Any:
    """The NWB file in memory."""
    trains = trains_of(run) if set(SPIKES) <= set(run.variables) else None
    timeline = Timeline.of(run, trains)
    file = package.NWBFile(
        session_description="Simulation by fwsim",
        identifier=str(uuid.uuid4()),
        session_start_time=_began(run),
        keywords=["simulation", "computational neuroscience"],
        experiment_description=str(run.attrs.get("experiment", "Simulated neural network")),
    )
    file.subject = package.file.Subject(
        subject_id="simulation", age="P0D", sex="U", description="A simulated network; there is no animal"
    )
    _add_trials(file, run, timeline)
    exact: set[Any] = set()
    if trains is not None:
        times, ends = timeline.spikes(trains)
        _add_units(package, file, run, times, ends, timeline)
        again = spikes(timeline.starts, timeline.stops, ends, times)
        exact = {name for name, each in again.items() if each.identical(run[name].variable)}
    described: dict[str, Any] = {"attributes": arrays.plain(run.attrs), "series": {}, "arrays": {}}
    for name, variable in run.variables.items():
        if name in exact:  # the units have it already, to the last bit
            continue
        text = _name(name)
        variable = arrays.storable(text, variable)
        if variable.dtype.kind not in "biufT":
            raise RecordingError(
                f"NWB cannot store {text}, which is {variable.dtype}; leave it out: run.drop_vars"
            )
        kind = "series" if _is_series(text, variable, timeline) else "arrays"
        described[kind][text] = {
            "dimensions": [str(dim) for dim in variable.dims],
            "shape": list(variable.shape),
            "dtype": "str" if variable.dtype.kind == "T" else str(variable.dtype),
            "attributes": arrays.plain(variable.attrs),
            "coordinate": name in run.coords,
        }
        if kind == "series":
            file.add_acquisition(_series(package, text, run[text], timeline))
        else:
            about = str(variable.attrs.get("long_name") or text)
            file.add_scratch(_storable(variable.values), name=text, description=about)
    configuration = run.attrs.get("configuration") or run.attrs.get("experiment_configuration") or "{}"
    file.add_lab_meta_data(
        run_type()(name=NAME, configuration=str(configuration), recording=json.dumps(described))
    )
    return file


def _began(run: xr.Dataset) -> datetime:
    try:
        began = datetime.fromisoformat(str(run.attrs.get("started")))
    except ValueError:
        return datetime.now(UTC)
    return began if began.tzinfo else began.replace(tzinfo=UTC)


def _name(name: Any) -> str:
    if not isinstance(name, str) or "/" in name or ":" in name or not name:
        raise RecordingError(f"NWB cannot store a variable called {name!r}; rename it to a word")
    return name


def _time(name: str, variable: xr.Variable) -> str | None:
    """The time dimension of a variable."""
    return next((dim for dim in ("time", f"{name}_time") if dim in variable.dims), None)


def _is_series(name: str, variable: xr.Variable, timeline: Timeline) -> bool:
    """Whether a variable is numbers over time that a time series of NWB can hold, whose longest axis is time."""
    time = _time(name, variable)
    if time is None or name == time or variable.dtype.kind not in "biuf" or not variable.size:
        return False
    several = "trial" in variable.dims
    if not (several or len(timeline.starts) == 1) or variable.ndim - several > MOST_AXES:
        return False
    samples = variable.sizes[time] * (variable.sizes["trial"] if several else 1)
    return all(size <= samples for dim, size in variable.sizes.items() if dim not in ("trial", time))


def _series(package: Any, name: str, values: xr.DataArray, timeline: Timeline) -> Any:
    """Time series `[trial · time, …]` of a variable."""
    time = _time(name, values.variable)
    assert time is not None
    first = ["trial", time] if "trial" in values.dims else [time]
    data = _storable(values.transpose(*first, ...).values)
    data = data.reshape(-1, *data.shape[len(first) :])
    within = values[time].values if time in values.coords else np.arange(values.sizes[time], dtype=float)
    return package.TimeSeries(
        name=name,
        data=_compressed(package, data),
        unit=str(values.attrs.get("units", "unknown")),
        description=str(values.attrs.get("long_name") or name),
        comments=f"dimensions: {', '.join(['time', *map(str, values.dims[len(first) :])])}",
        continuity="continuous",
        **_clock(within, timeline),
    )


def _clock(within: np.ndarray, timeline: Timeline) -> dict[str, Any]:
    """A rate if the samples are evenly spaced and of one trial, otherwise the time of each."""
    times = timeline.times(np.asarray(within, float))
    if len(times) > 2 and len(timeline.starts) == 1:
        rate = round((len(times) - 1) / (times[-1] - times[0]), 9)
        if np.allclose(times, times[0] + np.arange(len(times)) / rate, rtol=0, atol=1e-9):
            return {"starting_time": float(times[0]), "rate": float(rate)}
    return {"timestamps": times}


def _compressed(package: Any, data: np.ndarray) -> Any:
    if data.nbytes < COMPRESSED:
        return data
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    return H5DataIO(data, compression="gzip", shuffle=True, fletcher32=True)


def _storable(values: np.ndarray) -> np.ndarray:
    """Numbers or texts as HDF5 has them, with at least one axis."""
    values = np.atleast_1d(values)
    if values.dtype.kind in "OUT":
        return np.array([str(each) for each in values.ravel()], object).reshape(values.shape)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _add_trials(file: Any, run: xr.Dataset, timeline: Timeline) -> None:
    labels = _columns(run, "trial", len(timeline.starts))
    for name, (_, about) in labels.items():
        file.add_trial_column(name=name, description=about)
    for index, start in enumerate(timeline.starts):
        row = {name: values[index] for name, (values, _) in labels.items()}
        file.add_trial(start_time=float(start), stop_time=float(timeline.stops[index]), **row)


def _add_units(
    package: Any, file: Any, run: xr.Dataset, times: np.ndarray, ends: np.ndarray, timeline: Timeline
) -> None:
    file.units = package.misc.Units(
        name="units", description="simulated neurons", resolution=float(run.attrs.get("dt", -1.0))
    )
    labels = _columns(run, "unit", len(ends))
    for name, (_, about) in labels.items():
        file.add_unit_column(name=name, description=about)
    observed = np.stack([timeline.starts, timeline.stops], axis=1)
    for index, (begin, end) in enumerate(zip(np.r_[0, ends[:-1]], ends)):
        row = {name: values[index] for name, (values, _) in labels.items()}
        file.add_unit(id=index, spike_times=times[begin:end], obs_intervals=observed, **row)


def _columns(run: xr.Dataset, dimension: str, size: int) -> Mapping[str, tuple[np.ndarray, str]]:
    """Labels of trials or units: values and meaning."""
    found = {}
    for name, values in run.coords.items():
        plain = values.dims == (dimension,) and len(values) == size and values.dtype.kind in "biufOUT"
        if plain and not (name == dimension and np.array_equal(values.values, np.arange(size))):
            stored = _storable(values.values)
            label = f"{dimension}_name" if name == dimension else _name(name)
            found[label] = (stored, str(values.attrs.get("long_name") or label))
    return found

"""Recordings as blocks of Neo, and blocks as recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import ConfigError, ShapeError
from fwsim.names import known_arguments
from fwsim.recording.schema import SCHEMA, STREAMED
from fwsim.recording.trains import require_dataset, trains_of
from fwsim.recording.windows import Windows
from fwsim.requirements import required

if TYPE_CHECKING:
    import xarray as xr


@known_arguments
def to_neo(run: xr.Dataset) -> Any:
    """Convert a recording to a `neo.Block`: a segment for each trial, with a `SpikeTrain` for each unit and signals.

    Variables `[trial, time, …]` of numbers become an `IrregularlySampledSignal` in every segment, whose channels are
    all their other dimensions, and whose times are those of the recording.

    Raises
    ------
    ConfigError
        Neo is not installed, or `run` is no dataset.
    RecordingError
        The recording contains no spikes, and no such variable.
    """
    neo = required("neo", "to_neo", extra="neo")
    require_dataset(run)
    signals = _signals(run)
    trains = None if signals and "spike_time" not in run else trains_of(run)
    trials = trains.trials if trains else run.sizes["trial"]
    block = neo.Block(name="fwsim", seed=run.attrs.get("seed"))
    for trial in range(trials):
        segment = neo.Segment(name=f"trial {trial}", index=trial)
        for name, values in signals.items():
            segment.irregularlysampledsignals.append(_signal(neo, name, values.isel(trial=trial)))
        block.segments.append(segment)
    if trains is None:
        return block
    order = np.lexsort((trains.time, trains.train))
    edges = np.searchsorted(trains.train[order], np.arange(trials * trains.units + 1))
    names = run["unit"].values if "unit" in run.coords else np.arange(trains.units)
    for train, (begin, end) in enumerate(pairwise(edges)):
        trial, unit = divmod(train, trains.units)
        times, name = trains.time[order[begin:end]], str(names[unit])
        block.segments[trial].spiketrains.append(
            neo.SpikeTrain(times, units="s", t_start=trains.start, t_stop=trains.stop, name=name, unit=unit)
        )
    return block


def _signals(run: xr.Dataset) -> Mapping[str, xr.DataArray]:
    """Variables over time, `[trial, time, …]`, with their own time axis as `time`."""
    found = {}
    for name, values in run.data_vars.items():
        own = f"{name}_time"
        each = values.rename({own: "time"}) if own in values.dims and "time" not in values.dims else values
        if {"trial", "time"} <= set(each.dims) and each.dtype.kind in "biuf" and "time" in each.coords:
            found[str(name)] = each.transpose("trial", "time", ...)
    return found


def _signal(neo: Any, name: str, values: xr.DataArray) -> Any:
    import quantities

    unit = str(values.attrs.get("units", "1"))
    try:
        known = quantities.Quantity(1.0, "dimensionless" if unit == "1" else unit)
    except LookupError:
        known = quantities.Quantity(1.0, "dimensionless")
    flat = values.values.reshape(values.sizes["time"], -1)
    return neo.IrregularlySampledSignal(
        values["time"].values, flat, units=known.dimensionality, time_units="s", name=name
    )


@known_arguments
def from_neo(block: Any) -> xr.Dataset:
    """Convert a `neo.Block`, or a `Segment`, to a recording: segments are trials, spike trains are units.

    Parameters
    ----------
    block
        Every segment has the same units in the same order, and the same signals. Times are counted from the start of
        each segment.

    Returns
    -------
    xarray.Dataset
        `spike_time`, `spike_unit`, `spike_trial`; every named signal as `[trial, <name>_time, <name>_channel]`. Names
        of spike trains are the coordinate `unit`, if they are all different and the same in all segments.

    Raises
    ------
    ConfigError
        Neo is not installed, or it is no block.
    ShapeError
        Segments differ in length or in the number of spike trains.
    """
    import xarray as xr

    neo = required("neo", "from_neo", extra="neo")
    segments = block.segments if isinstance(block, neo.Block) else [block]
    if not segments or not all(isinstance(each, neo.Segment) for each in segments):
        raise ConfigError(
            f"from_neo takes a neo.Block with segments, or a Segment, not {type(block).__name__}"
        )
    counts = {len(each.spiketrains) for each in segments}
    if len(counts) > 1:
        raise ShapeError(f"segments have {sorted(counts)} spike trains; give every segment all units")
    spans = [_span(each) for each in segments]
    lengths = np.array([stop - start for start, stop in spans])
    if np.ptp(lengths) > 1e-9 * max(1.0, lengths.max()):
        raise ShapeError(
            f"segments last from {lengths.min():g} to {lengths.max():g} s; cut them alike: segment.time_slice"
        )
    variables: dict[str, Any] = {}
    if counts != {0}:
        parts = [
            Windows(np.array([start]), float(lengths[0]), closed=True).spikes(
                [np.asarray(train.rescale("s").magnitude, float) for train in each.spiketrains]
            )
            for each, (start, _) in zip(segments, spans)
        ]
        variables |= _joined(parts)
    for name in dict.fromkeys(each.name for each in _of(segments[0])):
        variables |= _trials(name, segments, spans)
    coords: dict[str, Any] = {"trial": np.arange(len(segments)), "unit": np.arange(next(iter(counts)))}
    names = [[train.name for train in each.spiketrains] for each in segments]
    if (
        all(each == names[0] for each in names)
        and None not in names[0]
        and len(set(names[0])) == len(names[0])
    ):
        whole = all(re.fullmatch(r"\d+", name) for name in names[0])
        coords["unit"] = np.array(names[0], int if whole else str) if names[0] else coords["unit"]
    return xr.Dataset(
        variables, coords=coords, attrs={"fwsim_schema": SCHEMA, "duration": float(lengths.max())}
    )


def _joined(parts: list[dict[str, xr.Variable]]) -> dict[str, Any]:
    """Spikes of all trials, ascending in time."""
    import xarray as xr

    found = {name: np.concatenate([each[name].values for each in parts]) for name in parts[0]}
    sizes = [each["spike_time"].size for each in parts]
    found["spike_trial"] = np.repeat(np.arange(len(parts)), sizes).astype(found["spike_trial"].dtype)
    order = np.lexsort((found["spike_unit"], found["spike_trial"], found["spike_time"]))
    return {name: xr.Variable("spike", each[order], parts[0][name].attrs) for name, each in found.items()}


def _of(segment: Any) -> list[Any]:
    """Signals of a segment that have a name."""
    return [each for each in (*segment.analogsignals, *segment.irregularlysampledsignals) if each.name]


def _span(segment: Any) -> tuple[float, float]:
    """Start and end of a segment in s."""
    parts = [*segment.spiketrains, *_of(segment)]
    if not parts:
        raise ConfigError("a segment has neither spike trains nor named signals; there is nothing to convert")
    exact = segment.spiketrains or parts  # a signal may begin after the segment
    start = min(float(each.t_start.rescale("s")) for each in exact)
    return start, max(float(each.t_stop.rescale("s")) for each in exact)


def _trials(name: str, segments: list[Any], spans: list[tuple[float, float]]) -> dict[str, Any]:
    """One signal of all segments."""
    import xarray as xr

    own = [next((each for each in _of(segment) if each.name == name), None) for segment in segments]
    if any(each is None or each.shape != own[0].shape for each in own):  # type: ignore[union-attr]
        raise ShapeError(f"signal {name!r} is not in every segment with the same shape; leave it out")
    word = re.sub(r"\W+", "_", name).strip("_")
    word = f"{word}_signal" if word in (*STREAMED, "trial", "unit") else word
    signals: list[Any] = own
    times = np.round(np.asarray(signals[0].times.rescale("s").magnitude, float) - spans[0][0], 12)
    values = np.stack([np.asarray(each.magnitude) for each in signals])
    unit = str(signals[0].dimensionality)
    about = {"units": "1" if unit == "dimensionless" else unit, "long_name": name}
    return {
        word: xr.Variable(("trial", f"{word}_time", f"{word}_channel"), values, about),
        f"{word}_time": xr.Variable(f"{word}_time", times, {"units": "s", "long_name": "time"}),
    }

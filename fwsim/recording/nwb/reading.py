"""An NWB file as a recording."""

from __future__ import annotations

from os import PathLike
from typing import Any

import xarray as xr

from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording.nwb.extension import NAME, opened
from fwsim.recording.nwb.measured import measured
from fwsim.recording.nwb.simulated import simulated
from fwsim.units import checked


@known_arguments
def read_nwb(
    path: str | PathLike[str], *, align: str = "start_time", before: Any = 0.0, after: Any = None
) -> xr.Dataset:
    """Read an NWB file as a recording, so that the measures apply to it.

    A file that `write_nwb` wrote gives the same recording again. Of any other file, units become spikes
    (`spike_time`, `spike_unit`, `spike_trial`), trials become the dimension `trial`, and every time series of
    numbers becomes a variable `[trial, <name>_time, …]`, whose times are those of all trials to within a sampling step.
    Columns of the tables of units and trials become coordinates. Images, texts and waveforms are left out.

    Parameters
    ----------
    path
        An NWB file (HDF5).
    align
        Column of the table of trials with the time from which each trial is counted. Trials in which it is NaN are
        left out.
    before, after
        Window around that time in s; time 0 of the recording is its beginning. `after=None`: until the end of the
        trial, of the shortest one if they differ. Without trials the file is one trial.

    Returns
    -------
    xarray.Dataset
        In memory, in the schema of recordings. Attributes that begin with `nwb_` say where it comes from.

    Raises
    ------
    ConfigError
        `align` is no column of times, the window is empty, or pynwb is not installed.
    RecordingError
        It is no NWB file, a damaged one, or one that refers to other files or does not fit into memory.

    Warns
    -----
    UserWarning
        Trials differ in length, and `after` is not given; or a time series cannot be cut into trials.
    """
    before = checked("before", before, "time", least=0)
    after = None if after is None else checked("after", after, "time")
    file = local_path(path)
    with opened(file) as content:
        if NAME in content.lab_meta_data and align == "start_time" and (before, after) == (0.0, None):
            return simulated(content)
        return measured(content, align, before, after)

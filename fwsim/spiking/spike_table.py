"""Spike trains from a table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import ConfigError, RecordingError, short, type_of, whole
from fwsim.names import known_arguments
from fwsim.paths import home_path
from fwsim.tables import numeric, read_csv
from fwsim.units import checked, outside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COLUMNS = ("unit", "time_s", "trial")


Names = int | Sequence[Any] | np.ndarray | None


@known_arguments
def read_spikes(
    path: str | PathLike[str] | pd.DataFrame,
    *,
    duration: float | None = None,
    trials: Names = None,
    units: Names = None,
) -> xr.Dataset:
    """Read recorded spike trains from a table with one row for each spike.

    Parameters
    ----------
    path
        A DataFrame, or a CSV file with a header: columns `unit` (a number or a name), `time_s` (from the start of the
        trial) and, if there are several, `trial`. Other columns are ignored. Files may have commas, semicolons (then
        also decimal commas) or tabs.
    duration
        Length of every trial in s; `None`: until the last spike.
    trials, units
        All trials and units, since those without a spike have no row: their names, or their number n if they are
        called 0 … n−1. `None`: those with a spike.

    Returns
    -------
    xarray.Dataset
        `spike_time`, `spike_unit`, `spike_trial`, ascending in time, as in a recording of a simulation, so that the
        same measures apply. Units and trials are counted from 0; their names are the coordinates `unit` and `trial`.

    Raises
    ------
    RecordingError
        No such file, or not such a table.
    ConfigError
        A spike is later than `duration`, or belongs to a trial or unit that is not given.

    Warns
    -----
    UserWarning
        Trial numbers have gaps, and `trials` is not given.
    """
    import xarray as xr

    from fwsim.recording import SCHEMA, VARIABLES

    table = _table(path)
    time = table["time_s"].to_numpy(float)
    last = float(time.max(initial=0.0))
    if duration is not None:
        duration = checked("duration", duration, "time", least=0)
    if duration is not None and not last <= duration:
        raise ConfigError(
            f"duration={duration} s ends before the last spike at {last:g} s; raise it or leave it out"
        )
    unit_names, unit = _counted("units", table["unit"].to_numpy(), units)
    trial_names, trial = _counted("trials", table["trial"].to_numpy(), trials)
    order = np.lexsort((unit, trial, time))
    values = {"spike_time": time, "spike_unit": unit, "spike_trial": trial}
    return xr.Dataset(
        {
            name: ("spike", value[order].astype(VARIABLES[name].dtype), VARIABLES[name].attributes)
            for name, value in values.items()
        },
        coords={"unit": unit_names, "trial": trial_names},
        attrs={"fwsim_schema": SCHEMA, "duration": last if duration is None else float(duration)},
    )


def _counted(what: str, found: np.ndarray, given: Names) -> tuple[np.ndarray, np.ndarray]:
    """Names of all trials or units, and the index of the one to which each spike belongs."""
    if given is None:
        names, index = np.unique(found, return_inverse=True)
        if what == "trials" and names.dtype.kind in "iu" and len(names) and np.ptp(names) >= len(names):
            warnings.warn(
                f"the table has spikes in {len(names)} trials with numbers from {names[0]} to {names[-1]}, so some are "
                "left out; if they had no spike, say which there were with trials=, or rates and variances are wrong",
                UserWarning,
                stacklevel=outside(),
            )
        return names, index
    if np.ndim(given) == 0:
        whole(what, given, least=1)
        names = np.arange(given)
    else:
        names = np.asarray(given)
    place = {name: index for index, name in enumerate(names.tolist())}
    if len(place) < len(names):
        raise ConfigError(f"{what}={short(names.tolist())} has one twice; name each once")
    missing = [name for name in dict.fromkeys(found.tolist()) if name not in place]
    if missing:
        raise ConfigError(
            f"{what}={given!r} does not have {missing[0]!r}, which spikes; give the names of all"
        )
    return names, np.array([place[name] for name in found.tolist()], dtype=np.int64)


def _table(path: str | PathLike[str] | pd.DataFrame) -> Any:
    import pandas as pd

    if isinstance(path, pd.DataFrame):
        table, name, row, header = path.reset_index(drop=True), "the table", "row", 0
    elif isinstance(path, (str, PathLike)):
        name, row, header = str(path), "line", 2
        try:
            table = read_csv(os.fspath(home_path(path)), lambda name: name == "time_s")
        except ConfigError as error:
            raise RecordingError(str(error)) from error
    else:
        raise ConfigError(f"path is {type_of(path)}; give a CSV file, or a DataFrame")
    if "trial" not in table:
        table = table.assign(trial=0)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise RecordingError(
            f"{name} has columns {short(list(table))}; it needs unit, time_s and, if several, trial"
        )
    time = numeric(table["time_s"])
    bad = np.nonzero(~(np.isfinite(time) & (time >= 0)) | table[["unit", "trial"]].isna().any(axis=1))[0]
    if len(bad):
        raise RecordingError(
            f"{name}, {row} {bad[0] + header}: {short(table.iloc[bad[0]].to_dict())} is no spike; "
            "give unit, time_s ≥ 0, trial"
        )
    return table.assign(time_s=time)

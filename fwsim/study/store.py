"""Storing the recording that an experiment returned, streamed to disk or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dask.array
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.recording import first_difference, open_recording
from fwsim.recording.whole import complete, write_recording


def save_recording(recording: xr.Dataset, path: Path, attributes: Mapping[str, str | int]) -> str:
    """Write a recording to `path`, or complete the one that the run streamed there.

    Parameters
    ----------
    recording
        What the experiment returned.
    path
        Zarr folder of the run.
    attributes
        Added to the recording's own attributes, which have priority.

    Returns
    -------
    str
        `"streamed"` if the engine's own file contains all of it, otherwise `"whole"`.

    Raises
    ------
    RecordingError
        It contains something that cannot be stored, or another version of a streamed variable; or the disk cannot be
        written.
    """
    attributes = {**attributes, **recording.attrs}
    try:
        if not path.exists():
            write_recording(recording.assign_attrs(attributes), path)
            return "whole"
        streamed = open_recording(path)
        _refuse_changed(recording, streamed)
        added = recording.drop_vars([name for name in recording.variables if name in streamed.variables])
        complete(path, added, attributes)
        return "whole" if added.variables else "streamed"
    except RecordingError:
        raise
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordingError(
            f"the recording cannot be stored: {reason}; return numbers and strings, and check the free space"
        ) from error


def _refuse_changed(returned: xr.Dataset, streamed: xr.Dataset) -> None:
    """Refuse a streamed variable that was changed before it was returned: what is on the disk would stay."""
    for name in returned.variables.keys() & streamed.variables.keys():
        if not _is_same(returned.variables[name], streamed.variables[name]):
            raise RecordingError(
                f"{name} was changed after it was streamed, and what was streamed stays; return the changed one under "
                "another name"
            )


def _is_same(returned: xr.Variable, streamed: xr.Variable) -> bool:
    """Whether two variables have the same values; one that is still lazy and as it was opened is not read."""
    if (returned.dims, returned.shape, returned.dtype) != (streamed.dims, streamed.shape, streamed.dtype):
        return False
    lazy = [each.data for each in (returned, streamed) if isinstance(each.data, dask.array.Array)]
    if len(lazy) == 2 and len(lazy[0].dask.layers) == len(
        lazy[1].dask.layers
    ):  # every operation adds a layer
        return True
    one, other = (xr.Dataset({"values": each.to_base_variable()}) for each in (returned, streamed))
    return first_difference(one, other) is None

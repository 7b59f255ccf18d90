"""Storing the recording that an experiment returned, streamed to disk or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from fwsim.errors import RecordingError
from fwsim.recording import open_recording
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
        It contains something that cannot be stored, or the disk cannot be written.
    """
    attributes = {**attributes, **recording.attrs}
    try:
        if not path.exists():
            write_recording(recording.assign_attrs(attributes), path)
            return "whole"
        streamed = open_recording(path)
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

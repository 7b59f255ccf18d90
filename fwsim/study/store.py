"""Keeping the recording that an experiment returned, whether it streamed it to disk or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from fwsim.errors import RecordingError

_FORMAT: dict[str, Any] = {"zarr_format": 3, "consolidated": False}


def save_recording(recording: xr.Dataset, path: Path, attributes: Mapping[str, str | int]) -> str:
    """Write a recording to `path`, or complete the one that the run streamed there.

    Parameters
    ----------
    recording
        What the experiment returned.
    path
        Zarr folder of the run.
    attributes
        Added to the recording's own, which win.

    Returns
    -------
    str
        `"streamed"` where the engine's own file holds all of it, else `"whole"`.

    Raises
    ------
    RecordingError
        It holds something that cannot be stored, or the disk refuses.
    """
    attributes = {**attributes, **recording.attrs}
    try:
        if not path.exists():
            draft = path.with_name(path.name + ".part")
            _storable(recording.assign_attrs(attributes)).to_zarr(draft, mode="w", **_FORMAT)
            os.replace(draft, path)
            return "whole"
        group = zarr.open_group(path, mode="r+", zarr_format=3, use_consolidated=False)
        group.attrs.update(attributes)
        extra = recording.drop_vars([name for name in recording.variables if str(name) in group])
        if not extra.variables:
            return "streamed"
        _storable(extra).to_zarr(path, mode="a", **_FORMAT)
        return "whole"
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordingError(
            f"the recording cannot be stored: {reason}; return numbers and strings, and mind the free space"
        ) from error


def _storable(recording: xr.Dataset) -> xr.Dataset:
    """Without another file's encodings, and with texts of any length, which Zarr 3 has a type for."""
    texts = [name for name, variable in recording.variables.items() if variable.dtype.kind == "U"]
    varying = {name: recording[name].astype(np.dtypes.StringDType()) for name in texts}
    return (
        recording.assign_coords({name: text for name, text in varying.items() if name in recording.coords})
        .assign({name: text for name, text in varying.items() if name not in recording.coords})
        .drop_encoding()
    )

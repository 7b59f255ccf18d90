"""A recording as one NetCDF file, for other programs."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.requirements import required


def write_netcdf(run: xr.Dataset, path: str | PathLike[str]) -> None:
    """Write a recording as one NetCDF 4 file.

    Parameters
    ----------
    run
        Any recording; float16, which NetCDF does not have, becomes float32.
    path
        File to write, which must not exist yet; it appears when it is complete.

    Raises
    ------
    RecordingError
        The path exists or cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise RecordingError(f"{path} exists already; choose another path or remove it")
    required("h5netcdf", "a NetCDF file")
    half = [name for name, variable in run.variables.items() if variable.dtype == np.float16]
    part = path.with_name(f".{path.name}.part")
    try:
        run.assign({name: run[name].astype(np.float32) for name in half}).to_netcdf(part, engine="h5netcdf")
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordingError(
            f"{path} cannot be written: {error}; choose another folder or free some space"
        ) from error

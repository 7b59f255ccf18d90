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
        Any recording; what NetCDF does not have changes: float16 becomes float32, integers beyond 64 bits text.
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
    large = {
        name: str(value) for name, value in run.attrs.items() if isinstance(value, int) and value >= 2**63
    }
    stored = run.assign({name: run[name].astype(np.float32) for name in half}).assign_attrs(large)
    try:
        stored.to_netcdf(part, engine="h5netcdf")
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordingError(
            f"{path} cannot be written: {error}; choose another folder or free some space"
        ) from error

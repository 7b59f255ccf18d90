"""Export of a recording to one NetCDF file, for other programs."""

from __future__ import annotations

import os
from os import PathLike

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording.places import complete_file
from fwsim.recording.trains import require_dataset
from fwsim.requirements import required


@known_arguments
def write_netcdf(run: xr.Dataset, path: str | PathLike[str]) -> None:
    """Write a recording as one NetCDF 4 file, with a checksum (Fletcher32) on every chunk, which readers check.

    Parameters
    ----------
    run
        Any recording. Types that NetCDF lacks are converted: float16 to float32; of attributes, integers beyond 64
        bits to text, and True and False to 1 and 0.
    path
        File to write, which must not exist yet; it appears when it is complete.

    Raises
    ------
    ConfigError
        `run` is no dataset, `path` is no path on this machine, or h5netcdf cannot be imported.
    RecordingError
        The path exists or cannot be written, or the recording is damaged or has something that NetCDF cannot store.
    """
    require_dataset(run)
    file = local_path(path, new=True)
    if os.path.lexists(file):
        raise RecordingError(f"{file} exists already; choose another path or remove it")
    required("h5netcdf", "a NetCDF file")
    half = [name for name, variable in run.variables.items() if variable.dtype == np.float16]
    integers = {name: int(value) for name, value in run.attrs.items() if isinstance(value, (int, np.bool_))}
    attributes = {
        name: value if -(2**63) <= value < 2**63 else str(value) for name, value in integers.items()
    }
    stored = run.assign({name: run[name].astype(np.float32) for name in half})
    stored = stored.assign_attrs(attributes).drop_encoding()
    with complete_file(file) as draft:
        stored.to_netcdf(draft, engine="h5netcdf", encoding=_checksums(stored))


def _checksums(run: xr.Dataset) -> dict[str, dict[str, bool]]:
    """Encoding of variables with chunks: numbers with at least one dimension."""
    return {
        str(name): {"fletcher32": True}
        for name, variable in run.variables.items()
        if variable.ndim and variable.size and variable.dtype.kind in "iufb"
    }

"""`fwsim export` and `fwsim import`."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

from fwsim.errors import ConfigError, RecordingError
from fwsim.study.arguments import FilePath, NewPath, RunFolder


def export(run: RunFolder, /, *, to: Annotated[NewPath | None, Parameter(show_default=False)] = None) -> None:
    """Write the recording of a run as one file for other programs: NWB (.nwb) or NetCDF (.nc).

    Parameters
    ----------
    run
        A run's folder, or the folder of a recording.
    to
        The file, needed; its ending says the format. It must not exist yet.
    """
    from fwsim.explore.scene import find_recording
    from fwsim.recording import write_netcdf, write_nwb

    writers = {".nwb": write_nwb, ".nc": write_netcdf}
    if to is None or to.suffix not in writers:
        given = "" if to is None else f", not {to}"
        raise ConfigError(f"export needs --to with a file that ends in {' or '.join(writers)}{given}")
    writers[to.suffix](find_recording(run), to)
    print(to)


def import_(
    file: FilePath,
    /,
    *,
    to: Annotated[NewPath | None, Parameter(show_default=False)] = None,
    align: str = "start_time",
    before: str = "0 s",
    after: Annotated[str | None, Parameter(show_default=False)] = None,
) -> None:
    """Read an NWB file as a recording, so that fwsim explore and all measures apply to it.

    Parameters
    ----------
    file
        An NWB file.
    to
        Folder of the recording, needed. It must not exist yet.
    align
        Column of the table of trials with the time from which each trial is counted.
    before
        Time before it that belongs to the trial too, such as 500ms.
    after
        Time after it that belongs to the trial; by default until the end of the shortest trial.
    """
    from fwsim.cli import terminal
    from fwsim.paths import local_path
    from fwsim.recording import read_nwb
    from fwsim.recording.whole import write_recording

    if to is None:
        raise ConfigError("import needs --to with the folder of the new recording")
    folder = local_path(to)
    if os.path.lexists(folder):
        raise RecordingError(f"{to} exists already; choose another folder with --to")
    recording = read_nwb(file, align=align, before=before, after=after)
    write_recording(recording, folder)
    rows = [
        [
            str(name),
            ", ".join(f"{dim} {size}" for dim, size in values.sizes.items()),
            values.attrs.get("units", ""),
        ]
        for name, values in recording.data_vars.items()
    ]
    terminal.table(f"{to}", ["variable", "dimensions", "unit"], rows)

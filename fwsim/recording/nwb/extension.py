"""The NWB type of what fwsim knows about a run, and opening of files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fwsim.errors import FwsimError, RecordingError
from fwsim.requirements import required

NAME = "fwsim"
"""Name of the lab metadata in a file."""


def pynwb(purpose: str) -> Any:
    """The package pynwb; `ConfigError` if it is not there."""
    return required("pynwb", purpose, extra="nwb")


@cache
def run_type() -> Any:
    """The class of the lab metadata."""
    package = pynwb("an NWB file")
    package.load_namespaces(str(Path(__file__).with_name("ndx-fwsim.namespace.yaml")))
    return package.get_class("FwsimRun", "ndx-fwsim")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an NWB file for reading; whatever is wrong with it is one line.

    Raises
    ------
    RecordingError
        No such file, no NWB file, a damaged one, or one that refers to other files.
    """
    package = pynwb("reading an NWB file")
    run_type()
    _check_kind(path)
    try:
        _check_links(path)
        with ExitStack() as stack:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions of the format, and of namespaces in the file
                file = stack.enter_context(package.NWBHDF5IO(str(path), "r", load_namespaces=True))
                content = file.read()
            yield content
    except FwsimError:
        raise
    except MemoryError:
        raise RecordingError(f"{path} needs more memory than there is; take a smaller part of it") from None
    except Exception as error:  # whatever a broken or hostile file makes the libraries raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise RecordingError(
            f"{path} is damaged or no NWB file ({reason}); check it with nwbinspector, or get it again"
        ) from error


def _check_kind(path: Path) -> None:
    import h5py

    if not os.path.lexists(path):
        raise RecordingError(f"{path} does not exist; give the name of an NWB file")
    if not path.is_file():
        raise RecordingError(f"{path} is no file; give an NWB file (HDF5)")
    if not h5py.is_hdf5(path):
        raise RecordingError(f"{path} is no HDF5 file, so no NWB file; give a .nwb file")


def _check_links(path: Path) -> None:
    """Refuse a file whose data are in other files: it could show what its sender may not read."""
    import h5py

    elsewhere: list[str] = []

    def link(name: str, found: Any) -> None:
        if isinstance(found, h5py.ExternalLink):
            elsewhere.append(name)

    def thing(name: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            elsewhere.append(name)

    with h5py.File(path, "r") as file:
        file.visititems_links(link)
        file.visititems(thing)
    if elsewhere:
        raise RecordingError(
            f"{path}: {elsewhere[0]} is in another file; copy everything into one file first"
        )

"""Surroundings of a run: device, random streams, progress, folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fwsim.engine import checks
from fwsim.errors import ConfigError, type_of, whole
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.progress import Advance, track
from fwsim.seeds import check_seed, numpy_generator, stream_seed, torch_generator, torch_random_state
from fwsim.study.writing import check_name, make_folder, write_file
from fwsim.training.processes import processes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Context:
    """Surroundings of one run of an experiment.

    Parameters
    ----------
    folder
        Output folder of the run.
    seed
        The seed from which every random stream of the run is derived.
    device
        Device of the tensors; a name ("auto", "cpu", "cuda:1") is resolved by `pick_device`.
    resume
        Continue from the checkpoints in the folder.
    show
        Progress bars: None means on a terminal or in a notebook, False never.
    """

    folder: Path
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resume: bool = False
    show: bool | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        object.__setattr__(self, "folder", local_path(self.folder, "folder"))
        if isinstance(self.device, str):
            object.__setattr__(self, "device", pick_device(self.device))

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints, made when first used."""
        return make_folder(self.folder / "checkpoints")

    @property
    def recording(self) -> Path:
        """Path of a streamed recording: `simulate(..., to=context.recording, resume=context.resume)`."""
        return self.folder / "recording.zarr"

    def seed_of(self, name: str, *, bits: int = 63) -> int:
        """Seed of the stream `name`: it depends only on the run's seed and this name.

        With fewer `bits`, only its last ones, for programs with smaller seeds.
        """
        whole("bits", bits, least=1)
        return stream_seed(self.seed, name) % 2**bits

    def generator(self, name: str) -> torch.Generator:
        """Random stream `name`, on the CPU so that every device gets the same numbers."""
        return torch_generator(self.seed, name)

    def numpy_generator(self, name: str) -> np.random.Generator:
        """Random stream `name` as a generator of NumPy."""
        return numpy_generator(self.seed_of(name))

    def random_state(self, name: str) -> AbstractContextManager[None]:
        """Make the stream `name` torch's global generators inside a `with`, and restore them afterwards.

        For modules that have no argument for a generator: initial weights of layers, dropout.
        """
        return torch_random_state(self.seed_of(name), self.device)

    def progress(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Progress bar for `total` steps; yields the function that advances it."""
        return track(title, total, show=self.show)

    def save_table(self, name: str, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> Path:
        """Write rows of named values to `tables/<name>.csv` of the run and return its path.

        Raises
        ------
        ConfigError
            The name is none of a file, or would lead to another folder.
        """
        import pandas as pd

        check_name("table", name)
        if not isinstance(rows, Iterable) or isinstance(rows, str):
            raise ConfigError(f"rows is {type_of(rows)}; give rows of named values, or a DataFrame")
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        path = self.folder / "tables" / f"{name}.csv"
        make_folder(path.parent)
        write_file(path, table.to_csv(index=False))
        return path


@known_arguments
def pick_device(name: str) -> torch.device:
    """Device by name; "auto" is the GPU if there is one, otherwise the CPU. With torchrun each process has its own GPU.

    Raises
    ------
    ConfigError
        No such device on this machine, or one GPU for several processes.
    """
    return processes().device(checks.device(name, auto=True))

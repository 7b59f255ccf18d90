"""Options of `fwsim run` and `fwsim sweep` beside those of the experiment; quick to load, for the shell asks often."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar

from cyclopts import Parameter

from fwsim.study.arguments import Device, FilePath, Force, NewPath, Scheduler

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext


def swept(context: CompletionContext) -> list[str]:
    """Fields of the experiment, each with the sign that its values follow."""
    settings = {setting.name for setting in fields(SweepSettings)}
    names = [str(argument.field_info.name) for argument in context.arguments if argument.parse]
    return [f"{name}=" for name in names if name not in {*settings, "settings"}]


@dataclass(frozen=True)
class Settings:
    """How an experiment is run or swept, apart from its configuration.

    Parameters
    ----------
    device
        Where to compute: auto, cpu, cuda, cuda:1.
    quick
        Use the experiment's small values, to see that it works.
    config
        Values from a TOML or JSON file, or a run.json; options win over it, it wins over --quick.
    to
        Folder of the run, instead of one named after experiment and time in runs/.
    force
        Replace a run that is in the folder.
    """

    device: Device = "auto"
    quick: Annotated[bool, Parameter(negative="")] = False
    config: Annotated[FilePath | None, Parameter(show_default=False)] = None
    to: Annotated[NewPath | None, Parameter(show_default=False)] = None
    force: Force = False

    command: ClassVar[str] = "run"
    example: ClassVar[str] = "--seed 3"


@dataclass(frozen=True)
class RunSettings(Settings):
    """How an experiment is run.

    Parameters
    ----------
    seed
        From which every random stream is derived.
    analyse
        Analyse the recording afterwards.
    """

    seed: int = 0
    analyse: bool = True


@dataclass(frozen=True)
class SweepSettings(Settings):
    """How an experiment is swept.

    Parameters
    ----------
    over
        Parameter and values, once for each dimension: tau=0.1:100:log9 (or lin9), tau=100ms,1s; a quoted
        "tau=1,2 eta=0.1,0.3" changes both together. Wins over the option of that name.
    seeds
        How many seeds (0, 1, …), or which: 3,7,11.
    workers
        Processes on this machine (by default one a GPU, else one a core), or Slurm jobs.
    scheduler
        Address of a running Dask cluster, such as tls://host:8786, or slurm.
    cluster
        Option of the Slurm jobs, KEY=VALUE: memory=8GB, walltime=02:00:00, queue=gpu; of a cluster with certificates,
        tls_ca_file=FILE, tls_client_cert=FILE and tls_client_key=FILE.
    batch_size
        Most points that run as one batch; by default as many as fit, in at least eight batches.
    batch_memory
        Most memory of a batch.
    """

    over: Annotated[tuple[str, ...], Parameter(completer=swept)] = ()
    seeds: str = "1"
    workers: Annotated[int | None, Parameter(show_default=False)] = None
    scheduler: Annotated[Scheduler | None, Parameter(show_default=False)] = None
    cluster: tuple[str, ...] = ()
    batch_size: Annotated[int | None, Parameter(show_default=False)] = None
    batch_memory: str = "1 GB"

    command: ClassVar[str] = "sweep"
    example: ClassVar[str] = "--seeds 5"

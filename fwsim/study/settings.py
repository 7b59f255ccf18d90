"""Options of `fwsim run` and `fwsim sweep` besides those of the experiment; fast to import, for Tab completion."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar

from cyclopts import Parameter

from fwsim.study.arguments import Device, FilePath, Force, NewPath, Scheduler, Whole

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext


def swept(context: CompletionContext) -> list[str]:
    """Fields of the experiment, each with the character before its values."""
    settings = {setting.name for setting in fields(SweepSettings)}
    names = [str(argument.field_info.name) for argument in context.arguments if argument.parse]
    return [f"{name}=" for name in names if name not in {*settings, "settings"}]


@dataclass(frozen=True)
class Settings:
    """How an experiment is run or swept, besides its configuration.

    Parameters
    ----------
    device
        Device of the computation: auto, cpu, cuda, cuda:1.
    quick
        Use the experiment's small values, for a test.
    config
        Values from a TOML or JSON file, or a run.json. Options override it, and it overrides --quick.
    to
        Folder of the run, instead of a new one in runs/ named after experiment and time.
    force
        Replace a run in the folder.
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
        The seed from which every random stream is derived.
    analyse
        Analyse the recording afterwards.
    """

    seed: Whole = 0
    analyse: bool = True


@dataclass(frozen=True)
class SweepSettings(Settings):
    """How an experiment is swept.

    Parameters
    ----------
    over
        Parameter and values, once for each dimension: tau=0.1:100:log9 (or lin9), tau=100ms,1s. A quoted
        "tau=1,2 eta=0.1,0.3" changes both together. It overrides the option of that name.
    seeds
        Number of seeds (0, 1, …), or a list of seeds: 3,7,11.
    workers
        Processes on this machine (by default one per GPU, otherwise one per core), or Slurm jobs.
    scheduler
        Address of a running Dask cluster, such as tls://host:8786, or slurm.
    cluster
        Option of the Slurm jobs, KEY=VALUE: memory=8GB, walltime=02:00:00, queue=gpu; of a cluster with certificates,
        tls_ca_file=FILE, tls_client_cert=FILE and tls_client_key=FILE.
    batch_size
        Largest number of points that run as one batch; by default as many as fit, in at least eight batches.
    batch_memory
        Largest memory of a batch.
    sampler
        Search for the best point instead of a grid: tpe, random, cmaes, gp or qmc, of Optuna. Ranges are then
        tau=0.1:100:log (or lin), without a number. The same command with the same --to goes on.
    objective
        For --sampler, needed: the recorded variable whose mean is to be smallest.
    maximize
        For --sampler: the mean is to be largest.
    trials
        For --sampler: number of points in all, eight at a time; 50 by default.
    budget
        For --sampler: a parameter that says what a point costs, and rising values, epochs=5,20,80. A point runs with
        the next one only if the pruner does not stop it.
    pruner
        For --budget: median (the default) stops points whose best value so far is worse than the median of completed
        ones, halving all but the best third.
    """

    over: Annotated[tuple[str, ...], Parameter(completer=swept)] = ()
    seeds: str = "1"
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None
    scheduler: Annotated[Scheduler | None, Parameter(show_default=False)] = None
    cluster: tuple[str, ...] = ()
    batch_size: Annotated[Whole | None, Parameter(show_default=False)] = None
    batch_memory: str = "1 GB"
    sampler: Annotated[str | None, Parameter(show_default=False)] = None
    objective: Annotated[str | None, Parameter(show_default=False)] = None
    maximize: Annotated[bool, Parameter(negative="")] = False
    trials: Annotated[Whole | None, Parameter(show_default=False)] = None
    budget: Annotated[str | None, Parameter(show_default=False, completer=swept)] = None
    pruner: Annotated[str | None, Parameter(show_default=False)] = None

    command: ClassVar[str] = "sweep"
    example: ClassVar[str] = "--seeds 5"

"""`fwsim resume`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.cli.conclusion import conclude_run, conclude_sweep, failures_are_concluded
from fwsim.cli.trust import Trust, trusted
from fwsim.errors import ConfigError
from fwsim.study.arguments import Device, RunFolder, Scheduler, Whole


def resume(
    run: RunFolder,
    /,
    *,
    device: Annotated[Device | None, Parameter(show_default=False)] = None,
    analyse: bool | None = None,
    workers: Annotated[Whole | None, Parameter(show_default=False)] = None,
    scheduler: Annotated[Scheduler | None, Parameter(show_default=False)] = None,
    cluster: Annotated[list[str] | None, Parameter(negative="", show_default=False)] = None,
    retry_failed: Annotated[bool, Parameter(negative="")] = False,
    trust: Trust = False,
) -> None:
    """Continue a run or sweep that was interrupted, killed or failed; only the missing part is computed.

    Executes the run's experiment.py.

    Parameters
    ----------
    run
        Folder of the run.
    device
        Another device than before: auto, cpu, cuda, cuda:1.
    analyse
        Analyse the recording afterwards; the default is no for sweeps, and yes for other runs.
    workers
        For sweeps: processes on this machine (by default one per GPU, otherwise one per core), or Slurm jobs.
    scheduler
        For sweeps: address of a running Dask cluster, such as tls://host:8786, or slurm.
    cluster
        For sweeps: option of the Slurm jobs, KEY=VALUE: memory=8GB, walltime=02:00:00, queue=gpu.
    retry_failed
        Also run the points of a sweep that failed.
    trust
        Execute the run's own code even if it was changed, or if another user made the run.
    """
    from fwsim import study
    from fwsim.study.runs import find_run
    from fwsim.study.sweeps.cluster import parse_options

    found = find_run(run)
    trust = trusted(run, trust)
    if "sweep" not in found.manifest:
        if workers or scheduler or cluster or retry_failed:
            raise ConfigError(f"{found.folder} is no sweep; leave out the options of sweeps")
        conclude_run(study.resume(found, device=device, trust=trust), analyse is not False, trust=trust)
        return
    with failures_are_concluded():
        study.resume_sweep(
            found,
            device=device,
            workers=workers,
            scheduler=scheduler,
            cluster=parse_options(cluster or ()),
            retry_failed=retry_failed,
            trust=trust,
        )
    conclude_sweep(found.folder)
    if analyse:
        terminal.report(study.analyse(found, trust=trust))

"""Where the batches of a sweep run: processes of this machine, a running Dask cluster, or Slurm jobs."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from fwsim.distributed import processes
from fwsim.errors import ConfigError, whole
from fwsim.requirements import required
from fwsim.study.context import pick_device

if TYPE_CHECKING:
    from distributed import Client

ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d+\Z")
ANSWER = "10s"  # within which a running scheduler has to answer


@contextmanager
def connect(
    scheduler: str | None, workers: int | None, device: str, options: Mapping[str, Any], batches: int
) -> Iterator[Client | None]:
    """Client of a Dask cluster; None where one worker of this machine is all that is needed.

    Parameters
    ----------
    scheduler
        None for this machine, the address of a running scheduler, or `"slurm"`.
    workers
        Number of processes or jobs; None: one a device of this machine, no more than there are batches.
    device
        Of the workers.
    options
        Of the Slurm jobs, as `dask_jobqueue.SLURMCluster` takes them.
    batches
        To be run.

    Raises
    ------
    ConfigError
        The scheduler does not answer, or something given does not fit it.
    """
    processes().refuse("a sweep", "start it without torchrun: it has one worker a GPU by itself")
    if workers is not None:
        whole("workers", workers, least=1)
    if options and scheduler != "slurm":
        raise ConfigError(f"cluster options ({', '.join(options)}) are for scheduler='slurm'; leave them out")
    local = 0
    if scheduler is None:
        local = min(devices(device) if workers is None else workers, batches)
        if local <= 1:
            yield None
            return
    required("distributed", "a sweep over several processes")
    with _quiet():
        if scheduler is None:
            yield from _local(local)
        elif scheduler == "slurm":
            yield from _slurm(workers, options)
        else:
            yield from _running(scheduler, workers)


def devices(name: str) -> int:
    """Number of workers that this machine has devices for: its GPUs, one GPU, or its cores."""
    device = pick_device(name)
    if device.type == "cuda":
        return torch.cuda.device_count() if device.index is None else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of the cluster from `KEY=VALUE`: numbers and JSON where they read as such, else text."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key.isidentifier() and equals):
            raise ConfigError(f"--cluster {text!r} is not KEY=VALUE; write e.g. --cluster memory=8GB")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _local(workers: int) -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with (
        _main_left_alone(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload="fwsim.study.sweep_preload",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _running(address: str, workers: int | None) -> Iterator[Client]:
    if not ADDRESS.match(address):
        raise ConfigError(
            f"scheduler={address!r} is not known; give an address such as tcp://host:8786, or slurm"
        )
    if workers is not None:
        raise ConfigError(f"{address} has the workers it has; leave workers out")
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({reason}); start one with 'dask scheduler'"
        ) from None
    with client:
        yield client


def _slurm(workers: int | None, options: Mapping[str, Any]) -> Iterator[Client]:
    if workers is None:
        raise ConfigError("say how many Slurm workers may run at a time with workers (--workers 8)")
    cluster_class = required("dask_jobqueue", "scheduler='slurm'", extra="slurm").SLURMCluster
    from distributed import Client

    try:
        cluster = cluster_class(**slurm_options(options))
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"Slurm options do not fit: {reason}; pass them as --cluster memory=8GB") from None
    with cluster:
        if shutil.which("sbatch") is None:
            raise ConfigError("there is no Slurm here (sbatch is not found); start the sweep on a login node")
        cluster.scale(workers)
        with Client(cluster, set_as_default=False) as client:
            yield client


def slurm_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `SLURMCluster` with one worker a job unless said otherwise, each with one thread."""
    cores = options.get("cores", 1)
    return {"cores": cores, "processes": cores, "python": sys.executable, **options}


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of dying workers and lost connections: the sweep handles them, or says so in its own words."""
    import distributed  # noqa: F401 - which sets the levels that are changed here

    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep new processes from running the user's script again: tasks carry source and need nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

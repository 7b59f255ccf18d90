"""Places for the batches of a sweep: processes of this machine, a running Dask cluster, or Slurm jobs.

Anyone who can connect to a scheduler or worker of Dask can run code as its user. So those that are started here
accept only connections with the key of this sweep (TLS). It stays in memory, or for Slurm in files that only the user
can read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, whole
from fwsim.requirements import required
from fwsim.study.context import pick_device
from fwsim.training.processes import processes
from fwsim.units import outside

if TYPE_CHECKING:
    from distributed import Client, Security

ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d+\Z")
ANSWER = "10s"  # time limit for the answer of a running scheduler
CREDENTIALS = ("tls_ca_file", "tls_client_cert", "tls_client_key")
NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Settings of Dask that turn off its web servers."""


class OpenClusterWarning(UserWarning):
    """A sweep uses a cluster that accepts connections from anyone."""


@contextmanager
def connect(
    scheduler: str | None,
    workers: int | None,
    device: str,
    options: Mapping[str, Any],
    batches: int,
    shared: Path = Path("."),
) -> Iterator[Client | None]:
    """Client of a Dask cluster; None if one worker of this machine is enough.

    Parameters
    ----------
    scheduler
        None for this machine, the address of a running scheduler, or `"slurm"`.
    workers
        Number of processes or jobs; None: one per device of this machine, but not more than batches.
    device
        Device of the workers.
    options
        For Slurm jobs, as in `dask_jobqueue.SLURMCluster`; for a running scheduler, `tls_ca_file`,
        `tls_client_cert` and `tls_client_key`, the files of its certificates.
    batches
        The batches to be run.
    shared
        A folder that all machines can access, for the keys of Slurm jobs while they run.

    Raises
    ------
    ConfigError
        The scheduler does not answer, or an argument does not fit it.
    """
    processes().refuse("a sweep", "start it without torchrun: it has one worker per GPU anyway")
    if workers is not None:
        whole("workers", workers, least=1)
    known = () if scheduler is None else CREDENTIALS
    if scheduler != "slurm" and not set(options) <= set(known):
        raise ConfigError(
            f"cluster options ({', '.join(options)}) are for scheduler='slurm'; "
            + (f"a running scheduler takes {', '.join(known)}" if known else "leave them out")
        )
    local = 0
    if scheduler is None:
        here = devices(device)  # refuses an unavailable device before anything is made
        local = min(here if workers is None else workers, batches)
        if local <= 1:
            yield None
            return
    required("distributed", "a sweep over several processes")
    with _quiet():
        if scheduler is None:
            yield from _local(local)
        elif scheduler == "slurm":
            yield from _slurm(workers, options, shared)
        else:
            yield from _running(scheduler, workers, options)


def devices(name: str) -> int:
    """Number of workers for the devices of this machine: its GPUs, one GPU, or its cores."""
    device = pick_device(name)
    if device.type == "cuda":
        return torch.cuda.device_count() if device.index is None else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of the cluster from `KEY=VALUE`: numbers and JSON if they can be read as such, otherwise text."""
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
    import dask
    from distributed import Client, LocalCluster

    with (
        _main_left_alone(),
        _environment_put_back(),
        dask.config.set(NO_PAGES),
        _delayed_interrupt() as started,
    ):
        scratch = started(TemporaryDirectory(prefix="fwsim-sweep-", ignore_cleanup_errors=True))
        cluster = started(
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                security=_own_key(),
                local_directory=scratch,  # which other users cannot enter
                dashboard_address=None,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
                preload="fwsim.study.sweeps.preload",
            )
        )
        client = started(Client(cluster, set_as_default=False))
        started.ready()
        yield client


@contextmanager
def _environment_put_back() -> Iterator[None]:
    """Put the environment back: Dask sets numbers of threads for its workers in it, and leaves them there."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


class _DelayedInterrupt(ExitStack):
    """Contexts whose start and end Ctrl-C does not interrupt, since Dask cannot handle that; it takes effect later."""

    def __init__(self) -> None:
        super().__init__()
        self.handler: Any = None
        self.pressed = False

    def __call__(self, entered: Any) -> Any:
        """Enter a context, as `enter_context` does."""
        return self.enter_context(entered)

    def hold(self) -> None:
        """From now on, delay Ctrl-C."""
        if self.handler is None and threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGINT, self._press)

    def ready(self) -> None:
        """Allow Ctrl-C again, and raise it now if it was pressed meanwhile."""
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)
            self.handler = None
        if self.pressed:
            self.pressed = False
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        self.pressed = True


@contextmanager
def _delayed_interrupt() -> Iterator[_DelayedInterrupt]:
    """Delay Ctrl-C until `ready` is called, and again while the contexts that were entered end."""
    ends = _DelayedInterrupt()
    ends.hold()
    try:
        with ends:
            try:
                yield ends
            finally:
                ends.hold()
    except KeyboardInterrupt:
        ends.pressed = False  # a single Ctrl-C is enough
        raise
    finally:
        ends.ready()


def _own_key(folder: str | Path | None = None) -> Security:
    """A key made for this sweep, which every scheduler, worker and client of it needs.

    It is in memory, or in two files of the folder that only the user can read.
    """
    required("cryptography", "a sweep on several processes")
    from distributed import Security

    made = Security.temporary()
    if folder is None:
        return made
    files = {"key": Path(folder, "key.pem"), "cert": Path(folder, "certificate.pem")}
    for what, path in files.items():
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(getattr(made, f"tls_client_{what}"))
    roles = {
        f"tls_{role}_{what}": str(path)
        for role in ("client", "scheduler", "worker")
        for what, path in files.items()
    }
    return Security(require_encryption=True, tls_ca_file=str(files["cert"]), **roles)


def _running(address: str, workers: int | None, options: Mapping[str, Any]) -> Iterator[Client]:
    if not ADDRESS.match(address):
        raise ConfigError(
            f"scheduler={address!r} is not known; give an address such as tls://host:8786, or slurm"
        )
    if workers is not None:
        raise ConfigError(f"{address} has the workers it has; leave workers out")
    from distributed import Client

    security = _credentials(address, options)
    try:
        client = Client(address, timeout=ANSWER, set_as_default=False, security=security)
    except (OSError, ValueError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({reason}); start one with 'dask scheduler'"
        ) from None
    with client:
        yield client


def _credentials(address: str, options: Mapping[str, Any]) -> Security | None:
    """Certificates for a scheduler that needs them; a scheduler without them is used with a warning."""
    from distributed import Security

    if not address.startswith("tls://"):
        if options:
            raise ConfigError(f"{address} takes no certificates; give its address as tls://host:8786")
        warnings.warn(
            f"{address} takes anybody's connection: who reaches it can run code as the user of its workers; "
            "start it with certificates and use tls://",
            OpenClusterWarning,
            stacklevel=outside(),
        )
        return None
    missing = [str(path) for path in options.values() if not Path(str(path)).is_file()]
    if missing:
        raise ConfigError(f"{missing[0]} is no file; give the files of the certificates")
    security = Security(require_encryption=True, **options)
    if None in [getattr(security, name) for name in CREDENTIALS]:
        raise ConfigError(
            f"{address} asks for certificates; give "
            + " ".join(f"--cluster {name}=FILE" for name in CREDENTIALS)
        )
    return security


def _slurm(workers: int | None, options: Mapping[str, Any], shared: Path) -> Iterator[Client]:
    if workers is None:
        raise ConfigError("say how many Slurm workers may run at a time with workers (--workers 8)")
    cluster_class = required("dask_jobqueue", "scheduler='slurm'", extra="slurm").SLURMCluster
    import dask
    from distributed import Client

    with (
        TemporaryDirectory(prefix=".fwsim-keys-", dir=_nearest(shared), ignore_cleanup_errors=True) as keys,
        dask.config.set(NO_PAGES),
    ):
        try:
            cluster = cluster_class(**slurm_options(options, keys))
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"Slurm options do not fit: {reason}; pass them as --cluster memory=8GB"
            ) from None
        with cluster:
            if shutil.which("sbatch") is None:
                raise ConfigError(
                    "there is no Slurm here (sbatch is not found); start the sweep on a login node"
                )
            cluster.scale(workers)
            with Client(cluster, set_as_default=False) as client:
                yield client


def _nearest(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def slurm_options(options: Mapping[str, Any], keys: str | Path | None = None) -> dict[str, Any]:
    """Options of `SLURMCluster`, by default with one worker per job and one thread per worker.

    Connections are encrypted with a key of this sweep; the workers find a copy of it in the folder `keys`. Dask's
    web page is off by default, and if turned on it can be reached only from this machine.
    """
    cores = options.get("cores", 1)
    defaults = {"cores": cores, "processes": cores, "python": sys.executable}
    if "security" not in options:
        defaults |= {"security": _own_key(keys)}
    page = {"dashboard": False, "dashboard_address": "127.0.0.1:0", **options.get("scheduler_options", {})}
    extra = ["--no-dashboard", *options.get("worker_extra_args", ())]
    return {**defaults, **options, "scheduler_options": page, "worker_extra_args": extra}


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress messages about dying workers and lost connections: the sweep handles or reports them itself."""
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
    """Prevent new processes from running the user's script again: tasks contain their source and do not need it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

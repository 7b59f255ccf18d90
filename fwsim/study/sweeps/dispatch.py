"""Distribution of the batches of a sweep to workers, and handling of workers that die."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fwsim.errors import FwsimError
from fwsim.progress import Advance
from fwsim.study.files import StudyError
from fwsim.study.sweeps import records
from fwsim.study.sweeps.records import Failure
from fwsim.study.sweeps.worker import Task, work, work_apart

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

LOOK = 0.02  # s between two checks for finished batches
BEAT = 5.0  # s between two checks of scheduler and workers
PATIENCE = 60.0  # s without an answer or a worker, after which a sweep ends


class LostClusterError(StudyError):
    """The scheduler or all workers were lost during a sweep; finished batches are kept."""


def dispatch(tasks: Sequence[Task], client: Client | None, advance: Advance) -> None:
    """Run all tasks, and report each finished batch.

    Parameters
    ----------
    tasks
        Missing batches.
    client
        Client of the cluster; None runs the tasks here, one after the other.
    advance
        Called with the number of points of each batch, and the figures `failed` and `left`.

    Raises
    ------
    LostClusterError
        The scheduler died, has not answered for a minute, or has had no worker for a minute. Workers that wait in a
        queue, such as Slurm's, may take longer.
    ConfigError, StudyError
        A worker cannot run any point.
    """
    left, failed = sum(len(task.points) for task in tasks), 0
    for task, failures in _here(tasks) if client is None else _there(tasks, client):
        left, failed = left - len(task.points), failed + failures
        log.info(
            "a batch of %d points ended, %d of them failed; %d points left", len(task.points), failures, left
        )
        advance(len(task.points), failed=failed, left=left)


def _here(tasks: Sequence[Task]) -> Iterator[tuple[Task, int]]:
    for task in tasks:
        yield task, work(task)


def _there(tasks: Sequence[Task], client: Client) -> Iterator[tuple[Task, int]]:
    from distributed import KilledWorker, as_completed

    given: dict[Future, Task] = {}
    watch = Watch(client)

    def submit(task: Task) -> Future:
        future = client.submit(work_apart, task, key=f"batch-{uuid.uuid4().hex}", pure=False)
        given[future] = task
        return future

    try:
        futures = as_completed([submit(task) for task in tasks], loop=client.loop)
        while given:
            while not futures.has_ready():
                watch.look()
                time.sleep(LOOK)
            future = next(futures)
            task = given.pop(future)
            try:
                yield task, _result(future, watch)
            except KilledWorker as error:
                if len(task.points) == 1:
                    _record_death(task, error)
                    yield task, 1
                    continue
                # One of its points may cause the crash; the others should not be lost with it.
                log.warning(
                    "a worker died with a batch of %d points; it is tried again in halves", len(task.points)
                )
                half = len(task.points) // 2
                for points in (task.points[:half], task.points[half:]):
                    futures.add(submit(replace(task, points=points)))
            except (CancelledError, OSError) as error:
                raise LostClusterError(GONE) from error
            except FwsimError:
                raise
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise StudyError(f"a worker cannot take batches: {reason}") from error
    finally:
        if client.status == "running" and not watch.lost:
            client.cancel(list(given), force=True)


def _result(future: Future, watch: Watch) -> int:
    """Number of failed points of a finished batch.

    The worker that holds the number may die before it is sent. The scheduler then runs the batch again, and this waits
    for it; so it is the workers that are missing, not the scheduler.
    """
    while True:
        try:
            return future.result(timeout=BEAT)
        except TimeoutError:
            if future.status == "error":
                raise
            watch.look()


GONE = "the Dask scheduler is gone; what is finished is kept"


def silent() -> str:
    """Message for a scheduler that does not answer."""
    return f"the Dask scheduler has not answered for {PATIENCE:.0f} s; what is finished is kept"


class Watch:
    """Checks from time to time whether a cluster is available.

    Parameters
    ----------
    client
        Client of the cluster.
    """

    def __init__(self, client: Client) -> None:
        from distributed import LocalCluster

        self.client = client
        self.queued = not isinstance(client.cluster, LocalCluster | None)
        self.asked = self.worked = time.monotonic()
        self.lost = False

    def look(self) -> None:
        """Check, if the last check was long enough ago.

        Raises
        ------
        LostClusterError
            The scheduler has not answered, or has had no worker, for a minute.
        """
        if time.monotonic() - self.asked < BEAT:
            return
        self.lost = True
        try:
            workers = self.client.sync(_workers, self.client, callback_timeout=PATIENCE)
        except TimeoutError:
            raise LostClusterError(silent()) from None
        except (CancelledError, OSError) as error:
            raise LostClusterError(GONE) from error
        self.lost = False
        self.asked = time.monotonic()
        if workers or self.queued:
            self.worked = self.asked
        elif self.asked - self.worked > PATIENCE:
            raise LostClusterError(
                f"the cluster has had no worker for {PATIENCE:.0f} s; what is finished is kept"
            )


async def _workers(client: Any) -> dict[str, int]:
    """Number of cores of every worker."""
    return await client.scheduler.ncores()


def _record_death(task: Task, error: Exception) -> None:
    reason = f"its worker died {getattr(error, 'allowed_failures', 0) + 1} times, perhaps for lack of memory"
    records.write(task.batches, task.points, [Failure(reason)])

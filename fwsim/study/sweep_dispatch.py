"""Giving the batches of a sweep to workers, and what happens when one of them dies."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING

from fwsim.errors import FwsimError
from fwsim.progress import Advance
from fwsim.study import sweep_records
from fwsim.study.files import StudyError
from fwsim.study.sweep_records import Failure
from fwsim.study.sweep_worker import Task, work, work_apart

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)


class LostClusterError(StudyError):
    """The scheduler went away during a sweep; what was finished is kept."""


def dispatch(tasks: Sequence[Task], client: Client | None, advance: Advance) -> None:
    """Run all tasks and report each batch that is kept.

    Parameters
    ----------
    tasks
        Batches that are missing.
    client
        Of the cluster; None runs them here, one after the other.
    advance
        Called with the number of points of each batch, and the figures `failed` and `left`.

    Raises
    ------
    LostClusterError
        The scheduler died.
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

    def submit(task: Task) -> Future:
        future = client.submit(work_apart, task, key=f"batch-{uuid.uuid4().hex}", pure=False)
        given[future] = task
        return future

    try:
        futures = as_completed([submit(task) for task in tasks], loop=client.loop)
        for future in futures:
            task = given.pop(future)
            try:
                yield task, future.result()
            except KilledWorker as error:
                if len(task.points) == 1:
                    _record_death(task, error)
                    yield task, 1
                    continue
                # One of its points may be what kills; the others are not to suffer.
                log.warning(
                    "a worker died with a batch of %d points; it is tried again in halves", len(task.points)
                )
                half = len(task.points) // 2
                for points in (task.points[:half], task.points[half:]):
                    futures.add(submit(replace(task, points=points)))
            except (CancelledError, OSError, TimeoutError) as error:
                raise LostClusterError("the Dask scheduler is gone; what is finished is kept") from error
            except FwsimError:
                raise
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise StudyError(f"a worker cannot take batches: {reason}") from error
    finally:
        if client.status == "running":
            client.cancel(list(given), force=True)


def _record_death(task: Task, error: Exception) -> None:
    reason = f"its worker died {getattr(error, 'allowed_failures', 0) + 1} times, perhaps for lack of memory"
    sweep_records.write(task.batches, task.points, [Failure(reason)])

"""Processes that torchrun starts to train one network together: ranks, shares of batches, exchange of gradients."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from fwsim.errors import ConfigError, FwsimError, ShapeError
from fwsim.training.data import mapped, tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, and the rank of this one; see `processes`.

    Parameters
    ----------
    rank, count
        Number of this process, from 0, and of all processes.
    local_rank, local_count
        The same on this machine only.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def several(self) -> bool:
        """Whether there are other processes."""
        return self.count > 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def refuse(self, what: str, instead: str) -> None:
        """Raise `ConfigError` for something that several processes cannot do together."""
        if self.several:
            raise ConfigError(f"{what} cannot run in the {self.count} processes of torchrun; {instead}")

    def join(self) -> None:
        """Connect to the other processes if necessary; CPU data are exchanged by gloo, GPU data by NCCL."""
        import torch

        if self.several and not torch.distributed.is_initialized():
            torch.distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            )
            atexit.register(torch.distributed.destroy_process_group)

    def device(self, given: torch.device) -> torch.device:
        """Device of this process if `given` is one; each of several processes has its own GPU.

        Raises
        ------
        ConfigError
            One GPU is named for all, or there are fewer GPUs than processes.
        """
        import torch

        if not self.several or given.type != "cuda":
            return given
        if given.index not in (None, self.local_rank):
            raise ConfigError(
                f"device='{given}' is one GPU for {self.local_count} processes; use 'cuda', and each takes its own"
            )
        if self.local_count > torch.cuda.device_count():
            raise ConfigError(
                f"{self.local_count} processes, but {torch.cuda.device_count()} CUDA devices; "
                "start as many with torchrun --nproc-per-node"
            )
        return torch.device("cuda", self.local_rank)

    def from_first(self, work: Callable[[], T]) -> T:
        """Do work in the first process only; all return its result, or raise its error if it is one of fwsim."""
        if not self.several:
            return work()
        import torch

        self.join()
        outcome: list[Any] = [_outcome(work) if self.first else None]
        torch.distributed.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    def share(self, batch: T) -> tuple[T, float]:
        """Every `count`-th example of a batch, from the `rank`-th on, and the fraction of the examples in this share.

        If a batch has too few examples for all, some processes get the first example with the fraction 0.

        Raises
        ------
        ShapeError
            The batch contains no tensors, or tensors that differ in their first axis.
        """
        if not self.several:
            return batch, 1.0
        sizes = {len(each) for each in tensors(batch) if each.ndim}
        if len(sizes) != 1:
            raise ShapeError(
                f"the tensors of a batch have {sorted(sizes) or 'no'} examples along their first axis; "
                "to share batches between processes, give all tensors the same number"
            )
        examples = sizes.pop()
        mine = len(range(self.rank, examples, self.count))
        rows = slice(self.rank, None, self.count) if mine else slice(0, 1)
        part = mapped(lambda each: each[rows].contiguous() if each.ndim else each, batch)
        return part, mine / max(1, examples)

    def add_up(self, model: nn.Module, loss: Tensor) -> Tensor:
        """Replace gradients by their sums over the processes, and return the sum of a loss `[]`."""
        if not self.several:
            return loss
        import torch

        self.join()
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        flat = torch.cat([each.flatten() for each in gradients] + [loss.detach().reshape(1)])
        torch.distributed.all_reduce(flat)
        *sums, total = flat.split([each.numel() for each in gradients] + [1])
        for gradient, summed in zip(gradients, sums, strict=True):
            gradient.copy_(summed.view_as(gradient))
        return total[0].clone()  # otherwise it would keep all gradients in memory

    @contextmanager
    def stopping_together(self) -> Iterator[Callable[[], None]]:
        """Delay Ctrl-C until all processes can stop at the same place.

        They stop when all of them call the yielded function, or at the end. If one stopped alone, the others would
        wait for it.
        """
        if not self.several or threading.current_thread() is not threading.main_thread():
            yield lambda: None
            return
        import torch

        self.join()
        asked = threading.Event()

        def stop() -> None:
            anyone = torch.tensor(int(asked.is_set()))
            torch.distributed.all_reduce(anyone, torch.distributed.ReduceOp.MAX)
            if anyone:
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, lambda *_: asked.set())
        try:
            yield stop
            stop()
        finally:
            signal.signal(signal.SIGINT, before)


@cache
def processes() -> Processes:
    """Return the processes that torchrun started, from its environment variables; otherwise this one alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Processes()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Processes(*(int(os.environ[name]) for name in names))


def _outcome(work: Callable[[], T]) -> tuple[T | None, FwsimError | None]:
    try:
        return work(), None
    except FwsimError as error:
        return None, error

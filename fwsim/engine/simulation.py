"""Run a network and record it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fwsim.engine import checks
from fwsim.engine.inputs import as_drive
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.observer import Block, Observer, arrays
from fwsim.engine.precision import own_precision
from fwsim.engine.state import State
from fwsim.engine.transfer import arriving
from fwsim.errors import ConfigError, RecordingError, ShapeError, type_of
from fwsim.names import known_arguments
from fwsim.progress import Progress, check_progress, followed
from fwsim.seeds import check_seed

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.recording import Record, Recorder


class Network(Protocol):
    """What can be simulated: `FastWeightNetwork`, `RateNetwork` and their like."""

    inputs: int
    dt: float

    def initial_state(self, batch: int) -> State:
        """Return the state at rest."""

    def recordable(self) -> tuple[str, ...]:
        """Names of the variables that can be recorded."""

    def observer(self, state: State, steps: int, record: Iterable[str]) -> Observer:
        """Return a run."""

    def parameters(self) -> Iterator[Tensor]:
        """Tensors of the dtype and on the device of the network."""


DriveFunction = Callable[[int, int], Tensor]


@known_arguments
def simulate(
    net: Network,
    drive: ArrayLike | Tensor | DriveFunction | None = None,
    *,
    steps: int | None = None,
    state: State | None = None,
    inner_steps: int | Sequence[int] | None = None,
    record: str | Record | Iterable[str | Record] = ("hidden",),
    every: int = 1,
    to: str | PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: Progress = None,
) -> xr.Dataset:
    """Run a network without gradients and record it as an xarray Dataset.

    Parameters
    ----------
    net
        The network; it is not changed.
    drive
        Input `[batch, time, input]`, of a rate network `[batch, time, unit]`: a tensor, an array, lists, or a DataArray
        with dimensions of these names; for one trial also a DataFrame or a DataArray `[time, input]`; numbers of any
        dtype, converted to that of the network (which a tensor in a call `net(x)` must have already). Or, with `steps`,
        a pure function `(start, stop) → [batch, time, input]` for runs longer than memory; or, with
        `steps`, `None` for no input.
    steps
        Number of steps, where `drive` does not say.
    state
        Where to go on from; `None` starts at rest.
    inner_steps
        Of a `FastWeightNetwork`: iterations of the inner loop in this run, one number or `(storing, last step)`; `None`
        is its own number. Where a step has fewer iterations than another, `inner` and `attention` are NaN.
    record
        Variables, by name or as `Record`: `hidden`, `inner`, `attention`, `memory` of a fast-weight network;
        `rate`, `hidden`, `release`, `memory` and the variables of its synapses (`u`, `x` …) of a rate network.
    every
        Keep every k-th step, unless a `Record` says otherwise.
    to
        Folder to write as Zarr, which must not exist; the result is then opened lazily. `~` is the home folder.
    resume
        Go on with an interrupted run in `to`, if there is one, from its last checkpoint; the recording becomes
        that of an uninterrupted run, bit for bit on a CPU. A finished one is opened.
    overwrite
        Replace the recording that is in `to`, once the new one is whole; anything else there is refused.
    seed
        Seed of the run's random streams, such as the noise of a rate network; kept with the recording.
    device
        Where to run; `None`: where the network is.
    progress
        `None`: a bar on a terminal or in a notebook; `False`: nothing; or a function `(done, total)`.

    Returns
    -------
    xarray.Dataset
        Sample t has time (t+1)·dt, after input t; the memory is after that step's write. The final state is in it:
        `load_state`.

    Raises
    ------
    ConfigError, ShapeError
        Before anything runs.
    DivergedError
        A hidden state or a memory became NaN or infinite.
    RecordingError
        The path exists, or holds another run than is to go on, or cannot be written.
    """
    from fwsim.recording import Extent, Recorder, as_records, finished, provenance
    from fwsim.recording.recorder import destination

    if not hasattr(net, "observer") or isinstance(net, type):
        raise ConfigError(f"net is {type_of(net)}; give a FastWeightNetwork, a RateNetwork or their like")
    if inner_steps is not None and not isinstance(net, FastWeightNetwork):
        raise ConfigError(
            f"inner_steps={inner_steps!r} is for a FastWeightNetwork; {type_of(net)} has no inner loop"
        )
    check_seed(seed)
    check_progress(progress)
    if state is not None:
        checks.is_state(state)
    path = destination(to, resume=resume, overwrite=overwrite)
    like = next(net.parameters())
    checks.recordable(like)
    if device is not None and checks.device(device) != like.device:
        moved: Any = copy.deepcopy(net)
        net = moved.to(device)
        like = next(net.parameters())
    if drive is not None and not callable(drive):
        drive = as_drive("drive", drive, like, net.inputs, getattr(net, "input_axis", "input"))
    source, batch, steps = _source(net, like, drive, steps, state)
    records = as_records(record, net.recordable())
    state = net.initial_state(batch) if state is None else state
    dtype = str(like.dtype).removeprefix("torch.")
    wanted = list(dict.fromkeys(each.variable for each in records))
    if isinstance(net, FastWeightNetwork):
        observer: Observer = net.observer(state, steps, wanted, inner_steps)
    else:
        observer = net.observer(state, steps, wanted)
    observer.seed(seed)
    attributes = provenance(observer.configuration(), seed=seed, device=str(like.device), dtype=dtype)
    if path is not None:
        attributes["inputs_sha256"] = _fingerprint(net, observer, drive)
    if resume and path is not None and (done := finished(path, attributes)) is not None:
        return done
    recorder = Recorder(
        records,
        Extent(steps, net.dt, observer.sizes(), every, dtype, state.step),
        coordinates=observer.coordinates(),
        populations=observer.populations(),
        attributes=attributes,
        variables=observer.variables(),
        to=path,
        resume=resume,
        overwrite=overwrite,
    )
    with recorder:
        if recorder.resumed:
            recorder.take_up(observer.resume)
        _run(observer, recorder, source, (observer.state.step - state.step, steps), progress)
        return recorder.finish(observer.final())


def _run(
    observer: Observer, recorder: Recorder, source: DriveFunction, span: tuple[int, int], progress: Progress
) -> None:
    """Run and record the steps of a span, block by block."""
    first, steps = span
    length = observer.block()

    def computed() -> Iterator[Block]:
        for start in range(first, steps, length):
            stop = min(start + length, steps)
            wanted = {name: recorder.wanted(name, start, stop) for name in recorder.variables}
            local = {name: range(r.start - start, r.stop - start, r.step) for name, r in wanted.items()}
            yield observer.advance(source(start, stop), local)

    device = observer.state.hidden.device
    with (
        torch.no_grad(),
        own_precision(device),
        followed("simulating", steps, progress, done=first) as advance,
    ):
        for block in arriving(computed(), device):
            if not bool(block.finite):
                block.locate()
            for name, values in block.samples.items():
                recorder.write(name, values.numpy())
            recorder.checkpoint(partial(arrays, block.state))
            advance(block.steps)


@known_arguments
def load_state(run: xr.Dataset) -> State:
    """Return the state in which a recorded run ended, to go on from it: `net(x, state)`, `simulate(…, state=state)`.

    Parameters
    ----------
    run
        A recording, as `simulate` returns it and `open_recording` reads it. It is complete, not an interrupted one.

    Returns
    -------
    State
        Hidden state `[batch, unit]`, memory, number of steps, and further variables, on the CPU.

    Raises
    ------
    RecordingError
        The recording holds no final state, as that of an interrupted run.
    """
    if not hasattr(run, "data_vars"):
        raise ConfigError(f"run is {type_of(run)}; give a recording: load_state(fwsim.open_recording(path))")
    if "final_hidden" not in run:
        raise RecordingError(
            "the recording holds no final state; it was interrupted or not made by fwsim.simulate"
        )
    hidden = torch.from_numpy(run["final_hidden"].values.copy())
    memory = torch.from_numpy(run["final_memory"].values.copy()) if "final_memory" in run else None
    others = {
        str(name).removeprefix("final_"): torch.from_numpy(run[name].values.copy())
        for name in run.data_vars
        if str(name).startswith("final_") and name not in ("final_hidden", "final_memory", "final_step")
    }
    return State(hidden, memory, int(run["final_step"]), others)


def _source(
    net: Network, like: Tensor, drive: Any, steps: int | None, state: State | None
) -> tuple[DriveFunction, int, int]:
    """Bring every kind of drive into the form of a function; also batch and number of steps."""
    axis = getattr(net, "input_axis", "input")
    if isinstance(drive, Tensor):
        if steps is not None and steps != drive.shape[1]:
            raise ConfigError(f"steps={steps}, but drive has {drive.shape[1]} time steps; leave steps out")
        return lambda start, stop: drive[:, start:stop], drive.shape[0], drive.shape[1]
    if steps is None:
        raise ConfigError("steps is not given and the drive has no length; give steps=, a number of steps")
    checks.counts(steps=(steps, 0))
    if drive is None:
        batch = _batch(net, state)
        return lambda start, stop: like.new_zeros(batch, stop - start, net.inputs), batch, steps
    function = drive
    # What a function returns is copied: it may fill the same array each time.
    first = as_drive(
        f"drive(0, {min(1, steps)})", function(0, min(1, steps)), like, net.inputs, axis, copy=True
    )

    def source(start: int, stop: int) -> Tensor:
        name = f"drive({start}, {stop})"
        x = as_drive(name, function(start, stop), like, net.inputs, axis, copy=True)
        if x.shape[:2] != (first.shape[0], stop - start):
            expected = [first.shape[0], stop - start, net.inputs]
            raise ShapeError(f"drive({start}, {stop}) has shape {list(x.shape)}; expected {expected}")
        return x

    return source, first.shape[0], steps


def _batch(net: Network, state: State | None) -> int:
    if state is not None:
        return state.hidden.shape[0]
    return getattr(net, "batch", None) or getattr(getattr(net, "memory", None), "batch", None) or 1


def _fingerprint(net: Network, observer: Observer, drive: Any) -> str:
    """SHA-256 of the numbers that a run begins with: weights, state, and a drive that is a tensor."""
    weights: dict[str, Tensor] = getattr(net, "state_dict", dict)()
    tensors = weights | ({"drive": drive} if isinstance(drive, Tensor) else {})
    digest = hashlib.sha256()
    for name, array in arrays(tensors | observer.checkpoint()).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

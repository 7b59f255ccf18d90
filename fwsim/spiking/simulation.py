"""Running a circuit as spiking neurons, with recording."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import ConfigError, choice, whole
from fwsim.names import known_arguments
from fwsim.progress import Progress, check_progress, followed
from fwsim.recording.schema import BY_PROJECTION, BY_SYNAPSE, BY_UNIT, VARIABLES, Variable
from fwsim.seeds import check_seed
from fwsim.spiking.assembly import build
from fwsim.spiking.backend import prepared
from fwsim.spiking.brian2_run import Brian2Run
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.feed import Feed
from fwsim.spiking.native_run import NativeRun, obstacle
from fwsim.spiking.sampler import EVENTS, Running, Sampler
from fwsim.spiking.sources import PoissonGenerator
from fwsim.spiking.stimulation import checked_drive
from fwsim.units import outside

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.recording import Record

ENGINES = ("brian2", "native", "auto")


@known_arguments
def simulate(
    circuit: Circuit,
    drive: Any = None,
    *,
    hold: int = 1,
    steps: int | None = None,
    trials: int | None = None,
    record: str | Record | Iterable[str | Record] = EVENTS,
    every: int = 1,
    to: str | PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    engine: str = "brian2",
    progress: Progress = None,
) -> xr.Dataset:
    """Run a circuit as spiking neurons and record it with the schema of `fwsim.simulate`.

    Trials are blocks of one network: the same synapses, with different noise, initial potentials and drives.

    Parameters
    ----------
    circuit
        The circuit.
    drive
        Input in addition to the background in V, `[trial, time, unit]` with populations (see `stimulus`) or neurons as
        units. For runs longer than memory, a function `(start, stop) → [trial, time, unit]`, with `steps`. Or `None`.
    hold
        Number of steps for which each sample of the drive stays constant; 1 for a function.
    steps
        Number of steps, if `drive` does not determine it.
    trials
        Number of trials, if `drive` does not determine it; 1 by default.
    record
        `spike_time`, `spike_unit`, `spike_trial`; with neurons as units `rate` (spikes since the last sample, divided
        by the time), `potential` (NaN of sources), `release` and the variables of presynaptic rules (`u`, `x` …);
        `weight` of associative rules, `[trial, time, projection, post, pre]`, NaN without a synapse.
    every
        Default of `every` for records that do not set it: record every k-th step.
    to
        Folder to write during the run, which must not exist; `None` keeps the recording in memory.
    resume
        Continue an interrupted run in `to`, if there is one, as in `fwsim.simulate`.
    overwrite
        Replace a recording in `to`, after the new one is complete; anything else in `to` is refused.
    seed
        Seed of synapses, delays, initial potentials, noise, random spikes of sources and random release. The last three
        differ between engines, and between Brian2's targets; all else is the same.
    engine
        `"brian2"`; `"native"`: the engine in C++, several times as fast and without compilation; or `"auto"`: the
        native engine if it can run the circuit. Without noise both give the same spikes. A run is the same with any
        number of threads.
    progress
        `None`: a bar on a terminal or in a notebook; `False`: none; or a function `(done, total)`.

    Returns
    -------
    xarray.Dataset
        Sample t, and a spike in step t, have the time (t+1)·dt. The coordinate `population` has the name of each unit's
        population, so that `run.rate.groupby("population").mean()` averages over them.

    Raises
    ------
    ConfigError, ShapeError, RecordingError
        An argument is wrong; nothing has run.
    DivergedError
        A potential became NaN or infinite.
    """
    from fwsim.recording import Extent, Recorder, as_records, finished, provenance
    from fwsim.recording.recorder import destination

    check_seed(seed)
    choice("engine", engine, ENGINES)
    check_progress(progress)
    path = destination(to, resume=resume, overwrite=overwrite)
    feed, signal, steps = _source(circuit, drive, hold, steps, trials)
    _check_sources(circuit, steps)
    records = as_records(record, recordable(circuit))
    if [each.variable for each in records].count("rate") > 1:
        raise ConfigError(
            "rate is given more than once; it counts spikes since its last sample, so give one Record"
        )
    sizes = {"trial": len(signal), "unit": circuit.neurons, "projection": len(circuit.rules)}
    sizes |= {"post": circuit.neurons, "pre": circuit.neurons}
    with _engine(engine, circuit, seed) as b:
        attributes = provenance(circuit.configuration(), seed=seed, device="cpu", dtype="float64")
        attributes |= {"spiking_engine": "native"} if b is None else {"brian2_target": b.prefs.codegen.target}
        given = [part for each in circuit.sources for part in each.arrays()]
        given += [getattr(p, name) for p in circuit.populations for name in getattr(p, "varied", ())]
        attributes["inputs_sha256"] = _digest(signal, *given)
        if resume and path is not None and (ended := finished(path, attributes)) is not None:
            return ended
        running: Running
        if b is None:
            running = NativeRun(circuit, signal, hold, seed, feed, steps)
        else:
            running = Brian2Run(b, build(circuit, signal, hold=hold, seed=seed, steps=steps), feed)
        recorder = Recorder(
            records,
            Extent(steps, circuit.dt, sizes, every, "float32"),
            populations=[each.name for each in circuit.populations for _ in range(each.size)],
            attributes=attributes,
            variables=_variables(circuit),
            to=path,
            resume=resume,
            overwrite=overwrite,
        )
        with recorder:
            sampler = Sampler(running, recorder, steps)
            if recorder.resumed:
                recorder.take_up(sampler.resume)
            with followed("spiking", steps, progress, done=sampler.done) as advance:
                running.run(sampler, steps, advance)
            sampler.take(steps)
            sampler.flush(steps)
            return recorder.finish({"potential": running.potential()})


@contextmanager
def _engine(engine: str, circuit: Circuit, seed: int) -> Iterator[ModuleType | None]:
    """Brian2, prepared, or `None` for the native engine.

    Raises
    ------
    ConfigError
        The native engine cannot run the circuit.
    """
    why = None if engine == "brian2" else obstacle(circuit)
    if engine == "native" and why:
        raise ConfigError(f"engine='native' cannot run this circuit: {why}; use engine='brian2'")
    if engine == "brian2" or why:
        with prepared(seed) as b:
            yield b
    else:
        yield None


def _source(
    circuit: Circuit, drive: Any, hold: int, steps: int | None, trials: int | None
) -> tuple[Feed | None, np.ndarray, int]:
    """The feed of a drive that is a function, the signal to build the network with, and the number of steps."""
    whole("hold", hold, least=1)
    if steps is not None:
        whole("steps", steps, least=1)
    elif drive is None or callable(drive):
        raise ConfigError("how long to run is not said; give steps=, or a drive [trial, time, unit]")
    if callable(drive) and steps is not None:
        if hold > 1:
            raise ConfigError(f"hold={hold} is not for a drive that is a function; hold its values there")
        feed = Feed(circuit, drive, steps, trials)
        return feed, feed.silence, steps
    signal = checked_drive(circuit, drive, trials, neurons=True)
    length = signal.shape[1] * hold
    if drive is not None and steps not in (None, length):
        raise ConfigError(f"steps={steps}, but drive has {length} time steps; leave steps out")
    return None, signal, length if steps is None else steps


def _check_sources(circuit: Circuit, steps: int) -> None:
    """Raise `ConfigError` if a rate ends before the run; warn if all spikes of a generator come after it."""
    for each in circuit.sources:
        if isinstance(each, PoissonGenerator):
            each.check_length(steps)
        elif len(late := np.concatenate(each.arrays())) and late.min() > (steps + 0.5) * circuit.dt:
            warnings.warn(
                f"{each.name}: the first spike, at {late.min():g} s, comes after the end of the run, at "
                f"{steps * circuit.dt:g} s; times are in s",
                UserWarning,
                stacklevel=outside(),
            )


def _digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for each in arrays:
        found.update(np.ascontiguousarray(each).data)
    return found.hexdigest()


def recordable(circuit: Circuit) -> tuple[str, ...]:
    """Names of the variables of a circuit that can be recorded."""
    states = [name for rule in _presynaptic(circuit) for name in rule.rest()]
    release = ["release"] if _presynaptic(circuit) else []
    weight = ["weight"] if len(_presynaptic(circuit)) < len(circuit.rules) else []
    return tuple(dict.fromkeys([*EVENTS, "rate", "potential", *release, *states, *weight]))


def _presynaptic(circuit: Circuit) -> list[Any]:
    return [rule for rule in circuit.rules if rule.output == "release"]


def _variables(circuit: Circuit) -> dict[str, Variable]:
    """Meaning of variables that are not in the schema."""
    states = {name for rule in _presynaptic(circuit) for name in rule.rest()} - VARIABLES.keys()
    found = {name: Variable(BY_PROJECTION, "1", f"{name} of the synapse") for name in states}
    found["weight"] = Variable(BY_SYNAPSE, "1", "efficacy of the synapse")
    return found | {"potential": Variable(BY_UNIT, "V", "membrane potential")}

"""Run a circuit as spiking neurons and record it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fwsim.errors import ConfigError, DivergedError
from fwsim.progress import track
from fwsim.recording.schema import VARIABLES, Variable
from fwsim.spiking.assembly import Assembly, build, checked_drive
from fwsim.spiking.backend import prepared
from fwsim.spiking.circuit import Circuit

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.recording import Record, Recorder

EVENTS = ("spike_time", "spike_unit", "spike_trial")
NEURONS = ("trial", "time", "unit")
SYNAPSES = ("trial", "time", "projection", "unit")


def simulate(
    circuit: Circuit,
    drive: Any = None,
    *,
    steps: int | None = None,
    trials: int | None = None,
    record: str | Record | Iterable[str | Record] = EVENTS,
    every: int = 1,
    to: str | PathLike[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | bool | None = None,
) -> xr.Dataset:
    """Run a circuit in Brian2 and record it in the schema of `fwsim.simulate`.

    Trials are blocks of one network: the same synapses, other noise and initial potentials, and each its own drive.

    Parameters
    ----------
    circuit
        The description.
    drive
        Input beside the background in V, `[trial, time, unit]` with populations as units (see `stimulus`); or
        `None`, with `steps`.
    steps
        Number of steps, where `drive` does not say.
    trials
        Number of trials, where `drive` does not say; 1 by default.
    record
        `spike_time`, `spike_unit`, `spike_trial`; with neurons as units `rate` (spikes since the last sample, over the
        time), `potential`, `release` and the variables of presynaptic rules (`u`, `x` …).
    every
        Records that say nothing else keep every k-th step.
    to
        Folder to write while running, which must not exist yet; `None` keeps the recording in memory.
    seed
        Of synapses, delays, initial potentials and noise. Results differ between Brian2's targets.
    progress
        `None`: a bar on a terminal; `False`: nothing; or a function `(done, total)`.

    Returns
    -------
    xarray.Dataset
        Sample t, and a spike in step t, have time (t+1)·dt. Population sizes are in its `configuration`.

    Raises
    ------
    ConfigError, ShapeError, RecordingError
        Before anything runs.
    DivergedError
        A potential became NaN or infinite.
    """
    from fwsim.recording import Extent, Recorder, as_records, provenance

    if drive is None and steps is None:
        raise ConfigError("how long to run is not said; give steps=, or a drive [trial, time, unit]")
    if drive is not None and steps not in (None, np.shape(drive)[1]):
        raise ConfigError(f"steps={steps}, but drive has {np.shape(drive)[1]} time steps; leave steps out")
    signal = checked_drive(circuit, drive, trials)
    steps = signal.shape[1] if steps is None else steps
    records = as_records(record, recordable(circuit))
    rules = sum(1 for name in _presynaptic(circuit))
    sizes = {"trial": len(signal), "unit": circuit.neurons, "projection": rules}
    with prepared(seed) as b:
        recorder = Recorder(
            records,
            Extent(steps, circuit.dt, sizes, every, "float32"),
            attributes=provenance(circuit.configuration(), seed=seed, device="cpu", dtype="float64"),
            variables=_variables(circuit),
            to=to,
        )
        assembly = build(circuit, signal, seed=seed)
        _run(b, assembly, recorder, [each.variable for each in records], steps, progress)
    return recorder.finish({"potential": _potential(assembly, steps)})


def recordable(circuit: Circuit) -> tuple[str, ...]:
    """Names of what can be recorded of a circuit."""
    states = [name for rule in _presynaptic(circuit) for name in rule.rest()]
    release = ["release"] if _presynaptic(circuit) else []
    return tuple(dict.fromkeys([*EVENTS, "rate", "potential", *release, *states]))


def _presynaptic(circuit: Circuit) -> list[Any]:
    return [rule for rule in circuit.rules if rule.output == "release"]


def _variables(circuit: Circuit) -> dict[str, Variable]:
    """Meaning of what the schema does not have."""
    states = {name for rule in _presynaptic(circuit) for name in rule.rest()} - VARIABLES.keys()
    found = {name: Variable(SYNAPSES, "1", f"{name} of the synapse") for name in states}
    return found | {"potential": Variable(NEURONS, "V", "membrane potential")}


def _run(
    b: Any,
    assembly: Assembly,
    recorder: Recorder,
    names: list[str],
    steps: int,
    progress: Callable[[int, int], None] | bool | None,
) -> None:
    sampler = Sampler(assembly, recorder, names, steps)
    network = assembly.network
    if sampler.stride:

        @b.network_operation(dt=sampler.stride * assembly.circuit.dt * b.second, when="start")
        def sample(t: Any) -> None:
            sampler.take(round(float(np.asarray(t)) / assembly.circuit.dt))

        network.add(sample)
    shown = None if progress is None or progress is True else False
    with track("spiking", steps, show=shown) as advance:
        done = 0

        def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
            nonlocal done
            now = round(completed * steps)
            advance(now - done)
            done = now
            if callable(progress):
                progress(done, steps)

        network.run(
            steps * assembly.circuit.dt * b.second,
            report=report,
            report_period=0.5 * b.second,
            namespace={},
        )
    sampler.take(steps)
    sampler.finish()


class Sampler:
    """Hands what is wanted of a running assembly to its recorder.

    Parameters
    ----------
    assembly
        What runs.
    recorder, names
        Where samples go, and of which variables.
    steps
        Length of the run.
    """

    def __init__(self, assembly: Assembly, recorder: Recorder, names: list[str], steps: int) -> None:
        self._assembly, self._recorder = assembly, recorder
        self._events = [name for name in names if name in EVENTS]
        self._wanted = {name: recorder.wanted(name, 0, steps) for name in names if name not in EVENTS}
        self._written = 0
        after = [range(r.start + 1, r.stop + 1, r.step) for r in self._wanted.values() if len(r)]
        self.stride = (
            int(np.gcd.reduce([number for r in after for number in (r.start, r.step)])) if after else 0
        )

    def take(self, done: int) -> None:
        """Sample after `done` steps, where that is wanted."""
        due = [name for name, steps in self._wanted.items() if done - 1 in steps]
        states = self._states(done) if any(name not in ("rate", "potential") for name in due) else {}
        for name in due:
            if name == "rate":
                values = self._rates(done, self._wanted[name].step)
            elif name == "potential":
                values = _grid(self._assembly, np.asarray(self._assembly.neurons.v))
            else:
                values = states[name]
            self._recorder.write(name, values[:, None])
        if due and self._events:
            self._flush()

    def finish(self) -> None:
        """Write the last events."""
        if self._events:
            self._flush()

    def _flush(self) -> None:
        time, index = self._spikes(self._written)
        self._written += len(index)
        trial, unit = np.divmod(index, self._assembly.circuit.neurons)
        values = {"spike_time": time, "spike_unit": unit, "spike_trial": trial}
        for name in self._events:
            self._recorder.write(name, values[name])

    def _spikes(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and neurons of all spikes from the `first` on; a spike belongs to the end of its step."""
        variables = self._assembly.spikes.variables
        dt = self._assembly.circuit.dt
        step = np.round(variables["t"].get_value()[first:] / dt)
        return (step + 1) * dt, variables["i"].get_value()[first:]

    def _rates(self, done: int, every: int) -> np.ndarray:
        """Rates over the last `every` steps, `[trial, unit]`."""
        dt = self._assembly.circuit.dt
        times = self._assembly.spikes.variables["t"].get_value()
        first = int(np.searchsorted(times, (done - every - 0.5) * dt))
        neurons = self._assembly.spikes.variables["i"].get_value()[first:]
        counts = np.bincount(neurons, minlength=len(self._assembly.neurons))
        return _grid(self._assembly, counts / (every * dt))

    def _states(self, done: int) -> dict[str, np.ndarray]:
        """Variables of rules and their release, brought up to now: `[trial, projection, unit]`."""
        assembly = self._assembly
        now = (done - 1) * assembly.circuit.dt  # Brian2 dates a spike at the beginning of its step
        rows: list[dict[str, np.ndarray]] = []
        for prefix, rule in assembly.rules.items():
            read = lambda name: torch.from_numpy(  # noqa: E731
                _grid(assembly, np.array(getattr(assembly.neurons, prefix + name)))  # noqa: B023
            )
            state = rule.propagate({name: read(name) for name in rule.rest()}, now - read("last_event"))
            row = {**state, "release": rule.at_pre(state)[1]}
            rows.append({name: torch.as_tensor(value).numpy() for name, value in row.items()})
        missing = np.full((assembly.trials, assembly.circuit.neurons), np.nan)
        return {
            name: np.stack([row.get(name, missing) for row in rows], 1)
            for name in {n for row in rows for n in row}
        }


def _grid(assembly: Assembly, values: np.ndarray) -> np.ndarray:
    return values.reshape(assembly.trials, assembly.circuit.neurons)


def _potential(assembly: Assembly, steps: int) -> np.ndarray:
    """Final potentials `[trial, unit]`, which are finite."""
    values = _grid(assembly, np.array(assembly.neurons.v))
    bad = np.nonzero(~np.isfinite(values).all(1))[0]
    if len(bad):
        raise DivergedError(steps - 1, "potential", int(bad[0]), "take weaker synapses or a smaller dt")
    return values

"""Populations whose spikes do not depend on the network: they are given, or random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.names import KnownArguments
from fwsim.spiking import blocks
from fwsim.units import checked, si

Trains = tuple[tuple[np.ndarray, ...], ...]
"""Times of spikes in s, ascending, by trial and neuron."""


@dataclass(frozen=True, eq=False)
class SpikeGenerator(KnownArguments):
    """Neurons that spike at given times.

    A spike at time t is recorded at t and arrives after the delay of a connection, as that of any other neuron. Times
    are rounded to steps. The first step ends at `dt`, so this is the earliest possible time.

    Parameters
    ----------
    name
        Name for connections.
    times
        In s: a list with the times of each neuron, such as `[[0.1, 0.2], []]` for two neurons, or a list of such lists,
        one for each trial; an array `[unit, spike]` or `[trial, unit, spike]`, padded with NaN; or a recording with
        spikes, from `simulate` or `read_spikes`, whose units are the neurons.

    Raises
    ------
    ConfigError, ShapeError
        Times are not above 0, or trials have different numbers of neurons.

    Examples
    --------
    >>> SpikeGenerator("input", [[0.1, 0.2], []]).size
    2
    """

    name: str
    times: Any

    def __post_init__(self) -> None:
        check_name("SpikeGenerator", self.name)
        object.__setattr__(self, "times", _trains(self.name, self.times))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.times[0])

    @property
    def trials(self) -> int | None:
        """Number of trials that have their own spikes, `None` if all have the same."""
        return len(self.times) if len(self.times) > 1 else None

    def check(self, dt: float) -> None:
        """Raise `ConfigError` unless every spike has a step of its own."""
        self.spikes(dt, len(self.times))

    def spikes(self, dt: float, trials: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Trial, step and neuron of every spike, in order of all three."""
        trains = self.times if len(self.times) > 1 else self.times * trials
        counts = [len(train) for each in trains for train in each]
        index = np.repeat(np.arange(len(counts)), counts)
        time = np.concatenate([train for each in trains for train in each])
        trial, unit = np.divmod(index, self.size)
        step = np.floor(time / dt + 0.5).astype(np.int64) - 1
        if (step < 0).any():
            raise ConfigError(
                f"{self.name}: a spike at {time[step < 0][0]:g} s comes before the end of the first step, at {dt:g} s; "
                "shift the times"
            )
        order = np.lexsort((unit, step, trial))
        double = np.nonzero((np.diff(step) == 0) & (np.diff(index) == 0))[0]  # trains are ascending
        if len(double):
            raise ConfigError(
                f"{self.name}: neuron {unit[double[0]]} has two spikes in the step that ends at "
                f"{(step[double[0]] + 1) * dt:g} s; choose a finer dt than {dt:g} s"
            )
        return trial[order], step[order], unit[order]

    def arrays(self) -> list[np.ndarray]:
        """All numbers of the source."""
        return [train for each in self.times for train in each]

    def configuration(self) -> dict[str, Any]:
        """The source as plain data, with the number of spikes instead of their times."""
        spikes = sum(len(train) for train in self.arrays())
        return {"source": "SpikeGenerator", "name": self.name, "size": self.size, "spikes": spikes}


@dataclass(frozen=True, eq=False)
class PoissonGenerator(KnownArguments):
    """Neurons that spike at random, independently of each other, with given rates.

    Each neuron has one train, which all of its targets receive. It spikes in a step with probability rate · dt.

    Parameters
    ----------
    name
        Name for connections.
    size
        Number of neurons.
    rate
        In Hz: a number; for each neuron or trial `[unit]`, `[trial, 1]` or `[trial, unit]`; over time `[trial, time,
        unit]`, where trial and unit may be 1 for all; or a function `(start, stop) → [trial, time, unit]` of steps.
    hold
        Number of steps for which each sample of a rate over time stays constant; 1 for a function.

    Raises
    ------
    ConfigError, ShapeError
        Rates are negative or not finite, or do not fit the number of neurons.

    Examples
    --------
    >>> PoissonGenerator("input", 100, rate="5 Hz").rate
    5.0
    """

    name: str
    size: int
    rate: Any
    hold: int = 1

    def __post_init__(self) -> None:
        check_name("PoissonGenerator", self.name)
        whole(f"{self.name}: size", self.size, least=1)
        whole(f"{self.name}: hold", self.hold, least=1)
        if not callable(self.rate):
            object.__setattr__(self, "rate", self._checked(self.rate))
        if self.hold > 1 and np.ndim(self.rate) != 3:
            raise ConfigError(f"{self.name}: hold={self.hold} is for rates over time, [trial, time, unit]")

    @property
    def trials(self) -> int | None:
        """Number of trials that have their own rates, `None` if all have the same, or a function says it."""
        own = np.shape(self.rate)[0] if np.ndim(self.rate) > 1 else 1
        return own if own > 1 else None

    @property
    def samples(self) -> np.ndarray:
        """Rates in Hz, `[trial, time, unit]` with 1 where all are the same; not for a function."""
        rate = np.asarray(self.rate, float)
        rate = rate[None] if rate.ndim == 1 else rate
        return rate if rate.ndim == 3 else rate.reshape(len(rate) if rate.ndim else 1, 1, -1)

    def check(self, dt: float) -> None:
        """Raise `ConfigError` if a rate asks for more than one spike in a step."""
        if not callable(self.rate):
            self.check_step(self.samples, dt)

    def check_step(self, rate: np.ndarray, dt: float) -> None:
        """Raise `ConfigError` if one of these rates asks for more than one spike in a step."""
        if rate.size and rate.max() * dt > 1:
            raise ConfigError(
                f"{self.name}: rate={rate.max():g} Hz is more than one spike in a step of {dt:g} s; lower it, or "
                "choose a finer dt"
            )

    def check_length(self, steps: int) -> None:
        """Raise `ConfigError` if the rate over time ends before a run of so many steps."""
        length = np.shape(self.rate)[1] * self.hold if np.ndim(self.rate) == 3 else steps
        if length < steps:
            raise ConfigError(
                f"{self.name}: rate has {length} time steps, and the run {steps}; give at least as many"
            )

    def asked(self, start: int, stop: int) -> np.ndarray:
        """Rates in Hz of a function, `[trial, time, unit]`."""
        rate = self._checked(self.rate(start, stop))
        if np.ndim(rate) != 3 or np.shape(rate)[1] != stop - start:
            raise ShapeError(
                f"{self.name}: rate({start}, {stop}) has shape {list(np.shape(rate))}; give [trial, time, unit] with "
                f"time={stop - start}"
            )
        return np.asarray(rate)

    def over_time(self, trials: int, steps: int) -> np.ndarray:
        """Rate in Hz of all neurons in each step, `[trial, time]`.

        Raises
        ------
        ConfigError, ShapeError
            The neurons have different rates, or they do not fit.
        """
        self.check_length(steps)
        rate = self.asked(0, steps) if callable(self.rate) else self.samples
        if rate.shape[-1] != 1 or len(rate) not in (1, trials):
            raise ShapeError(
                f"{self.name}: rate has shape {list(rate.shape)}; give [trial, time, 1] with trial={trials} or 1"
            )
        index = np.minimum(np.arange(steps) // self.hold, rate.shape[1] - 1)
        return np.broadcast_to(rate[:, index, 0], (trials, steps))

    def arrays(self) -> list[np.ndarray]:
        """All numbers of the source."""
        return [] if callable(self.rate) else [self.samples]

    def configuration(self) -> dict[str, Any]:
        """The source as plain data; rates that are not one number are replaced by their shape."""
        rate = "function" if callable(self.rate) else self.rate
        plain = {"shape": list(rate.shape)} if isinstance(rate, np.ndarray) else rate
        return {
            "source": "PoissonGenerator",
            "name": self.name,
            "size": self.size,
            "rate": plain,
            "hold": self.hold,
        }

    def _checked(self, given: Any) -> float | np.ndarray:
        """Rates as a number or an array that fits the neurons."""
        where = f"{self.name}: rate"
        given = si(where, given, "rate")
        if isinstance(given, (int, float)):
            return checked(where, given, "rate", least=0)
        rate = _numbers(where, given, "Hz, [unit], [trial, unit] or [trial, time, unit]")
        if rate.ndim == 0:
            return checked(where, float(rate), "rate", least=0)
        if rate.ndim > 3 or not rate.size or rate.shape[-1] not in (1, self.size):
            raise ShapeError(
                f"{where} has shape {list(rate.shape)}; give a number, [unit], [trial, unit] or [trial, time, unit] "
                f"with unit={self.size} neurons, or 1 for all"
            )
        if not (np.isfinite(rate) & (rate >= 0)).all():
            raise ConfigError(f"{where} is negative, NaN or infinite somewhere; give finite Hz of at least 0")
        return rate


Source = SpikeGenerator | PoissonGenerator


class SpikeChances:
    """Chances of a spike in a step, of the neurons of a `PoissonGenerator`.

    Parameters
    ----------
    source
        The neurons.
    dt
        Time step in s.
    trials
        Number of trials of the run.
    steps
        Number of steps of the run, where a function is not called any more; `None`: it has no end.

    Raises
    ------
    ConfigError, ShapeError
        The first rates of a function do not fit; errors in later ones are raised while the network runs.
    """

    def __init__(self, source: PoissonGenerator, dt: float, trials: int, steps: int | None) -> None:
        self._source, self._dt, self._trials, self._steps = source, dt, trials, steps
        self._function: Callable[..., Any] | None = source.rate if callable(source.rate) else None
        self.hold = source.hold
        self._start, self._now = 0, self._asked(0) if self._function else source.samples * dt
        self.constant = self._function is None and self._now.shape[1] == 1

    def of(self, step: int) -> np.ndarray:
        """Chances of one step, `[trial, unit]`, 1 where all are the same."""
        values, begin = self.block(step)
        return values[:, min((step - begin) // self.hold, values.shape[1] - 1)]

    def block(self, step: int) -> tuple[np.ndarray, int]:
        """Chances `[trial, time, unit]` around a step, the last of which stays, and the step at which they begin."""
        start = blocks.begin(step)
        if self._function and start != self._start:
            self._start, self._now = start, self._asked(start)
        return self._now, self._start

    def _asked(self, start: int) -> np.ndarray:
        stop = start + blocks.STEPS if self._steps is None else min(start + blocks.STEPS, self._steps)
        rate = self._source.asked(start, stop)
        self._source.check_step(rate, self._dt)
        if len(rate) not in (1, self._trials):
            raise ShapeError(
                f"{self._source.name}: rate({start}, {stop}) has {len(rate)} trials, and the run {self._trials}; give "
                "as many, or 1 for all"
            )
        return rate * self._dt


def check_name(kind: str, name: object) -> None:
    """Raise `ConfigError` unless a population has a name."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{kind}: name={name!r} is not allowed; give a text")


def _trains(name: str, given: Any) -> Trains:
    """Times by trial and neuron, from whatever was given."""
    where = f"{name}: times"
    if hasattr(given, "data_vars"):
        return _recorded(where, given)
    given = si(where, given, "time")
    depth = _depth(given)
    if depth not in (2, 3):
        remedy = "[times] for one neuron" if depth == 1 else "[[0.1, 0.2], []] for two neurons"
        levels = "1 level" if depth == 1 else f"{depth} levels"
        raise ShapeError(f"{where} has {levels}; give a list with the times of each neuron, such as {remedy}")
    trials = [given] if depth == 2 else list(given)
    found = tuple(tuple(_train(where, train) for train in each) for each in trials)
    sizes = sorted({len(each) for each in found})
    if not sizes or sizes == [0]:
        raise ShapeError(f"{where} has no neurons; give a list with the times of each neuron, [] for none")
    if len(sizes) > 1:
        raise ShapeError(f"{where} has {sizes} neurons in different trials; give one number for all")
    return found


def _depth(given: Any) -> int:
    if isinstance(given, (list, tuple)):
        return 1 + max(map(_depth, given), default=0)
    return int(np.ndim(given.detach().cpu() if isinstance(given, Tensor) else given))


def _train(where: str, given: Any) -> np.ndarray:
    """Times of one neuron, ascending, without padding."""
    time = _numbers(where, given, "s, a list with the times of each neuron")
    if time.ndim != 1:
        raise ShapeError(
            f"{where} has a neuron whose times have {time.ndim} dimensions; give [] for a neuron without spikes"
        )
    time = time if isinstance(given, (list, tuple)) else time[~np.isnan(time)]
    if not (np.isfinite(time) & (time > 0)).all():
        bad = time[~(np.isfinite(time) & (time > 0))][0]
        raise ConfigError(f"{where} has a spike at {bad:g} s; give finite times above 0")
    return np.sort(time)


def _recorded(where: str, run: Any) -> Trains:
    """Times by trial and neuron of a recording."""
    names = ("spike_time", "spike_unit", "spike_trial")
    if any(each not in run for each in names) or not {"unit", "trial"} <= set(run.sizes):
        raise ConfigError(
            f"{where} is a recording without spikes of units and trials; record {', '.join(names)}"
        )
    time, unit, trial = (np.asarray(run[each].values) for each in names)
    order = np.lexsort((time, unit, trial))
    size = run.sizes["unit"]
    ends = np.searchsorted((trial * size + unit)[order], np.arange(1, run.sizes["trial"] * size))
    trains = np.split(time[order].astype(float), ends)
    return tuple(
        tuple(_train(where, train) for train in trains[k * size : (k + 1) * size])
        for k in range(run.sizes["trial"])
    )


def _numbers(where: str, given: Any, allowed: str) -> np.ndarray:
    as_they_are(where, given, ("trial", "time", "unit"))
    try:
        if given is None:
            raise TypeError
        return np.array(given.detach().cpu() if isinstance(given, Tensor) else given, float)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{where}={given!r} is not allowed; give {allowed}") from None

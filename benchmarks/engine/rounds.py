"""Rivals in alternating rounds: what else the machine does then hits all alike.

In a round each contender has its turn and runs as a user's loop would, again and again. The first run of a turn is not
timed: the threads of the contender before wait actively for a while, on the cores that this one needs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ROUNDS = 5  # at least
TURN = 0.03  # seconds of a contender's turn, at least


@dataclass(frozen=True)
class Timing:
    """Median seconds of a run, and medians over rounds of its time over that of the round's first contender.

    `ratio` is of wall-clock time, what one waits for; `cpu_ratio` is of the time summed over threads, which also
    counts where the machine is busy with other things.
    """

    seconds: float
    ratio: float
    cpu_ratio: float


def alternate(contenders: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Run each contender in turn for about `seconds` in all, compiled before.

    The first contender is the one that ratios refer to.
    """
    for run in contenders.values():
        run()
    rounds: list[dict[str, tuple[float, float]]] = []
    began = time.perf_counter()
    while len(rounds) < ROUNDS or time.perf_counter() - began < seconds:
        rounds.append({name: _turn(run) for name, run in contenders.items()})
    first = next(iter(contenders))

    def ratio(name: str, clock: int) -> float:
        return statistics.median(times[name][clock] / times[first][clock] for times in rounds)

    return {
        name: Timing(statistics.median(times[name][0] for times in rounds), ratio(name, 0), ratio(name, 1))
        for name in contenders
    }


def _turn(run: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a run."""
    run()
    runs, wall, cpu = 0, time.perf_counter(), time.process_time()
    while runs == 0 or time.perf_counter() - wall < TURN:
        run()
        runs += 1
    return (time.perf_counter() - wall) / runs, (time.process_time() - cpu) / runs

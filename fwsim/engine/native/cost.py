"""How long the compiled kernels are expected to take, for the planner to compare the forms of a memory.

The time is modelled as a sum of counted operations (`operations`), each with a time that
`benchmarks/engine_planner.py` fits to measured runs. The same counts serve the reference, whose order of the forms is
that of the arithmetic. The times below were fitted on an AMD EPYC with AVX2;
`docs/results/engine.md` says how well they choose on other processors.
"""

from __future__ import annotations

from functools import lru_cache, partial

from fwsim.engine.native.library import variant

CHUNKS = (8, 16, 32, 64)  # of the hybrid

NANOSECONDS = {
    "step": 779.0,
    "iteration": 507.0,
    "recurrent": 0.31,
    "history": 0.378,
    "matrix": 0.0475,
    "merge": 0.249,
    "move": 4.57,
    "sum": 0.181,
}
BATCH_NANOSECONDS = {"step": 0.0, "recurrent": 2.34, "history": 2.84}  # of a register of batch elements


def cost(
    *,
    chunk: int | None,
    time: int,
    units: int,
    inner_steps: float,
    timescales: int,
    past: int = 0,
    batch: int = 1,
    itemsize: int = 4,
) -> float:
    """Estimate the time of a batch element in ns; see `operations`. `itemsize`: bytes of a number."""
    counts = operations(
        chunk=chunk, time=time, units=units, inner_steps=inner_steps, timescales=timescales, past=past
    )
    alone = sum(NANOSECONDS[name] * count for name, count in counts.items())
    if chunk is not None:
        return alone
    together = sum(nanoseconds * counts[name] for name, nanoseconds in BATCH_NANOSECONDS.items())
    vectors = -(-batch * itemsize // register_bytes())
    return min(alone, together * vectors / max(1, batch))


def register_bytes() -> int:
    """Bytes of a register of the compiled engine; without one, those of AVX2."""
    chosen = variant()
    return chosen.vector_bytes if chosen else 32


@lru_cache(maxsize=256)
def in_batch_layout(batch: int, time: int, units: int, inner_steps: float, past: int, itemsize: int) -> bool:
    """Whether the attention form (or a network without memory) runs sooner in the layout of batch elements."""
    estimate = partial(
        cost, chunk=None, time=time, units=units, inner_steps=inner_steps, timescales=1, past=past
    )
    return estimate(batch=batch, itemsize=itemsize) < estimate()


def operations(
    *, chunk: int | None, time: int, units: int, inner_steps: float, timescales: int, past: int = 0
) -> dict[str, float]:
    """Count what a batch element takes.

    Returns
    -------
    dict
        `step`, `iteration`: how many; `recurrent`: products in W h (those in C x take about as long); `history`:
        products in reads of the states written since the matrices were updated; `matrix`: products in reads of the
        matrix; `merge`: products in updates of the matrices; `move`: numbers of matrices that updates load and store;
        `sum`: products in adding several time scales up.
    """
    square = float(units * units)
    size = past + time + 1 if chunk is None else chunk
    at_once, past = (past, 0) if past >= size else (0, past)  # a longer past is merged before the first step
    total = past + time
    merges = total // size
    with_matrix = time if at_once else max(0, total - size) if merges else 0
    return {
        "step": time,
        "iteration": time * inner_steps,
        "recurrent": time * square,
        "history": inner_steps * units * (_pending(total, size) - _pending(past, size)),
        "matrix": with_matrix * inner_steps * square,
        "merge": timescales * square * (merges * size + at_once),
        "move": timescales * square * (merges + bool(at_once)),
        "sum": timescales * square * with_matrix if timescales > 1 else 0.0,
    }


def _pending(steps: int, chunk: int) -> float:
    """Σ t mod chunk over the first steps: how many states a step finds that are not merged."""
    whole, rest = divmod(steps, chunk)
    return whole * chunk * (chunk - 1) / 2 + rest * (rest - 1) / 2

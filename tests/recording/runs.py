"""A small run with every kind of variable, whose samples depend on the step alone."""

import numpy as np

from fwsim.recording import Extent, Record, Recorder, provenance

SIZES = {"trial": 2, "unit": 5, "post": 5, "pre": 5, "timescale": 3, "iteration": 2, "past": 4}
RECORDS = (
    Record("hidden"),
    Record("memory", every=10, dtype="float16"),
    Record("inner", trials=[1], units=[4, 0], start=0.02),
    "spike_time",
    "spike_unit",
)


def samples(variable, steps, sizes=SIZES):
    """Values `[trial, sample, ...]` at the given steps."""
    shapes = {"hidden": ("unit",), "inner": ("iteration", "unit"), "memory": ("timescale", "post", "pre")}
    shape = (sizes["trial"], *(sizes[d] for d in shapes[variable]))
    each = [np.random.default_rng(step).standard_normal(shape) for step in steps]
    return (
        np.stack(each, axis=1).astype(np.float32) if each else np.empty((shape[0], 0, *shape[1:]), np.float32)
    )


def spikes(start, stop, dt):
    """Times and units of the spikes between two steps."""
    random = [np.random.default_rng(step) for step in range(start, stop)]
    times = [(step + 1) * dt for step, r in zip(range(start, stop), random) for _ in range(r.poisson(3))]
    return np.array(times), np.round(np.array(times) / dt).astype(int) % 5


def record(to=None, *, steps=503, dt=1e-3, block=37, records=RECORDS, sizes=SIZES, first_step=0, until=None):
    """Record the run, up to step `until` only if that is given."""
    extent = Extent(steps, dt, sizes, first_step=first_step)
    recorder = Recorder(
        records,
        extent,
        coordinates={"timescale": np.array([0.1, 1.0, 10.0])[: sizes["timescale"]]},
        attributes=provenance({"tau": [0.1, 1.0]}, seed=3, device="cpu", dtype="float32")
        | {"started": "now"},
        to=to,
    )
    names = [each if isinstance(each, str) else each.variable for each in records]
    for start in range(0, steps if until is None else until, block):
        stop = min(start + block, steps)
        times, units = spikes(first_step + start, first_step + stop, dt)
        for name in names:
            if name == "spike_time":
                recorder.write(name, times)
            elif name == "spike_unit":
                recorder.write(name, units)
            else:
                wanted = recorder.wanted(name, start, stop)
                recorder.write(name, samples(name, [first_step + step for step in wanted], sizes))
    if until is not None:
        return recorder
    return recorder.finish({"hidden": samples("hidden", [steps], sizes)[:, 0], "step": first_step + steps})


def timeless(run):
    """Without the one attribute that differs between equal runs."""
    return run.drop_attrs(deep=False).assign_attrs({k: v for k, v in run.attrs.items() if k != "wall_time"})

"""A sweep of which one point failed, made of the recording of a run: what every analysis has to stand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from fwsim.study import Run, load_experiment
from fwsim.study.execute import attributes, begin, now, origin
from fwsim.study.sweeps import records
from fwsim.study.sweeps.axes import Axis
from fwsim.study.sweeps.dataset import assemble, describe
from fwsim.study.sweeps.points import Point
from fwsim.study.sweeps.records import Failure
from fwsim.study.sweeps.run import SweepPlan


def with_a_failed_point(run: Run, folder: Path, field: str, failed: object, *, first: bool = True) -> Run:
    """Sweep over `field` with two points and two seeds: the value of the run, and one that failed, at first or at last.

    Of the value of the run, the second seed failed.
    """
    manifest, experiment = run.manifest, load_experiment(run.manifest["experiment"])
    own = manifest["configuration"][field]
    values = [failed, own] if first else [own, failed]
    plan = SweepPlan((Axis((field,), tuple((value,) for value in values)),), (0, 1), 1e9, None)
    points = [Point(index, {}, 0, str(index)) for index in np.ndindex(plan.space.shape)]
    recording = run.recording.load()
    ended = [recording if point.index == (int(first), 0) else Failure("it failed") for point in points]
    entries = {
        **origin(experiment.configure(manifest["configuration"]), 0, "cpu"),
        **{"sweep": asdict(plan), "points": 4, "failed": 3},
    }
    with begin(experiment, folder, entries, force=False) as sweep:
        records.write(folder / "batches", points, ended)
        known = records.read(folder / "batches")
        kept = [(point, known[point.identity]) for point in points]
        assemble(sweep.recording_path, plan.space, describe(experiment, plan.space), kept, attributes(sweep))
        sweep.finish(recording="whole", finished=now(), wall_time=0.0)
    return sweep

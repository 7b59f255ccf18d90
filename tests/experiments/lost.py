"""A sweep of which one point failed, made of the recording of a run: what every analysis has to stand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from fwsim.study import Run, load_experiment, runs, sweep_records
from fwsim.study.execute import attributes
from fwsim.study.sweep_axes import Axis
from fwsim.study.sweep_dataset import assemble, describe
from fwsim.study.sweep_points import Point
from fwsim.study.sweep_records import Failure
from fwsim.study.sweep_run import Plan


def with_a_failed_point(run: Run, folder: Path, field: str, failed: object, *, first: bool = True) -> Run:
    """Sweep over `field` with two points and two seeds: the value of the run, and one that failed, at first or at last.

    Of the value of the run, the second seed failed.
    """
    manifest, experiment = run.manifest, load_experiment(run.experiment, name=run.manifest["experiment"])
    own = manifest["configuration"][field]
    values = [failed, own] if first else [own, failed]
    plan = Plan((Axis((field,), tuple((value,) for value in values)),), (0, 1), 1e9, None)
    points = [Point(index, {}, 0, str(index)) for index in np.ndindex(plan.space.shape)]
    recording = run.recording.load()
    ended = [recording if point.index == (int(first), 0) else Failure("it failed") for point in points]
    sweep = runs.create(
        folder,
        {**manifest, "sweep": asdict(plan), "points": 4, "failed": 3, "recording": "whole"},
        {name: run.folder / name for name in ("experiment.py", "analysis.py")},
        force=False,
    )
    sweep_records.write(folder / "batches", points, ended)
    known = sweep_records.read(folder / "batches")
    kept = [(point, known[point.identity]) for point in points]
    assemble(sweep.recording_path, plan.space, describe(experiment, plan.space), kept, attributes(sweep))
    return sweep

"""A sweep over any field of any shipped experiment can be put together, whatever is recorded under its name.

What is done with a name, whichever it is and whatever has it, is tested in `test_run`.
"""

from pathlib import Path

import pytest
import xarray as xr

from fwsim.study import experiment as experiments
from fwsim.study import load_experiment
from fwsim.study.sweeps import records
from fwsim.study.sweeps.axes import Axis
from fwsim.study.sweeps.dataset import assemble, describe
from fwsim.study.sweeps.layout import ADDED, free_names
from fwsim.study.sweeps.points import Point, Space
from fwsim.study.sweeps.take import points

SHIPPED = sorted((Path(experiments.__file__).parents[2] / "experiments").glob("*.py"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_field_of_every_experiment(path, tmp_path):
    """All fields change together; three of them, and the names that a sweep adds, are recorded too."""
    experiment = load_experiment(path)
    fields = tuple(experiment.config.model_fields)
    assert set(free_names((*fields, *ADDED), fields)) == {*fields, *ADDED}
    first, *others = fields[:3]
    space = Space((Axis(fields[:3], ((1.0,) * 3, (2.0,) * 3)),), (0,))
    recordings = [
        xr.Dataset(
            {
                "found": (first, [5.0] * size),
                "seed": size,
                **{name: (first, [6.0] * size) for name in others},
            },
            {first: [3.0, 4.0][:size]},
        )
        for size in (1, 2)
    ]
    made = [Point((row, 0), {}, row, str(row)) for row in range(2)]
    records.write(tmp_path / "batches", made, recordings)
    kept = records.read(tmp_path / "batches")
    ended = [(each, kept[each.identity]) for each in made]
    described = describe(experiment, space)
    assemble(tmp_path / "swept", space, described, ended, {"experiment_configuration": "{}"})
    swept = xr.open_zarr(tmp_path / "swept", consolidated=False).load()
    assert swept.sel({first: 2.0, "seed": 0}).found.dims == (f"{first}_recorded",)
    for name in others:
        assert swept[name].values.tolist() == [1.0, 2.0]
        assert swept[f"{name}_recorded"].dims == (first, "seed", f"{first}_recorded")
    for point, recording in zip(points(swept), recordings, strict=True):
        xr.testing.assert_equal(point.recording, recording)

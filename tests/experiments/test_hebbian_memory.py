"""hebbian_memory: spikes complete the latest patterns, forget as the mean field says, and know no others."""

import numpy as np
import pytest
import xarray as xr

from analysis import hebbian_memory
from fwsim import study

SMALL = {
    "memories": ("one",),
    "networks": 2,
    "load": 3,
    "other_loads": (),
    "other_qualities": (),
    "neurons": 160,
    "active": 16,
    "inhibition": "0.44 mV",
    "efficacy": "1.25 mV",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory, numpy_target):
    run = study.run("hebbian_memory", SMALL, seed=1, folder=tmp_path_factory.mktemp("hebbian") / "run")
    return study.analyse(run).result


def overlaps(result, name="overlap"):
    """At the first load and quality, from the latest pattern on, over networks."""
    return result[name].sel(memory="one").mean("network")


def test_the_latest_patterns_are_completed_and_no_others(result):
    recalled = overlaps(result).sel(age=[0, 1])
    assert (recalled > 0.25).all()
    assert (recalled > overlaps(result, "shuffled").sel(age=[0, 1]) + 0.2).all()
    assert abs(float(result["unseen"].sel(memory="one").mean())) < 0.1


def test_the_mean_field_agrees(result):
    assert float(abs(overlaps(result) - overlaps(result, "mean_field_overlap")).mean()) < 0.2
    courses = result["course"].sel(memory="one").mean("network")
    other = result["mean_field_course"].sel(memory="one").mean("network")
    assert float(np.sqrt(((courses - other) ** 2).mean() / (other**2).mean())) < 0.25


def test_an_overlap_is_of_the_neurons_that_were_not_cued():
    """Rates of 40 Hz of two that are cued, 25 of two that are completed, 5 of four outside; and nobody fires."""
    kinds = np.array(["cued"] * 2 + ["completed"] * 2 + ["outside"] * 4)
    recording = xr.Dataset({name: ("unit", kinds == name) for name in ("cued", "completed")})
    rate = xr.DataArray([[40, 40, 25, 25, 5, 5, 5, 5], [0.5] * 8], dims=("trial", "unit"))
    found = hebbian_memory.overlap(rate, recording, recording["completed"])
    assert found.values.tolist() == pytest.approx([(25 - 5) / 40, 0])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_bands_of_the_full_experiment(tmp_path):
    """Bands stated before any run with more than one network."""
    values = {"memories": ("one", "several"), "other_loads": (), "other_qualities": ()}
    result = study.analyse(study.run("hebbian_memory", values, folder=tmp_path / "run")).result
    one = result.sel(memory="one")
    latest = one["overlap"].sel(age=[0, 1, 2]).mean("network")
    assert (latest > 0.3).all()
    assert (latest > one["shuffled"].sel(age=[0, 1, 2]).mean("network") + 0.2).all()
    assert abs(float(one["unseen"].mean())) < 0.1
    apart = abs((result["overlap"] - result["mean_field_overlap"]).mean("network")).mean("age")
    assert (apart < 0.15).all(), apart
    assert abs(float((one["lifetime"] - one["mean_field_lifetime"]).mean("network"))) < 0.6

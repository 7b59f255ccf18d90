"""Items that do not overlap are all kept, equal ones are not; the time until they are lost has a closed form."""

import math

import numpy as np
import pytest
import xarray as xr

from analysis import attractor_capacity as capacity
from fwsim.engine.cell import EPSILON
from fwsim.errors import RecordingError

ITEMS, ACTIVE, ETA = 16, 4, 0.2
UNITS = ITEMS * ACTIVE


def recording(same=0):
    """One sequence of 16 pairs; letter and digit have the same four units, which no other pair has.

    The digits' readout reads these units. With `same` the units of so many pairs are those of the first one.
    """
    patterns = np.kron(np.eye(ITEMS), np.ones(ACTIVE))
    classes = patterns.copy()
    patterns[: same + 1] = patterns[0]
    past = np.repeat(patterns, 2, axis=0)[None]
    values = {
        "past": (("trial", "past", "unit"), past),
        "digits": (("trial", "stored"), np.arange(ITEMS)[None]),
        "gain": ("unit", np.ones(UNITS)),
        "bias": ("unit", np.zeros(UNITS)),
        "readout_in": (("readout", "unit"), classes),
        "readout_bias": ("readout", np.zeros(ITEMS)),
        "class_in": (("digit", "readout"), np.eye(ITEMS)),
        "class_bias": ("digit", np.zeros(ITEMS)),
        "error": ("iteration", np.zeros(2)),
    }
    configuration = '{"tau": [50.0], "eta": [0.2], "pairs": 16, "units": 64}'
    return xr.Dataset(values, {"iteration": [1, 64]}, {"experiment_configuration": configuration})


@pytest.fixture(scope="module")
def kept():
    """Result of patterns that do not overlap."""
    return capacity.analyse(recording())


def test_patterns_that_do_not_overlap_are_all_kept(kept):
    assert kept["kept"].values[0].tolist() == list(capacity.LOADS)
    assert (kept["by_age"] == 1).all()
    (row,) = capacity.table(kept)
    assert (row["capacity"], row["at load"], row["tau"], row["networks"]) == ("16.00", 16, "50", 1)
    assert set(capacity.plot(kept)) == {"capacity", "lifetime"}


def test_of_equal_patterns_only_one_is_kept():
    """The readout answers one digit for all of them, and the nearest stored state is one of them."""
    result = capacity.analyse(recording(same=3))
    assert 12 < float(result["kept"].sel(load=16)[0]) < 13  # that one if it was written first


def test_the_time_until_attractors_are_lost_is_that_of_the_normalisation(kept):
    """The field a x of a pattern of height x gives a x (1 − m) / √(a² x² v + ε): x > 0 exists while a (1 − m) > √ε."""
    mean = ACTIVE / UNITS
    first = ETA * ACTIVE * (1 + math.exp(-1 / 50))  # of the latest letter and digit
    last = first * math.exp(-2 * (ITEMS - 1) / 50)
    times = [math.log(each * (1 - mean) / EPSILON**0.5) for each in (last, first)]
    assert times[0] - 0.2 < float(capacity.half_time(kept["left"])[0]) < times[1] + 1


def test_runs_are_joined_and_settings_told_apart():
    one, two = recording(), recording()
    two.attrs["experiment_configuration"] = two.attrs["experiment_configuration"].replace("50.0", "5.0, 50.0")
    two.attrs["experiment_configuration"] = two.attrs["experiment_configuration"].replace("0.2", "0.1, 0.1")
    joined = capacity.join([one, one, two])
    rows = capacity.table(joined)
    assert [(row["tau"], row["networks"]) for row in rows] == [("50", 2), ("5, 50", 1)]
    ((name, lines),) = capacity.panels(joined)
    assert (name, [label for label, _ in lines]) == ("tau", ["5, 50", "50"])  # by size, not as they were run


def test_too_few_items_are_one_line():
    """Fifteen pairs, where memories have up to sixteen items."""
    few = recording().isel(past=slice(0, 30), stored=slice(0, 15))
    with pytest.raises(
        RecordingError, match=r"has 15 items, and memories have up to 16; .* --recorded 2 or more"
    ):
        capacity.analyse(few)

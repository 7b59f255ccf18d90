"""The fixture that tries inputs at random on one door: some in every run of the tests, many with the marker slow."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.survival.fuzzing import Watch, bounded_addresses

SIZES = ["some", pytest.param("many", marks=[pytest.mark.slow, pytest.mark.timeout(4 * 3600)])]


@pytest.fixture(autouse=True)
def _no_modules_of_pipes():
    """Forget experiments whose files became pipes: Hypothesis reads the files of all modules, and would wait."""
    yield
    for name, module in list(sys.modules.items()):
        if name.startswith("fwsim_file_") and not Path(module.__file__).is_file():
            del sys.modules[name]


@pytest.fixture(params=SIZES)
def fuzz(request, record_property, monkeypatch):
    """Function that tries a door, a function of random generator and watch, with so many inputs, and counts."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FWSIM_DEBUG", raising=False)

    def run(door, attempt, some, many, seed=0):
        number, watch = some if request.param == "some" else many, Watch()
        number = int(request.config.getoption("--inputs") or number)
        with bounded_addresses():
            for place in range(seed, seed + number):
                watch.inputs, watch.about = watch.inputs + 1, f"{door}, input {place}"
                attempt(np.random.default_rng(place), watch)
        counts = {name: len(found) for name, found in watch.faults.items()}
        record_property("fuzzed", {"door": door, "inputs": watch.inputs, "refused": watch.refused, **counts})
        said = [f"{kind}: {each}" for kind, found in watch.faults.items() for each in found]
        assert not said, f"{len(said)} of {number} inputs:\n" + "\n".join(said[:40])

    return run

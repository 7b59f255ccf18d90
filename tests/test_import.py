"""`import fwsim` is light, and every public name resolves."""

import subprocess
import sys

import pytest

import fwsim as fw

HEAVY = ("torch", "xarray", "brian2", "zarr", "dask", "triton", "matplotlib", "pydantic", "sympy")


def loaded(code):
    script = f"{code}; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_loads_nothing_heavy():
    assert loaded("import fwsim") == []
    assert loaded("from fwsim import ms, second, Hz, mV") == []
    assert loaded("import torch") != []  # the test can fail


def test_the_engine_needs_torch_alone():
    """A machine with a GPU may have torch and numpy and nothing else."""
    assert set(loaded("import fwsim; fwsim.FastWeightNetwork(1, 2, None)")) <= {"torch", "sympy"}


@pytest.mark.parametrize("name", fw.__all__)
def test_public_names_resolve(name):
    assert getattr(fw, name) is not None


def test_units_are_si():
    assert (fw.ms, fw.second, fw.Hz, fw.mV, fw.minute) == (1e-3, 1.0, 1.0, 1e-3, 60.0)


def test_errors_keep_their_fields_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(fw.DivergedError(3, "hidden", 1, "lower eta")))
    assert (error.step, error.variable, error.trial) == (3, "hidden", 1)
    assert "lower eta" in str(error)

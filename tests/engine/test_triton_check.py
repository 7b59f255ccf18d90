"""The first use of the GPU kernels on a device compares them with the reference."""

import importlib
import os
import warnings

import pytest
import torch

import fwsim as fw
from fwsim.engine.planner import plan
from fwsim.errors import ConfigError

pytest.importorskip("triton", reason="triton is not installed (pip install 'fwsim[gpu]')")
check = importlib.import_module("fwsim.engine.kernels.triton_check")
triton_function = importlib.import_module("fwsim.engine.kernels.triton_function")
triton_run = importlib.import_module("fwsim.engine.kernels.triton_run")
sizes = importlib.import_module("fwsim.engine.kernels.triton_sizes")

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
if DEVICE == "cuda" and not torch.cuda.is_available():
    pytest.skip("there is a GPU, but torch cannot use it", allow_module_level=True)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # the interpreter's
    pytest.mark.usefixtures("language_patched_once"),
]


@pytest.fixture
def small(monkeypatch):
    """The problems that the interpreter solves in a second."""
    monkeypatch.setattr(check, "PROBLEMS", ((7, None), (7, 4)))


@pytest.mark.parametrize("dtype", check.TOLERANCE)
def test_kernels_that_are_right_pass(small, dtype):
    assert check.difference(DEVICE, dtype) is None


def test_streaming_kernels_are_among_the_problems():
    units = [units for units, _ in check.PROBLEMS]
    assert sizes.power_of_two(min(units)) ** 2 < sizes.HELD < sizes.power_of_two(max(units)) ** 2


def wrong_activation(monkeypatch):
    monkeypatch.setitem(triton_run.ACTIVATIONS, "relu", triton_run.ACTIVATIONS["tanh"])


def wrong_gradient(monkeypatch):
    of_weights = triton_function.of_weights
    monkeypatch.setattr(triton_function, "of_weights", lambda *given: 1.01 * of_weights(*given))


def unset_gradient(monkeypatch):
    launch = triton_function._launch

    def without_bias(*given, **arguments):
        launch(*given, **arguments)
        if "d_parameters" in arguments:
            arguments["d_parameters"][:, 1] = float("nan")

    monkeypatch.setattr(triton_function, "_launch", without_bias)


def does_not_compile(monkeypatch):
    def fails(*given, **arguments):
        raise RuntimeError("ptxas\nfailed")

    monkeypatch.setattr(triton_function, "_launch", fails)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (wrong_activation, "hidden states of a small problem is"),
        (wrong_gradient, "the gradient of W of a small problem is 1.0e-02 from the reference"),
        (unset_gradient, "the gradient of bias of a small problem is nan"),
        (does_not_compile, "a small problem ends with RuntimeError"),
    ],
)
def test_kernels_that_are_wrong_are_not_used(small, monkeypatch, fault, found):
    fault(monkeypatch)
    check._on_this_device.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "device")
    difference = check.difference
    monkeypatch.setattr(check, "difference", lambda device, dtype: difference(DEVICE, dtype))
    given = {"form": "auto", "batch": 4, "time": 9, "units": 50, "inner_steps": 1, "device": "cuda"}
    memory = fw.Hebbian(tau=5.0, eta=0.1)
    with pytest.warns(RuntimeWarning, match=found):
        chosen = plan(memory, kernel="auto", **given)
    assert chosen.kernel == "reference"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was said once
        assert plan(memory, kernel="auto", **given).kernel == "reference"
    with pytest.raises(ConfigError, match="correctly on this device") as refused:
        plan(memory, kernel="triton", **given)
    assert "\n" not in str(refused.value)
    check._on_this_device.cache_clear()


def test_without_a_device_nothing_is_compared(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(check, "difference", None)
    assert check.obstacle("cuda", torch.float32) is None
    assert check.obstacle("cpu", torch.float32) is None

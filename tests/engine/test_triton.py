"""The GPU kernels against the reference: on a GPU where there is one, else under Triton's interpreter."""

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.drive import Drive
from fwsim.engine.planner import plan
from tests.engine.comparison import assert_like_reference, memory_full_of_nan, network

triton = pytest.importorskip("triton", reason="triton is not installed (pip install 'fwsim[gpu]')")
tl = importlib.import_module("triton.language")
triton_cell = importlib.import_module("fwsim.engine.kernels.triton_cell")
triton_run = importlib.import_module("fwsim.engine.kernels.triton_run")
sizes = importlib.import_module("fwsim.engine.kernels.triton_sizes")

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
if DEVICE == "cuda" and not torch.cuda.is_available():
    pytest.skip("there is a GPU, but torch cannot use it", allow_module_level=True)
RATES = ("tau", "eta")
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # the interpreter's
    pytest.mark.usefixtures("language_patched_once"),
]


@pytest.fixture
def streamed(monkeypatch):
    """Let nothing fit in registers, and only four rows of 16 units in a tile."""
    monkeypatch.setattr(sizes, "HELD", 0)
    monkeypatch.setattr(sizes, "TILE", 64)


CASES = {
    "one of each": ({"units": 1, "timescales": 1, "inner_steps": 1}, {"batch": 1, "time": 1}),
    "per-entry rates": (
        {"units": 7, "timescales": 2, "inner_steps": 2, "batch": 2, "learn": RATES},
        {"batch": 2, "time": 6},
    ),
    "state in": (
        {"units": 7, "timescales": 3, "inner_steps": 1, "learn": RATES},
        {"batch": 2, "time": 6, "start": "any", "past": 3},
    ),
    "no self-connections": (
        {"units": 5, "timescales": 1, "inner_steps": 2, "self_connections": False, "learn": RATES},
        {"batch": 1, "time": 7, "start": "symmetric"},
    ),
    "written before": (
        {"units": 7, "timescales": 1, "inner_steps": 1, "write": "before", "normalise": "all"},
        {"batch": 2, "time": 6, "past": 1},
    ),
    "tanh, not normalised": (
        {"units": 6, "timescales": 1, "inner_steps": 3, "activation": "tanh", "normalise": "none"},
        {"batch": 1, "time": 6},
    ),
    "sign": ({"units": 17, "timescales": 1, "inner_steps": 2, "activation": "sign"}, {"batch": 1, "time": 5}),
    "no inner loop": ({"units": 7, "timescales": 1, "inner_steps": 0}, {"batch": 1, "time": 5}),
}


FORMS = {"attention": None, "dense": 1, "hybrid": 4}
SLOW = {  # what these change has nothing to do with the form; the quick tests have each in two of the three
    ("written before", "dense"), ("tanh, not normalised", "attention"), ("sign", "hybrid"),
    ("no inner loop", "attention"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "chunk"),
    [
        pytest.param(
            case, chunk, marks=pytest.mark.slow if (case, form) in SLOW else (), id=f"{case}, {form}"
        )
        for case in CASES
        for form, chunk in FORMS.items()
    ],
)
def test_held_kernels_match_the_reference(case, chunk):
    torch.manual_seed(1)
    made, run = CASES[case]
    assert_like_reference(triton_run, network(**made), chunk=chunk, device=DEVICE, **run)


@pytest.mark.parametrize(
    ("case", "chunk"),
    [
        ("per-entry rates", None),
        ("state in", 4),
        ("no self-connections", 1),
        ("no self-connections", 4),
        ("written before", None),
        ("tanh, not normalised", 1),
    ],
)
def test_streamed_kernels_match_the_reference(streamed, case, chunk):
    torch.manual_seed(2)
    made, run = CASES[case]
    assert_like_reference(triton_run, network(**made), chunk=chunk, device=DEVICE, **run)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_networks_match_the_reference(data):
    def draw(*values):
        return data.draw(st.sampled_from(values))

    torch.manual_seed(draw(*range(8)))
    batch, timescales, normalise = draw(1, 2), draw(0, 1, 2, 3), draw("inner", "all", "none")
    net = network(
        draw(1, 2, 5, 17),
        timescales,
        draw(0, 1, 2, 3),
        batch=draw(None, batch),
        learn=draw((), RATES) if timescales else (),
        activation="tanh" if normalise == "none" else draw("relu", "tanh", "sign"),
        normalise=normalise,
        write=draw("final", "before"),
        self_connections=draw(True, False),
    )
    run = {"time": draw(1, 2, 5, 8), "start": draw("zero", "symmetric", "any"), "past": draw(0, 3, 5)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "HELD", draw(sizes.HELD, 0))
        patch.setattr(sizes, "TILE", draw(64, 256))
        assert_like_reference(
            triton_run, net, batch=batch, chunk=draw(None, 1, 2, 4, 16), device=DEVICE, **run
        )


def test_checkpoints_of_the_dense_form():
    torch.manual_seed(3)
    assert_like_reference(triton_run, network(5, 1, 1, learn=RATES), batch=1, time=35, chunk=1, device=DEVICE)


def test_too_many_units_for_registers():
    torch.manual_seed(4)
    assert_like_reference(triton_run, network(260, 1, 1), batch=1, time=3, chunk=1, device=DEVICE)


@pytest.mark.parametrize("inner_steps", [0, 2])
def test_without_memory(inner_steps):
    torch.manual_seed(5)
    assert_like_reference(triton_run, network(7, 0, inner_steps), batch=2, time=4, chunk=None, device=DEVICE)


@pytest.mark.parametrize("chunk", [None, 1])
def test_single_precision_is_close(chunk):
    torch.manual_seed(6)
    net = network(50, 1, 2, dtype=torch.float32)
    assert_like_reference(triton_run, net, batch=2, time=6, chunk=chunk, dtype=torch.float32, device=DEVICE)


def half_network(form):
    net = network(20, 1, 1, dtype=torch.float32, form=form).to(DEVICE)
    half = copy.deepcopy(net).bfloat16()
    half.kernel = "triton"
    return net, half


@pytest.mark.parametrize("form", ["attention", "dense"])
def test_half_precision_is_close(form):
    torch.manual_seed(7)
    net, half = half_network(form)
    x = torch.randn(2, 6, 3, device=DEVICE)
    truth, ours = net(x)[0], half(x.bfloat16())[0]
    gradients = [
        torch.autograd.grad(h.float().square().sum(), n.W)[0] for h, n in ((truth, net), (ours, half))
    ]
    assert ours.dtype == gradients[1].dtype == torch.bfloat16
    for one, other in ((ours, truth), gradients[::-1]):
        assert (one.float() - other).norm() < 0.05 * other.norm()


def test_half_precision_adds_up_in_single_precision():
    """In bfloat16 a sum loses what is 1/256 of it; the memory of many states must not."""
    torch.manual_seed(8)
    _, half = half_network("dense")
    half.memory_tau.fill_(64.0)
    hidden, state = half(torch.randn(1, 60, 3, device=DEVICE).bfloat16())
    age = torch.arange(59, -1, -1, dtype=torch.float64, device=DEVICE)
    weight = half.memory_eta.double() * torch.exp(-age / 64)
    truth = torch.einsum("t,bti,btj->bij", weight, hidden.double(), hidden.double())
    assert (state.memory[:, 0].double() - truth).abs().max() <= truth.abs().max() / 256


@pytest.mark.parametrize("form", ["attention", "hybrid", "dense"])
def test_a_run_cut_in_two_equals_the_run_in_one(form):
    torch.manual_seed(8)
    net = network(5, 2, 1, form=form, kernel="triton", learn=RATES).to(DEVICE)
    x = torch.randn(2, 9, 3, dtype=torch.float64, device=DEVICE)

    def gradients(parts):
        state, hidden = None, []
        for part in parts:
            states, state = net(part, state)
            hidden.append(states)
        loss = torch.cat(hidden, 1).square().sum() + state.memory.square().sum()
        return torch.cat(hidden, 1), torch.autograd.grad(loss, list(net.parameters()))

    whole, cut = gradients([x]), gradients([x[:, :4], x[:, 4:5], x[:, 5:]])
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-10, atol=1e-10)
    for ours, truth in zip(cut[1], whole[1]):
        torch.testing.assert_close(ours, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fits", [True, False], ids=["held", "streamed"])
def test_results_do_not_depend_on_what_lay_in_memory(fits, request, monkeypatch):
    if not fits:
        request.getfixturevalue("streamed")
    monkeypatch.setattr("fwsim.engine.kernels.triton_cost.CHUNKS", (4,))
    torch.manual_seed(9)
    net = network(5, 2, 1, kernel="triton", form="hybrid", learn=("tau",)).to(DEVICE)
    x = torch.randn(2, 6, 3, dtype=torch.float64, device=DEVICE)

    def result():
        hidden, state = net(x)
        loss = hidden.square().sum() + state.memory.sum()
        return [hidden, *torch.autograd.grad(loss, list(net.parameters()))]

    clean = result()
    with memory_full_of_nan():
        filled = result()
    for one, other in zip(clean, filled):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_nan_is_handed_on():
    net = network(7, 1, 1).to(DEVICE)
    x = torch.zeros(2, 4, 3, dtype=torch.float64, device=DEVICE)
    hidden = torch.zeros(2, 7, dtype=torch.float64, device=DEVICE)
    hidden[1, 3] = float("nan")
    states = triton_run.run(
        net.cell(), Drive(x, net.C, net.b), hidden, net.initial_state(2).stored, chunk=None
    ).hidden
    assert states[1].isnan().all()
    assert states[0].isfinite().all()


@pytest.mark.parametrize(("batch", "time"), [(0, 5), (2, 0)])
def test_empty_batch_and_empty_sequence(batch, time):
    net = network(7, 1, 1, kernel="triton").to(DEVICE)
    hidden, state = net(torch.randn(batch, time, 3, dtype=torch.float64, device=DEVICE))
    assert hidden.shape == (batch, time, 7)
    assert state.memory.shape == (batch, 1, 7, 7)


@triton.jit
def tanh_kernel(source, target, SIZE: tl.constexpr):
    place = tl.arange(0, SIZE)
    tl.store(target + place, triton_cell.tanh(tl.load(source + place)))


def test_tanh_is_as_exact_as_its_precision():
    x = torch.cat([scale * torch.randn(256) for scale in (1e-3, 0.06, 1, 20)]).to(DEVICE)
    ours, truth = torch.empty_like(x), torch.tanh(x.double())
    tanh_kernel[(1,)](x, ours, SIZE=1024)
    assert ((ours - truth) / truth).abs().max() < 20 * torch.finfo(torch.float32).eps


def test_kernels_compile_for_an_h100():
    """The interpreter forgives what the compiler does not; compiling needs no GPU."""
    pytest.importorskip("triton.backends.nvidia")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "benchmarks/gpu_registers.py", "--quick"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for said in ("forward", "backward", "held", "streamed"):
        assert said in done.stdout


def test_the_interpreter_is_never_chosen_by_itself():
    rule = fw.Hebbian(tau=20.0, eta=0.5)
    sizes = {"batch": 4, "time": 50, "units": 50, "inner_steps": 1}
    assert plan(rule, form="auto", kernel="auto", device="cpu", **sizes).kernel != "triton"

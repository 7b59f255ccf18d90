"""The planner: what it picks, what it refuses, and that its counts are those of the arithmetic."""

from __future__ import annotations

import pytest
import torch

import fwsim as fw
from fwsim.engine.native.cost import operations
from fwsim.engine.planner import plan

HEBBIAN = fw.Hebbian(tau=20.0, eta=0.5)
SIZES = {"batch": 4, "time": 50, "units": 50, "inner_steps": 1}


def planned(rule=HEBBIAN, *, form="auto", kernel="auto", **changes):
    return plan(rule, form=form, kernel=kernel, **(SIZES | changes))


def test_short_runs_attend_and_long_runs_merge():
    assert planned(time=11).form == "attention"
    assert planned(time=5000, units=100).form in ("hybrid", "dense")


def test_many_time_scales_favour_attention():
    many = fw.Hebbian(tau=[float(2**k) for k in range(8)], eta=[0.1] * 8)
    longest = {}
    for name, rule in {"one": HEBBIAN, "many": many}.items():
        times = [
            time for time in range(10, 2000, 10) if planned(rule, time=time, units=100).form == "attention"
        ]
        longest[name] = max(times)
    assert longest["many"] > longest["one"]


def test_a_long_past_is_folded_in_the_end():
    assert planned(time=1, past=10).form == "attention"
    assert planned(time=1, past=1000).form != "attention"


def test_step_by_step_keeps_a_bounded_history():
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(2, 5, HEBBIAN)
    x, state = torch.randn(1, 400, 2), None
    longest = 0
    with torch.no_grad():
        for t in range(400):
            hidden, state = net(x[:, t : t + 1], state)
            longest = max(longest, state.stored.history.shape[1])
        whole, _ = net(x)
    assert longest < 200
    torch.testing.assert_close(hidden[:, 0], whole[:, -1], rtol=1e-3, atol=1e-3)


def test_what_is_asked_for_is_done():
    for form in ("dense", "attention", "hybrid"):
        assert planned(form=form).form == form
    assert planned(kernel="reference").kernel == "reference"
    assert planned(form="dense").chunk == 1
    assert planned(form="attention").chunk is None


@pytest.mark.parametrize(
    ("changes", "kernel"),
    [
        ({}, "native"),
        ({"rule": None}, "native"),
        ({"dtype": torch.float64}, "native"),
        ({"dtype": torch.bfloat16}, "reference"),
        ({"device": "cuda"}, "triton"),
        ({"device": "cuda", "dtype": torch.bfloat16}, "triton"),
        ({"device": "cuda", "dtype": torch.float16}, "reference"),
    ],
)
def test_the_kernel_follows_what_it_can_run(changes, kernel):
    assert planned(**changes).kernel == kernel


def test_refusals_say_the_remedy(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(fw.ConfigError, match=r"kernel='triton' cannot run the device 'cpu'.*kernel='auto'"):
        planned(kernel="triton")
    with pytest.raises(fw.ConfigError, match=r"kernel='native' cannot run the device 'cuda'.*kernel='auto'"):
        planned(kernel="native", device="cuda")
    with pytest.raises(fw.ConfigError, match=r"form='fast' is unknown"):
        planned(form="fast")
    with pytest.raises(fw.ConfigError, match=r"kernel='jax' is unknown"):
        planned(kernel="jax")
    with pytest.raises(fw.ConfigError, match=r"kernel='numba' is unknown; .*'native'"):
        planned(kernel="numba")


def test_a_plan_explains_itself():
    why = fw.FastWeightNetwork(3, 50, HEBBIAN).plan(8, 500).why
    assert all(name in why for name in ("attention", "dense", "hybrid"))


@pytest.mark.parametrize("past", [0, 5])
def test_operations_are_those_of_the_run(past):
    """Count by running through the steps of a hybrid, as the kernels do."""
    time, units, steps, scales, chunk = 37, 10, 2, 3, 8
    history = matrix = merged = moved = merges = 0
    pending = past
    for _ in range(time):
        history += steps * units * pending
        matrix += steps * units**2 * (merges > 0)
        pending += 1
        if pending == chunk:
            merged += scales * units**2 * chunk
            moved += scales * units**2
            pending, merges = 0, merges + 1
    counts = operations(chunk=chunk, time=time, units=units, inner_steps=steps, timescales=scales, past=past)
    assert counts["merge"] == merged
    assert counts["move"] == moved
    assert counts["matrix"] == matrix
    assert counts["history"] == history

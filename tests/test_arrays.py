"""Arrays and lists are taken wherever tensors are."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import ConfigError, ShapeError

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
TIMES = [0.0, 0.02, 0.05]
FORMS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "read-only": lambda given: np.broadcast_to(np.array(given), np.shape(given)),
    "DataArray": xr.DataArray,
}


@pytest.mark.parametrize("form", [*FORMS.values(), pd.Series], ids=[*FORMS, "series"])
def test_spike_times(form):
    exact = torch.tensor(TIMES, dtype=torch.float64)
    assert torch.equal(RULE.respond(form(TIMES)), RULE.respond(exact))
    rule, post = fw.HebbianTraces(), torch.tensor([0.03], dtype=torch.float64)
    assert torch.equal(rule.respond(form(TIMES), form([0.03])), rule.respond(exact, post))


def test_trains_of_different_lengths_are_padded():
    found = RULE.respond([TIMES, [0.0, 0.1], []])
    torch.testing.assert_close(found[0], RULE.respond(TIMES))
    torch.testing.assert_close(found[1, :2], RULE.respond([0.0, 0.1]))
    assert found.isnan().tolist() == [[False] * 3, [False, False, True], [True] * 3]


def test_spiking_responses_take_lists():
    torch.testing.assert_close(
        fw.spiking.respond(RULE, TIMES, dt=1e-4), RULE.respond(TIMES), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    "given", [None, {"a": 1}, [True, False], "abc", [[TIMES, [0.0]]], [1 + 2j], iter(TIMES)]
)
def test_what_are_no_spike_times(given):
    with pytest.raises(ConfigError, match="times"):
        RULE.respond(given)


NET = fw.FastWeightNetwork(4, 5, fw.Hebbian(tau=5.0, eta=0.3))
PATTERNS = np.random.default_rng(0).normal(size=(2, 3, 5))


@pytest.mark.parametrize("form", [*FORMS.values(), np.float32], ids=[*FORMS, "float32"])
def test_patterns_and_cues(form):
    tensors, state = torch.tensor(PATTERNS, dtype=torch.float32), NET.initial_state(2)
    one, cue = PATTERNS[:, 0].tolist(), PATTERNS[:, 1].tolist()
    written = NET.write(state, form(one), form(cue))
    assert torch.equal(written.memory, NET.write(state, tensors[:, 0], tensors[:, 1]).memory)
    stored = NET.store(state, PATTERNS, np.flip(PATTERNS, 1))
    assert torch.equal(stored.memory, NET.store(state, tensors, tensors.flip(1)).memory)
    found = NET.recall(written, form(cue), 3, sustained=form(one))[1]
    assert torch.equal(found, NET.recall(written, tensors[:, 1], 3, sustained=tensors[:, 0])[1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: NET.write(NET.initial_state(2), None), "pattern is NoneType, not real numbers"),
        (lambda: NET.write(NET.initial_state(2), PATTERNS[:, 0] * np.nan), "pattern is NaN or infinite"),
        (lambda: NET.write(NET.initial_state(2), PATTERNS[:, 0], {"a"}), "pre is set, not real"),
        (lambda: NET.write(NET.initial_state(2), PATTERNS[:, 0], [["a"], ["b"]]), "pre is list, not real"),
        (lambda: NET.recall(NET.initial_state(2), [[1.0], [1.0, 2.0]]), "cue has rows of different lengths"),
        (lambda: NET.recall(NET.initial_state(2), PATTERNS[:1, 0]), r"cue has shape \[1, 5\]"),
        (lambda: fw.measure.fixed_points(torch.tanh, [[1.0], [1.0, 2.0]], kind="map"), "starts is a list"),
        (lambda: fw.measure.lyapunov_exponents(torch.tanh, [["a"]], 10), "start is a list"),
    ],
)
def test_what_are_no_states(call, said):
    with pytest.raises((ConfigError, ShapeError), match=said):
        call()


def spiral(x, p=None):
    turned = torch.stack([-x[:, 1], x[:, 0]], 1)
    return turned + x * (1 - (x**2).sum(1, keepdim=True))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_starts_of_analyses(form):
    starts = [[0.5, 0.1], [-0.7, 0.2]]
    exact = torch.tensor(starts, dtype=torch.float64)
    step = torch.tanh
    for name, given in {"fixed_points": ("map",), "lyapunov_exponents": (20,)}.items():
        measure = getattr(fw.measure, name)
        xr.testing.assert_identical(measure(step, form(starts), *given), measure(step, exact, *given))
    driven = fw.measure.lyapunov_exponents(
        lambda x, u: torch.tanh(x + u), form(starts), 5, drive=np.ones((1, 5, 1))
    )
    expected = fw.measure.lyapunov_exponents(
        lambda x, u: torch.tanh(x + u), exact, 5, drive=torch.ones(1, 5, 1)
    )
    xr.testing.assert_identical(driven, expected)


def test_whole_numbers_and_single_precision():
    assert fw.measure.fixed_points(torch.tanh, [[1, 2]], kind="map").state.dtype == np.float64
    single = fw.measure.fixed_points(torch.tanh, np.ones((1, 2), np.float32), kind="map")
    assert single.state.dtype == np.float32


def test_a_simulated_cycle():
    phases = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(phases), np.sin(phases)], 1)
    options = {"parameter": 0.0, "period": 2 * np.pi, "bounds": (-1.0, 1.0)}
    found = fw.measure.limit_cycles(lambda x, p: spiral(x) + 0 * p, circle, **options)
    np.testing.assert_allclose(found.period, 2 * np.pi, rtol=1e-6)

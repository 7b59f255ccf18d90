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


MASKED = np.ma.masked_array([[1.0, 2.0], [3.0, 1e6]], [[0, 0], [0, 1]])
META = torch.zeros(2, 2, device="meta")
PLACES = {
    "spike times": lambda given: RULE.respond(given),
    "parameters": lambda given: fw.TsodyksMarkram(U=given),
    "time constants": lambda given: fw.Hebbian(tau=given, eta=0.1),
    "states of rules": lambda given: RULE.respond([0.0], state={"u": given}),
    "weights": lambda given: fw.Projection(given),
    "membrane": lambda given: fw.RateNetwork(fw.Projection(np.eye(2)), tau=given),
    "gain": lambda given: fw.softplus(given),
    "inputs": lambda given: fw.FastWeightNetwork(2, 2)(given[None]),
    "drives": lambda given: fw.simulate(fw.FastWeightNetwork(2, 2), given[None]),
    "patterns": lambda given: NET.write(NET.initial_state(2), given),
    "efficacies": lambda given: fw.spiking.Connection("E", "E", given),
    "neurons": lambda given: fw.spiking.Population("E", 2, tau=given[0]),
    "rates": lambda given: fw.spiking.PoissonGenerator("E", 2, rate=given),
    "measures": lambda given: fw.measure.participation_ratio(given),
    "theory": lambda given: fw.theory.half_life(given),
}


@pytest.mark.parametrize("place", PLACES)
def test_masked_entries_and_tensors_without_numbers_are_refused(place):
    """NumPy hands out what a mask hides, as if it was there."""
    if place != "neurons":
        with pytest.raises(ConfigError, match="has masked entries; leave them out, or fill them"):
            PLACES[place](MASKED)
    with pytest.raises(ConfigError, match="device 'meta', which holds no numbers"):
        PLACES[place](META)


def test_an_array_whose_mask_hides_nothing_is_an_array():
    plain = np.ma.masked_array(np.eye(2), False)
    assert torch.equal(fw.Projection(plain).weights, torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    "call",
    [
        lambda given: fw.Projection(given),
        lambda given: fw.spiking.Connection("E", "E", given),
        lambda given: fw.RateNetwork(
            fw.Projection(np.eye(2)), 1.0, memory=fw.Hebbian(tau=1.0, eta_rate=1.0), connected=given > 1
        ),
    ],
    ids=["Projection", "Connection", "connected"],
)
def test_a_matrix_whose_dimensions_are_named_is_not_taken_the_wrong_way_round(call):
    matrix = xr.DataArray([[1.0, 2.0], [3.0, 4.0]], dims=("post", "pre"))
    call(matrix)
    with pytest.raises(ShapeError, match=r"\[pre, post\]; give .*post, pre\]: .*transpose\('post', 'pre'\)"):
        call(matrix.T)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fw.TsodyksMarkram(U=True),
        lambda: fw.TsodyksMarkram(tau_rec=True),
        lambda: fw.Hebbian(tau=True, eta=0.1),
        lambda: fw.Hebbian(tau=1.0, eta=True),
        lambda: fw.RateNetwork(fw.Projection([[0.0]]), tau=True),
        lambda: fw.softplus(True),
        lambda: RULE.respond([0.0], state={"u": True}),
        lambda: RULE.steady_state(True),
        lambda: fw.theory.half_life(True),
    ],
)
def test_a_truth_value_is_no_number(call):
    with pytest.raises(ConfigError, match=r"=?True"):
        call()

"""Factors against their closed forms."""

import math

import pytest
import torch

import fwsim as fw
from tests.reference import synapses
from tests.rules.cases import exact

PARAMETERS = {"f": 0.917, "tau_F": 0.094, "d": (0.416, 0.975), "tau_D": (0.380, 9.2)}


@pytest.mark.parametrize("rate", [1.0, 10.0, 60.0])
def test_regular_train_has_its_closed_form(rate):
    steady = fw.Varela().steady_state(rate, "regular")
    e = math.exp(-1 / (rate * 0.094))
    F = 1 + 0.917 * e / (1 - e)
    D = []
    for d, tau in zip(PARAMETERS["d"], PARAMETERS["tau_D"]):
        e = math.exp(-1 / (rate * tau))
        D.append((1 - e) / (1 - d * e))
    assert math.isclose(steady.state["F"], F, rel_tol=1e-12)
    assert math.isclose(steady.state["D_1"], D[0], rel_tol=1e-12)
    assert math.isclose(steady.state["D_2"], D[1], rel_tol=1e-12)
    assert math.isclose(steady.release, F * D[0] * D[1], rel_tol=1e-12)


@pytest.mark.parametrize("rate", [1.0, 10.0, 60.0])
def test_poisson_train_equals_its_eight_moments(rate):
    steady = fw.Varela().steady_state(rate, "poisson")
    assert math.isclose(steady.release, synapses.poisson_varela(**PARAMETERS, rate=rate), rel_tol=1e-12)
    assert steady.release_error == 0


def test_poisson_train_of_four_million_spikes():
    rule = fw.Varela(d=0.416, tau_D=0.380)
    waits = torch.empty(4000, 1040, dtype=torch.float64)
    waits.exponential_(10.0, generator=torch.Generator().manual_seed(5))
    per_train = rule.respond(waits.cumsum(-1))[:, 40:].mean(-1)
    error = per_train.std() / math.sqrt(len(per_train))
    assert abs(per_train.mean() - rule.steady_state(10.0, "poisson").release) < 4 * error


def test_any_number_of_depressions():
    times = exact([0.0, 0.1, 0.2])
    both = fw.Varela(f=0.0, d=[0.5, 0.8], tau_D=[0.3, 2.0]).respond(times)
    apart = fw.Varela(f=0.0, d=0.5, tau_D=0.3).respond(times) * fw.Varela(f=0.0, d=0.8, tau_D=2.0).respond(
        times
    )
    torch.testing.assert_close(both, apart, rtol=1e-14, atol=0)
    assert torch.equal(
        fw.Varela(f=0.0, d=(), tau_D=(), amplitude=2.0).respond(times), torch.full((3,), 2.0).double()
    )


def test_components_on_the_last_axis_of_a_tensor():
    d = exact([[0.5, 0.8], [0.4, 0.9]])
    times = exact([0.0, 0.1, 0.2]).expand(2, 3)
    rows = [fw.Varela(d=row.tolist(), tau_D=(0.3, 2.0)).respond(times[0]) for row in d]
    torch.testing.assert_close(fw.Varela(d=d, tau_D=(0.3, 2.0)).respond(times), torch.stack(rows))

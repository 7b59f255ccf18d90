"""What a rate network refuses, and how it says so."""

import math

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import ms
from tests.engine.rates import DOUBLE


def test_divergence_names_step_and_trial():
    net = fw.RateNetwork(fw.Projection([[60.0]]), tau=8 * ms, dt=1 * ms)
    drive = torch.zeros(3, 4000, 1, dtype=DOUBLE)
    drive[1] = 1.0
    with pytest.raises(fw.DivergedError, match="smaller dt") as caught:
        fw.simulate(net, drive, record="rate", every=1000)
    assert (caught.value.variable, caught.value.trial) == ("hidden", 1)
    rate, _ = net(drive[:, : caught.value.step + 1])
    assert not bool(rate[1, -1].isfinite().all())
    assert bool(rate[1, -2].isfinite().all())


ZEROS = fw.Projection(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: fw.Projection([1.0, 2.0]), fw.ShapeError, r"\[post, pre\]"),
        (lambda: fw.Projection([[math.nan]]), fw.ConfigError, "NaN"),
        (lambda: fw.RateNetwork(ZEROS, tau=1.0, connected=[[True] * 2] * 2), fw.ConfigError, "leave it out"),
        (
            lambda: fw.RateNetwork(
                ZEROS, tau=1.0, memory=fw.Hebbian(tau=1.0, eta_rate=1.0), connected=np.ones((2, 2))
            ),
            fw.ConfigError,
            "booleans",
        ),
        (
            lambda: fw.RateNetwork(
                ZEROS, tau=1.0, memory=fw.Hebbian(tau=1.0, eta_rate=1.0), connected=[True, False]
            ),
            fw.ShapeError,
            r"\[2\]",
        ),
        (lambda: fw.Projection([["a"]]), fw.ConfigError, "numbers"),
        (lambda: fw.Projection([[1.0]], synapse=fw.Hebbian(tau=1.0, eta=1.0)), fw.ConfigError, "memory="),
        (
            lambda: fw.Projection(np.ones((2, 2)), synapse=fw.TsodyksMarkram(U=torch.full((3,), 0.5))),
            fw.ShapeError,
            "unit=2",
        ),
        (lambda: fw.RateNetwork([], tau=0.01), fw.ConfigError, "Projection"),
        (
            lambda: fw.Projection([[1.0]], synapse=fw.TsodyksMarkram),
            fw.ConfigError,
            "the class TsodyksMarkram",
        ),
        (
            lambda: fw.RateNetwork(ZEROS, 1.0, memory=fw.Hebbian),
            fw.ConfigError,
            "memory is the class Hebbian",
        ),
        (lambda: fw.RateNetwork(ZEROS, 1.0, fw.softplus), fw.ConfigError, r"call it: fwsim.softplus\(\)"),
        (
            lambda: fw.simulate(fw.RateNetwork(ZEROS, 1.0, lambda h: h.sum()), steps=3),
            fw.ShapeError,
            r"gives \[\] for fields \[1, 2\]",
        ),
        (
            lambda: fw.RateNetwork(ZEROS, 1.0, lambda h: h[:, :1]).stepper(),
            fw.ShapeError,
            r"gives \[1, 1\] for fields",
        ),
        (
            lambda: fw.RateNetwork(ZEROS, 1.0, lambda h: 1.0).stepper(),
            fw.ShapeError,
            "gives a float for fields",
        ),
        (lambda: fw.RateNetwork(ZEROS, 1.0, self_connections=None), fw.ConfigError, "self_connections=None"),
        (lambda: fw.RateNetwork(ZEROS, 1.0).initial_state(-1), fw.ConfigError, "batch=-1"),
        (lambda: fw.RateNetwork(ZEROS, 1.0).stepper(-1), fw.ConfigError, "dt=-1"),
        (
            lambda: fw.simulate(fw.RateNetwork, np.ones((1, 2, 2))),
            fw.ConfigError,
            "net is the class RateNetwork",
        ),
        (
            lambda: fw.State(torch.zeros(1, 2), variables=[1]),
            fw.ConfigError,
            r"variables=\[1\] is not allowed; give torch tensors by name",
        ),
        (
            lambda: fw.State(torch.zeros(1, 2), variables={"u": 1}),
            fw.ConfigError,
            "give torch tensors by name",
        ),
        (lambda: fw.RateNetwork([ZEROS, fw.Projection([[1.0]])], tau=0.01), fw.ShapeError, "units"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.0), fw.ConfigError, "tau=0.0"),
        (lambda: fw.RateNetwork(ZEROS, tau=torch.ones(3)), fw.ShapeError, "tau"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, dt=-1.0), fw.ConfigError, "dt=-1.0"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, noise=-1.0), fw.ConfigError, "noise"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, gain="relu"), fw.ConfigError, "fwsim.relu"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, normalise="batch"), fw.ConfigError, "'layer'"),
        (
            lambda: fw.RateNetwork(ZEROS, tau=0.01, memory=fw.Hebbian(tau=1.0, eta=1.0)),
            fw.ConfigError,
            "per_second",
        ),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, memory=fw.Delta()), fw.ConfigError, "Delta"),
        (
            lambda: fw.RateNetwork(fw.Projection(np.ones((3, 2, 2))), tau=torch.ones(2, 2)),
            fw.ShapeError,
            "batch",
        ),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01)(torch.zeros(1, 5, 3)), fw.ShapeError, "unit=2"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01)(torch.zeros(1, 5, 2)), fw.ShapeError, "float32"),
        (
            lambda: fw.simulate(fw.RateNetwork(ZEROS, tau=0.01), torch.zeros(1, 5, 2), record="u"),
            fw.ConfigError,
            "'rate'",
        ),
        (
            lambda: fw.simulate(fw.RateNetwork(ZEROS, tau=0.01), torch.zeros(1, 5, 3)),
            fw.ShapeError,
            "unit=2",
        ),
        (lambda: fw.per_second(fw.Hebbian(tau=1.0, eta=1.0), 0.0), fw.ConfigError, "dt=0.0"),
        (lambda: fw.per_second(fw.Hebbian(tau=0.0, eta=1.0), 1.0), fw.ConfigError, "tau=0"),
    ],
)
def test_bad_arguments(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_a_state_of_another_network_is_refused():
    plastic = fw.RateNetwork(fw.Projection(np.zeros((2, 2)), synapse=fw.Varela()), tau=0.01)
    with pytest.raises(fw.ConfigError, match="carries nothing, this network F, D_1, D_2"):
        plastic(torch.zeros(1, 3, 2, dtype=DOUBLE), fw.RateNetwork(ZEROS, tau=0.01).initial_state(1))
    with pytest.raises(fw.ShapeError, match="hidden"):
        plastic(torch.zeros(1, 3, 2, dtype=DOUBLE), plastic.initial_state(2))


NUMBERS = torch.eye(2)


@pytest.mark.parametrize(
    "weights",
    [NUMBERS.to_sparse(), NUMBERS + 0j, np.eye(2) * 1j, [["a", "b"], ["c", "d"]], np.array([["1"]]), None, "weights",
     [[1.0, 2.0], [3.0]], {1.0}],
    ids=str,
)  # fmt: skip
def test_weights_that_are_no_dense_real_numbers_are_refused_in_one_line(weights):
    with pytest.raises(fw.ConfigError, match=r"give a dense array \[post, pre\] of real numbers") as caught:
        fw.Projection(weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.float16, torch.float64])
def test_weights_of_any_real_type_are_taken(dtype):
    assert fw.Projection(NUMBERS.to(dtype)).weights.is_floating_point()
    assert fw.Projection(np.eye(2, dtype="f4")).weights.dtype == torch.float32


@pytest.mark.parametrize(
    "value", [NUMBERS[0] + 0j, NUMBERS[0].to_sparse(), "0.1 V", np.array(["a", "b"]), None, {}], ids=str
)
def test_time_constants_that_are_no_real_numbers_are_refused_in_one_line(value):
    for make in (
        lambda: fw.RateNetwork(fw.Projection(NUMBERS), tau=value),
        lambda: fw.TsodyksMarkram(tau_rec=value),
        lambda: fw.Hebbian(tau=value, eta=0.1),
    ):
        with pytest.raises(fw.ConfigError) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "drive", [torch.ones(1, 3, 2) + 0j, torch.ones(1, 3, 2).to_sparse()], ids=["complex", "sparse"]
)
def test_drives_that_are_no_dense_real_numbers_are_refused_in_one_line(drive):
    for net in (fw.RateNetwork(fw.Projection(NUMBERS), tau=0.1), fw.FastWeightNetwork(2, 2)):
        for run in (net, lambda x, net=net: fw.simulate(net, x, progress=False)):
            with pytest.raises(
                fw.ConfigError, match=r"give (a dense tensor of real numbers|real numbers|a dense one)"
            ):
                run(drive)


def test_a_precision_that_recordings_lack_is_named():
    net = fw.FastWeightNetwork(2, 2).bfloat16()
    with pytest.raises(
        fw.ConfigError, match=r"torch.bfloat16, which recordings do not have; use network.float\(\)"
    ):
        fw.simulate(net, torch.ones(1, 3, 2), progress=False)


def test_the_check_of_a_gain_draws_nothing():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    fw.RateNetwork(ZEROS, 1.0, lambda h: h + torch.rand_like(h)).stepper()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_within_a_gain_stays_what_it_is():
    def fails(field):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fw.RateNetwork(ZEROS, 1.0, fails).stepper()

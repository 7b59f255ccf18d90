"""Basins with known shares, and an energy that never rises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.cell import Cell
from fwsim.errors import ConfigError, RecordingError, ShapeError
from fwsim.measure.intervals import wilson


def loop(units, seed, activation="tanh", normalise="none", symmetric=True, diagonal=True):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(units, units, generator=generator, dtype=torch.float64) / units**0.5
    A = (A + A.T) / 2 if symmetric else A
    A = A if diagonal else A - torch.diag(A.diagonal())
    one = torch.ones(units, dtype=torch.float64)
    cell = Cell(torch.diag(one), one, 0 * one, 1, activation, normalise, "final")
    z = torch.randn(units, generator=generator, dtype=torch.float64)
    return fw.measure.InnerLoop(cell, A, z)


def test_shares_of_two_basins_with_their_intervals():
    # x → x(3 − x²)/2 pushes (0, √3) to 1 and (−√3, 0) to −1.
    starts = torch.linspace(-0.5, 1.5, 400, dtype=torch.float64)[:, None]
    found = fw.measure.basins(lambda x: x * (3 - x**2) / 2, starts)
    assert found.state.values.ravel() == pytest.approx([1.0, -1.0])
    assert found.volume.values == pytest.approx([0.75, 0.25])
    assert (found.volume_low < found.volume).all()
    assert (found.volume_high > found.volume).all()
    assert np.array_equal(found.end.values == 0, starts[:, 0].numpy() > 0)
    assert (found.period == 1).all()


def test_cycles_and_wanderers_are_no_basins():
    # The logistic map at 3.2 has a cycle of two, at 4 it is chaotic; the two units are independent systems.
    two = fw.measure.basins(lambda x: 3.2 * x * (1 - x), torch.rand(20, 1, dtype=torch.float64) * 0.8 + 0.1)
    assert (two.end == -1).all()
    assert (two.period == 2).all()
    assert two.sizes["attractor"] == 0
    chaos = fw.measure.basins(lambda x: 4 * x * (1 - x), torch.tensor([[0.1234]], dtype=torch.float64))
    assert chaos.period.values.tolist() == [0]


def test_iterations_until_settled():
    found = fw.measure.basins(
        lambda x: 0.1 * x, torch.tensor([[1.0], [1e-3]], dtype=torch.float64), tolerance=1e-6
    )
    assert found.iterations.values.tolist() == [6, 3]


def test_wilson_interval_of_the_textbook():
    low, high = wilson([8], 10)
    assert (low[0], high[0]) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert [end[0] for end in wilson([0], 10)] == pytest.approx([0.0, 0.2775328], abs=1e-6)


@given(st.integers(2, 12), st.integers(0, 10**6), st.sampled_from(["tanh", "sign", "relu"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_energy_never_rises_under_parallel_updates(units, seed, activation, diagonal):
    system = loop(units, seed, activation, diagonal=diagonal)
    if activation == "relu":  # keeps the states finite
        system = fw.measure.InnerLoop(system.cell, 0.4 * system.matrix, system.sustained)
    before = system.start
    state = system(before)
    energies = []
    for _ in range(20):
        energies.append(float(fw.measure.energy(system, state, before)))
        before, state = state, system(state)
    assert max(np.diff(energies)) <= 1e-12 * max(1, np.abs(energies).max())


def test_energy_of_sign_units_is_hopfields():
    system = loop(5, 3, "sign")
    state = torch.sign(torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    expected = -0.5 * ((state @ system.matrix) * state).sum(-1) - state @ system.sustained
    assert torch.allclose(fw.measure.energy(system, state), expected)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_energys_gradient_vanishes_at_fixed_points(activation):
    system = loop(4, 8, activation)
    system = fw.measure.InnerLoop(system.cell, 0.5 * system.matrix, system.sustained.abs())
    found = fw.measure.fixed_points(system, torch.rand(10, 4, dtype=torch.float64))
    state = torch.tensor(found.state.values[found.stable.values][:1])
    inside = state > 1e-6 if activation == "relu" else torch.ones_like(state, dtype=torch.bool)
    state.requires_grad_()
    (slope,) = torch.autograd.grad(fw.measure.energy(system, state).sum(), state)
    assert slope[inside].abs().max() < 1e-7


def test_energy_is_refused_where_none_is_known():
    with pytest.raises(ConfigError, match="normalise"):
        fw.measure.energy(loop(3, 0, normalise="inner"), torch.zeros(1, 3).double())
    with pytest.raises(ConfigError, match="not symmetric"):
        fw.measure.energy(loop(3, 0, symmetric=False), torch.zeros(1, 3).double())


@pytest.fixture(scope="module")
def recorded():
    torch.manual_seed(0)
    memory = fw.Hebbian(tau=[5.0, 50.0], eta=[0.3, 0.1])
    nets = {
        order: fw.FastWeightNetwork(3, 8, memory, inner_steps=4, write=order).double()
        for order in ("final", "before")
    }
    x = torch.randn(3, 9, 3, dtype=torch.float64)
    return (
        nets,
        x,
        {order: fw.simulate(net, x, record=["hidden", "inner", "memory"]) for order, net in nets.items()},
    )


@pytest.mark.parametrize("order", ["final", "before"])
@pytest.mark.parametrize("time", [1.0, 5.0])
def test_the_frozen_inner_loop_repeats_the_recorded_one(recorded, order, time):
    nets, x, runs = recorded
    frozen = fw.measure.InnerLoop.at(nets[order], runs[order], time, x[1, int(time)], trial=1)
    state = frozen.start
    for expected in runs[order]["inner"].values[1, int(time)]:
        assert state[0].numpy() == pytest.approx(expected, abs=1e-12)
        state = frozen(state)


def test_the_inner_loop_of_float32_networks_goes_to_float64(recorded):
    nets, x, runs = recorded
    single = fw.measure.InnerLoop.at(nets["final"].float(), runs["final"], 3.0, x[0, 3]).double()
    nets["final"].double()
    found = fw.measure.fixed_points(single, torch.rand(10, 8, dtype=torch.float64))
    assert found.converged.any()


def test_what_was_not_recorded_is_named(recorded):
    nets, x, runs = recorded
    with pytest.raises(RecordingError, match="'memory'"):
        fw.measure.InnerLoop.at(nets["final"], runs["final"].drop_vars("memory"), 3.0, x[0, 3])
    with pytest.raises(RecordingError, match="nearest sample"):
        fw.measure.InnerLoop.at(nets["final"], runs["final"], 3.5, x[0, 3])
    with pytest.raises(ShapeError, match="input=3"):
        fw.measure.InnerLoop.at(nets["final"], runs["final"], 3.0, x[0, 3, :2])

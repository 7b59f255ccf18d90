"""The network of Mongillo et al. 2008 as the library makes it, and its rival without plasticity."""

import math

import pytest

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.spiking import (
    Circuit,
    Connection,
    Population,
    drawn_synapses,
    first_release,
    heterogeneous_circuit,
    mongillo_circuit,
    simulate,
    slow_current_circuit,
)
from fwsim.units import mV

RULE = fw.TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008")


def test_the_rule_is_between_excitatory_neurons_and_one_for_all():
    circuit = mongillo_circuit(RULE, background=23 * mV)
    assert circuit.rules == (RULE,)
    assert all((each.synapse is None) == ("I" in (each.pre, each.post)) for each in circuit.connections)
    assert {each.background for each in circuit.populations} == {23 * mV, 21 * mV}
    potentiated = sum(each.probability for each in circuit.connections if each.efficacy == 0.45 * mV)
    assert potentiated == pytest.approx(5 * 0.2 + (5 + 5 + 1) * 0.2 * 0.1)


def test_the_rival_releases_as_at_rest_and_excites_its_pools_slowly():
    plastic = mongillo_circuit(RULE, scale=0.2)
    rival = slow_current_circuit(plastic, efficacy=0.6 * mV, decay=0.08, opening=0.4)
    assert rival.populations == plastic.populations
    (gating,) = rival.rules
    assert (gating.U, gating.tau_rec, gating.tau_facil) == (0.4, 0.08, 0.0)
    for before, after in zip(plastic.connections, rival.connections, strict=True):
        slow = before.pre == before.post and before.pre.startswith("E") and before.pre != "E0"
        assert (after.synapse is gating) == slow
        if slow:
            assert (after.efficacy, after.decay) == (0.6 * mV, 0.08)
        else:
            released = 1 - 0.8**2 if before.synapse else 1  # u jumps from U to 1 − (1 − U)²
            assert after.efficacy == pytest.approx(released * before.efficacy)
        assert (after.probability, after.delay) == (before.probability, before.delay)


def test_neurons_with_synapses_of_their_own_release_as_much_from_rest():
    plastic = mongillo_circuit(RULE, scale=0.2)
    asked = []

    def draw(name, size):
        asked.append((name, size))
        return fw.measured("mouse sim1→sim1").sample(size, seed=len(asked))

    drawn = heterogeneous_circuit(plastic, draw)
    assert asked == [(f"E{k}", 160) for k in range(1, 6)] + [("E0", 800)]
    for before, after in zip(plastic.connections, drawn.connections, strict=True):
        if before.synapse is None:
            assert after is before
            continue
        assert drawn.source(after.synapse).name == before.pre
        mean = (after.efficacy * after.synapse.U).mean()  # of maass2002, U is the release from rest
        assert float(mean) == pytest.approx(before.efficacy * first_release(RULE))
    run = simulate(drawn, steps=20, engine="native", progress=False)
    assert run.attrs["spiking_engine"] == "native"
    alike = heterogeneous_circuit(plastic, lambda name, size: RULE)
    assert alike.connections[0].efficacy == pytest.approx(plastic.connections[0].efficacy)
    with pytest.raises(ConfigError, match=r"E1→E1 has TsodyksMarkram with parameters \[160\]"):
        heterogeneous_circuit(drawn, draw)


def test_synapses_are_drawn_from_a_class_or_around_a_rule():
    kind = fw.measured("mouse sim1→sim1")
    typical = drawn_synapses(kind)("E1", 5)
    assert (typical.U, typical.tau_facil) == (kind.rule.U, kind.rule.tau_facil)
    around = drawn_synapses(kind, around=RULE)("E1", 5)
    assert (around.U, around.tau_rec, around.tau_facil) == pytest.approx((0.2, 0.2, 1.5))
    assert around.convention == "mongillo2008"
    assert drawn_synapses(kind, around=RULE, seed=1)("E1", 5).convention == "mongillo2008"
    assert drawn_synapses(kind, seed=1)("E1", 5).convention == kind.rule.convention
    one, again, other, elsewhere = (
        drawn_synapses(kind, around=RULE, seed=seed)(name, 2000).tau_facil.log()
        for seed, name in ((1, "E1"), (1, "E1"), (2, "E1"), (1, "E2"))
    )
    assert (one == again).all()
    assert not (one == other).any()
    assert not (one == elsewhere).any()
    spread = kind.covariance[2, 2].sqrt().item()
    assert one.mean().item() == pytest.approx(math.log(1.5), abs=4 * spread / 2000**0.5)
    assert one.std().item() == pytest.approx(spread, rel=0.1)
    with pytest.raises(ConfigError, match="around"):
        drawn_synapses(kind, around=0.2)


def test_synapses_of_two_sides_have_no_release_at_rest():
    hebbian = fw.HebbianTraces(tau=1.0, eta=0.1)
    circuit = Circuit([Population("A", 2)], [Connection("A", "A", 1 * mV, synapse=hebbian)])
    with pytest.raises(ConfigError, match="HebbianTraces, not a presynaptic rule"):
        slow_current_circuit(circuit)

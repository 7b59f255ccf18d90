"""Rules whose parameters and variables have names that Brian2 keeps for itself, or does not take."""

import dataclasses
from typing import Any

import pytest
import torch

import fwsim as fw
from fwsim.rules import AssociativeRule, PresynapticRule
from fwsim.rules.parameters import number, time_constant
from fwsim.spiking import Circuit, Connection, Population, simulate

TIMES = torch.tensor([0.001, 0.02, 0.05], dtype=torch.float64)
KEPT = (
    "N", "i", "j", "t", "dt", "delay", "xi", "e", "pi", "inf", "Hz", "mV", "second", "exp", "rand", "clip",
    "refractory", "lastspike", "not_refractory", "elapsed", "last_event", "release", "weight", "a_now",
    "v_now", "mode_1", "_x", "__y", "x_", "pre", "post", "w_pre", "v_post", "name", "order", "active",
    "namespace", "int", "double", "namespace_", "τ", "α_pre", "syn_u", "u3c4", "tau_rec_pre", "E", "I", "S",
    "gamma", "beta", "Min", "Abs", "_pre", "None_", "state", "variables",
)  # fmt: skip

QUICK = ("N", "t", "Hz", "exp", "release", "_x", "τ")


def rule_with(parameter: str, variable: str) -> PresynapticRule:
    """Depletion, with names of choice."""

    def rest(self):
        return {variable: 1}

    def drift(self, state):
        return {variable: (1 - state[variable]) / self.time}

    def on_pre(self, state):
        return {variable: state[variable] * (1 - getattr(self, parameter))}, state[variable]

    fields = [(parameter, Any, number(0.4)), ("time", Any, time_constant(0.1))]
    cls = dataclasses.make_dataclass(
        "Named",
        fields,
        bases=(PresynapticRule,),
        frozen=True,
        eq=False,
        namespace={"rest": rest, "drift": drift, "on_pre": on_pre},
    )
    return cls()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in KEPT]
)
def test_any_name_gives_the_same_response_in_brian2(name):
    for rule in (rule_with(name, "v"), rule_with("a", name)):
        torch.testing.assert_close(fw.spiking.respond(rule, TIMES), rule.respond(TIMES), rtol=1e-12, atol=0)


@pytest.mark.slow
@pytest.mark.compiled
def test_a_name_that_cpp_keeps_is_compiled():
    rule = rule_with("double", "int")
    run = simulate(
        Circuit([Population("new", 3, background=0.03)], [Connection("new", "new", 1e-4, 0.5, synapse=rule)]),
        steps=300, record=["spike_time", "int"], every=100, progress=False,
    )  # fmt: skip
    assert len(run.spike_time)
    assert float(run.int.min()) < 1


def test_names_that_are_translated_alike_stay_apart():
    rule = rule_with("a_pre", "pre_a")
    torch.testing.assert_close(fw.spiking.respond(rule, TIMES), rule.respond(TIMES), rtol=1e-12, atol=0)
    code = rule_with("release", "_").brian2(prefix="release_")
    names = [line.split(" : ")[0] for line in code.model.splitlines()]
    assert len(set(names)) == len(names)


@dataclasses.dataclass(frozen=True, eq=False)
class Odd(AssociativeRule):
    """Coupled variables with names that Brian2 keeps, in modes."""

    N: Any = number(0.5)
    t: Any = time_constant(0.1)

    def rest(self):
        return {"i": 0, "j": 0, "mode_1": 0}

    def drift(self, s):
        return {
            "i": -s["i"] / self.t,
            "j": (s["i"] - s["j"]) / (2 * self.t),
            "mode_1": (s["j"] - s["mode_1"]) / (3 * self.t),
        }

    def on_pre(self, s):
        return {**s, "i": s["i"] + self.N}

    def on_post(self, s):
        return {**s, "j": s["j"] + self.N}

    def strength(self, s):
        return s["mode_1"] + s["i"]


def test_associative_rules_too():
    post = TIMES + 0.003
    torch.testing.assert_close(
        fw.spiking.respond(Odd(), TIMES, post), Odd().respond(TIMES, post), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "name",
    [
        *("N", "t", "spikes", "E→I", "τ"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("i", "neurons", "drive", "two words")),
    ],
)
def test_populations_and_records_of_any_name(name):
    rule = rule_with("N", "i")
    circuit = Circuit(
        [Population(name, 3, background=0.03)], [Connection(name, name, 1e-4, 0.5, synapse=rule)]
    )
    run = simulate(circuit, steps=300, record=["spike_time", "i", "release"], every=100, progress=False)
    assert len(run.spike_time)
    assert float(run.i.min()) < 1


def test_a_name_for_two_things_is_refused():
    with pytest.raises(fw.ConfigError, match="'x' is both a parameter and a variable"):
        rule_with("x", "x").respond(TIMES)

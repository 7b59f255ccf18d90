"""Rules as recordings describe them: data, which choose among the rules that there are."""

import pytest
import torch

import fwsim as fw
from fwsim.rules import described_rule
from fwsim.spiking.circuit import _plain
from tests.rules.cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_rule_comes_back_as_it_was_described(name):
    rule = CASES[name]
    given = _plain(rule)
    made = described_rule(given)
    assert type(made) is type(rule)
    assert _plain(made) == given


def test_rules_inside_of_rules():
    inner = fw.TsodyksMarkram(U=0.3)
    for rule in (
        fw.rules.StochasticRelease(inner, sites=5),
        fw.rules.Product(fw.HebbianTraces(tau=10.0, eta=0.1), inner),
    ):
        assert _plain(described_rule(_plain(rule))) == _plain(rule)
    times = torch.tensor([0.1, 0.2], dtype=torch.float64)
    made = described_rule(_plain(fw.rules.StochasticRelease(inner, sites=5)))
    assert torch.equal(made.rule.respond(times), inner.respond(times))


@pytest.mark.parametrize(
    "given",
    [
        None,
        "TsodyksMarkram",
        [],
        {},
        {"rule": None},
        {"rule": 3},
        {"rule": ["TsodyksMarkram"]},
        {"rule": "sweep", "experiment": "payload.py"},
        {"rule": "simulate"},
        {"rule": "RULES"},
        {"rule": "__class__"},
        {"rule": "spiking.simulate"},
        {"rule": "tsodyks_markram"},
        {"rule": "TsodyksMarkram", "V": 0.1},
        {"rule": "TsodyksMarkram", "__class__": 0.1},
        {"rule": "TsodyksMarkram", "U": {"rule": "sweep"}},
        {"rule": "TsodyksMarkram", "U": [[[0.1]]]},
        {"rule": {"rule": "sweep"}, "sites": 3},
        {"rule": {"rule": {"rule": "TsodyksMarkram"}}, "sites": 3},
        {"rule": {"rule": "TsodyksMarkram"}, "sites": {"a": 1}},
        {"rule": "Product", "weight": {"rule": "Product"}, "release": {"rule": "TsodyksMarkram"}},
        {"rule": "Product", "weight": {"rule": "HebbianTraces"}},
    ],
    ids=str,
)
def test_what_describes_no_rule(given):
    with pytest.raises(fw.RecordingError, match="is described"):
        described_rule(given)


def test_values_that_a_rule_does_not_allow():
    with pytest.raises(fw.ConfigError, match=r"U=3\.0"):
        described_rule({"rule": "TsodyksMarkram", "U": 3.0})
    with pytest.raises(fw.ConfigError, match="convention='sweep'"):
        described_rule({"rule": "TsodyksMarkram", "convention": "sweep"})

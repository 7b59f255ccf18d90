"""Derivations are registered on rules: the rules know none of them, and none is loaded before it is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fwsim as fw
from fwsim.rules import derived
from fwsim.rules.derived import Derivation, Derived, derives
from fwsim.rules.rule import PresynapticRule

NAMES = [name for name, value in vars(Derived).items() if isinstance(value, Derivation)]


def test_rules_load_no_derivation():
    code = (
        "import sys, fwsim; rule = fwsim.TsodyksMarkram();"
        "found = lambda: [name for name in sys.modules if name.startswith('fwsim.rules.derive.')];"
        "assert not found(), found(); rule.equations(); assert 'fwsim.rules.derive.equations' in found()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stub_has_every_derivation():
    tree = ast.parse(Path(derived.__file__).with_suffix(".pyi").read_text())
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Derived")
    assert {node.name for node in kind.body if isinstance(node, ast.FunctionDef)} == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("_")])
def test_a_memory_rule_says_that_it_has_none(name):
    with pytest.raises(fw.ConfigError, match=rf"Hebbian has no {name}: it is written by network states"):
        getattr(fw.Hebbian(tau=1.0, eta=1.0), name)()


def test_a_kind_of_rule_without_a_derivation_has_no_such_attribute():
    assert not hasattr(fw.TsodyksMarkram(), "places")
    assert set(fw.BCPNN().places()) == set(fw.BCPNN().rest())


def test_a_new_derivation_edits_no_rule(monkeypatch):
    added = Derivation()
    added.__set_name__(Derived, "variables")
    monkeypatch.setattr(Derived, "variables", added, raising=False)

    @derives(PresynapticRule)
    def variables(rule):
        return sorted(rule.rest())

    assert fw.TsodyksMarkram().variables() == ["u", "x"]
    assert not hasattr(fw.BCPNN(), "variables")

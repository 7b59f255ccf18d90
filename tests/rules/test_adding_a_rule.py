"""The worked example of CONTRIBUTING.md does what it says."""

import math
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import fwsim as fw
from tests.rules.cases import trains

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def example():
    """Return the blocks of Python in the section: the file of the rule, and how it is used."""
    section = re.search(r"^## Add a rule\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.M | re.S)[1]
    rule, use = re.findall(r"```python\n(.*?)```", section, re.S)
    module = types.ModuleType("residual_calcium")
    sys.modules[module.__name__] = module
    exec(compile(rule, "residual_calcium.py", "exec"), module.__dict__)
    yield module, use
    del sys.modules[module.__name__]


def test_lines_of_use_run(example):
    module, use = example
    exec(use, {**vars(module), "fw": fw, "Hz": fw.Hz, "ms": fw.ms, "times": trains(1, 10)[0]})


def test_response_equals_integration_by_hand(example):
    rule, times = example[0].ResidualCalcium(influx=0.3, tau=0.05), trains(1, 10)[0]
    C, now, expected = 1.0, 0.0, []
    for time in times.tolist():
        if time > now:
            flow = solve_ivp(lambda _, c: (1 - c) / 0.05, (0, time - now), [C], rtol=1e-11, atol=1e-13)
            C = flow.y[0, -1]
        expected.append(C**4)
        C, now = C + 0.3, time
    np.testing.assert_allclose(rule.respond(times), expected, rtol=1e-7)
    torch.testing.assert_close(fw.spiking.respond(rule, times), rule.respond(times), rtol=0, atol=1e-10)


def test_everything_else_is_derived(example):
    rule = example[0].ResidualCalcium(influx=0.3, tau=0.05)
    # Shot noise: the cumulants of C − 1 are r τ influx^n / n.
    k1, k2, k3, k4 = (20 * 0.05 * 0.3**n / n for n in (1, 2, 3, 4))
    m1 = 1 + k1
    fourth = m1**4 + 6 * m1**2 * k2 + 4 * m1 * k3 + k4 + 3 * k2**2
    steady = rule.steady_state(20.0, "poisson")
    assert math.isclose(steady.release, fourth, rel_tol=1e-12)
    assert steady.release_error == 0
    assert math.isclose(rule.steady_state(20.0, "mean_field").release, m1**4, rel_tol=1e-12)
    assert "C" in rule.latex()

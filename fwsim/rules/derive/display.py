"""Notebook display of rules."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import sympy
import torch
from sympy.printing.mathml import mathml

from fwsim import notebook
from fwsim.rules.derive.equations import Equations
from fwsim.rules.derived import derives
from fwsim.rules.memory_rule import MemoryRule
from fwsim.rules.parameters import declared
from fwsim.rules.rule import PresynapticRule, SpikeRule
from fwsim.rules.stochastic_release import StochasticRelease

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPIKES, RATE, LAG = 10, 20.0, 0.005  # of the train that the figure shows: number, Hz, s
ROWS = 4  # largest number of rows of a batch of parameters in the figure
UNITS = {"tau": "s", "eta_rate": "1/s"}  # of memory rules; the others are pure numbers


@derives(SpikeRule, name="_repr_html_")
def spike_rule_html(rule: SpikeRule) -> str:
    """Equations, parameters with units, and the response to a spike train."""
    units = {name: spec.unit for name, spec in declared(rule).items()}
    values = {f.name: getattr(rule, f.name) for f in fields(rule)}
    rows = [
        (name, value, units.get(name, ""))
        for name, value in values.items()
        if not (value is None or isinstance(value, SpikeRule) or (isinstance(value, tuple) and not value))
    ]
    return notebook.card(
        rule,
        equations_html(rule.equations()),
        notebook.table(("parameter", "value", "unit"), rows) if rows else "",
        notebook.panels(lambda axes: draw_response(rule, axes)),
        *(
            notebook.details(type(each).__name__, spike_rule_html(each))
            for each in values.values()
            if isinstance(each, SpikeRule)
        ),
    )


@derives(MemoryRule, name="_repr_html_")
def memory_rule_html(rule: MemoryRule) -> str:
    """What the rule writes, parameters with units, and the remaining strength of one write over time."""
    rows = [(name, value, UNITS.get(name, "1")) for name, value in rule.values().items()]
    rows += [(name, value, "") for name, value in rule.options().items()]
    return notebook.card(
        rule,
        notebook.table(("parameter", "value", "unit"), rows),
        notebook.panels(lambda axes: draw_forgetting(rule, axes)),
    )


def equations_html(stated: Equations) -> str:
    """Equations of a spike-driven rule in MathML."""
    is_, rate = "<mo>=</mo>", "<mfrac><mrow><mi>d</mi>{}</mrow><mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"
    lines = [(rate.format(_math(name)), is_, _math(value)) for name, value in stated.drift.items()]
    lines.append((f"<mtext>{stated.output[0]}</mtext>", is_, _math(stated.output[1])))
    for side, jumps in (("pre", stated.on_pre), ("post", stated.on_post)):
        arrow = f"<mover><mo stretchy='true'>→</mo><mtext>{side}</mtext></mover>"
        lines += [(_math(name), arrow, _math(value)) for name, value in jumps.items()]
    rest = "<mtext>, </mtext>".join(
        f"{_math(name)}{is_}{_math(value)}" for name, value in stated.rest.items()
    )
    lines.append(("<mtext>rest</mtext>", "<mo>:</mo>", f"<mrow>{rest}</mrow>"))
    return notebook.equations(lines)


def draw_response(rule: SpikeRule, axes: Axes) -> None:
    """Draw the value that each spike of a regular train reads, beginning at rest."""
    times = torch.arange(SPIKES, dtype=torch.float64) / RATE
    if isinstance(rule, PresynapticRule):
        # The mean of a random rule is shown, so that its display draws no random numbers.
        shown = rule.rule if isinstance(rule, StochasticRelease) else rule
        response, how = shown.to(dtype=torch.float64).respond(times), f"at {RATE:g} Hz"
    else:
        paired: Any = rule.to(dtype=torch.float64)
        response, how = paired.respond(times, times + LAG), f"at {RATE:g} Hz, post {LAG * 1e3:g} ms later"
    for row in response.detach().reshape(-1, SPIKES)[:ROWS]:
        axes.plot(times, row, "o-")
    axes.set(title=how, xlabel="time (s)", ylabel=rule.output, ylim=(min(0.0, axes.get_ylim()[0]), None))


def draw_forgetting(rule: MemoryRule, axes: Axes) -> None:
    """Draw the strength of one write while nothing is written."""
    tau: Any = rule.values()["tau"].detach()
    finite = tau[tau.isfinite() & (tau > 0)]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (1.0, 1.0)
    age = torch.logspace(math.log10(low / 10), math.log10(high * 5), 60, dtype=torch.float64)
    batch = rule.batch or 1
    post, pre = (torch.ones(batch, size, dtype=torch.float64) for size in rule.sizes)
    empty = torch.zeros(batch, rule.timescales, *rule.sizes, dtype=torch.float64)
    written = rule.write(empty, pre, post, 1.0)
    left = torch.stack([rule.write(written, 0 * pre, 0 * post, float(t)).sum(1).flatten() for t in age], -1)
    for row in left.detach()[:ROWS]:
        axes.plot(age, row)
    axes.set(title="what one write leaves", xlabel="age (s)", ylabel="strength", xscale="log")
    axes.set_ylim(min(0.0, left.min().item()) * 1.05, max(0.0, left.max().item()) * 1.05 or None)


def _math(expression: Any) -> str:
    return mathml(sympy.sympify(expression), printer="presentation")

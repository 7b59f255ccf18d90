"""The equations of a rule for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from fwsim.rules.derive.symbols import structure
from fwsim.rules.derived import derives
from fwsim.rules.rule import SpikeRule


@dataclass(frozen=True)
class Equations:
    """The equations of a rule, as sympy expressions of its variables and parameters.

    Parameters
    ----------
    drift
        Variable → right-hand side of its differential equation.
    output
        Name and value of what a presynaptic spike reads before it changes anything.
    on_pre, on_post
        Variable → value after a spike, if the spike changes it.
    rest
        Variable → value after infinite silence.
    """

    drift: dict[sympy.Symbol, Any]
    output: tuple[str, Any]
    on_pre: dict[sympy.Symbol, Any]
    on_post: dict[sympy.Symbol, Any]
    rest: dict[sympy.Symbol, Any]

    def __str__(self) -> str:
        lines = [f"d{name}/dt = {value}" for name, value in self.drift.items()]
        lines += ["presynaptic spike:", f"  {self.output[0]} = {self.output[1]}"]
        lines += [f"  {name} -> {value}" for name, value in self.on_pre.items()]
        if self.on_post:
            lines += [
                "postsynaptic spike:",
                *(f"  {name} -> {value}" for name, value in self.on_post.items()),
            ]
        lines += ["rest:", "  " + ", ".join(f"{name} = {value}" for name, value in self.rest.items())]
        return "\n".join(lines)

    def latex(self) -> str:
        """All equations as one `align*` block."""
        tex = sympy.latex
        lines = [rf"\frac{{d{tex(name)}}}{{dt}} &= {tex(value)}" for name, value in self.drift.items()]
        lines.append(rf"\mathrm{{{self.output[0]}}} &= {tex(self.output[1])}")
        for side, jumps in (("pre", self.on_pre), ("post", self.on_post)):
            arrow = rf"&\xrightarrow{{\text{{{side}}}}}"
            lines += [rf"{tex(name)} {arrow} {tex(value)}" for name, value in jumps.items()]
        body = " \\\\\n".join(lines)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


@derives(SpikeRule)
def latex(rule: SpikeRule) -> str:
    """Equations of a rule as a LaTeX `align*` block."""
    return equations(rule).latex()


@derives(SpikeRule)
def equations(rule: SpikeRule) -> Equations:
    """Equations of a rule as sympy expressions; `print` shows them as text."""
    kind = structure(rule)
    symbols = kind.state

    def changed(after: dict[str, Any]) -> dict[sympy.Symbol, Any]:
        return {symbols[name]: value for name, value in after.items() if value != symbols[name]}

    return Equations(
        drift={symbols[name]: value for name, value in kind.drift.items()},
        output=(rule.output, kind.pre[1]),
        on_pre=changed(kind.pre[0]),
        on_post=changed(kind.post),
        rest={symbols[name]: value for name, value in kind.rest.items()},
    )

"""The directive `rule-equations`: equations of a rule, derived from the rule itself."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive


class RuleEquations(Directive):
    """`{rule-equations} TsodyksMarkram(convention="tm1998")`: any expression with the names of fwsim."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make one displayed equation."""
        import fwsim

        rule = eval(self.arguments[0], {name: getattr(fwsim, name) for name in fwsim.__all__})
        text = rule.latex()
        block = nodes.math_block(text, text, nowrap=True, number=None, label=None)
        block["no-wrap"] = True
        return [block]


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx."""
    app.add_directive("rule-equations", RuleEquations)
    return {"parallel_read_safe": True}

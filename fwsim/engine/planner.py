"""Which form of the memory, and which kernel, a run uses."""

from __future__ import annotations

from dataclasses import dataclass

from fwsim.errors import ConfigError, choice
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.memory import MemoryRule

FORMS = ("auto", "dense", "attention", "hybrid")
KERNELS = ("auto", "reference")


@dataclass(frozen=True)
class Plan:
    """What a network will do, and why.

    Parameters
    ----------
    form
        `"dense"`, `"attention"`, `"hybrid"`, or `"none"` for a network without memory.
    kernel
        Name of the kernel.
    chunk
        Writes between two foldings of the history into the matrix; `None` never folds.
    why
        One sentence.
    """

    form: str
    kernel: str
    chunk: int | None
    why: str


def plan(
    rule: MemoryRule | None, *, form: str, kernel: str, batch: int, time: int, units: int, inner_steps: int
) -> Plan:
    """Choose form and kernel from the sizes of a run, or check the ones that were asked for.

    The cost of a form is the arithmetic of its reads and writes: a read costs 2 N² in the dense form
    and 4 N t after t writes in the attention form; a write costs 4 K N² in the dense form and nothing
    in the other. The hybrid folds every N writes.
    """
    choice("form", form, FORMS)
    choice("kernel", kernel, KERNELS)
    kernel = "reference" if kernel == "auto" else kernel
    if rule is None:
        return Plan("none", kernel, None, "the network has no memory")
    if not isinstance(rule, Hebbian):
        if form not in ("auto", "dense"):
            raise ConfigError(
                f"form={form!r} needs a Hebbian memory, since what {type(rule).__name__} writes depends on "
                "what it stores; use form='dense'"
            )
        return Plan("dense", kernel, 1, f"{type(rule).__name__} writes depend on the matrix")
    if form != "auto":
        return Plan(form, kernel, _chunk(form, units), "asked for")
    dense = time * (2 * inner_steps * units**2 + 4 * rule.timescales * units**2)
    attention = 2 * inner_steps * units * time**2
    hybrid = time * inner_steps * (2 * units**2 + 2 * units**2) + 4 * rule.timescales * time * units**2
    costs = {"attention": attention, "dense": dense, "hybrid": hybrid}
    form = min(costs, key=lambda name: costs[name])
    why = ", ".join(f"{name} {cost * batch / 1e6:.3g} Mflop" for name, cost in costs.items())
    return Plan(form, kernel, _chunk(form, units), why)


def _chunk(form: str, units: int) -> int | None:
    return {"dense": 1, "attention": None, "hybrid": max(2, units)}[form]

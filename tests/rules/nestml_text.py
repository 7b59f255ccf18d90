"""The text of a synapse in NESTML, run line by line: what NEST makes of it, without NEST."""

import math
import re

import numpy as np

FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "ln": np.log, "min": min, "max": max, "abs": abs, "e": math.e, "inf": np.inf,
}  # fmt: skip
DECLARED = re.compile(r"^(\s*\w+) (?:real|integer|ms) =", re.M)
UNIT = re.compile(r"(?<=[0-9]) ms\b")
CHOICE = re.compile(r"\((\w+ > 0) \? (.+) : ([^:\n]+)\)$", re.M)


def blocks(text: str) -> dict[str, str]:
    """Each block of a model as statements in Python."""
    plain = re.sub(r" *#.*", "", text)
    found = re.split(r"^    (\w+(?:\(\w+\))?):$", plain, flags=re.M)
    statements = {}
    for title, body in zip(found[1::2], found[2::2]):
        body = re.sub(r"^        ", "", body, flags=re.M)
        body = UNIT.sub("", DECLARED.sub(r"\1 =", body))
        statements[title] = CHOICE.sub(r"((\2) if \1 else (\3))", body)
    return statements


def responses(text: str, times, random: np.random.Generator | None = None) -> np.ndarray:
    """What each spike transmits with w = 1; `times` in s."""
    part = {
        name: compile(body, name, "exec")
        for name, body in blocks(text).items()
        if name not in ("input", "output")
    }
    sent: list[float] = []
    names = {**FUNCTIONS, "emit_spike": sent.append}
    if random is not None:
        names |= {
            "random_uniform": lambda low, width: low + width * random.random(),
            "random_normal": random.normal,
        }
    with np.errstate(divide="ignore"):
        for block in ("parameters", "state"):
            before = set(names)
            exec(part[block], names)
            for name in set(names) - before - {"__builtins__"}:
                names[name] = np.float64(names[name])
        for time in times:
            names["t"] = np.float64(1000 * float(time))
            exec(part["onReceive(pre_spikes)"], names)
    return np.array(sent)

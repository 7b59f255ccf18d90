"""Binomial random numbers in Brian2 with a variable number of sites and probability, which Brian2's own lack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fwsim.requirements import required
from fwsim.rules.derive.brian2_code import Brian2Code, brian2_code
from fwsim.rules.derive.sites import resource_of
from fwsim.rules.derive.symbols import structure
from fwsim.rules.derived import derives
from fwsim.rules.stochastic_release import StochasticRelease

NAME = "released_sites"

CYTHON = f"""
cdef double _{NAME}(int sites, double p, int _idx):
    cdef int site, released = 0
    for site in range(sites):
        if _rand(_idx) < p:
            released += 1
    return released
"""

CPP = f"""
inline double _{NAME}(const int sites, const double p, const int _idx)
{{
    int released = 0;
    for (int site = 0; site < sites; site++)
        if (_rand(_idx) < p)
            released++;
    return released;
}}
"""


@derives(StochasticRelease, name="brian2")
def stochastic_brian2_code(rule: StochasticRelease, *, prefix: str = "") -> Brian2Code:
    """The rule in Brian2, with a draw for every site; a release outside [0, 1] counts as the nearer limit."""
    code = brian2_code(rule, prefix=prefix)
    resource = resource_of(structure(rule.rule)) if rule.depletion == "site" else None
    if resource is None:
        code = replace(code, on_pre=f"{code.on_pre}\n{code.output} = {NAME}({rule.sites}, {code.output})")
    else:
        code = _by_sites(code, code.variables[resource], f"{prefix or 'syn_'}_{resource}_now", rule.sites)
    noise = f" + {rule.cv!r}*sqrt({code.output})*randn()" if rule.cv else ""
    on_pre = f"{code.on_pre}\n{code.output} = ({code.output}{noise})/{rule.sites}"
    return replace(code, on_pre=on_pre, functions={NAME: released_sites})


def _by_sites(code: Brian2Code, resource: str, now: str, sites: int) -> Brian2Code:
    """Count the full sites: empty ones refill as the resource relaxes from 0, full ones release as if it were 1.

    `now` is the name under which the code computes the resource at the time of the spike.
    """
    full = f"{resource}_full"
    head = f"{code.output} = "
    lines = code.on_pre.splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith(head))
    on_pre = [
        f"{resource} = 0",
        *lines[:place],
        f"{full} = int({full} + {NAME}({sites} - {full}, {now}))",
        f"{now} = 1",
        *lines[place:],
        f"{code.output} = {NAME}({full}, {code.output})",
        f"{full} = int({full} - {code.output})",
    ]
    return replace(
        code,
        model=f"{code.model}\n{full} : integer",
        on_pre="\n".join(on_pre),
        initial={**code.initial, full: sites},
    )


def released_sites() -> Any:
    """Brian2's function `released_sites(n, p)`: number of n sites that release, each with probability p.

    A probability outside [0, 1] counts as the nearer limit.
    """
    required("brian2", "StochasticRelease")
    from brian2.core.functions import DEFAULT_FUNCTIONS, Function

    function = Function(
        pyfunc=lambda sites, p: _drawn(sites, p, 1),
        arg_units=[1, 1],
        return_unit=1,
        arg_types=["integer", "float"],
        stateless=False,
        auto_vectorise=True,
    )
    rand = {"_rand": DEFAULT_FUNCTIONS["rand"]}
    function.implementations.add_implementation("numpy", _drawn)
    function.implementations.add_implementation("cython", CYTHON, dependencies=rand, name=f"_{NAME}")
    function.implementations.add_implementation("cpp", CPP, dependencies=rand, name=f"_{NAME}")
    return function


def _drawn(sites: Any, p: Any, index: Any) -> np.ndarray:
    size = len(index) if np.ndim(index) else int(index)
    chance = np.broadcast_to(np.where(p > 0, np.minimum(p, 1.0), 0.0), size)
    trials = np.broadcast_to(np.asarray(sites, dtype=int), size)
    return np.random.binomial(trials, chance).astype(float)  # noqa: NPY002  # the stream that Brian2 seeds

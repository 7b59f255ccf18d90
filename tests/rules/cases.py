"""Every spike-driven rule, in the variants that take different paths: the list that all generic tests run over."""

from dataclasses import replace

import torch

import fwsim as fw
from fwsim.rules import RULES
from fwsim.rules.rule import PresynapticRule, SpikeRule
from tests.reference import synapses

TM = {"U": 0.3, "tau_rec": 0.2, "tau_facil": 0.5}
ENHANCED = fw.Enhancement(depression=0.8, tau_depression=0.5)
LN = {"baseline": -2.0, "a": (0.5, -0.2), "tau_trace": (0.1, 0.4)}
TRACES = fw.HebbianTraces(tau=[0.3, 2.0], eta=[0.2, 0.05], tau_pre=0.03, tau_post=0.05)
CHAIN = fw.BennaFusi(length=5, tau=0.1, eta=0.2, leak=2**-5, tau_pre=0.03, tau_post=0.05)
ESTIMATES = fw.BCPNN(tau_pre=0.01, tau_post=0.02, tau_p=1.0)

CASES: dict[str, SpikeRule] = {
    **{f"tm_{c}": fw.TsodyksMarkram(**TM, convention=c) for c in ("maass2002", "mongillo2008", "mixed")},
    "tm1998": fw.TsodyksMarkram(**TM, convention="tm1998", tau_inact=0.03),
    "tm1998_equal_times": fw.TsodyksMarkram(**TM, convention="tm1998", tau_inact=0.2),
    "varela": fw.Varela(),
    "enhancement": ENHANCED,
    **{f"linear_nonlinear_{r}": fw.LinearNonlinear(**LN, readout=r) for r in ("logistic", "cloglog")},
    "augmented_release": fw.AugmentedRelease(0.2, 0.25, 0.3, 0.1, 2.0),
    "independent_depression": fw.IndependentDepression(0.4, 0.25, 0.15, 0.7, 0.1),
    "calcium_recovery": fw.CalciumRecovery(0.2, 0.5, 0.1, 0.6, 1.2, 1.5, 0.06),
    "hebbian_traces": TRACES,
    "hebbian_saturating": fw.HebbianTraces(tau=1.0, eta=0.4, tau_pre=0.03, tau_post=0.05, w_max=0.5),
    "bcpnn": ESTIMATES,
    "benna_fusi": CHAIN,
    "benna_fusi_conserving": replace(CHAIN, leak=0.0),
    "product": fw.Product(TRACES, fw.TsodyksMarkram(**TM)),
}

BY_HAND = {
    **{
        f"tm_{c}": synapses.tsodyks_markram(c, 0.3, 0.2, 0.5, 1.0)
        for c in ("maass2002", "mongillo2008", "mixed")
    },
    "tm1998": synapses.tsodyks_markram("tm1998", 0.3, 0.2, 0.5, 0.03),
    "tm1998_equal_times": synapses.tsodyks_markram("tm1998", 0.3, 0.2, 0.5, 0.2),
    "varela": synapses.varela(0.917, 0.094, 0.416, 0.380, 0.975, 9.2, 1.0),
    "enhancement": synapses.enhancement(
        [0.8, 0.12, 0.01, 0.01, 0.005], [0.05, 0.3, 7.0, 70.0, 390.0], 0.8, 0.5
    ),
    **{
        f"linear_nonlinear_{r}": synapses.linear_nonlinear(-2.0, [0.5, -0.2], [0.1, 0.4], r)
        for r in ("logistic", "cloglog")
    },
    "augmented_release": synapses.augmented_release(0.2, 0.25, 0.3, 0.1, 2.0),
    "independent_depression": synapses.independent_depression(0.4, 0.25, 0.15, 0.7, 0.1),
    "calcium_recovery": synapses.calcium_recovery(0.2, 0.5, 0.1, 0.6, 1.2, 1.5, 0.06),
    "hebbian_traces": synapses.hebbian_traces([0.3, 2.0], [0.2, 0.05], 0.03, 0.05),
    "hebbian_saturating": synapses.hebbian_traces([1.0], [0.4], 0.03, 0.05, 0.5),
    "bcpnn": synapses.bcpnn(0.01, 0.02, 1.0, 1.0, 20.0, 0.01),
    "benna_fusi": synapses.benna_fusi(5, 0.1, 0.2, 2**-5, 0.03, 0.05),
    "benna_fusi_conserving": synapses.benna_fusi(5, 0.1, 0.2, 0.0, 0.03, 0.05),
    "product": synapses.product(
        synapses.hebbian_traces([0.3, 2.0], [0.2, 0.05], 0.03, 0.05),
        synapses.tsodyks_markram("maass2002", 0.3, 0.2, 0.5, 1.0),
    ),
}

SETTLING = [name for name in CASES if name != "benna_fusi_conserving"]
IN_TABLE = [rule for rule in RULES.values() if issubclass(rule, SpikeRule)]


def exact(values) -> torch.Tensor:
    """Numbers as float64, without a detour through float32."""
    return torch.tensor(values, dtype=torch.float64)


def trains(
    batch: int, spikes: int, *, seed: int = 0, dt: float = 1e-4, duration: float = 0.8
) -> torch.Tensor:
    """Random spike trains [batch, spike] on the grid of dt, at most one spike a step."""
    generator = torch.Generator().manual_seed(seed)
    steps = round(duration / dt)
    rows = [torch.randperm(steps, generator=generator)[:spikes].sort().values for _ in range(batch)]
    return torch.stack(rows).double() * dt


def respond(rule: SpikeRule, pre: torch.Tensor, post: torch.Tensor) -> torch.Tensor:
    """Response of any rule: presynaptic ones need no postsynaptic spikes."""
    return rule.respond(pre) if isinstance(rule, PresynapticRule) else rule.respond(pre, post)


def settle(rule: SpikeRule, pre, post, train, **options):
    """Steady state of any rule."""
    if isinstance(rule, PresynapticRule):
        return rule.steady_state(pre, train)
    return rule.steady_state(pre, post, train, **options)

"""Six physical candidates for the mossy fibres' missed protocol, three ways to fit; and what cells alone make.

    python docs/results/synapse_candidates.py FOLDER

FOLDER holds the CSV files of chamberland2018. Prints the table of docs/results/synapse_fit.md, where reasons and
values were written before the errors were seen. "B again" is the check that both ways to fit agree. Minutes of CPU.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

import fwsim as fw
from fwsim.engine.threads import use_threads
from fwsim.fitting import Responses, gather, read_table
from fwsim.fitting.comparison import squared_error
from fwsim.rules.parameters import probability, time_constant
from fwsim.rules.rule import PresynapticRule, Values

TIMES = (0.05, 0.3, 7.0)  # s, of the literature
CORRELATIONS = (0.0, 0.02)
ALIKE = 0.999  # correlation of sweeps with which protocols weigh alike, however many they have
CELLS = 0.10  # SD of the logarithm between the cells of protocols
STARTS = 6


@dataclass(frozen=True, eq=False)
class Depleted(PresynapticRule):
    """Release p x: linear–nonlinear p, and a pool x of which a release takes the fraction `taken`."""

    probability: fw.LinearNonlinear
    taken: Any = probability(0.3)
    tau_rec: Any = time_constant(0.1)

    def rest(self) -> Values:
        """No trace, full pool."""
        return self.probability.rest() | {"x": 1}

    def drift(self, state: Values) -> Values:
        """Traces decay, the pool recovers."""
        return self.probability.drift(state) | {"x": (1 - state["x"]) / self.tau_rec}

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Release, then take."""
        after, p = self.probability.on_pre(state)
        return after | {"x": state["x"] * (1 - self.taken * p)}, p * state["x"]


@dataclass(frozen=True, eq=False)
class Normalised(PresynapticRule):
    """Release of a rule, as a multiple of that from rest."""

    rule: PresynapticRule

    def rest(self) -> Values:
        """As the rule."""
        return self.rule.rest()

    def drift(self, state: Values) -> Values:
        """As the rule."""
        return self.rule.drift(state)

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """As the rule, divided."""
        after, release = self.rule.on_pre(state)
        return after, release / self.rule.on_pre(self.rule.rest())[1]


BASE = fw.LinearNonlinear(a=(0.3,) * 3, tau_trace=TIMES)
HELD = tuple(f"tau_trace_{k}" for k in (1, 2, 3))
RULES: dict[str, PresynapticRule] = {
    "Tsodyks–Markram": fw.TsodyksMarkram(U=0.1, tau_rec=0.1, tau_facil=0.5),
    "B": BASE,
    "1 refractory sites": Depleted(BASE, taken=1.0),
    "2 pool": Depleted(BASE),
}
REFITTED: dict[str, PresynapticRule] = {
    "Tsodyks–Markram": RULES["Tsodyks–Markram"],
    "B": BASE,
    "cloglog, 2 times": fw.LinearNonlinear(a=(0.3,) * 2, tau_trace=(0.05, 0.5)),
    "cloglog, 3 times": BASE,
}
FITS = (
    ("7 gain known", True, 0.0),
    ("7 gain known", True, 0.02),
    ("8 alike", False, ALIKE),
    ("9 both", True, ALIKE),
)
FIXED = {"B": HELD, "1 refractory sites": (*HELD, "taken"), "2 pool": HELD}


@dataclass(frozen=True)
class Likelihood:
    """Base rule B with what a candidate adds; `z` is baseline, three a, log gain, then what `names` says."""

    data: Responses
    own_dispersion: bool = False
    random_gain: bool = False
    random_baseline: bool = False
    random_sweep: bool = False

    @property
    def names(self) -> list[str]:
        """Of the axes."""
        each = lambda name: [f"{name}{k}" for k in range(len(self.data.protocols))]  # noqa: E731
        noise = ["exponent", *(each("spread") if self.own_dispersion else ["spread"])]
        return [
            *("baseline", "a1", "a2", "a3", "gain"),
            *(["shape", "width"] if self.random_sweep else noise),
            *(each("gain of ") if self.random_gain else []),
            *(each("baseline of ") if self.random_baseline else []),
        ]

    def part(self, z: Tensor, name: str, absent: float = 0.0) -> Tensor:
        """One value a protocol."""
        found = [k for k, axis in enumerate(self.names) if axis.rstrip("0123456789") == name]
        return (z[found] if found else z.new_full((1,), absent)).expand(len(self.data.protocols))

    def mean(self, z: Tensor) -> Tensor:
        """Mean responses `[protocol, pulse]`."""
        rule = fw.LinearNonlinear(baseline=z[0] + self.part(z, "baseline of "), a=z[1:4], tau_trace=TIMES)
        release = torch.where(self.data.times.isnan(), 1.0, rule.respond(self.data.times))
        release = release.clamp(min=1e-12)  # a long first step may leave nothing
        return release * (z[4] + self.part(z, "gain of ")).exp()[:, None]

    def loss(self, z: Tensor, kept: Tensor) -> Tensor:
        """Negative penalised log-likelihood of the protocols that are kept."""
        random = torch.stack([self.part(z, "gain of "), self.part(z, "baseline of ")])
        value = self.of_sweeps(z, kept) if self.random_sweep else self.of_pulses(z, kept)
        return 0.5 * (random**2).sum() / CELLS**2 - value

    def of_pulses(self, z: Tensor, kept: Tensor) -> Tensor:
        """Gamma noise as in the library."""
        moments, mean = self.data.moments(), self.mean(z)
        known = (moments.count > 0) & kept[:, None]
        mean = torch.where(known, mean, 1.0)
        size = float(torch.nanmean(self.data.amplitude))
        k = (mean / size) ** (2 - z[5]) / self.part(z, "spread").exp()[:, None]
        each = moments.count * (k * (k / mean).log() - torch.lgamma(k)) + (k - 1) * moments.logs
        return torch.where(known, each - k * moments.total / mean, 0.0).sum()

    def of_sweeps(self, z: Tensor, kept: Tensor) -> Tensor:
        """Gamma responses around means that share an inverse gamma factor, integrated out."""
        rows = kept[self.data.protocol]
        y, mean = self.data.amplitude[rows], self.mean(z)[self.data.protocol[rows]]
        known = ~y.isnan()
        y, mean = torch.where(known, y, 1.0), torch.where(known, mean, 1.0)
        k, b = z[5].exp(), z[6].exp()
        a, number = 1 + b, known.sum(-1)
        each = ((k - 1) * y.log() + k * (k / mean).log() - torch.lgamma(k)) * known
        total = b + (k * y / mean * known).sum(-1)
        value = each.sum(-1) + a * b.log() - torch.lgamma(a) + torch.lgamma(a + number * k)
        return ((value - (a + number * k) * total.log()) * self.data.weight[rows]).sum()


def predicted(model: Likelihood, left_out: int) -> Tensor:
    """What the fit without a protocol says of it, at the population's gain and baseline, `[pulse]`."""
    kept = torch.arange(len(model.data.protocols)) != left_out
    count, generator = len(model.names), np.random.default_rng(0)
    box = [(-20.0, 20.0)] * 4 + [(-3.0, 12.0)] + [(-7.0, 7.0)] * (count - 5)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.tensor(x, requires_grad=True)
        value = model.loss(z, kept)
        return value.item(), torch.autograd.grad(value, z)[0].numpy()

    given = {"spread": math.log(0.5), "exponent": 2.0, "shape": 1.0, "width": 1.0}
    start = np.array(
        [-1.88, 0.3, 0.3, 0.3, 2.0, *(given.get(n.rstrip("0123456789"), 0) for n in model.names[5:])]
    )
    ends = []
    for k in range(STARTS):
        if k:
            start[:4] = generator.uniform([-3, -0.3, -0.3, -0.3], [0, 1, 1, 1])
        ends.append(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 2000}))
    z = torch.tensor(min(ends, key=lambda end: end.fun).x)
    for k, name in enumerate(model.names):
        if " of " in name:
            z[k] = 0
    return model.mean(z)[left_out]


def table(data: Responses) -> dict[str, Tensor]:
    """Errors of each candidate on each protocol left out."""
    changed: dict[str, dict[str, bool]] = {
        "B again": {},
        "3 dispersion": {"own_dispersion": True},
        "4 gain": {"random_gain": True},
        "5 sweep": {"random_sweep": True},
        "6 all three": {"own_dispersion": True, "random_gain": True, "random_baseline": True},
    }
    found = {}
    for rho in CORRELATIONS:
        compared = fw.compare_rules(RULES, data, fixed=FIXED, intraclass_correlation=rho)
        for name in RULES:
            found[f"{name}, ρ = {rho}"] = torch.tensor(compared.held_out_error.sel(rule=name).values)
        for name, options in changed.items():
            model = Likelihood(data.clustered(rho), **options)
            each = torch.stack([predicted(model, k) for k in range(len(data.protocols))])
            found[f"{name}, ρ = {rho}"] = squared_error(data.moments().mean, each)[0]
    return found


def refitted(
    rule: PresynapticRule, fixed: tuple[str, ...], data: Responses, known: bool, rho: float
) -> Tensor:
    """Errors of a rule on each protocol left out, with the gain known or not, and sweeps that correlate."""
    rule, bounds = (Normalised(rule), {"gain": (1.0, 1.0 + 1e-6)}) if known else (rule, None)
    errors = []
    for name in data.protocols:
        fit = fw.fit(
            rule,
            data.without(name),
            fixed=fixed,
            bounds=bounds,
            intraclass_correlation=rho,
            starts=24,
            replicates=2,  # the least; intervals are not looked at
        )
        left_out = data.only(name)
        difference = fit.predict(left_out.times[0]) - left_out.moments().mean[0]
        errors.append(difference[~left_out.times[0].isnan()].square().mean())
    return torch.stack(errors)


def excess(mean: Tensor, long: int, short: int) -> Tensor:
    """By how much the cells of 100→20 respond more than those of 100 Hz at pulses 4 and 5 of the same stimulus."""
    return (mean[..., short, 3:5] / mean[..., long, 3:5]).mean(-1) - 1


def exact_for_other_cells(mean: Tensor, long: int, short: int) -> Tensor:
    """Error on 100 Hz of a rule that is exact for the cells of 100→20, whose excess persists."""
    more = excess(mean, long, short)[..., None]
    shared = mean[..., short, :5] - mean[..., long, :5]
    return (torch.cat([shared, more * mean[..., long, 5:]], -1) ** 2).mean(-1)


def print_cells(data: Responses) -> None:
    """What cells alone make of the error on 100 Hz, with sweeps drawn again."""
    places = [data.protocols.index(name) for name in ("100Hz", "100Hz_then_20Hz")]
    mean = data.moments().mean
    print(
        f"excess {float(excess(mean, *places)):.3f}, exact: {float(exact_for_other_cells(mean, *places)):.3f}"
    )
    for rho in CORRELATIONS:
        drawn = data.clustered(rho).resampled(4000, torch.Generator().manual_seed(0)).mean
        errors = exact_for_other_cells(drawn, *places)
        for name, values in (("excess", excess(drawn, *places)), ("error", errors)):
            print(f"  ρ = {rho}: {name}", *(f"{float(values.quantile(q)):.2f}" for q in (0.025, 0.975)))
        print(f"  ρ = {rho}: below .335 in {float((errors < 0.335).double().mean()):.0%}")


def print_details(data: Responses) -> None:
    """Where on 100 Hz rules that were fitted without it go wrong, and what depletion adds where all is fitted."""
    train, measured = data.only("100Hz").times[0], data.only("100Hz").moments().mean[0]
    for name, rule in RULES.items():
        fixed = FIXED.get(name, ())
        partly, wholly = (fw.fit(rule, part, fixed=fixed) for part in (data.without("100Hz"), data))
        given = partly.predict(train)
        errors = [float(e) for e in ((given - measured) ** 2).unflatten(0, (2, 5)).mean(-1)]
        print(
            f"{name}: pulses 1–5 {errors[0]:.3f}, 6–10 {errors[1]:.3f}; predicts",
            *(f"{p:.2f}" for p in given),
        )
        for fitted, to in ((partly, "without 100 Hz"), (wholly, "all five")):
            shown = {key: round(value, 4) for key, value in fitted.parameters.items()}
            print(f"  {to}: log-likelihood {fitted.log_likelihood:.1f}, {shown}")


def main(folder: str) -> None:
    """Print both."""
    use_threads(1)
    data = gather(read_table(folder))
    print(*data.protocols, "mean", sep="  ")
    for name, errors in table(data).items():
        print(f"{name:28}", *(f"{float(e):.3f}" for e in (*errors, errors.mean())), sep="  ")
    for fit, known, rho in FITS:
        for name, rule in REFITTED.items():
            errors = refitted(rule, FIXED.get(name, ()), data, known, rho)
            label = f"{fit}, ρ = {rho}: {name}"
            print(f"{label:42}", *(f"{float(e):.3f}" for e in (*errors, errors.mean())), sep="  ")
    print_cells(data)
    print_details(data)


if __name__ == "__main__":
    main(sys.argv[1])

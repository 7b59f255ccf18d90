"""Which time scales does a recorded synapse have, how sure is that, and which rule explains it?

Mossy fibres of the hippocampus facilitate strongly: responses grow sevenfold within ten pulses
(Chamberland, Timofeeva, Evstratova, Volynski & Tóth 2018, PNAS 115:E3548; five protocols, as released with
Rossbroich, Trotter, Beninger, Tóth & Naud 2021, PLoS Comput. Biol. 17:e1008013). Every presynaptic rule, with
several numbers of time scales, is fitted to all protocols but one and predicts that one. Expect rules of
additive facilitation (Tsodyks–Markram, Varela) to miss the acceleration, rules without saturation to overshoot
the end of the 100 Hz train, and a supralinear, saturating read-out of two time scales to come closest.

The data are CSV files, a protocol each: `--data FOLDER`, or the folder `chamberland2018` in the environment
variable FWSIM_DATA. `--data simulated` draws responses of a known synapse instead.

The recording holds what every rule predicts of each protocol left out, with sweeps that count alone or by the few
cells they come from, and what would have been chosen without the protocol; for a few rules the same under another
noise model and with a gain for each protocol; and for one rule the fit to all protocols: bands, residuals, bootstrap,
posterior. It is a source for `fwsim analyse RUN --analysis plausibility`.

    fwsim run synapse_fit --data simulated
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.fitting import Fit, Responses
from fwsim.recording import labelled, labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context

QUICK = {"data": "simulated", "rules": "few", "starts": 4, "replicates": 20}
CPU_ONLY = True

FEW_ONLY = {
    "normal": {"noise": "normal"},
    "gamma, gain per protocol": {"gain": "protocol"},
}
"Variants in which only a few rules are compared."
FEW = ("Tsodyks–Markram", "linear–nonlinear 2", "cloglog 1", "cloglog 2")
SIMULATED = fw.LinearNonlinear(baseline=-1.9, a=(0.4, 0.35), tau_trace=(0.045, 0.7), readout="cloglog")


class Config(Base):
    """Which responses, which rules."""

    data: str = ""
    "CSV files of one protocol each, or their folder; empty for chamberland2018 in FWSIM_DATA; or simulated."
    rule: str = "cloglog 2"
    "Rule that is looked at closely, one of those compared."
    rules: Literal["all", "few"] = "all"
    "Rules to compare."
    starts: int = Field(default=24, ge=1)
    "Starts of each fit."
    replicates: int = Field(default=200, ge=2)
    "Bootstrap replicates."
    level: float = Field(default=0.95, gt=0, lt=1)
    "Probability of intervals and bands."
    intraclass_correlation: float = Field(default=0.02, ge=0, lt=1)
    "Of sweeps of one protocol, in the variant where they come from a few cells; stated before its errors were seen."
    sampler_steps: int = Field(default=0, ge=0)
    "Steps of the ensemble sampler of the posterior, 0 for none; needs the extra mcmc."


PUBLISHED_TIMES = (0.05, 0.3, 7.0)
"Time constants in s of both components of facilitation and of augmentation (Zucker & Regehr 2002)."


def run(config: Config, context: Context) -> xr.Dataset:
    """Compare rules, then fit one."""
    data = fw.fitting.gather(responses(config, context))
    compared = candidates()
    if config.rules == "few":
        compared = {name: compared[name] for name in FEW}
    if config.rule not in compared:
        raise fw.ConfigError(f"rule={config.rule!r} is not compared; use one of {', '.join(compared)}")
    options = {"starts": config.starts, "seed": context.seed_of("starts")}
    recording = comparisons(config, context, compared, data, options)
    floor = fw.fitting.noise_floor(data)
    context.save_table("noise_floor", floor)
    options |= {"replicates": config.replicates, "level": config.level}
    fit = fw.fit(compared[config.rule], data, **options)
    context.save_table("parameters", fit.summary())
    recording = recording.merge(details(fit), compat="no_conflicts")
    if config.sampler_steps:
        chains = fit.sample_posterior(steps=config.sampler_steps, seed=options["seed"])
        draws = chains.at.values(chains.draws).numpy()
        sampled = (("sample", "parameter"), draws[:: max(1, len(draws) // 4000)], "1", "MCMC posterior")
        recording = recording.merge(labelled_dataset({"sampled": sampled}))
    with context.progress("predicting protocols", len(data.protocols)) as advance:
        bands = []
        for k, name in enumerate(data.protocols):
            without = fw.fit(compared[config.rule], data.without(name), **options)
            bands.append(padded_bands(without, data, k))
            context.save_table(f"parameters_without_{name}", without.summary())
            advance()
    recording = recording.merge(xr.concat(bands, "protocol"), join="left", compat="no_conflicts")
    floors = {
        "floor": ("pair", floor.squared_difference.to_numpy(), "1", "squared difference, same stimulus"),
        "floor_sampling": ("pair", floor.from_sampling.to_numpy(), "1", "of it from sampling"),
    }
    pair = ("pair", texts(floor.protocols), {"units": "1", "long_name": "protocols with the same stimulus"})
    return recording.merge(labelled_dataset(floors, {"pair": pair})).assign_attrs(
        rule_shown=config.rule,
        simulated=int(config.data == "simulated"),
        synapse=json.dumps(plain(fit.rule)),
    )


def comparisons(
    config: Config,
    context: Context,
    compared: dict[str, fw.rules.PresynapticRule],
    data: Responses,
    options: dict[str, Any],
) -> xr.Dataset:
    """Leave protocols out, in every variant `[variant, rule, …]`; NaN where a rule is not in it."""
    few = {name: compared[name] for name in FEW}
    known = published()
    compared = compared | known
    variants = {
        "gamma": (compared, {}),
        "gamma, few cells": (compared, {"intraclass_correlation": config.intraclass_correlation}),
        **{name: (few, changed) for name, changed in FEW_ONLY.items()},
    }
    found = [
        fw.compare_rules(
            rules,
            data,
            fixed={name: "tau_trace" for name in rules if name in known},
            **options,
            **changed,
            progress=context.show,
        )
        for rules, changed in variants.values()
    ]
    measured = found[0][["measured", "standard_error"]]
    predicted = [each.drop_vars(list(measured)).reindex(rule=list(compared)) for each in found]
    joined = xr.concat(predicted, "variant", data_vars="all").assign_coords(variant=texts(variants))
    bounded = [isinstance(rule, (fw.TsodyksMarkram, fw.LinearNonlinear)) for rule in compared.values()]
    fitted = [name not in known for name in compared]
    kinds = {
        "times_fitted": ("rule", np.array(fitted), "1", "whether time constants were fitted"),
        "probability": ("rule", np.array(bounded), "1", "whether a release is a probability, at most 1"),
    }
    return joined.merge(labelled_dataset(kinds)).merge(measured, compat="no_conflicts")


def responses(config: Config, context: Context) -> object:
    """Read or draw the table."""
    if config.data == "simulated":
        return fw.fitting.synthetic_table(
            SIMULATED, sweeps=40, gain=6.7, cv=0.65, seed=context.seed_of("responses", bits=31)
        )
    if config.data:
        return fw.fitting.read_table(config.data)
    folder = Path(os.environ.get("FWSIM_DATA", "")) / "chamberland2018"
    if "FWSIM_DATA" not in os.environ or not folder.is_dir():
        raise fw.ConfigError(
            "there are no responses: give --data FOLDER of CSV files, set FWSIM_DATA to the folder that holds "
            "chamberland2018, or give --data simulated"
        )
    return fw.fitting.read_table(folder)


def candidates() -> dict[str, fw.rules.PresynapticRule]:
    """Every presynaptic rule, with several conventions and numbers of time scales."""
    tm = {"U": 0.1, "tau_rec": 0.1, "tau_facil": 0.5}
    found: dict[str, fw.rules.PresynapticRule] = {
        "Tsodyks–Markram": fw.TsodyksMarkram(**tm),
        "Tsodyks–Markram mongillo2008": fw.TsodyksMarkram(**tm, convention="mongillo2008"),
        "Tsodyks–Markram mixed": fw.TsodyksMarkram(**tm, convention="mixed"),
    }
    for k in (0, 1, 2):
        found[f"Varela {k} D"] = fw.Varela(d=(0.8,) * k, tau_D=(0.3,) * k)
    for f, a, d in ((1, 1, 0), (2, 1, 0), (1, 1, 1)):
        found[f"enhancement {f} F {a} A {d} D"] = fw.Enhancement(
            facilitation=(0.5,) * f, tau_facilitation=(0.1,) * f,
            augmentation=(0.1,) * a, tau_augmentation=(1.0,) * a, potentiation=(), tau_potentiation=(),
            depression=(0.8,) * d, tau_depression=(0.3,) * d,
        )  # fmt: skip
    for readout, name in (("logistic", "linear–nonlinear"), ("cloglog", "cloglog")):
        for k in (1, 2, 3):
            found[f"{name} {k}"] = fw.LinearNonlinear(a=(0.4,) * k, tau_trace=(0.3,) * k, readout=readout)
    return found


def published() -> dict[str, fw.rules.PresynapticRule]:
    """Rules whose time constants are not fitted but taken from the literature, with and without augmentation."""
    return {
        f"{name} {k}, published times": fw.LinearNonlinear(
            a=(0.3,) * k, tau_trace=PUBLISHED_TIMES[:k], readout=readout
        )
        for readout, name in (("logistic", "linear–nonlinear"), ("cloglog", "cloglog"))
        for k in (2, 3)
    }


def plain(rule: fw.rules.PresynapticRule) -> dict[str, Any]:
    """Class and fields of a rule whose parameters are numbers."""
    return {"rule": type(rule).__name__} | {field.name: getattr(rule, field.name) for field in fields(rule)}


def details(fit: Fit) -> xr.Dataset:
    """Residuals, bootstrap and posterior of one fit to all protocols."""
    at = fit.problem.at
    draws = at.values(fit.posterior.sample(1000))
    summary = fit.summary()
    ends = summary[["low", "high"]].to_numpy()
    columns = {
        "estimate": ("parameter", summary["value"].to_numpy(), "1", "estimate"),
        "interval": (("parameter", "end"), ends, "1", f"{fit.level:.0%} interval"),
        "determined": ("parameter", summary["determined"].to_numpy(), "1", "whether the data determine it"),
        "bootstrap": (("replicate", "parameter"), at.values(fit.replicates).numpy(), "1", "bootstrap"),
        "posterior": (("draw", "parameter"), draws.numpy(), "1", "Laplace posterior"),
        "parameter_unit": ("parameter", texts(summary["unit"]), "1", "unit"),
    }
    residual = fit.residuals()[["residual"]]
    made = labelled_dataset(columns, {"parameter": texts(at.names)})
    return made.merge(residual, compat="no_conflicts")


def padded_bands(fit: Fit, data: Responses, protocol: int) -> xr.Dataset:
    """Bands of a protocol that the fit did not see, `[pulse]`."""
    times = data.times[protocol]
    known = ~times.isnan()
    bands = fit.bands(times[known]).drop_vars("time").rename(spike="pulse")
    at = fit.problem.at
    gains = at.gain_at(fit.replicates).log().mean(-1, keepdim=True).exp()
    each = gains * at.rule_at(fit.replicates).respond(times[known].expand(len(gains), -1))
    averaged = xr.DataArray(each.mean(0).numpy(), dims="pulse")
    bands["averaged"] = labelled(averaged, "prediction averaged over the bootstrap")
    bands = bands.assign_coords(pulse=np.arange(int(known.sum()))).reindex(pulse=np.arange(len(times)))
    return bands.drop_vars("mean").assign_coords(protocol=data.protocols[protocol])


def texts(values: Iterable[str]) -> np.ndarray:
    """Texts of any length."""
    return np.array(list(values), dtype=object)

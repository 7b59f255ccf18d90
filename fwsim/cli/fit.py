"""`fwsim fit`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.errors import ConfigError
from fwsim.study.arguments import FilePath, Gain, Noise, RuleName, Whole


def fit(
    tables: list[FilePath],
    /,
    *,
    rule: Annotated[RuleName | None, Parameter(show_default=False)] = None,
    with_: Annotated[list[str] | None, Parameter(name="--with", negative="", show_default=False)] = None,
    fixed: Annotated[list[str] | None, Parameter(negative="", show_default=False)] = None,
    holdout: Annotated[list[str] | None, Parameter(negative="", show_default=False)] = None,
    noise: Noise = "gamma",
    gain: Gain = "shared",
    intraclass_correlation: float = 0.0,
    replicates: Whole = 200,
    seed: Whole = 0,
) -> None:
    """Fit a presynaptic rule to measured responses to spike trains.

    Parameters
    ----------
    tables
        CSV files with sweep, pulse, time_s, amplitude and protocol (otherwise the file's name), or folders of them.
    rule
        Name of the rule in lower case, needed: tsodyks_markram, varela, enhancement, linear_nonlinear,
        augmented_release, independent_depression, calcium_recovery.
    with_
        Options and starting values of the rule, NAME=VALUE: readout=cloglog, a=0.4,0.3, tau_facil=500ms.
    fixed
        Parameter that keeps its value: tau_trace.
    holdout
        Protocol to leave out and predict.
    noise
        gamma, or normal if responses may be zero or negative.
    gain
        shared, or protocol for a gain for each protocol.
    intraclass_correlation
        Correlation of the sweeps of a protocol: above 0 if they come from a few cells.
    replicates
        Number of bootstrap replicates.
    seed
        Seed of random starting points and bootstrap.
    """
    from fwsim.fitting import fit as fit_rule
    from fwsim.fitting import gather, read_table, report
    from fwsim.rules import PresynapticRule
    from fwsim.rules.table import RULES, presynaptic_rule

    if rule is None:
        known = ", ".join(name for name, kind in RULES.items() if issubclass(kind, PresynapticRule))
        raise ConfigError(f"fit needs a rule: --rule with one of {known}")
    data = gather(read_table(tables))
    start = presynaptic_rule(rule, with_ or [])
    fitted = data.without(*holdout) if holdout else data
    found = fit_rule(
        start,
        fitted,
        noise=noise,
        gain=gain,
        intraclass_correlation=intraclass_correlation,
        fixed=fixed or (),
        replicates=replicates,
        seed=seed,
    )
    shown = [report.parameters(found), report.errors(found, fitted, "Responses that were fitted")]
    if holdout:
        left_out = data.only(holdout)
        shown += [
            report.errors(found, left_out, "Protocols that were left out"),
            report.pulses(found, left_out),
        ]
    for table in shown:
        terminal.table(*table)

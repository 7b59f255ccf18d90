"""A fit as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from fwsim.fitting.comparison import squared_error
from fwsim.fitting.fitted import Fit
from fwsim.fitting.responses import Responses

UNITS = {"1": "", "s": "s", "Hz": "Hz"}


class Table(NamedTuple):
    """Title, columns and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def tables(fit: Fit, left_out: Responses | None = None) -> list[Table]:
    """All tables of a fit, and of the responses that were left out of it."""
    shown = [parameters(fit), errors(fit, fit.responses, "Responses that were fitted")]
    if left_out is not None:
        shown += [errors(fit, left_out, "Protocols that were left out"), pulses(fit, left_out)]
    return shown


def parameters(fit: Fit) -> Table:
    """Every parameter with both intervals, and whether the data determine it."""
    percent = f"{100 * fit.level:g} %"
    rows = [
        (
            row.parameter,
            f"{row.value:.4g} {UNITS[row.unit]}".strip(),
            f"{row.low:.4g} … {row.high:.4g}",
            f"{row.laplace_low:.4g} … {row.laplace_high:.4g}",
            "" if row.determined else "not determined",
        )
        for row in fit.summary().itertuples()
    ]
    title = f"{type(fit.rule).__name__}: log-likelihood {fit.log_likelihood:.1f}, AIC {fit.aic:.1f}, TIC {fit.tic:.1f}"
    return Table(title, ("parameter", "value", f"{percent}, bootstrap", f"{percent}, Laplace", ""), rows)


def errors(fit: Fit, responses: Responses, title: str) -> Table:
    """Mean squared error of the mean response for each protocol, with the fitted and with the best gain."""
    compared = fit.residuals(responses)
    rows = []
    for name in responses.protocols:
        one = compared.sel(protocol=name)
        error, shape = squared_error(*(torch.from_numpy(one[k].values) for k in ("measured", "predicted")))
        worst = float(abs(one.residual).max())
        rows.append((name, f"{float(error):.4g}", f"{float(shape):.4g}", f"{worst:.1f}"))
    return Table(title, ("protocol", "squared error", "with its best gain", "largest residual (SE)"), rows)


def pulses(fit: Fit, responses: Responses) -> Table:
    """Measured and predicted mean response to each pulse, with the band of the mean."""
    moments = responses.moments()
    rows = []
    for k, name in enumerate(responses.protocols):
        known = ~responses.times[k].isnan()
        bands = fit.bands(responses.times[k, known])
        error = (moments.variance / moments.count).sqrt()[k]
        rows += [
            (
                name,
                str(pulse),
                f"{float(moments.mean[k, pulse]):.4g} ± {float(error[pulse]):.2g}",
                f"{float(bands['mean'][pulse]):.4g}",
                f"{float(bands.mean_low[pulse]):.4g} … {float(bands.mean_high[pulse]):.4g}",
            )
            for pulse in range(int(known.sum()))
        ]
    columns = ("protocol", "pulse", "measured mean", "predicted", f"{100 * fit.level:g} % of the prediction")
    return Table("Responses that were left out", columns, rows)

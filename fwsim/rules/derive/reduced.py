"""The memory rule to which an associative rule with fast traces reduces."""

from __future__ import annotations

from typing import Any

import sympy
import torch

from fwsim.errors import ConfigError
from fwsim.rules.derive.propagate import coinciding, drift_matrix, drift_slopes, modes
from fwsim.rules.derive.symbols import Structure, structure
from fwsim.rules.derived import derives
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.parameters import as_tensors
from fwsim.rules.rule import SpikeRule

PRE, POST = sympy.symbols("r_pre r_post", real=True)


@derives(SpikeRule)
def reduced(rule: SpikeRule) -> Hebbian:
    """The memory rule of a rule whose traces are fast, with one time scale for every mode of the weight.

    The traces are replaced by their means for given rates. The input to the weight must then be a multiple of
    r_pre r_post. The modes of the weight's own relaxation become the time scales.

    Raises
    ------
    ConfigError
        The weight does not depend on products of rates linearly.
    """
    kind = structure(rule)
    reading, slow = _reading(kind)
    drive = _drive(kind, slow)
    tensors = as_tensors(rule)
    numbers = kind.evaluate(tensors, {**reading, **{("drive", name): value for name, value in drive.items()}})
    numbers = {key: torch.as_tensor(value, dtype=torch.float64) for key, value in numbers.items()}
    slopes = drift_slopes(rule)
    taus, strengths = [], []
    for component in kind.components:
        if component[0] not in slow:
            continue
        drift = drift_matrix(component, slopes)
        if bool(coinciding(drift).any()):
            raise ConfigError(
                f"{_name(kind)}: some of {', '.join(component)} relax alike, so that its memory is no sum of "
                "exponentials; choose time constants that differ by more than a percent"
            )
        values, right, left = modes(drift)
        if values.is_complex():
            raise ConfigError(f"{_name(kind)} oscillates, so it has no Hebbian memory; use it with spikes")
        size = values.detach().abs().amax(-1, keepdim=True)
        rate = torch.where(-values > 1e-14 * size, -values, 0.0)
        read = _vector([numbers.get(name, torch.zeros(())) for name in component])
        driven = _vector([numbers["drive", name] for name in component])
        strength = (read[..., None, :] @ right)[..., 0, :] * (left @ driven[..., None])[..., 0]
        order = torch.argsort(rate.detach(), -1, descending=True)
        taus.append(torch.gather(1 / rate, -1, order))
        strengths.append(torch.gather(strength, -1, order.expand(strength.shape)))
    tau, eta = torch.broadcast_tensors(_joined(taus), _joined(strengths))
    return Hebbian(tau=tau, eta_rate=eta)


def _reading(kind: Structure) -> tuple[dict[str, Any], set[str]]:
    """Coefficient of each variable in the weight, and all variables to which it is coupled."""
    polynomial = kind.polynomial(kind.pre[1])
    if polynomial is None or any(sum(exponents) != 1 for exponents in polynomial):
        raise ConfigError(
            f"what {_name(kind)} transmits is not linear in its state, so it has no Hebbian memory; "
            "reduce a linear rule such as HebbianTraces or BennaFusi"
        )
    reading = {kind.names[exponents.index(1)]: value for exponents, value in polynomial.items()}
    slow = {name for component in kind.components if set(component) & set(reading) for name in component}
    return reading, slow


def _drive(kind: Structure, slow: set[str]) -> dict[str, Any]:
    """Input to each slow variable per r_pre r_post, with the traces at their means."""
    flow = {
        name: kind.drift[name] + PRE * (kind.pre[0][name] - symbol) + POST * (kind.post[name] - symbol)
        for name, symbol in kind.state.items()
    }
    traces = [name for name in kind.names if name not in slow]
    symbols = [kind.state[name] for name in traces]
    means = sympy.solve([flow[name] for name in traces], symbols, dict=True) if traces else [{}]
    drive = {}
    for name in slow:
        jump = sympy.simplify((flow[name] - kind.drift[name]).subs(means[0])) if means else sympy.nan
        drive[name] = sympy.simplify(jump / (PRE * POST))
        if drive[name].free_symbols & {PRE, POST, *kind.state.values()} or drive[name] is sympy.nan:
            raise ConfigError(
                f"{_name(kind)} does not follow products of rates, so it has no Hebbian memory; "
                "leave out what saturates"
            )
    return drive


def _name(kind: Structure) -> str:
    return type(kind.rule).__name__


def _vector(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(torch.broadcast_tensors(*parts), -1)


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate time scales; those without a batch axis are repeated."""
    shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*shape, part.shape[-1]) for part in parts], -1)

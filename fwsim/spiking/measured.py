"""Published measurements of synapses and firing, and comparison of a model's values with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fwsim.errors import ConfigError, instance, number, type_of
from fwsim.names import known_arguments
from fwsim.rules.parameters import batch_shape
from fwsim.rules.rule import PresynapticRule

if TYPE_CHECKING:
    import pandas as pd

NOT_GIVEN = "not given"
AMONG, ABOVE, BELOW, NO_DATA = (
    "among the measured values",
    "exceeds every tabulated value",
    "below every tabulated value",
    "no data",
)


@dataclass(frozen=True)
class Measurement:
    """A published value, or a published range.

    Parameters
    ----------
    component, quantity
        What was measured, for instance `"excitatory synapse"` and `"tau_facil"`.
    low, high
        In SI units; equal if one value was published.
    units
        SI unit, `"1"` for a pure number.
    preparation, source
        The preparation and the publication.
    n, sd
        Number of cells or synapses and their standard deviation, if the source at hand gives them.
    """

    component: str
    quantity: str
    low: float
    high: float
    units: str
    preparation: str
    source: str
    n: int | None = None
    sd: float | None = None


def _classes(
    component: str, source: str, classes: dict[str, tuple[float, float, float]]
) -> list[Measurement]:
    names = (("first release", "1"), ("tau_rec", "s"), ("tau_facil", "s"))
    return [
        Measurement(component, name, value, value, units, preparation, source)
        for preparation, values in classes.items()
        for (name, units), value in zip(names, values)
    ]


WANG = "Wang et al. 2006, Nat. Neurosci. 9:534, as tabulated in later models"
GUPTA = "Gupta, Wang & Markram 2000, Science 287:273, as tabulated in later models"
VARELA = "Varela et al. 1997, J. Neurosci. 17:7926, Fig. 3, as in ModelDB 3264"
SALIN = "Salin et al. 1996, PNAS 93:13304, abstract"
ERICKSON = "Erickson, Maramara & Lisman 2010, J. Cogn. Neurosci. 22:2530"

MEASUREMENTS: tuple[Measurement, ...] = (
    *_classes(
        "excitatory synapse",
        WANG,
        {
            "facilitating, class mean": (0.09, 0.138, 0.670),
            "depressing, class mean": (0.5, 0.671, 0.017),
            "pseudo-linear, class mean": (0.29, 0.329, 0.326),
            "ferret prefrontal cortex, E1b": (0.28, 0.194, 0.507),
        },
    ),
    *_classes(
        "inhibitory synapse",
        GUPTA,
        {
            "facilitating, class mean": (0.016, 0.045, 0.376),
            "depressing, class mean": (0.25, 0.706, 0.021),
            "pseudo-linear, class mean": (0.32, 0.144, 0.062),
        },
    ),
    Measurement("excitatory synapse", "first release", 0.5, 0.5, "1", "layer 5, depressing",
                "Tsodyks, Pawelzik & Markram 1998, Neural Comput. 10:821"),
    Measurement("excitatory synapse", "tau_rec", 0.8, 0.8, "s", "layer 5, depressing",
                "Tsodyks, Pawelzik & Markram 1998, Neural Comput. 10:821"),
    Measurement("excitatory synapse", "tau_facil", 0.094, 0.094, "s", "rat visual cortex, layer 2/3", VARELA),
    Measurement("excitatory synapse", "tau_rec", 0.38, 0.38, "s",
                "rat visual cortex, layer 2/3, the faster of two depressions", VARELA),
    Measurement("slow depression", "decay", 9.2, 9.2, "s", "rat visual cortex, layer 2/3", VARELA),
    Measurement("frequency facilitation", "increase", 5.0, 5.0, "1",
                "hippocampal mossy fibres; published as a magnitude of 6-fold", SALIN),
    Measurement("frequency facilitation", "increase", 0.25, 0.25, "1",
                "hippocampus, associational and commissural; published as about 125 %", SALIN),
    Measurement("augmentation", "decay", 7.0, 7.0, "s", "neuromuscular junction, low quantal content; about 7 s",
                "Magleby 1979, Prog. Brain Res. 49:175, abstract"),
    Measurement("potentiation", "decay", 30.0, 60.0, "s",
                "neuromuscular junction, low quantal content; 'about 30 s to min', taken as 30 to 60 s",
                "Magleby 1979, Prog. Brain Res. 49:175, abstract"),
    Measurement("augmentation", "increase", 0.4, 0.6, "1", "prefrontal cortex",
                "Hempel et al. 2000, J. Neurophysiol. 83:3031"),
    Measurement("augmentation", "decay", 1.0, 60.0, "s",
                "prefrontal cortex; published as 'seconds to minutes', taken as 1 to 60 s",
                "Hempel et al. 2000, J. Neurophysiol. 83:3031"),
    Measurement("Hebbian potentiation", "decay", 96.0, 96.0, "s", "hippocampus; ± 0.26 min, of what kind not given",
                ERICKSON),
    Measurement("Hebbian potentiation", "decay", 1140.0, 1140.0, "s",
                "hippocampus; ± 6.6 min, of what kind not given", ERICKSON),
    Measurement("excitatory synapse", "potential", 0.7e-3, 1.2e-3, "V", "rat visual cortex, layer 5, pairs",
                "Nicoll & Blakemore 1993, Neuroreport 4:167", n=4),
    Measurement("excitatory synapse", "potential", 0.4e-3, 0.4e-3, "V", "rat visual cortex, layer 2/3, median",
                "Nicoll & Blakemore 1993, Neural Comput. 5:665"),
    Measurement("firing", "rate while active", 10.0, 40.0, "Hz", "delay activity",
                "Roxin et al. 2011, J. Neurosci. 31:16217; Buzsáki & Mizuseki 2014, Nat. Rev. Neurosci. 15:264"),
    Measurement("firing", "median rate", 0.0, 3.0, "Hz", "published as 'at most a few Hz', taken as 3",
                "Roxin et al. 2011, J. Neurosci. 31:16217; Buzsáki & Mizuseki 2014, Nat. Rev. Neurosci. 15:264"),
    Measurement("firing", "ISI CV", 1.0, float("inf"), "1",
                "prefrontal cortex in the delay; near-Poisson, 'often above 1', taken as 1 and more",
                "Compte et al. 2003, J. Neurophysiol. 90:3441"),
)  # fmt: skip
"""Tabulated values; most are means of classes without a spread."""


@dataclass(frozen=True)
class Verdict:
    """Position of a model's value among the measurements of the same component and quantity.

    `nearest` is the closest measurement, `None` if there is none.
    """

    component: str
    quantity: str
    value: float
    units: str
    verdict: str
    nearest: Measurement | None


@known_arguments
def judge(
    component: str,
    quantity: str,
    value: float,
    units: str = "1",
    sources: Sequence[Measurement] = MEASUREMENTS,
) -> Verdict:
    """Compare a value with the measurements.

    Parameters
    ----------
    component, quantity
        As in `Measurement`.
    value
        In SI units; infinite if nothing limits it.
    units
        Unit of the value.
    sources
        Measurements to compare with; add your own with `measured_by`.

    Returns
    -------
    Verdict
        "among the measured values" means between the smallest and the largest tabulated value, including standard
        deviations.
    """
    for name, given in (("component", component), ("quantity", quantity)):
        instance(name, given, str, "a name, such as those of measurements()")
    number("value", value, infinite=True)
    for each in sources:
        instance("sources", each, Measurement, "a list of Measurements")
    same = [each for each in sources if (each.component, each.quantity) == (component, quantity)]
    if not same:
        return Verdict(component, quantity, value, units, NO_DATA, None)
    spread = {each: each.sd or 0.0 for each in same}
    low, high = min(m.low - spread[m] for m in same), max(m.high + spread[m] for m in same)
    verdict = ABOVE if value > high else BELOW if value < low else AMONG
    nearest = min(same, key=lambda m: max(m.low - value, value - m.high, 0.0))
    return Verdict(component, quantity, value, units, verdict, nearest)


@known_arguments
def measured_by(
    fit: Any, *, preparation: str, source: str, component: str = "excitatory synapse"
) -> list[Measurement]:
    """Convert a fitted synapse to measurements, with the intervals of the fit.

    Parameters
    ----------
    fit
        A `Fit` from `fwsim.fit`; parameters that its data do not determine are left out. `n` is the number of cells, if
        the table told them apart.
    preparation, source, component
        As in `Measurement`.

    Raises
    ------
    ConfigError
        The data determine none of the time constants of recovery and facilitation, or the rule has none.
    """
    if not hasattr(fit, "responses") or not hasattr(fit, "intervals"):
        raise ConfigError(f"fit is {type_of(fit)}; give the result of fwsim.fit")
    cells = len(fit.responses.cells) or None
    found = [
        Measurement(component, name, interval.low, interval.high, "s", preparation, source, n=cells)
        for name, interval in fit.intervals.items()
        if name in ("tau_rec", "tau_facil") and name not in fit.undetermined
    ]
    if not found:
        raise ConfigError(
            f"the fit of {type(fit.rule).__name__} determines neither tau_rec nor tau_facil; "
            "fit a TsodyksMarkram rule to more protocols"
        )
    return found


@known_arguments
def first_release(rule: PresynapticRule) -> float:
    """Release from rest, which can be compared across conventions (U cannot)."""
    instance("rule", rule, PresynapticRule, "a presynaptic rule, such as a TsodyksMarkram")
    if shape := batch_shape(rule):
        raise ConfigError(f"{type(rule).__name__} has parameters {list(shape)}; give a rule of numbers")
    return float(rule.at_pre(rule.rest())[1])


def measurements() -> pd.DataFrame:
    """The table of measurements, one row for each; "not given" if the source at hand does not say."""
    import pandas as pd

    rows = [
        {
            "component": each.component,
            "quantity": each.quantity,
            "value": f"{each.low:g}" if each.low == each.high else f"{each.low:g} … {each.high:g}",
            "units": each.units,
            "n": NOT_GIVEN if each.n is None else each.n,
            "sd": NOT_GIVEN if each.sd is None else each.sd,
            "preparation": each.preparation,
            "source": each.source,
        }
        for each in MEASUREMENTS
    ]
    return pd.DataFrame(rows)

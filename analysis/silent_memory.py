"""How selective is the answer to the ping, for how long after the cue, and does the rate version predict it?

The selectivity of an answer is (cued − others)/(cued + others), with the rate of the cued pool and the mean rate of
the other pools during the ping. The lifetime of a memory is the delay at which its selectivity falls below one half:
the longest delay if it never does, and 0 s if it is below from the beginning. Intervals have 95 % (Student's t,
over networks). With one pair of time constants the table shows the selectivity after every delay, with several pairs
the lifetimes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, Versions, each_setting, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

POOLS = 5
READ = 0.5
"""Selectivity above which the memory counts as read out."""
LABELS = {"mongillo2008": "facilitation (mongillo2008)", "maass2002": "facilitation (maass2002)",
          "slow_current": "slow currents", "spread": "facilitation, spread as measured",
          "measured": "measured synapses"}  # fmt: skip
SETTINGS = ("model", "tau_facil", "tau_rec")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Selectivities and lifetimes with their intervals, of each network, and of the rate version."""
    recording = recording.load()
    delays = recording["ping_delay"].values
    spiking = selectivity(recording["ping_response"]).transpose(*SETTINGS, "network", "ping_delay")
    rates = selectivity(recording["mean_field_ping_response"]).transpose(*SETTINGS, "ping_delay")
    shape = spiking.shape[:3]
    settings = [spiking.values[at] for at in np.ndindex(shape)]  # of networks and delays
    answers = np.reshape([[bootstrap(each) for each in networks.T] for networks in settings], (*shape, -1, 3))
    lifetimes = [bootstrap(networks, lambda mean: fall(delays, mean)) for networks in settings]
    lasting = {
        "lifetime": ((*SETTINGS, "interval"), np.reshape(lifetimes, (*shape, 3))),
        "network_lifetime": ((*SETTINGS, "network"), fallen(delays, spiking)),
        "mean_field_lifetime": (SETTINGS, fallen(delays, rates)),
    }
    found = {
        "selectivity": ((*SETTINGS, "ping_delay", "interval"), answers),
        "network_selectivity": spiking,
        "mean_field_selectivity": rates,
    }
    result = xr.merge(
        [
            xr.Dataset(found).map(lambda each: labelled(each, "selectivity of the response to the ping")),
            xr.Dataset(lasting).map(lambda each: labelled(each, "lifetime of the memory", "s")),
        ]
    )
    return result.assign_coords(interval=["estimate", "low", "high"]).assign_attrs(
        experiment_configuration=recording.attrs["experiment_configuration"]
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Analyse the networks of several runs that differ in their seed alone."""
    runs = [each.load() for each in recordings]
    networks = xr.concat([each["ping_response"] for each in runs], "network")
    return analyse(runs[0].drop_vars("ping_response").assign(ping_response=networks))


def selectivity(response: xr.DataArray) -> xr.DataArray:
    """How much more the cued pool answers than the others do, from −1 to 1; 0 where none does."""
    cued, others = response.isel(unit=0), response.isel(unit=slice(1, POOLS)).mean("unit")
    total = cued + others
    return xr.where(total > 0, (cued - others) / total.where(total > 0, 1.0), 0.0)


def fallen(delays: np.ndarray, selectivity: xr.DataArray) -> np.ndarray:
    """Lifetimes from selectivities `[…, ping_delay]`."""
    return np.apply_along_axis(lambda one: fall(delays, one), -1, selectivity.values)


def fall(x: np.ndarray, y: np.ndarray) -> float:
    """Where y first falls below one half, by interpolation; 0 if it begins there, the last x if it never does."""
    below = np.nonzero(y < READ)[0]
    if not len(below):
        return float(x[-1])
    k = below[0]
    return 0.0 if k == 0 else float(x[k - 1] + (x[k] - x[k - 1]) * (y[k - 1] - READ) / (y[k - 1] - y[k]))


def versions(result: xr.Dataset) -> list[Versions]:
    """What the spiking network and its rate version have in common."""
    pairs = (
        ("selectivity of a ping", "recall", "selectivity", "1"),
        ("lifetime", "lifetime", "lifetime", "s"),
    )
    return [
        Versions(quantity, kind, result[f"network_{name}"], result[f"mean_field_{name}"], units, "network")
        for quantity, kind, name, units in pairs
    ]


EXPLAINED = {
    "spiking": "mean over networks, with its 95 % interval if there are several networks",
    "rate version": "the same quantity in the rate version",
}
"""What the columns of the table mean."""

SHADES = [colour for name, colour in COLOURS.items() if name != "black"]
"""Colours of the settings; the zero line is black."""

CAPTIONS = {
    "selectivity": (
        "Selectivity of the response to an unspecific ping, against the time since the cue: spikes "
        "(dots with intervals) and the rate version (lines)."
    ),
    "lifetime": (
        "How long the memory answers to a ping, against τ_facil: spikes (dots with 95 % intervals over networks) and "
        "the rate version (lines)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: spiking network with 95 % intervals, beside the rate version."""
    several = result.sizes["tau_facil"] * result.sizes["tau_rec"] > 1
    name, dims = ("lifetime", SETTINGS) if several else ("selectivity", (*SETTINGS, "ping_delay"))
    rows = []
    for values, at in each_setting(result, dims):
        quantity = (
            f"lifetime at τ_facil {values['tau_facil']:g} s, τ_rec {values['tau_rec']:g} s (s)"
            if several
            else f"selectivity of a ping after {values['ping_delay']:g} s"
        )
        rows.append(
            {
                "model": LABELS[values["model"]],
                "quantity": quantity,
                "spiking": formatted(at[name]),
                "rate version": formatted(at[f"mean_field_{name}"]),
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the selectivity against the delay; with several time constants of facilitation, also the lifetime."""
    figures = {"selectivity": plot_selectivity(result)}
    if result.sizes["tau_facil"] > 1:
        figures["lifetime"] = plot_lifetime(result)
    return figures


def plot_selectivity(result: xr.Dataset) -> Figure:
    """Draw the selectivity with its interval, in a panel for each τ_rec; lines are the rate version."""
    columns = result.sizes["tau_rec"]
    size = {"width": "double", "aspect": 0.3 * columns} if columns > 1 else {"aspect": 1.0}
    made, axes = figure(1, columns, **size, sharey=True, squeeze=False)
    several = result.sizes["tau_facil"] > 1
    for panel, rec in zip(axes[0], result["tau_rec"].values, strict=True):
        settings = each_setting(result.sel(tau_rec=[rec]), SETTINGS)
        for (values, at), colour in zip(settings, cycle(SHADES)):
            label = LABELS[values["model"]] + (f", τ_facil {values['tau_facil']:g} s" if several else "")
            with_intervals(panel, at["ping_delay"].values, at["selectivity"], colour, label)
            panel.plot(at["ping_delay"].values, at["mean_field_selectivity"].values, color=colour)
        panel.axhline(0, color=COLOURS["black"], lw=0.5)
        panel.set(xlabel="time since the cue (s)", ylim=(-1.05, 1.05))
        panel.set_title(f"τ_rec {rec:g} s" if result.sizes["tau_rec"] > 1 else "response to the ping")
    axes[0, 0].set_ylabel("selectivity")
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return made


def plot_lifetime(result: xr.Dataset) -> Figure:
    """Draw the lifetime against τ_facil; lines are the rate version."""
    made, axes = figure(aspect=1.1)
    settings = list(each_setting(result, ["model", "tau_rec"]))
    facil = result["tau_facil"].values
    apart = 0.05 * np.diff(facil).min()
    for number, ((values, at), colour) in enumerate(zip(settings, cycle(SHADES))):
        beside = facil + apart * (
            number - (len(settings) - 1) / 2
        )  # so that equal values do not hide each other
        label = f"{LABELS[values['model']]}, τ_rec {values['tau_rec']:g} s"
        axes.plot(facil, at["mean_field_lifetime"], color=colour)
        with_intervals(axes, beside, at["lifetime"], colour, label)
    axes.set(xlabel="τ_facil (s)", ylabel="lifetime (s)", ylim=(0, None), title="silent memory")
    made.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
    return made


def with_intervals(axes: Axes, x: np.ndarray, y: xr.DataArray, colour: str, label: str) -> None:
    """Draw dots with the intervals of `y [interval, x]`: its middle, lower and upper end."""
    middle, low, high = y.transpose("interval", ...).values
    axes.errorbar(x, middle, np.abs([low - middle, high - middle]), fmt="o", ms=3, color=colour, label=label)

"""What survives of a trained network if its synapses are put into a circuit that spikes?

For runs and sweeps of `ablation` with presynaptic plasticity: `fwsim compare RUN --analysis trained_spikes`, or
`fwsim analyse RUN --analysis trained_spikes`. After Kim, Li & Sejnowski 2019, PNAS 116:22811, and their public code
(rkim35/spikeRNN): leaky integrate-and-fire neurons with a membrane time constant of 10 ms, 25 mV from reset to
threshold and noise of 1 mV take the place of units; synaptic currents decay with the time constant of the units; all
weights are divided by one scale λ, which is the rate in Hz of a neuron for a rate of 1 of its unit; and λ is chosen
from a few values by right answers in trials that are not used later. Synapses keep their trained weights, U, τ_rec and
τ_facil. So with a larger λ they see more spikes than in training.

What differs from that work: units are rectified and not sigmoid, so that the mean input and its scale are chosen by
least squares between the neurons' rate (Siegert) and λ times that of the unit; and a unit may become several neurons
with the same synapses, whose weights are divided by their number. Noise of the units is added to the input.

A trial is answered by the mean scores in the second half of the test, of rates (filtered with the synaptic time
constant in spikes). The sample is decoded from rates and from efficacies u·x (of a unit's neurons: their mean) at the
end of the delay; the gain is the accuracy over that with permuted labels, as a share of what a perfect decoder gains.

What the words mean was written before the networks of docs/results/trained_spikes.md were trained. Networks with right
answers in less than 80 % are left out. The answers **survive** if the interval of right answers in spikes lies above
75 %, half of what is above chance, are **lost** if it lies below 60 %, and survive **in part** otherwise. The silent
memory survives if the interval of the gain in efficacies lies above 0.5. Intervals have 95 % (Student's t, over
networks).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

import fwsim as fw
from fwsim import ms, mV
from fwsim.errors import RecordingError
from fwsim.models import mixed_synapses
from fwsim.recording import labelled_dataset
from fwsim.spiking import Circuit, Connection, Population
from fwsim.study import (
    COLOURS,
    Versions,
    configuration,
    each_point,
    each_setting,
    figure,
    finite,
    formatted,
    join_runs,
    mean_interval,
    verdict,
)
from fwsim.tasks import DelayedMatch

SETTINGS = (
    "plasticity", "task", "units", "fast", "slow", "noise", "delay", "dt", "steps", "batch", "learning_rate", "clip",
    "rate_cost", "test_trials", "draws",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
LEARNED = 80.0  # % right answers
LOST, SURVIVES = 60.0, 75.0  # % right answers: bounds of the verdict
SCALES = (1.0, 3.0, 10.0, 30.0)
"""Values of λ to choose from, in Hz."""
COPIES = (1, 10)
"""Neurons for each unit."""
CHOOSING = 64
"""Trials by whose answers λ is chosen; the others are tested."""
DT, HELD = 0.5 * ms, 10 * ms
"""Time step of the circuit, and time for which a sample of the input is held."""
TAU, SYNAPTIC = 10 * ms, 100 * ms
THRESHOLD, REFRACTORY, NOISE = 25 * mV, 2 * ms, 1 * mV
RANGE = (-2.0, 6.0)
"""Fields of units for which neurons are made to have the right rate."""


class Trials(NamedTuple):
    """Input to the units, the sample and the right answer of trials."""

    drive: Tensor
    sample: np.ndarray
    answer: np.ndarray


class Outcome(NamedTuple):
    """What a network did: answers, and rates and efficacies of units at the end of the delay, `[trial, unit]`."""

    answer: np.ndarray
    rate: np.ndarray
    efficacy: np.ndarray


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Both versions of every network of a sweep."""
    settings = configuration(recording)
    result = each_point(
        recording,
        [dim for dim in SWEPT if dim in recording.dims],
        lambda one: network(
            one, settings | {name: one[name].item() for name in SETTINGS if name in one.coords}
        ),
    )
    return result.assign_attrs(experiment_configuration=recording.attrs["experiment_configuration"])


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by plasticity and seed."""
    return join_runs(recordings, analyse, ["plasticity"])


VALUES = {
    "right": ("right answers", "%"),
    "gain_rate": ("gain of decoders of rates", "1"),
    "gain_efficacy": ("gain of decoders of efficacies", "1"),
    "rate": ("mean rate at the end of the delay, over λ", "Hz"),
}


def network(one: xr.Dataset, settings: dict) -> xr.Dataset:
    """Numbers of one network as units and as neurons; NaN where it has not learned or has no such synapses."""
    nothing = dict.fromkeys(VALUES, np.nan)
    units, spikes, scales = nothing, [nothing] * len(COPIES), [np.nan] * len(COPIES)
    searched = np.full((len(COPIES), len(SCALES)), np.nan)
    if float(one["accuracy"]) >= LEARNED and settings["plasticity"] == "presynaptic":
        first, later = divided(one, settings)
        units = numbers(as_units(one, settings, later), later, 1.0)
        spikes = []
        for place, copies in enumerate(COPIES):
            searched[place] = [
                right(as_neurons(one, settings, first, scale, copies), first) for scale in SCALES
            ]
            scales[place] = SCALES[int(searched[place].argmax())]
            outcome = as_neurons(one, settings, later, scales[place], copies)
            spikes.append(numbers(outcome, later, scales[place]))
    values = {}
    for name, (label, unit) in VALUES.items():
        values[f"unit_{name}"] = ((), units[name], unit, f"{label}, units")
        values[f"spiking_{name}"] = (("copies",), [found[name] for found in spikes], unit, f"{label}, spikes")
    values["scale"] = (("copies",), scales, "Hz", "λ that was chosen")
    values["searched"] = (("copies", "scale_tried"), searched, "%", "right answers when λ is chosen")
    return labelled_dataset(
        values,
        coords={
            "copies": ("copies", list(COPIES), {"units": "1", "long_name": "neurons for each unit"}),
            "scale_tried": ("scale_tried", list(SCALES), {"units": "Hz", "long_name": "λ"}),
        },
    )


def divided(one: xr.Dataset, settings: dict) -> tuple[Trials, Trials]:
    """Trials to choose λ, and to test."""
    inputs = tensor(one["inputs"])
    drive = inputs @ tensor(one["weights_in"]).T + tensor(one["bias_in"])
    found = Trials(drive, one["sample"].values, one["target"].values[:, -1])
    if len(found.sample) < 2 * CHOOSING:
        raise RecordingError(
            f"the recording keeps {len(found.sample)} trials; run ablation with --kept-trials 256"
        )
    return Trials(*(v[:CHOOSING] for v in found)), Trials(*(v[CHOOSING:] for v in found))


def tensor(values: xr.DataArray) -> Tensor:
    """Recorded values in float64."""
    return torch.as_tensor(values.values.astype(float))


def numbers(outcome: Outcome, trials: Trials, scale: float) -> dict[str, float]:
    """The numbers of `VALUES`."""
    return {
        "right": right(outcome, trials),
        "gain_rate": gain(outcome.rate, trials.sample),
        "gain_efficacy": gain(outcome.efficacy, trials.sample),
        "rate": float(outcome.rate.mean()) / scale,
    }


def right(outcome: Outcome, trials: Trials) -> float:
    """Right answers in %."""
    return 100 * float((outcome.answer == trials.answer).mean())


def gain(values: np.ndarray, sample: np.ndarray) -> float:
    """Gain of a decoder of the sample, from `[trial, unit]`."""
    states = xr.DataArray(values[:, None], dims=("trial", "time", "unit"), coords={"time": [0.0]})
    found = fw.measure.decode(states, sample.astype(int)).isel(time=0)
    accuracy, guessing = float(np.ravel(found["accuracy"])[0]), float(np.ravel(found["guessing"])[0])
    return (accuracy - guessing) / (1 - guessing)


def task_of(settings: dict) -> DelayedMatch:
    """The task of a network."""
    return DelayedMatch(
        dt=settings["dt"], delay=settings["delay"], distractor=settings["task"] == "distracted"
    )


def moments(settings: dict) -> tuple[int, int, int]:
    """Numbers of steps until the end of the delay, until the second half of the test, and of a trial."""
    task = task_of(settings)
    end = round((task.fixation + task.shown + task.delay) / task.dt)
    return end, end + round(task.shown / 2 / task.dt), task.length


def answers(one: xr.Dataset, rate: np.ndarray, settings: dict) -> np.ndarray:
    """Answers `[trial]` of rates of units `[trial, time, unit]`."""
    _, late, _ = moments(settings)
    excitatory = one.sizes["excitatory"]
    scores = rate[:, late:, :excitatory] @ one["weights_out"].values.T + one["bias_out"].values
    return scores.mean(1).argmax(-1)


@torch.no_grad()
def as_units(one: xr.Dataset, settings: dict, trials: Trials) -> Outcome:
    """The network as it was trained."""
    synapse = mixed_synapses(settings["units"], settings["fast"], settings["slow"])
    core = fw.RateNetwork(
        fw.Projection(tensor(one["weights"]), synapse=synapse),
        tau=SYNAPTIC,
        dt=settings["dt"],
        noise=settings["noise"],
    )
    run = fw.simulate(core, trials.drive, record=["rate", "release"], seed=1, progress=False)
    end = moments(settings)[0] - 1
    rate, efficacy = run["rate"].values, run["release"].isel(projection=0).values
    return Outcome(answers(one, rate, settings), rate[:, end], efficacy[:, end])


def as_neurons(one: xr.Dataset, settings: dict, trials: Trials, scale: float, copies: int) -> Outcome:
    """The network as integrate-and-fire neurons, `copies` for each unit."""
    made, current = circuit(one, settings, scale, copies)
    signal = np.repeat(current * filtered(trials.drive, settings), copies, axis=-1)
    run = fw.spiking.simulate(
        made,
        signal,
        hold=round(HELD / DT),
        record=["rate", "release"],
        every=round(settings["dt"] / DT),
        seed=1,
        engine="native",
        progress=False,
    )
    counted = pooled(run["rate"].values, copies)
    keep = np.exp(-settings["dt"] / SYNAPTIC)
    smooth = np.zeros_like(counted)
    for step in range(counted.shape[1]):
        smooth[:, step] = (1 - keep) * counted[:, step] + (keep * smooth[:, step - 1] if step else 0)
    end = moments(settings)[0] - 1
    efficacy = pooled(np.nansum(run["release"].values, axis=2), copies)
    return Outcome(answers(one, smooth / scale, settings), smooth[:, end], efficacy[:, end])


def pooled(values: np.ndarray, copies: int) -> np.ndarray:
    """Means over the neurons of a unit, `[trial, time, unit]`."""
    return values.reshape(*values.shape[:-1], -1, copies).mean(-1)


def filtered(drive: Tensor, settings: dict) -> np.ndarray:
    """Input and noise of the units after their leak, `[trial, time, unit]` in samples of `HELD`."""
    samples, random = round(settings["dt"] / HELD), np.random.default_rng(1)
    keep = np.exp(-HELD / SYNAPTIC)
    held = np.repeat(drive.numpy(), samples, axis=1)
    kicks = settings["noise"] * np.sqrt(1 - keep**2) * random.standard_normal(held.shape)
    found, now = np.empty_like(held), np.zeros_like(held[:, 0])
    for step in range(held.shape[1]):
        now = keep * now + (1 - keep) * held[:, step] + kicks[:, step]
        found[:, step] = now
    return found


def circuit(one: xr.Dataset, settings: dict, scale: float, copies: int) -> tuple[Circuit, float]:
    """The circuit, and the potential in V for a field of 1."""
    gain = fw.siegert(tau=TAU, threshold=THRESHOLD, reset=0.0, refractory=REFRACTORY, sd=NOISE)
    background, current = gain.rectified(scale, *RANGE)
    weights, excitatory = one["weights"].values.astype(float), one.sizes["excitatory"]
    rule = mixed_synapses(settings["units"], settings["fast"], settings["slow"])
    members = {"E": slice(0, excitatory), "I": slice(excitatory, None)}
    neuron = {"tau": TAU, "threshold": THRESHOLD, "reset": 0.0, "refractory": REFRACTORY, "noise": NOISE}
    populations = [
        Population(name, copies * len(weights[place]), background=background, **neuron)
        for name, place in members.items()
    ]
    # One spike adds a charge of efficacy · TAU; λ · copies spikes a second are a rate of 1.
    charge = current / (scale * copies * TAU)
    connections = []
    for pre, sources in members.items():
        own = {
            name: getattr(rule, name)[sources].repeat_interleave(copies)
            for name in ("U", "tau_rec", "tau_facil")
        }
        synapse = fw.TsodyksMarkram(**own)
        for post, targets in members.items():
            matrix = charge * np.kron(weights[targets, sources], np.ones((copies, copies)))
            connections.append(Connection(pre, post, matrix, synapse=synapse, decay=SYNAPTIC))
    return Circuit(populations, connections, dt=DT), current


def versions(result: xr.Dataset) -> list[Versions]:
    """What the network has as units and as neurons."""
    over, found = "seed" if "seed" in result.dims else None, []
    for name, (label, units) in VALUES.items():
        spiking, tensors = result[f"spiking_{name}"], result[f"unit_{name}"]
        same = tensors.broadcast_like(spiking).transpose(*spiking.dims)
        found.append(Versions(label, "recall", spiking, same, units, over))
    return found


EXPLAINED = {
    "neurons for each unit": "neurons with the same synapses that stand for a unit; units are the trained network",
    "λ (Hz)": "rate of a neuron for a rate of 1 of its unit, chosen for each network; smallest and largest",
    "right (%)": "right answers from mean scores in the second half of the test; 50 % is chance",
    "gain in *": "gain of decoders at the end of the delay: 0 for chance, 1 for no error",
    "rate (Hz)": "mean rate of units at the end of the delay, of neurons over λ",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "scale": (
        "Right answers of the spiking circuit against the scale λ from activity to rate, for several "
        "numbers of neurons for each unit. Thin lines: networks; dots: means. Dashed: the trained "
        "networks; dotted: chance."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for the trained network, and one for each number of neurons for a unit."""
    rows: list[dict[str, object]] = []
    for values, at in each_setting(result, [dim for dim in SETTINGS if dim in result.dims]):
        networks = len(finite(at["unit_right"]))
        rows.append(
            {
                **values,
                "neurons for each unit": "units",
                "networks": networks,
                "λ (Hz)": "",
                **row(at, "unit"),
            }
        )
        for copies in at["copies"].values:
            here = at.sel(copies=copies)
            found, scales = row(here, "spiking"), finite(here["scale"])
            chosen = f"{scales.min():g} to {scales.max():g}" if len(scales) else ""
            interval = mean_interval(here["spiking_right"])
            said = verdict(interval, LOST, SURVIVES, ("lost", "in part", "survive")) if networks else ""
            rows.append(
                {
                    **values,
                    "neurons for each unit": f"{copies}",
                    "networks": networks,
                    "λ (Hz)": chosen,
                    **found,
                    "answers": said,
                }
            )
    return rows


def row(at: xr.Dataset, version: str) -> dict[str, str]:
    """Numbers of one version with intervals."""
    names = {
        "right": "right (%)",
        "gain_rate": "gain in rates",
        "gain_efficacy": "gain in efficacies",
        "rate": "rate (Hz)",
    }
    return {label: formatted(mean_interval(at[f"{version}_{name}"])) for name, label in names.items()}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw right answers by λ; a thin line for each network, a dashed one for the trained networks."""
    made, axis = figure(width="single", aspect=0.8)
    for copies, colour in zip(result["copies"].values, cycle(COLOURS.values()), strict=False):
        tried = result["searched"].sel(copies=copies)
        others = [dim for dim in tried.dims if dim != "scale_tried"]
        lines = (
            tried.stack(network=others).transpose("network", "scale_tried").values
            if others
            else tried.values[None]
        )
        lines = lines[np.isfinite(lines).all(-1)]
        for line in lines:
            axis.semilogx(tried["scale_tried"], line, color=colour, lw=0.5, alpha=0.5)
        if len(lines):
            axis.semilogx(
                tried["scale_tried"], lines.mean(0), "o-", ms=3, color=colour, label=f"{copies} for a unit"
            )
    whole = finite(result["unit_right"])
    if len(whole):
        axis.axhline(whole.mean(), color=COLOURS["black"], lw=0.8, ls="--", label="trained network")
    axis.axhline(50, color=COLOURS["black"], lw=0.7, ls=":")
    axis.set(xlabel="λ (Hz)", ylabel="right answers (%)", ylim=(20, 103))
    if axis.get_legend_handles_labels()[0]:  # else nobody has learned
        axis.legend(loc="lower right")
    return {"scale": made}

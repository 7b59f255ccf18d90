"""Does a trained network hold a sample in its activity or in its synapses, and does manipulation raise activity?

After Masse, Yang, Song, Wang & Freedman 2019, Nature Neuroscience 22:1159. A rate network with excitatory and
inhibitory units, half of them with facilitating and half with depressing synapses, learns to say whether a test
matches a sample that was shown before a delay. `dms` asks for the same direction, `dmrs45`, `dmrs90` and `dmrs180` for
the direction that is so many degrees further, `dmc` for any direction of the same half of the circle, and `distracted`
is `dms` with another direction in the middle of the delay. (`silent_memory` is the spiking network of Mongillo et al.)

    fwsim run trained_silent_memory --task dmrs90
    fwsim sweep trained_silent_memory --over task=dms,dmrs90 --seeds 5

The recording holds, for test trials, the rates and the synaptic efficacies u·x of all units. It also has the share of
right answers if rates or efficacies are exchanged between trials. As in the published code
(nmasse/Short-term-plasticity-RNN, `simulate_network`) this is done once at the end of the sample and once at the end of
the delay, in the last step before what follows, and the trial then goes on with its own inputs. Trials are exchanged
among those with the same test, so that no answer is right more often than in half of them if nothing else is known
(the published code exchanges all trials). Exchanged activity is all that units carry, also below threshold. In
another run of the same trials all units get the same input in the last 100 ms of the delay, a ping.

What differs from the published code: time steps of 25 ms with a scheme of second order instead of 10 ms with Euler's,
1,000 training steps of 32 trials instead of 2,000 of 1,024, the weights of the epoch with the smallest validation loss
instead of the last, and activity that starts at 0 instead of a trained value.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.engine import State
from fwsim.models import MatchingNetwork
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import DelayedMatch, Trials
from fwsim.training import train_trials

QUICK = {"units": 50, "dt": 0.05, "steps": 200, "test_trials": 200, "repetitions": 2}

EPOCHS = 20
"""Validations in a training; all trials are drawn anew."""
SAMPLED = 0.1
"""Time between recorded samples, and duration of the ping, in s."""
MOMENTS = ("sample", "delay")
"""At whose end states are exchanged."""
EXCHANGED = ("activity", "efficacy", "both")
"""What is exchanged between trials."""
Task = Literal["dms", "dmrs45", "dmrs90", "dmrs180", "dmc", "distracted"]


class Config(Base):
    """One network on one task."""

    task: Task = "dms"
    "What the network learns."
    units: int = Field(default=100, ge=5)
    "Units, of which four fifths are excitatory."
    fast: Seconds = Field(default=0.2, gt=0)
    "Time constant of recovery where synapses facilitate, and of facilitation where they depress."
    slow: Seconds = Field(default=1.5, gt=0)
    "Time constant of facilitation where synapses facilitate, and of recovery where they depress."
    noise: float = Field(default=0.5, ge=0)
    "Standard deviation that noise alone gives to the activity."
    delay: Seconds = Field(default=1.0, gt=0)
    "Time between sample and test; a multiple of 100 ms."
    dt: Seconds = Field(default=0.025, gt=0)
    "Time step; a fraction of 100 ms."
    steps: int = Field(default=1_000, ge=EPOCHS, multiple_of=EPOCHS)
    "Training steps; a multiple of 20."
    batch: int = Field(default=32, ge=1)
    "Trials in a training step."
    learning_rate: float = Field(default=0.02, gt=0)
    "Learning rate of Adam."
    clip: float = Field(default=0.1, gt=0)
    "Largest norm of the gradient of each parameter."
    rate_cost: float = Field(default=0.02, ge=0)
    "Weight of the mean squared rate in the loss."
    test_trials: int = Field(default=512, ge=100)
    "Trials that are tested and recorded."
    repetitions: int = Field(default=3, ge=1)
    "Number of random exchanges between trials."
    ping: float = Field(default=2.0, ge=0)
    "Input to all units in the last 100 ms of the delay, in a run of its own."


class Ends(NamedTuple):
    """Numbers of steps after which the sample and the delay end."""

    sample: int
    delay: int


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, record."""
    task = task_of(config)
    every = check_samples(task)
    with context.random_state("weights"):
        model = MatchingNetwork(task, config.units, fast=config.fast, slow=config.slow, noise=config.noise)
    history = trained(model, task, config, context)
    test = task.sample(config.test_trials, context.generator("test"))
    seed = context.seed_of("test noise")
    recording = xr.merge(
        [
            recorded(model, test, every, seed),
            answered(model, task, test, seed),
            exchanged(model, task, test, config.repetitions, seed, context),
            pinged(model, task, test, config.ping, seed),
            described(task, test),
        ],
        combine_attrs="drop_conflicts",
    )
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def task_of(config: Config) -> DelayedMatch:
    """The task by its name."""
    rotation = float(config.task.removeprefix("dmrs")) if config.task.startswith("dmrs") else 0.0
    return DelayedMatch(
        dt=config.dt,
        delay=config.delay,
        rotation=rotation,
        category=config.task == "dmc",
        distractor=config.task == "distracted",
    )


def check_samples(task: DelayedMatch) -> int:
    """Steps between recorded samples; raise `ConfigError` unless sample and delay end at one."""
    every = round(SAMPLED / task.dt)
    if abs(every * task.dt - SAMPLED) > 1e-9 or any(step % every for step in ends(task)):
        raise fw.ConfigError(
            f"dt={task.dt:g} or delay={task.delay:g} does not fit samples every {SAMPLED:g} s; "
            "give a dt that divides 0.1 s, and a delay of a multiple of 0.1 s"
        )
    return every


def ends(task: DelayedMatch) -> Ends:
    """When sample and delay end."""
    sample = round((task.fixation + task.shown) / task.dt)
    return Ends(sample, sample + round(task.delay / task.dt))


def trained(model: MatchingNetwork, task: DelayedMatch, config: Config, context: Context) -> xr.Dataset:
    """Train with new trials and new noise in every step."""
    return train_trials(
        model,
        task,
        context,
        steps=config.steps,
        batch=config.batch,
        epochs=EPOCHS,
        learning_rate=config.learning_rate,
        clip=config.clip,
        rate_cost=config.rate_cost,
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )


@torch.no_grad()
def recorded(model: MatchingNetwork, test: Trials, every: int, seed: int) -> xr.Dataset:
    """Rates and efficacies of all units, `[trial, time, unit]`."""
    device = model.bias_in.device
    run = fw.simulate(
        model.core,
        model.drive(test.inputs.to(device)),
        record=["rate", "release"],
        every=every,
        seed=seed,
        progress=False,
    )
    efficacy = run["release"].isel(projection=0, drop=True)
    values = {
        "rate": (run["rate"].dims, run["rate"].values.astype(np.float32), "Hz", "rate"),
        "efficacy": (efficacy.dims, efficacy.values.astype(np.float32), "1", "synaptic efficacy u·x"),
    }
    return labelled_dataset(values, coords={"time": run["time"]})


def described(task: DelayedMatch, test: Trials) -> xr.Dataset:
    """What the trials were, and when sample and delay ended."""
    sample = test.sample[:, 0]
    remembered = sample // (task.motion.directions // 2) if task.category else sample
    ended = [task.dt * step for step in ends(task)]
    return labelled_dataset(
        {
            "remembered": ("trial", remembered.numpy(), "1", "direction, or half of the circle, to remember"),
            "test": ("trial", test.test[:, 0].numpy(), "1", "direction of the test"),
            "match": ("trial", test.match[:, 0].numpy(), "1", "whether the test matches"),
            "ended": ("moment", ended, "s", "end of sample and delay"),
        },
        coords={"moment": list(MOMENTS)},
    )


def share(model: MatchingNetwork, test: Trials, step: int, state: State, seed: int) -> float:
    """Right answers (%) of trials that go on from a state before this step."""
    rest = test._replace(
        inputs=test.inputs[:, step:], target=test.target[:, step:], weight=test.weight[:, step:]
    )
    rate, _ = model.core(model.drive(rest.inputs.to(state.hidden)), state, seed=seed)
    return 100 * float(rest.correct(model.scores(rate).argmax(-1).cpu()).mean())


@torch.no_grad()
def answered(model: MatchingNetwork, task: DelayedMatch, test: Trials, seed: int) -> xr.Dataset:
    """Right answers of undisturbed trials."""
    state = model.core.initial_state(len(test.sample))
    value = ((), share(model, test, 0, state, seed), "%", "right answers")
    return labelled_dataset({"accuracy": value})


@torch.no_grad()
def exchanged(
    model: MatchingNetwork, task: DelayedMatch, test: Trials, repetitions: int, seed: int, context: Context
) -> xr.Dataset:
    """Right answers after activity, efficacies, or both (separately) went to other trials with the same test."""
    generator, inputs = context.generator("exchange"), test.inputs.to(context.device)
    found = np.empty((len(MOMENTS), len(EXCHANGED), repetitions))
    for moment, step in enumerate(ends(task)):
        _, state = model.core(model.drive(inputs[:, :step]), seed=seed)
        for repetition in range(repetitions):
            other, another = (within(test.test[:, 0], generator).to(context.device) for _ in range(2))
            same = torch.arange(len(other), device=context.device)
            orders = {"activity": (other, same), "efficacy": (same, other), "both": (other, another)}
            for kind, name in enumerate(EXCHANGED):
                mixed = reordered(state, *orders[name])
                found[moment, kind, repetition] = share(model, test, step, mixed, seed)
    value = (("moment", "exchanged", "repetition"), found, "%", "right answers after an exchange")
    return labelled_dataset(
        {"exchanged_accuracy": value}, coords={"moment": list(MOMENTS), "exchanged": list(EXCHANGED)}
    )


def within(group: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation `[trial]` that leaves each trial in its group."""
    orders = (torch.randperm(len(group), generator=generator) for _ in range(2))
    first, second = (order[torch.argsort(group[order], stable=True)] for order in orders)
    return torch.empty_like(first).index_copy(0, first, second)


def reordered(state: State, activity: Tensor, efficacy: Tensor) -> State:
    """The state with the activity and the synapses of other trials, whose numbers are given."""
    synapses = {name: value[efficacy] for name, value in state.variables.items()}
    return State(state.hidden[activity], None, state.step, synapses)


@torch.no_grad()
def pinged(model: MatchingNetwork, task: DelayedMatch, test: Trials, ping: float, seed: int) -> xr.Dataset:
    """Rates at the end of a ping of all units, `[trial, unit]`, and right answers after it."""
    drive, end = model.drive(test.inputs.to(model.bias_in)), ends(task).delay
    drive[:, end - round(SAMPLED / task.dt) : end] += ping
    rate, _ = model.core(drive, seed=seed)
    right = 100 * float(test.correct(model.scores(rate).argmax(-1).cpu()).mean())
    values = {
        "pinged_rate": (("trial", "unit"), rate[:, end - 1].cpu().numpy(), "Hz", "rate at the end of a ping"),
        "pinged_accuracy": ((), right, "%", "right answers after a ping"),
    }
    return labelled_dataset(values)

"""Does a trained network hold a sample in its activity or in its synapses, and does manipulation raise activity?

After Masse, Yang, Song, Wang & Freedman 2019, Nature Neuroscience 22:1159. A rate network with excitatory and
inhibitory units, half of them with facilitating and half with depressing synapses, learns to say whether a test
matches a sample that was shown before a delay. (`silent_memory` is the spiking network of Mongillo et al.)

- `dms` asks for the same direction, `dmrs45`, `dmrs90`, `dmrs180` and `dmrs90ccw` for the direction that is so many
  degrees further (`ccw`: back), `dmc` for any direction of the same half of the circle. `distracted` is `dms` with
  another direction in the middle of the delay.
- `abba` and `abca` show three tests, each after a delay. In `abba` a test that does not match may repeat the one before
  it, so a repetition is no sign of a match.
- `dual` shows two samples in two receptive fields, then two tests. In the second half of each delay a cue tells which
  field will be tested.

    fwsim run trained_silent_memory --task dmrs90
    fwsim run trained_silent_memory --task dual
    fwsim sweep trained_silent_memory --over task=dms,dmrs90 --seeds 5
    fwsim sweep trained_silent_memory --over task=abba,abca --seeds 5

The recording holds, for test trials, the rates and the synaptic efficacies u·x of all units. It also has the share of
right answers if rates or efficacies are exchanged between trials. As in the published code
(nmasse/Short-term-plasticity-RNN, `simulate_network`) this is done once at the end of the sample and once at the end of
the delay, in the last step before what follows, and the trial then goes on with its own inputs. Trials are exchanged
among those with the same test, so that no answer is right more often than in half of them if nothing else is known
(the published code exchanges all trials). Exchanged activity is all that units carry, also below threshold. In another
run of the same trials all units get the same input in the last 100 ms of the delay, a ping.

With several tests, answers to the second one count, *the delay* is the one before it, and trials end with it. The tests
of a trial tell about each other, so that somebody who does not know the sample would be right in 62 % of the second
tests of `abba`, 75 % in `abca` and 61 % in `dual`. Test trials are therefore chosen such that this is 50 %, as in the
other tasks: half of the second tests match; in `abba` and `abca` the first test is not the sample, and the second is
not the first; in `dual` the second test asks about the field that the first did not ask about. The network is trained
on all trials, and `task_accuracy` is the share of right answers to all their tests.

What differs from the published code: time steps of 25 ms with a scheme of second order instead of 10 ms with Euler's,
1,000 training steps of 32 trials instead of 2,000 of 1,024, the weights of the epoch with the smallest validation loss
instead of the last, and activity that starts at 0 instead of a trained value. With several tests, that code exchanges
states before the first test in `abba` and `abca`, and uses all trials.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

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
from fwsim.tasks import DelayedMatch, DualMatch, SequentialMatch, Trials
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
Name = Literal["dms", "dmrs45", "dmrs90", "dmrs180", "dmrs90ccw", "dmc", "distracted", "abba", "abca", "dual"]
Task: TypeAlias = DelayedMatch | SequentialMatch | DualMatch
TASKS: dict[Name, Callable[..., Task]] = {
    "dms": DelayedMatch,
    "dmrs45": partial(DelayedMatch, rotation=45),
    "dmrs90": partial(DelayedMatch, rotation=90),
    "dmrs180": partial(DelayedMatch, rotation=180),
    "dmrs90ccw": partial(DelayedMatch, rotation=-90),
    "dmc": partial(DelayedMatch, category=True),
    "distracted": partial(DelayedMatch, distractor=True),
    "abba": partial(SequentialMatch, repeats=0.5),
    "abca": partial(SequentialMatch, repeats=0.0),
    "dual": DualMatch,
}


class Config(Base):
    """One network on one task."""

    task: Name = "dms"
    "What the network learns."
    units: int = Field(default=100, ge=5)
    "Units, of which four fifths are excitatory."
    fast: Seconds = Field(default=0.2, gt=0)
    "Time constant of recovery where synapses facilitate, and of facilitation where they depress."
    slow: Seconds = Field(default=1.5, gt=0)
    "Time constant of facilitation where synapses facilitate, and of recovery where they depress."
    noise: float = Field(default=0.5, ge=0)
    "Standard deviation that noise alone gives to the activity."
    delay: Seconds | None = Field(default=None, gt=0)
    "Time before each test, a multiple of 100 ms; by default 0.4 s in `abba` and `abca`, else 1 s."
    dt: Seconds = Field(default=0.025, gt=0)
    "Time step: 50 ms or a fraction of it."
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


class Epochs(NamedTuple):
    """Steps of the sample, of the test whose answer counts, and of the delay before it."""

    sample: slice
    delay: slice
    test: slice


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, record."""
    task = task_of(config)
    every = check_samples(task)
    with context.random_state("weights"):
        model = MatchingNetwork(task, config.units, fast=config.fast, slow=config.slow, noise=config.noise)
    history = trained(model, task, config, context)
    test = asked_trials(task, config.test_trials, context.generator("test"))
    seed = context.seed_of("test noise")
    recording = xr.merge(
        [
            recorded(model, test, every, seed),
            answered(model, task, test, config, context),
            exchanged(model, task, test, config.repetitions, seed, context),
            pinged(model, task, test, config.ping, seed),
            described(task, test),
        ],
        combine_attrs="drop_conflicts",
    )
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def task_of(config: Config) -> Task:
    """The task by its name."""
    delay = {} if config.delay is None else {"delay": config.delay}
    return TASKS[config.task](dt=config.dt, **delay)


def check_samples(task: Task) -> int:
    """Steps between recorded samples; raise `ConfigError` unless sample and delay end at one."""
    every = round(SAMPLED / task.dt)
    if abs(every * task.dt - SAMPLED) > 1e-9 or any(each.stop % every for each in epochs(task)):
        raise fw.ConfigError(
            f"dt={task.dt:g} or delay={task.delay:g} does not fit samples every {SAMPLED:g} s; "
            "give a dt that divides 0.05 s, and a delay of a multiple of 0.1 s"
        )
    return every


def counted(task: Task) -> int:
    """Number of the test whose answer counts: the second of several."""
    return 0 if isinstance(task, DelayedMatch) else 1


def epochs(task: Task) -> Epochs:
    """When there are sample, delay and test."""
    fixation, shown, delay = (round(each / task.dt) for each in (task.fixation, task.shown, task.delay))
    sample = slice(fixation, fixation + shown)
    begin = sample.stop + counted(task) * (delay + shown)
    return Epochs(sample, slice(begin, begin + delay), slice(begin + delay, begin + delay + shown))


def asked_trials(task: Task, count: int, generator: torch.Generator) -> Trials:
    """Trials up to the test that counts, of which nothing but the sample tells whether it matches."""
    if isinstance(task, DelayedMatch):
        return task.sample(count, generator)
    wanted = {True: count // 2, False: count - count // 2}
    found: list[Trials] = []
    while any(wanted.values()):
        trials = task.sample(count, generator)
        usable = told_by_the_sample(task, trials)
        for match, missing in wanted.items():
            chosen = torch.nonzero(usable & (trials.match[:, 1] == match))[:missing, 0]
            found.append(Trials(*(each[chosen] for each in trials)))
            wanted[match] -= len(chosen)
    test = epochs(task).test
    inputs, target, weight, *others = (torch.cat(each) for each in zip(*found, strict=True))
    weight[:, : test.start] = 0
    return Trials(inputs[:, : test.stop], target[:, : test.stop], weight[:, : test.stop], *others)


def told_by_the_sample(task: SequentialMatch | DualMatch, trials: Trials) -> Tensor:
    """Whether nothing but the sample tells if the second test matches, `[trial]`."""
    first, second = trials.test[:, 0], trials.test[:, 1]
    if isinstance(task, DualMatch):
        return trials.asked[:, 0] != trials.asked[:, 1]
    return (first != trials.sample[:, 0]) & (second != first)


def trained(model: MatchingNetwork, task: Task, config: Config, context: Context) -> xr.Dataset:
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


def described(task: Task, test: Trials) -> xr.Dataset:
    """What the trials were, and when sample and delay were."""
    asked = test.asked[:, counted(task), None]
    remembered = test.sample.gather(1, asked)[:, 0]
    if isinstance(task, DelayedMatch) and task.category:
        remembered = remembered // (task.motion.directions // 2)
    moments = epochs(task)[: len(MOMENTS)]
    values = {
        "remembered": ("trial", remembered.numpy(), "1", "direction, or half of the circle, to remember"),
        "test": ("trial", test.test[:, counted(task)].numpy(), "1", "direction of the test"),
        "match": ("trial", test.match[:, counted(task)].numpy(), "1", "whether the test matches"),
        "began": ("moment", [task.dt * each.start for each in moments], "s", "begin of sample and delay"),
        "ended": ("moment", [task.dt * each.stop for each in moments], "s", "end of sample and delay"),
    }
    if isinstance(task, DualMatch):
        other = test.sample.gather(1, 1 - asked)[:, 0]
        values["other"] = (
            "trial",
            other.numpy(),
            "1",
            "direction of the sample that the first test asked about",
        )
    return labelled_dataset(values, coords={"moment": list(MOMENTS)})


def share(model: MatchingNetwork, test: Trials, step: int, state: State, seed: int) -> float:
    """Right answers (%) of trials that go on from a state before this step."""
    rest = test._replace(
        inputs=test.inputs[:, step:], target=test.target[:, step:], weight=test.weight[:, step:]
    )
    rate, _ = model.core(model.drive(rest.inputs.to(state.hidden)), state, seed=seed)
    return 100 * float(rest.correct(model.scores(rate).argmax(-1).cpu()).mean())


@torch.no_grad()
def answered(
    model: MatchingNetwork, task: Task, test: Trials, config: Config, context: Context
) -> xr.Dataset:
    """Right answers of undisturbed trials, and with several tests those to all tests."""
    values = {"accuracy": ((), whole(model, test, context.seed_of("test noise")), "%", "right answers")}
    if not isinstance(task, DelayedMatch):
        trials = task.sample(config.test_trials, context.generator("all tests"))
        right = whole(model, trials, context.seed_of("noise of all tests"))
        values["task_accuracy"] = ((), right, "%", "right answers to all tests")
    return labelled_dataset(values)


def whole(model: MatchingNetwork, trials: Trials, seed: int) -> float:
    """Right answers (%) of trials from their beginning."""
    return share(model, trials, 0, model.core.initial_state(len(trials.sample)), seed)


@torch.no_grad()
def exchanged(
    model: MatchingNetwork, task: Task, test: Trials, repetitions: int, seed: int, context: Context
) -> xr.Dataset:
    """Right answers after activity, efficacies, or both (separately) went to other trials with the same test."""
    generator, inputs = context.generator("exchange"), test.inputs.to(context.device)
    group = test.test[:, counted(task)]
    found = np.empty((len(MOMENTS), len(EXCHANGED), repetitions))
    for moment, step in enumerate(each.stop for each in epochs(task)[: len(MOMENTS)]):
        _, state = model.core(model.drive(inputs[:, :step]), seed=seed)
        for repetition in range(repetitions):
            other, another = (within(group, generator).to(context.device) for _ in range(2))
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
def pinged(model: MatchingNetwork, task: Task, test: Trials, ping: float, seed: int) -> xr.Dataset:
    """Rates at the end of a ping of all units, `[trial, unit]`, and right answers after it."""
    drive, end = model.drive(test.inputs.to(model.bias_in)), epochs(task).delay.stop
    drive[:, end - round(SAMPLED / task.dt) : end] += ping
    rate, _ = model.core(drive, seed=seed)
    right = 100 * float(test.correct(model.scores(rate).argmax(-1).cpu()).mean())
    values = {
        "pinged_rate": (("trial", "unit"), rate[:, end - 1].cpu().numpy(), "Hz", "rate at the end of a ping"),
        "pinged_accuracy": ((), right, "%", "right answers after a ping"),
    }
    return labelled_dataset(values)

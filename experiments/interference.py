"""What do several time scales do to proactive interference, and does the delta rule escape it?

Keys and values are random unit vectors. They are stored as pairs in an associative memory, value keyᵀ, one a second.
Then a key is asked for, and the answer is the stored value nearest to the output of the memory. The past interferes in
three ways:

- *re-use*: a key is stored `repeats` times with an old value, then once with a new one, and asked for after a delay.
  In a Hebbian memory the new value wins as long as κ(new) > Σ κ(old). With one time scale both decay alike, so the
  winner never changes. With several, the new value is mainly in the fast part and the old one in the slow part, so
  the old value returns (spontaneous recovery) once Σ κ(old) is larger. The delta rule replaces instead of adding.
- *similar items*: the keys of a list share part of their direction, at correlation ρ.
- *distractors*: other pairs are stored before (proactive) or after (retroactive) the one that is asked for.

Expect spontaneous recovery with several time scales only. Nothing is trained.

    fwsim run interference --repeats 5 --short 2s --long 200s
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt
from torch import Tensor

import fwsim as fw
from fwsim.rules import MemoryRule
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {
    "trials": 60,
    "delays": (0, 3, 10, 30, 100),
    "correlations": (0.0, 0.4, 0.8),
    "distractors": (0, 10, 30),
}


class Config(Base):
    """Memories and the ways in which they are disturbed."""

    units: int = Field(default=64, ge=2)
    "Length N of keys and values."
    short: Seconds = Field(default=5.0, gt=0)
    "Shortest time constant of the memories that are compared."
    long: Seconds = Field(default=500.0, gt=0)
    "Longest time constant of the memories that are compared; the power law ends there."
    trials: int = Field(default=400, ge=2)
    "Independent lists."
    repeats: int = Field(default=2, ge=1)
    "Times that the re-used key is stored with its old value."
    between: int = Field(default=5, ge=0)
    "Other pairs between the old and the new value."
    delays: tuple[NonNegativeInt, ...] = Field(
        default=(0, 1, 2, 3, 5, 8, 13, 20, 30, 50, 80, 130), min_length=1
    )
    "Seconds from the new value to the question, without anything being stored."
    length: int = Field(default=8, ge=2)
    "Pairs of the list with similar keys."
    correlations: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 0.9), min_length=1
    )
    "Correlations ρ of the keys of the list with similar keys."
    distractors: tuple[NonNegativeInt, ...] = Field(default=(0, 3, 10, 30, 100), min_length=1)
    "Pairs stored before, or after, the one that is asked for."


def memories(config: Config) -> dict[str, MemoryRule]:
    """The memories that are compared; Hebbian ones have total strength 1."""
    power_law = fw.Hebbian.power_law(0.5, shortest=1.0, longest=config.long)
    return {
        "short": fw.Hebbian(tau=config.short, eta=1.0),
        "long": fw.Hebbian(tau=config.long, eta=1.0),
        "two": fw.Hebbian(tau=[config.short, config.long], eta=[0.85, 0.15]),
        "power law": fw.Hebbian(tau=power_law.tau, eta=power_law.eta / power_law.eta.sum()),
        "delta, short": fw.Delta(beta=1.0, tau=config.short),
        "delta, long": fw.Delta(beta=1.0, tau=config.long),
    }


@torch.no_grad()
def run(config: Config, context: Context) -> xr.Dataset:
    """Ask every memory under every disturbance."""
    compared = memories(config)
    parts: list[Callable[[MemoryRule, Config, Context], xr.Dataset]] = [reuse, similar, distracted]
    with context.progress("interference", len(compared) * len(parts)) as advance:
        rows = []
        for rule in compared.values():
            row = []
            for part in parts:
                row.append(part(rule, config, context))
                advance()
            rows.append(xr.merge(row))
    recording = xr.concat(rows, "memory").assign_coords(memory=list(compared))
    recording["delay"] = "delay", list(config.delays), {"units": "s", "long_name": "delay of the question"}
    recording["correlation"] = "correlation", list(config.correlations)
    recording["distractors"] = "distractors", list(config.distractors)
    for name, label in LABELS.items():
        recording[name].attrs = {"units": "1", "long_name": label}
    return recording


LABELS = {
    "new": "overlap with the new value",
    "old": "overlap with the old value",
    "reuse_answer": "answer: 0 the new value, 1 the old one, above another",
    "expected_new": "weight of the new value, κ",
    "expected_old": "weight of the old value, Σ κ",
    "similar_right": "right answer in a list with similar keys",
    "proactive_right": "right answer after distractors stored before",
    "retroactive_right": "right answer after distractors stored since",
    "correlation": "correlation of the keys",
    "distractors": "other pairs stored",
}


def reuse(rule: MemoryRule, config: Config, context: Context) -> xr.Dataset:
    """A key with an old value `repeats` times, other pairs, then the key with a new value, then a delay."""
    generator = context.generator("reuse")
    key, new, old = unit_vectors(config, 3, generator).unbind(1)
    keys, values = unit_vectors(config, 2 * config.between, generator).chunk(2, 1)
    pairs = [(key, old)] * config.repeats + list(zip(keys.unbind(1), values.unbind(1), strict=True))
    memory = store(rule, [*pairs, (key, new)], context)
    candidates = torch.stack([new, old, *values.unbind(1)], 1)
    answers, overlaps = [], []
    for delay in config.delays:
        reply = rule.read(kept(rule, memory, delay), key.to(memory))
        overlap = similarity(candidates, reply)
        overlaps.append(overlap[:, :2])
        answers.append(overlap.argmax(1))
    overlap = torch.stack(overlaps, 1).cpu().numpy()
    new_weight, old_weight = weights(rule, config)
    return xr.Dataset(
        {
            "new": (("trial", "delay"), overlap[..., 0]),
            "old": (("trial", "delay"), overlap[..., 1]),
            "reuse_answer": (("trial", "delay"), torch.stack(answers, 1).cpu().numpy()),
            "expected_new": ("delay", new_weight),
            "expected_old": ("delay", old_weight),
        }
    )


def weights(rule: MemoryRule, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """κ of the new value and Σ κ of the old ones at each delay; the delta rule has no kernel."""
    delays = torch.tensor(config.delays)
    if not isinstance(rule, fw.Hebbian):
        return (np.full(len(delays), np.nan),) * 2
    ages = delays[:, None] + config.between + 1 + torch.arange(config.repeats)
    old = rule.kernel(ages.flatten(), 1.0).reshape(ages.shape).sum(1)
    return rule.kernel(delays, 1.0).numpy(), old.numpy()


def similar(rule: MemoryRule, config: Config, context: Context) -> xr.Dataset:
    """A list whose keys share part of their direction; each of its keys is asked for."""
    right = []
    for correlation in config.correlations:
        generator = context.generator("similar")  # the same list, only its keys closer
        shared = unit_vectors(config, 1, generator)
        keys, values = unit_vectors(config, 2 * config.length, generator).chunk(2, 1)
        keys = correlation**0.5 * shared + (1 - correlation) ** 0.5 * keys
        keys = keys / keys.norm(dim=-1, keepdim=True)
        memory = store(rule, zip(keys.unbind(1), values.unbind(1), strict=True), context)
        replies = torch.stack([rule.read(memory, key.to(memory)) for key in keys.unbind(1)], 1)
        answers = torch.stack([similarity(values, reply).argmax(1) for reply in replies.unbind(1)], 1).cpu()
        right.append((answers == torch.arange(config.length)).double().mean(1))
    return xr.Dataset({"similar_right": (("trial", "correlation"), torch.stack(right, 1).numpy())})


def distracted(rule: MemoryRule, config: Config, context: Context) -> xr.Dataset:
    """One pair with others before it, or after it."""
    proactive, retroactive = [], []
    for count in config.distractors:
        generator = context.generator("distractors")
        key, value = unit_vectors(config, 2, generator).unbind(1)
        keys, values = unit_vectors(config, 2 * count, generator).chunk(2, 1)
        others = list(zip(keys.unbind(1), values.unbind(1), strict=True))
        candidates = torch.cat([value[:, None], values], 1)
        for order, right in (
            ([*others, (key, value)], proactive),
            ([(key, value), *others], retroactive),
        ):
            reply = rule.read(store(rule, order, context), key.to(context.device))
            right.append((similarity(candidates, reply).argmax(1) == 0).double().cpu())
    return xr.Dataset(
        {
            "proactive_right": (("trial", "distractors"), torch.stack(proactive, 1).numpy()),
            "retroactive_right": (("trial", "distractors"), torch.stack(retroactive, 1).numpy()),
        }
    )


def store(rule: MemoryRule, pairs: Iterable[tuple[Tensor, Tensor]], context: Context) -> Tensor:
    """Write pairs of key and value, one a second, into an empty memory: `[trial, timescale, post, pre]`."""
    pairs = [(key.to(context.device), value.to(context.device)) for key, value in pairs]
    trials, units = pairs[0][0].shape
    memory = pairs[0][0].new_zeros(trials, rule.timescales, units, units)
    for key, value in pairs:
        memory = rule.write(memory, key, value, 1.0)
    return memory


def kept(rule: MemoryRule, memory: Tensor, delay: float) -> Tensor:
    """What a delay in which nothing is stored leaves."""
    return memory * torch.exp(-delay / rule.tau).to(memory)[:, None, None]


def similarity(candidates: Tensor, reply: Tensor) -> Tensor:
    """Scalar product of an answer with each candidate: `[trial, candidate]`."""
    return torch.einsum("bcn,bn->bc", candidates.to(reply), reply)


def unit_vectors(config: Config, count: int, generator: torch.Generator) -> Tensor:
    """Random directions, `[trial, count, unit]`."""
    vectors = torch.randn(config.trials, count, config.units, generator=generator, dtype=torch.float64)
    return vectors / vectors.norm(dim=-1, keepdim=True)

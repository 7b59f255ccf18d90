"""Claim: a GPU trains 50 fast-weight units on associative retrieval to under 1 % error within a minute.

    python benchmarks/gpu_training.py [--quick]

Sequences, network, schedule and validation of `fwsim run associative_retrieval --units 50`, with the loop written out,
so that torch, NumPy and triton are enough. The time is that of training and validation, compiling included. With
--quick on any device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import nn

import fwsim as fw
from engine.report import arguments, publish
from fwsim.models import SequenceClassifier, core
from fwsim.training import cross_entropy, error_rate, shuffled

SEQUENCES = {"training": 100_000, "validation": 10_000, "test": 20_000}
EPOCHS, BATCH, PEAK = 16, 128, 3e-3


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    if not (options.quick or torch.cuda.is_available()):
        print("no CUDA device here: nothing is timed; run this on a machine with one")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    task = fw.tasks.AssociativeRetrieval()
    drawn = {
        name: task.sample(number // 50 if options.quick else number, torch.Generator().manual_seed(seed))
        for seed, (name, number) in enumerate(SEQUENCES.items())
    }
    torch.manual_seed(0)
    recurrent = core("fast_weights", 100, 50, fw.Hebbian.from_decay(0.95, eta=0.5), 1)
    model = SequenceClassifier(recurrent, task.tokens, task.classes).to(device)
    rows = []
    for row in epochs(model, drawn["training"], drawn["validation"], 2 if options.quick else EPOCHS, device):
        rows.append(row)
        print(row, flush=True)
    reached = [row["seconds"] for row in rows if row["validation error, %"] < 1]
    publish(
        "gpu_training",
        rows,
        quick=options.quick,
        device=torch.cuda.get_device_name() if device == "cuda" else device,
        **{
            "seconds to under 1 %": reached[0] if reached else "not reached",
            "test error, %": 100 * error_rate(model, drawn["test"], device),
        },
    )


def epochs(
    model: nn.Module, training: fw.tasks.Sequences, validation: fw.tasks.Sequences, number: int, device: str
) -> Iterator[dict]:
    """Train, and give a row of the table after each epoch."""
    steps = math.ceil(len(training.target) / BATCH)
    optimiser = torch.optim.Adam(model.parameters(), lr=PEAK, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=PEAK, total_steps=number * steps + 1)
    batches = shuffled(training, BATCH, lambda epoch: torch.Generator().manual_seed(epoch), device)
    began = time.perf_counter()
    for epoch in range(number):
        losses = []
        for batch in batches(epoch):
            loss = cross_entropy(model, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        yield {
            "epoch": epoch + 1,
            "loss": float(torch.stack(losses).mean()),
            "validation error, %": 100 * error_rate(model, validation, device),
            "seconds": time.perf_counter() - began,
        }


if __name__ == "__main__":
    main()

"""What the processes of `tests/training/test_processes.py` run: torchrun -m tests.training.together FOLDER DEVICE."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

import fwsim as fw
from fwsim.engine.threads import use_threads
from fwsim.training import Training, train
from fwsim.training.processes import processes


class Part(NamedTuple):
    """A batch with a part of its own and something that is no tensor."""

    x: dict[str, torch.Tensor]
    y: torch.Tensor
    name: str = "part"


class Answer(nn.Module):
    """A fast-weight network, its answer, and a parameter that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.core = fw.FastWeightNetwork(3, 5, fw.Hebbian(tau=5.0, eta=0.5), kernel="reference")
        self.answer = nn.Linear(5, 1)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.answer(self.core(x)[0][:, -1])

    def scale(self):
        """Anything but `forward` may be called too."""
        return self.answer.weight.detach().abs().mean()


def objective(model, batch):
    model.scale()
    return (model(batch.x["x"]) - batch.y).square().mean()


def data(examples=23):
    x = torch.randn(examples, 4, 3, generator=torch.Generator().manual_seed(1))
    return x, x.sum((1, 2))[:, None].tanh()


def batches(epoch, device="cpu"):
    """Batches of 11, 11 and 1 of 23 examples: uneven shares, and one of nothing."""
    x, y = (each.to(device) for each in data())
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch)).to(device)
    return [Part({"x": x[rows]}, y[rows]) for rows in order.split(11)]


def fitted(folder, device):
    torch.manual_seed(processes().rank)  # the first process says where all begin
    model, device = Answer(), fw.study.pick_device(device)
    x, y = (each.to(device) for each in data())
    history = train(
        model,
        objective,
        lambda epoch: batches(epoch, device),
        3,
        lambda model: objective(model, Part({"x": x}, y)),
        Training(4, 0.03, clip=1.0, patience=3),
        checkpoints=folder,
        device=device,
    )
    return model, history


def diverging(folder):
    """Only one process meets the number that is not finite."""

    def infinite(model, batch):
        bad = processes().rank == processes().count - 1
        return objective(model, batch) * (float("inf") if bad else 1.0)

    try:
        train(Answer(), infinite, batches, 3, lambda model: 0.0, Training(1))
    except fw.DivergedError as error:
        return str(error)


def refused():
    try:
        train(
            Answer(),
            objective,
            lambda epoch: [(torch.ones(2), torch.ones(3))],
            1,
            lambda model: 0.0,
            Training(1),
        )
    except fw.ShapeError as error:
        return str(error)


EXPERIMENT = '''"""Do several processes keep one run?"""

import os
import time

import torch

import fwsim as fw
from fwsim.training import Training, train


class Config(fw.study.Config):
    epochs: int = 3
    "Epochs."
    pause: float = 0.0
    "Seconds a step."


def run(config, context):
    x = torch.randn(32, 3, generator=context.generator("x"))
    torch.manual_seed(context.seed_of("weights"))
    model = torch.nn.Linear(3, 1)

    def batches(epoch):
        for rows in torch.arange(32).split(8):
            time.sleep(config.pause)
            yield x[rows], x[rows].sum(1, keepdim=True)

    def objective(model, batch):
        return (model(batch[0]) - batch[1]).square().mean()

    history = train(
        model, objective, batches, 4, lambda model: 1.0, Training(config.epochs, schedule="constant"),
        checkpoints=context.checkpoints, resume=context.resume, progress=context.progress,
    )
    context.save_table("rank", [{"rank": os.environ.get("RANK")}])
    return history[["loss"]]
'''


def recorded(folder):
    path = folder / "kept.py"
    if processes().first:
        path.write_text(EXPERIMENT)
    processes().from_first(lambda: None)
    return fw.study.run(path, seed=3, device="cpu", folder=folder / "run").folder


def main(folder, device="cpu"):
    model, history = fitted(folder / "checkpoints", device)
    result = {
        "weights": {name: value.cpu() for name, value in model.state_dict().items()},
        "loss": history.loss.values.tolist(),
        "validation": history.validation.values.tolist(),
        "diverged": diverging(folder),
        "refused": refused() if processes().several else None,
        "run": str(recorded(folder)),
    }
    torch.save(result, folder / f"{processes().rank}.pt")


if __name__ == "__main__":
    use_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])

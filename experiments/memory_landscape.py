"""What does the landscape of a trained network's inner loop look like, and how do stored items shape it?

A network trained on associative retrieval (Ba et al. 2016) is recorded at every step with all that its inner loop
needs: memory, input and parameters. The analysis finds the fixed points before and after the query, follows basins
around stored items, and shows how the landscape changes as items are stored.

A network trained with few iterations need not be an attractor memory. Its loop may have a single fixed point, which
input and memory determine together, and its answer may be right after the iterations that it was trained with and
wrong after the loop has settled. The experiment decides which of the two it is.

    fwsim run memory_landscape --inner-steps 3 --sequences 12
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim import study
from fwsim.models import SequenceClassifier, core
from fwsim.study import Config as Base
from fwsim.study import Context
from fwsim.tasks.retrieval import LETTERS
from fwsim.training import load_checkpoint, load_weights

QUICK = {"units": 20, "epochs": 1, "training_sequences": 4_000, "sequences": 4}


class Config(Base):
    """Which trained network, and how much of it."""

    trained: Path | None = None
    "Folder of a finished run of associative_retrieval with fast weights; without one, a network is trained first."
    units: int = Field(default=50, ge=1)
    "Recurrent units, if a network is trained first."
    inner_steps: int = Field(default=1, ge=1)
    "Iterations of the inner loop, if a network is trained first."
    epochs: int = Field(default=7, ge=1)
    "Passes through the training sequences, if a network is trained first."
    training_sequences: int = Field(default=100_000, ge=1)
    "Training sequences, if a network is trained first."
    sequences: int = Field(default=24, ge=1)
    "Test sequences that are recorded."


def run(config: Config, context: Context) -> xr.Dataset:
    """Take or train a network and record its frozen inner loops on test sequences."""
    folder = config.trained or train(config, context)
    trained = study.Run(folder).manifest["configuration"]
    task = fw.tasks.AssociativeRetrieval(pairs=trained["pairs"], delay=trained["delay"])
    model = load(folder, trained, task).to(context.device)
    return record(model, task, task.sample(config.sequences, context.generator("landscape")), context)


@torch.no_grad()
def record(
    model: SequenceClassifier,
    task: fw.tasks.AssociativeRetrieval,
    sample: fw.tasks.Sequences,
    context: Context,
) -> xr.Dataset:
    """Record memory, sustained input and parameters, from which every inner loop can be rebuilt."""
    tokens = sample.tokens.to(context.device)
    net, x = model.core, model.embedding(tokens)
    recording = fw.simulate(net, x, record=["hidden", "inner", "memory"], seed=context.seed)

    hidden, _ = net(x)
    before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
    # What the last step would get as input if another of the stored keys were asked for.
    keys = model.embedding(tokens[:, 0 : 2 * task.pairs : 2])
    values = {
        "sustained": (("trial", "time", "unit"), sustained(net, before, x), "sustained input of the step"),
        "query_sustained": (
            ("trial", "asked", "unit"),
            sustained(net, before[:, -1:], keys),
            "sustained input of the last step if this pair's key is asked for",
        ),
        "gain": (("unit",), net.gain, "gain of the layer normalisation"),
        "bias": (("unit",), net.bias, "bias of the layer normalisation"),
        "readout_in": (("readout", "unit"), model.readout[0].weight, "weight of the readout layer"),
        "readout_bias": (("readout",), model.readout[0].bias, "bias of the readout layer"),
        "class_in": (("digit", "readout"), model.readout[2].weight, "weight of the class scores"),
        "class_bias": (("digit",), model.readout[2].bias, "bias of the class scores"),
        "token": (("trial", "time"), tokens, "token"),
        "target": (("trial",), sample.target, "digit asked for"),
        "pair": (("trial",), sample.pair, "pair asked for"),
        "digits": (
            ("trial", "asked"),
            tokens[:, 1 : 2 * task.pairs : 2] - LETTERS,
            "digit of the pair",
        ),
    }
    for name, (dims, value, label) in values.items():
        recording[name] = dims, value.cpu().numpy(), {"units": "1", "long_name": label}
    recording["text"] = "trial", np.array(task.text(tokens.cpu())), {"long_name": "sequence"}
    recording.attrs |= {
        "activation": net.activation,
        "normalise": net.normalise,
        "inner_steps": net.inner_steps,
    }
    return recording


def train(config: Config, context: Context) -> Path:
    """Train a network as `associative_retrieval` does, in a folder of this run."""
    folder = context.folder / "training"
    if (folder / "run.json").exists():
        found = study.Run(folder)
        return folder if found.state == "finished" else study.resume(found).folder
    values = {
        "units": config.units,
        "inner_steps": config.inner_steps,
        "epochs": config.epochs,
        "training_sequences": config.training_sequences,
    }
    return study.run(
        "associative_retrieval", values, seed=context.seed, device=str(context.device), folder=folder
    ).folder


def load(folder: Path, trained: dict, task: fw.tasks.AssociativeRetrieval) -> SequenceClassifier:
    """Rebuild the network of a run with the weights of its best epoch."""
    if trained["model"] != "fast_weights" or trained["inner_steps"] < 1:
        raise fw.ConfigError(
            f"{folder} trained model={trained['model']!r} with inner_steps={trained['inner_steps']}; "
            "a landscape needs fast_weights with at least one inner step"
        )
    recurrent = core(
        "fast_weights",
        trained["embedding"],
        trained["units"],
        fw.Hebbian(tau=list(trained["tau"]), eta=list(trained["eta"])),
        trained["inner_steps"],
        normalise=trained["normalise"],
        learn=trained["learn"],
    )
    model = SequenceClassifier(recurrent, task.tokens, task.classes, trained["readout"])
    load_weights(model, load_checkpoint(folder / "checkpoints" / "best.pt")["model"])
    return model


def sustained(net: fw.FastWeightNetwork, before: Tensor, x: Tensor) -> Tensor:
    """Return z = W h + C x + b, `[trial, time, unit]`."""
    return before @ net.W.T + x @ net.C.T + net.b

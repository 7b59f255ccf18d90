"""Jobs that are killed at random calls of functions and resumed: python -m tests.survival.killed FOLDER KILLS SEED.

One process loads and compiles everything once, in the uninterrupted runs, and forks a child for each attempt. The
whole of a job is in FOLDER/JOB/whole, what was left when it was killed in FOLDER/JOB/<n>.killed, and what came of that
in FOLDER/JOB/<n>; of each job the number that were killed is printed.
"""

import gc
import importlib
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

import brian2
import numpy as np
import torch
from torch import nn

import fwsim as fw
import fwsim.engine.observation
import fwsim.engine.rate.observer
import fwsim.recording.folder
import fwsim.spiking.simulation
from fwsim.engine.threads import use_threads
from fwsim.recording import Record
from fwsim.spiking import Circuit, Connection, Population
from fwsim.study import Run, load_experiment, resume_sweep
from fwsim.training import Training, train
from fwsim.units import ms, mV
from tests.survival.calls import act_at_call, calls_of

TOY = Path(__file__).parents[1] / "study" / "toy"


def recording(folder: Path, resume: bool) -> None:
    """Fast weights, all kinds of records."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(3, 8, fw.Hebbian(tau=[5.0, 50.0], eta=[0.3, 0.1]), kernel="reference")

    def drive(start: int, stop: int) -> torch.Tensor:
        return torch.sin(torch.arange(start, stop, dtype=torch.float32))[None, :, None].expand(2, -1, 3)

    records = [
        Record("hidden"),
        Record("memory", every=10, dtype="float16"),
        Record("hidden", every=7, reduce="mean", name="mean"),
        Record("hidden", every=3, statistic=lambda h: h.max(-1), reduce="max", name="peak"),
    ]
    fw.simulate(net, drive, steps=1000, record=records, to=folder, resume=resume)


def noisy(folder: Path, resume: bool) -> None:
    """A rate network with noise and plastic synapses."""
    torch.manual_seed(0)
    synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    net = fw.RateNetwork(
        [fw.Projection(0.1 * torch.randn(8, 8), synapse=synapse)],
        tau=8 * ms, gain=fw.softplus(1.5), dt=1 * ms, noise=0.5,
    )  # fmt: skip
    fw.simulate(net, steps=800, record=["rate", "u"], to=folder, resume=resume, seed=3)


def spiking(folder: Path, resume: bool) -> None:
    """A noisy circuit in Brian2 whose synapses are plastic."""
    noise = {"background": 19 * mV, "noise": 2 * mV}
    synapse = fw.TsodyksMarkram(0.2, 0.2, 1.5)
    circuit = Circuit(
        [Population("E", 40, **noise), Population("I", 10, **noise)],
        [
            Connection("E", "E", 0.5 * mV, 0.3, synapse=synapse, delay=(0.1 * ms, 1 * ms)),
            Connection("I", "E", -1 * mV, 0.3),
        ],
    )
    names = ["spike_time", "spike_unit", "spike_trial", "rate", "u"]
    fw.spiking.simulate(
        circuit, steps=2000, record=names, every=20, to=folder, resume=resume, seed=5, progress=False
    )


def training(folder: Path, resume: bool) -> None:
    """A small network under dropout, which draws from the random stream."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.Linear(16, 1))
    x = torch.randn(128, 3)
    y = x.sum(1, keepdim=True)

    def batches(epoch: int) -> list:
        order = torch.randperm(128, generator=torch.Generator().manual_seed(epoch))
        return [(x[rows], y[rows]) for rows in order.split(32)]

    def objective(model: nn.Module, batch: tuple) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    checkpoints = folder / "checkpoints"
    train(
        model, objective, batches, 4, lambda model: objective(model, (x, y)).item(), Training(30),
        checkpoints=checkpoints, resume=resume,
    )  # fmt: skip
    torch.save(model.state_dict(), folder / "final.pt")


def sweep(folder: Path, resume: bool) -> None:
    """A grid of the toy that leaks, in this process."""
    if resume and (folder / "run.json").exists():
        if Run(folder).state != "finished":
            resume_sweep(folder, workers=1)
        return
    leak = load_experiment(TOY / "experiments" / "leak.py")
    fw.sweep(leak, {"tau": "100ms:10s:log5"}, 2, {"steps": 10}, workers=1, batch_size=1, folder=folder)


JOBS = {job.__name__: job for job in (recording, noisy, spiking, training, sweep)}


def start(job, folder: Path, resume: bool, calls: int = 0) -> int:
    """Fork a child that does the job; it is killed at this call of a function, if not 0.

    Calls and not seconds, so that a job is killed at the same places on every machine, however busy.
    """
    child = os.fork()
    if child:
        return child
    try:
        if calls:
            act_at_call(calls, lambda: os.kill(os.getpid(), signal.SIGKILL))
        job(folder, resume)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def kill_and_resume(job, folder: Path, kills: int, seed: int) -> int:
    """Kill and resume the job as many times, at moments spread over its length; return how often it was killed."""
    random = np.random.default_rng(seed)
    job(folder / "whole", False)
    calls = calls_of(lambda: job(folder / "alike", False))
    gc.freeze()  # or every child copies all pages when it collects
    killed = 0
    for number in range(kills):
        place = folder / str(number)
        child = start(job, place, False, 1 + int(0.98 * calls * (number + random.uniform()) / kills))
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if place.exists():
            shutil.copytree(place, folder / f"{number}.killed")
        if os.waitpid(start(job, place, True), 0)[1] != 0:
            sys.exit(f"the job in {place} failed")
    return killed


SHORT = {
    "fwsim.recording.folder.CHUNK_BYTES": 1500,
    "fwsim.recording.folder.CHUNK_EVENTS": 64,
    "fwsim.recording.folder.PAUSE": 0,
    "fwsim.engine.observation.NUMBERS": 2000,
    "fwsim.engine.rate.observer.NUMBERS": 2000,
    "fwsim.spiking.blocks.STEPS": 100,
}
"""So that short runs write often."""


def main(folder: Path, kills: int, seed: int) -> None:
    """Do so with all jobs."""
    use_threads(1)
    brian2.prefs.codegen.target = "numpy"
    for name, value in SHORT.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(importlib.import_module(module), constant), f"{name} is no more"
        setattr(importlib.import_module(module), constant, value)
    for name, job in JOBS.items():
        (folder / name).mkdir()
        print(name, kill_and_resume(job, folder / name, kills, seed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""Checkpoints of recordings, trainings and sweeps damaged or with other content: the result is the same, or none.

A checkpoint whose digest is right is believed as far as it fits: other names, shapes and types are refused.
"""

import io

import numpy as np
import pytest
import torch
from torch import nn

import fwsim as fw
from fwsim.recording import checkpoints, checksums, digests
from fwsim.recording.tensor_files import save
from fwsim.study import manifest, resume_sweep
from fwsim.training import Training, train
from fwsim.training.checkpoints import load_checkpoint
from tests.survival.fuzzing import changed, ctrl_c, damaged, disturbed, fresh, reshaped
from tests.survival.test_recordings import interrupted, simulated, small  # noqa: F401


def test_checkpoints_of_recordings(fuzz, small, tmp_path):  # noqa: F811
    right = checksums(simulated(tmp_path / "whole"))
    interrupted(tmp_path / "good")
    good, work = (tmp_path / "good" / checkpoints.FILE).read_bytes(), tmp_path / "work"
    arrays = dict(np.load(io.BytesIO(good)))

    def attempt(random, watch):
        file = fresh(tmp_path / "good", work) / checkpoints.FILE
        if random.integers(3):
            journal = digests.Journal(work, new=False)
            checkpoints.write(work, reshaped(random, arrays), journal)
            journal.close()
        else:
            file.write_bytes(damaged(random, good))
        end = watch.call(lambda: checksums(simulated(work, resume=True)), work).value
        if end not in (None, right):
            watch.fault("silent values", "goes on to other values")

    fuzz("checkpoints of recordings", attempt, 50, 4000)


def trained(folder, *, resume=False, stop=3):
    """Weights of a small network after three epochs, and how it came to them."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.2), nn.Linear(3, 1)), torch.ones(4, 2)

    def batches(epoch):
        if epoch == stop:
            raise KeyboardInterrupt
        return [x]

    def objective(model, batch):
        return model(batch).square().mean()

    done = train(
        model, objective, batches, 1, lambda model: objective(model, x).item(), Training(3),
        checkpoints=folder, resume=resume,
    )  # fmt: skip
    weights = [tensor.tolist() for tensor in model.state_dict().values()]
    return weights, done.loss.values.tolist(), done.validation.values.tolist()


def rebuilt(random, content):
    """Content of a checkpoint of which something is other."""
    holders = [content, *(each for each in content.values() if isinstance(each, dict))]
    holder = holders[random.integers(len(holders))]
    key = list(holder)[random.integers(len(holder))]
    if isinstance(holder[key], torch.Tensor):
        kept = {"it": holder[key].numpy()}
        arrays = reshaped(random, kept)
        arrays.pop("more", None)
        holder[key] = next((torch.from_numpy(a) for a in arrays.values() if a.dtype.kind in "fiu"), "x")
    elif random.integers(4) == 0:
        del holder[key]
    else:
        holder[key] = changed(random, _plain(holder[key]))
    return content


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def test_checkpoints_of_trainings(fuzz, tmp_path):
    right, work = trained(tmp_path / "whole"), tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "good", stop=2)
    assert trained(fresh(tmp_path / "good", work), resume=True) == right

    def attempt(random, watch):
        file = fresh(tmp_path / "good", work) / ("last.pt", "best.pt")[random.integers(2)]
        believed = random.integers(2) == 0
        if believed:
            save(file, rebuilt(random, load_checkpoint(file)))
        else:
            disturbed(random, work, "*.pt")
        end = watch.call(lambda: trained(work, resume=True), work).value
        if end not in (None, right) and not believed:
            watch.fault("silent values", "goes on to other weights")

    fuzz("checkpoints of trainings", attempt, 100, 5000)


def test_batches_of_sweeps(fuzz, toy, monkeypatch):
    from fwsim.study.sweeps import run as sweep_run

    over = {"eta": [1.0, 2.0, 3.0], "tau": [1.0, 2.0]}
    arguments = {"workers": 1, "batch_size": 2}
    fw.sweep("leak", over, 1, {"steps": 4}, folder="whole", **arguments)
    right = checksums(fw.study.Run("whole").recording)
    with monkeypatch.context() as stops:
        stops.setattr(sweep_run, "assemble", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            fw.sweep("leak", over, 1, {"steps": 4}, folder="good", **arguments)
    assert fw.study.Run("good").state == "interrupted"
    assert len(list((toy / "good" / "batches").iterdir())) == 3
    work = toy / "work"

    def attempt(random, watch):
        batches = fresh(toy / "good", work) / "batches"
        disturbed(random, batches)
        if random.integers(4) == 0:
            disturbed(random, batches)
        watch.command(["list"], work)
        watch.call(lambda: resume_sweep("work", workers=1))
        end = watch.call(lambda: checksums(fw.study.Run("work").recording)).value
        if end != right:
            watch.fault("silent values", f"the sweep ends with other values: {manifest.read(work)['state']}")

    fuzz("batches of sweeps", attempt, 12, 2000)

"""The engine and the tasks on a machine that has torch and NumPy, and little else."""

from __future__ import annotations

import subprocess
import sys

ABSENT = (
    "scipy", "pandas", "xarray", "zarr", "h5py", "h5netcdf", "brian2", "dask", "distributed",
    "pydantic", "cyclopts", "rich", "matplotlib", "lightning_fabric", "pooch", "filelock", "gymnasium", "sklearn",
)  # fmt: skip

CODE = f"""
import torch  # which has needs of its own
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
for name in [name for name in sys.modules if name.split(".")[0] == "sympy"]:
    del sys.modules[name]
sys.modules["sympy"] = None

import fwsim as fw
from fwsim.engine import FastWeightNetwork
from fwsim.tasks import AssociativeRetrieval

task = AssociativeRetrieval(pairs=2)
drawn = task.sample(4, torch.Generator().manual_seed(0))
x = torch.nn.functional.one_hot(drawn.tokens, task.tokens).float()
net = FastWeightNetwork(task.tokens, 8, fw.Hebbian(tau=20.0, eta=0.5), learn=("tau", "eta"))
assert net.plan(4, 7).kernel in ("native", "reference")
hidden, state = net(x)
hidden.square().sum().backward()
assert all(p.grad.isfinite().all() for p in (net.W, net.C, net.log_tau, net.log_eta))
"""


def test_engine_and_tasks_need_only_torch_and_numpy():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Claim: `make demo` trains faster with the compiled kernels than with plain torch.

    python benchmarks/engine_demo.py [--quick]

Epochs of the demo's training of 50 fast-weight units, on fewer sequences: embedding, read-out, optimiser and validation
included.
"""

from __future__ import annotations

import torch

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import alternate
from fwsim.engine.threads import use_threads
from fwsim.models import SequenceClassifier, core
from fwsim.training import Training, train_classifier

SEQUENCES, BATCH = 5_120, 128
KERNELS = ("native", "reference")


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    use_threads(1)  # as the demo does
    timings = alternate({kernel: epoch(kernel) for kernel in KERNELS}, seconds=2 if options.quick else 20)
    rows = [
        {"kernel": kernel, "step ms": 1e3 * BATCH / SEQUENCES * timing.seconds, "ratio": timing.ratio}
        for kernel, timing in timings.items()
    ]
    publish("engine_demo", rows, quick=options.quick)


def epoch(kernel: str) -> object:
    """Return a function that trains for one epoch with a kernel."""
    task = fw.tasks.AssociativeRetrieval()
    torch.manual_seed(0)
    recurrent = core("fast_weights", 100, 50, fw.Hebbian.from_decay(0.95, eta=0.5), 1, kernel=kernel)
    model = SequenceClassifier(recurrent, task.tokens, task.classes)
    training = task.sample(SEQUENCES, torch.Generator().manual_seed(0))
    validation = task.sample(SEQUENCES // 10, torch.Generator().manual_seed(1))

    def run() -> None:
        train_classifier(
            model,
            training,
            validation,
            Training(1, 3e-3),
            lambda epoch: torch.Generator().manual_seed(epoch),
            batch=BATCH,
        )

    return run


if __name__ == "__main__":
    main()

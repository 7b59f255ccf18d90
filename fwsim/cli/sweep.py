"""`fwsim sweep`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli.conclusion import conclude_sweep, failures_are_concluded
from fwsim.cli.usage import asks_for_usage, experiment_first, print_usage


def sweep(*tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> None:
    """Run an experiment over a grid: fwsim sweep NAME --over tau=0.1:100:log9 --seeds 5; NAME --help shows more."""
    if asks_for_usage(tokens):
        print_usage("sweep", "Run an experiment at all points of a grid of parameters and seeds.")
        return
    from fwsim import study
    from fwsim.study.options import check_swept, parse
    from fwsim.study.settings import SweepSettings
    from fwsim.study.sweeps.axes import parse_assignments
    from fwsim.study.sweeps.cluster import parse_options

    name, rest = experiment_first("sweep", tokens)
    experiment = study.load_experiment(name)
    parsed = parse(experiment, rest, SweepSettings)
    if parsed is None:
        return
    config, settings = parsed
    check_swept(experiment, settings)
    with failures_are_concluded():
        recording = study.sweep(
            experiment,
            parse_assignments(settings.over),
            settings.seeds,
            config,
            device=settings.device,
            workers=settings.workers,
            scheduler=settings.scheduler,
            cluster=parse_options(settings.cluster),
            batch_size=settings.batch_size,
            batch_memory=settings.batch_memory,
            folder=settings.to,
            force=settings.force,
        )
    conclude_sweep(recording.attrs["folder"])

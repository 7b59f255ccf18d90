"""`fwsim sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.cli.conclusion import conclude_sweep, failures_are_concluded
from fwsim.cli.usage import asks_for_usage, experiment_first, print_usage
from fwsim.errors import ConfigError

TRIALS = 50  # points of a search

if TYPE_CHECKING:
    from fwsim.study import Config, Experiment
    from fwsim.study.settings import SweepSettings


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
    if settings.sampler is not None:
        _search(experiment, config, settings)
        return
    searched = (settings.objective, settings.budget, settings.pruner)
    if settings.maximize or any(each is not None for each in searched):
        raise ConfigError(
            "--objective, --maximize, --budget and --pruner are for a search; add --sampler tpe"
        )
    if settings.trials is not None:
        field = (
            f", or --over trials={settings.trials} for the field"
            if "trials" in type(config).model_fields
            else ""
        )
        raise ConfigError(f"--trials is the number of points of a search; give --sampler tpe with it{field}")
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


def _search(experiment: Experiment, config: Config, settings: SweepSettings) -> None:
    """Run a search, and show its best points."""
    from fwsim import study
    from fwsim.study.sweeps.axes import parse_assignments
    from fwsim.study.sweeps.cluster import parse_options

    if settings.objective is None:
        raise ConfigError("--sampler needs --objective with the name of a recorded variable")
    if settings.force:
        raise ConfigError("--force is not for a search, which goes on where it stopped; give another --to")
    direction = "maximize" if settings.maximize else "minimize"
    found = study.search(
        experiment,
        parse_assignments(settings.over),  # type: ignore[arg-type]  # groups are refused in one line
        settings.objective,
        sampler=settings.sampler or "tpe",
        direction=direction,
        trials=TRIALS if settings.trials is None else settings.trials,
        budget=None if settings.budget is None else _budget(settings.budget),
        pruner=settings.pruner,
        seeds=settings.seeds,
        config=config,
        folder=settings.to,
        device=settings.device,
        workers=settings.workers,
        scheduler=settings.scheduler,
        cluster=parse_options(settings.cluster),
        batch_size=settings.batch_size,
        batch_memory=settings.batch_memory,
    )
    names = [str(name) for name in found.coords if name != "round"]
    order = found.objective.argsort().values[:: -1 if settings.maximize else 1]
    order = [place for place in order if bool(found.objective[place].notnull())][:5]
    rows = [[f"{found[name].values[place]}" for name in names] for place in order]
    values = [f"{float(found.objective[place]):.6g}" for place in order]
    stopped = int((found.objective.isnull() & found.reached.notnull()).sum()) if "reached" in found else 0
    title = f"best of {found.sizes['search']} points" + (
        f", of which {stopped} were stopped" if stopped else ""
    )
    terminal.table(title, [*names, f"mean of {settings.objective}"], [[*r, v] for r, v in zip(rows, values)])
    print(f"recorded: {found.attrs['folder']}")


def _budget(text: str) -> dict[str, str]:
    """Parameter and values of `"epochs=5,20,80"`."""
    name, sign, values = text.partition("=")
    if not (name.strip() and sign and values.strip()):
        raise ConfigError(f"--budget {text!r} names no parameter with values; write --budget epochs=5,20,80")
    return {name.strip(): values}

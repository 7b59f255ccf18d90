"""`fwsim run`, and `fwsim run --again`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, MissingArgumentError, Parameter

from fwsim.cli.conclusion import conclude_run
from fwsim.cli.trust import Trust, trusted
from fwsim.cli.usage import EXAMPLES, asks_for_usage, experiment_first, print_usage
from fwsim.errors import ConfigError
from fwsim.study.arguments import Device, Force, NewPath, RunFolder
from fwsim.training.processes import processes

AGAIN = App(
    name="fwsim run --again",
    help_format="plaintext",
    help_epilogue=EXAMPLES["run --again"],
    version_flags=[],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def run(*tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> int:
    """Run an experiment: fwsim run NAME --option value; fwsim run NAME --help shows its options."""
    if asks_for_usage(tokens):
        print_usage(
            "run", "Run an experiment, or repeat a run: fwsim run --again RUN [--to FOLDER] [--trust]."
        )
        return 0
    if tokens[0] == "--again":
        return _again(tokens[1:])
    from fwsim import study
    from fwsim.study.options import parse
    from fwsim.study.settings import RunSettings

    name, rest = experiment_first("run", tokens)
    experiment = study.load_experiment(name)
    parsed = parse(experiment, rest, RunSettings)
    if parsed is None:
        return 0
    config, settings = parsed
    done = study.run(
        experiment,
        config,
        seed=settings.seed,
        device=settings.device,
        folder=settings.to,
        force=settings.force,
    )
    conclude_run(done, settings.analyse, trust=True)
    return 0


@AGAIN.default
def again(
    run: RunFolder,
    /,
    *,
    to: Annotated[NewPath | None, Parameter(show_default=False)] = None,
    device: Annotated[Device | None, Parameter(show_default=False)] = None,
    trust: Trust = False,
    force: Force = False,
) -> Any:
    """Repeat a finished run or sweep with its own experiment, configuration and seed, and compare the recordings.

    Executes the run's experiment.py.

    Parameters
    ----------
    run
        Folder of the run.
    to
        Folder of the repetition, instead of a new one in runs/ named after experiment and time.
    device
        Another device than that of the run: auto, cpu, cuda, cuda:1.
    trust
        Execute the run's own code even if another user made the run.
    force
        Replace a run in the folder of the repetition.
    """
    from fwsim import study

    return study.again(run, folder=to, device=device, trust=trusted(run, trust), force=force)


def _again(tokens: Sequence[str]) -> int:
    """Repeat a run and compare; 0 if the recordings are equal."""
    try:
        found = AGAIN(list(tokens), exit_on_error=False, print_error=False)
    except MissingArgumentError as error:
        if error.argument and error.argument.name.startswith("-"):
            raise
        raise ConfigError("RUN is missing; write: fwsim run --again RUN") from None
    if found is None:
        return 0
    if processes().first:
        print(f"recorded: {found.run.folder}")
        print(*(f"changed: {each}" for each in found.changed), sep="\n", end="\n" if found.changed else "")
        print("equal: all recorded values" if found.difference is None else f"not equal: {found.difference}")
    return 0 if found.difference is None else 1

"""`fwsim run`, and `fwsim run --again`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from fwsim.cli.completion import experiments
from fwsim.cli.conclusion import conclude_run
from fwsim.cli.usage import asks_for_usage, experiment_first, print_usage
from fwsim.distributed import processes


def run(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True, completer=experiments)],
) -> int:
    """Run an experiment: fwsim run NAME --option value; fwsim run NAME --help shows its options."""
    if asks_for_usage(tokens):
        print_usage("run", "Run an experiment, or repeat a run: fwsim run --again RUN [--to FOLDER].")
        return 0
    if tokens[0] == "--again":
        return _again(tokens[1:])
    from fwsim import study
    from fwsim.study.options import RunSettings, parse

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
    conclude_run(done, settings.analyse)
    return 0


def _again(tokens: Sequence[str]) -> int:
    """Repeat a run and compare; 0 where the recordings are equal."""
    from fwsim import study

    def again(run: str, *, to: Path | None = None, device: str | None = None) -> Any:
        return study.again(run, folder=to, device=device)

    repeat = App(name="fwsim run --again", result_action="return_value", suppress_keyboard_interrupt=False)
    repeat.default(again)
    found = repeat(list(tokens), exit_on_error=False, print_error=False)
    if found is None:
        return 0
    if processes().first:
        print(f"recorded: {found.run.folder}")
        print(*(f"changed: {each}" for each in found.changed), sep="\n", end="\n" if found.changed else "")
        print("equal: all recorded values" if found.difference is None else f"not equal: {found.difference}")
    return 0 if found.difference is None else 1

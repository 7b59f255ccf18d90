"""The command `fwsim`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from fwsim import __version__
from fwsim.errors import ConfigError, FwsimError

if TYPE_CHECKING:
    from fwsim.study import Run

EXAMPLES = """Examples:
  fwsim list                                    what can be run, and what was
  fwsim run associative_retrieval --quick       a small run, to see it work
  fwsim run associative_retrieval --help        its options, units, defaults
  fwsim run associative_retrieval --units 20 --seed 3
  fwsim sweep forgetting --over tau=1:100:log9 --over eta=0.1,0.3 --seeds 3
  fwsim resume runs/NAME                        go on after Ctrl-C or a crash
  fwsim analyse runs/NAME                       table and figures again
  fwsim new mine --from associative_retrieval   a pair of files to change"""

app = App(
    name="fwsim",
    help="Fast weights as short-term synaptic plasticity: run experiments, analyse recordings.",
    help_format="plaintext",
    help_epilogue=EXAMPLES,
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `_call` says how to go on
)


@app.command(name="list")
def list_all() -> None:
    """Show experiments, rules and past runs."""
    from fwsim.study import files, runs

    found = files.available("experiments")
    rows = [(name, files.question(files.docstring(path))) for name, path in found.items()]
    _table("Experiments", ("name", "question"), rows)
    _table("Rules", ("name", "what it is"), _rules())
    _table("Runs", ("folder", "state", "started"), [_run_row(run) for run in runs.past_runs()])


@app.command
def new(
    name: str, *, from_: Annotated[str | None, Parameter(name="--from", show_default=False)] = None
) -> None:
    """Copy an experiment and its analysis, to start your own.

    Parameters
    ----------
    name
        Of the new files.
    from_
        Experiment to copy, a name or a path; needed.
    """
    from fwsim.study.files import available, copy_pair

    if from_ is None:
        known = ", ".join(available("experiments"))
        raise ConfigError(f"new needs an experiment to copy: --from with a path or one of {known}")
    for path in copy_pair(name, from_):
        print(path)
    print(f"next: fwsim run {name} --help")


@app.command(help_flags=[], version_flags=[])
def run(*tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> None:
    """Run an experiment: fwsim run NAME --option value; fwsim run NAME --help shows its options."""
    if not tokens or tokens[0] in ("--help", "-h"):
        _usage("run", "Run an experiment.")
        return
    from fwsim import study
    from fwsim.study.options import RunSettings, parse

    name, rest = _experiment_first("run", tokens)
    experiment = study.load_experiment(name)
    parsed = parse(experiment, rest, RunSettings)
    if parsed is None:
        return
    config, settings = parsed
    done = study.run(
        experiment,
        config,
        seed=settings.seed,
        device=settings.device,
        folder=settings.to,
        force=settings.force,
    )
    _conclude(done, settings.analyse)


@app.command(help_flags=[], version_flags=[])
def sweep(*tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> None:
    """Run an experiment over a grid: fwsim sweep NAME --over tau=0.1:100:log9 --seeds 5; NAME --help shows more."""
    if not tokens or tokens[0] in ("--help", "-h"):
        _usage("sweep", "Run an experiment at all points of a grid of parameters and seeds.")
        return
    from fwsim import study
    from fwsim.study.options import SweepSettings, check_swept, parse
    from fwsim.study.sweep_axes import parse_assignments
    from fwsim.study.sweep_cluster import parse_options

    name, rest = _experiment_first("sweep", tokens)
    experiment = study.load_experiment(name)
    parsed = parse(experiment, rest, SweepSettings)
    if parsed is None:
        return
    config, settings = parsed
    check_swept(experiment, settings)
    with _swept():
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
    _summarise(recording.attrs["folder"])


@app.command
def resume(
    run: str,
    *,
    device: Annotated[str | None, Parameter(show_default=False)] = None,
    analyse: bool | None = None,
    workers: Annotated[int | None, Parameter(show_default=False)] = None,
    scheduler: Annotated[str | None, Parameter(show_default=False)] = None,
    cluster: tuple[str, ...] = (),
    retry_failed: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Go on with a run or sweep that was interrupted, killed or failed; only what is missing is done.

    Parameters
    ----------
    run
        Its folder.
    device
        Another device than it began on: auto, cpu, cuda, cuda:1.
    analyse
        Analyse the recording afterwards; a sweep's is not unless asked for.
    workers, scheduler, cluster
        Of a sweep, as for fwsim sweep.
    retry_failed
        Also run the points of a sweep that failed.
    """
    from fwsim import study
    from fwsim.study.runs import find_run
    from fwsim.study.sweep_cluster import parse_options

    found = find_run(run)
    if "sweep" not in found.manifest:
        if workers or scheduler or cluster or retry_failed:
            raise ConfigError(f"{found.folder} is no sweep; leave out the options of sweeps")
        _conclude(study.resume(found, device=device), analyse is not False)
        return
    with _swept():
        study.resume_sweep(
            found,
            device=device,
            workers=workers,
            scheduler=scheduler,
            cluster=parse_options(cluster),
            retry_failed=retry_failed,
        )
    _summarise(found.folder)
    if analyse:
        _show(study.analyse(found))


@app.command
def analyse(run: str, *, analysis: Path | None = None) -> None:
    """Analyse a run: table on the terminal, figures and results in its folder.

    Parameters
    ----------
    run
        Its folder.
    analysis
        Another analysis than the run's own: a path or a name.
    """
    from fwsim import study

    _show(study.analyse(run, analysis))


@app.command
def fit(
    tables: list[Path],
    /,
    *,
    rule: Annotated[str | None, Parameter(show_default=False)] = None,
    with_: Annotated[list[str] | None, Parameter(name="--with", negative="", show_default=False)] = None,
    holdout: Annotated[list[str] | None, Parameter(negative="", show_default=False)] = None,
    noise: str = "gamma",
    gain: str = "shared",
    replicates: int = 200,
    seed: int = 0,
) -> None:
    """Fit a presynaptic rule to measured responses to spike trains.

    Parameters
    ----------
    tables
        CSV files with sweep, pulse, time_s, amplitude and protocol (else the file's name), or folders of them.
    rule
        Its name in lower case, needed: tsodyks_markram, varela, enhancement, linear_nonlinear.
    with_
        Options and starting values of the rule, NAME=VALUE: readout=cloglog, a=0.4,0.3.
    holdout
        Protocol to leave out and predict.
    noise
        gamma, or normal where responses may be zero or negative.
    gain
        shared, or protocol for one of each protocol's own.
    replicates
        Number of bootstrap replicates.
    seed
        Of random starts and bootstrap.
    """
    from fwsim.fitting import fit as fit_rule
    from fwsim.fitting import gather, read_table, report
    from fwsim.rules import PresynapticRule
    from fwsim.rules.table import RULES, presynaptic_rule

    if rule is None:
        known = ", ".join(name for name, kind in RULES.items() if issubclass(kind, PresynapticRule))
        raise ConfigError(f"fit needs a rule: --rule with one of {known}")
    data = gather(read_table(tables))
    start = presynaptic_rule(rule, with_ or [])
    fitted = data.without(*holdout) if holdout else data
    found = fit_rule(start, fitted, noise=noise, gain=gain, replicates=replicates, seed=seed)
    shown = [report.parameters(found), report.errors(found, fitted, "Responses that were fitted")]
    if holdout:
        left_out = data.only(holdout)
        shown += [
            report.errors(found, left_out, "Protocols that were left out"),
            report.pulses(found, left_out),
        ]
    for table in shown:
        _table(*table)


@app.command
def doctor() -> int:
    """Show what this machine can run, and how to get what is missing."""
    from fwsim.study.doctor import checks

    found = checks()
    _table(
        "", ("what", "state", "found", "to mend it"), [(c.name, c.state, c.detail, c.remedy) for c in found]
    )
    return 1 if any(check.state == "missing" for check in found) else 0


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failure), 2 (wrong use) or 130 (Ctrl-C)."""
    sys.exit(_call(sys.argv[1:] if tokens is None else list(tokens)))


def _call(tokens: list[str]) -> int:
    try:
        return app(tokens, exit_on_error=False, print_error=False) or 0
    except KeyboardInterrupt as interrupt:
        run = getattr(interrupt, "run", None)
        return _fail(f"interrupted; go on with: fwsim resume {run.folder}" if run else "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # a reader like head left early
        return 1
    except Exception as error:
        if os.environ.get("FWSIM_DEBUG", "0") not in ("", "0"):
            raise
        return _fail(*_explain(error))


def _explain(error: Exception) -> tuple[str, int]:
    """One line and exit code for an error."""
    if isinstance(error, CycloptsError):
        from fwsim.study.usage import wrong_use

        return wrong_use(error), 2
    if isinstance(error, FwsimError):
        return str(error), 2 if isinstance(error, ConfigError) else 1
    return f"unexpected {type(error).__name__}: {error}; FWSIM_DEBUG=1 shows where, please report it", 1


def _fail(message: str, code: int) -> int:
    print("fwsim:", " ".join(message.split()), file=sys.stderr)
    return code


def _experiment_first(command: str, tokens: Sequence[str]) -> tuple[str, list[str]]:
    name, *rest = tokens
    if name.startswith("-"):
        raise ConfigError(f"{name} stands before the experiment; write: fwsim {command} NAME {name} …")
    return name, rest


def _usage(command: str, purpose: str) -> None:
    from fwsim.study.files import available

    print(f"Usage: fwsim {command} NAME [OPTIONS]\n\n{purpose} Its options: fwsim {command} NAME --help\n")
    print(f"NAME is a path or one of: {', '.join(available('experiments')) or '(none found)'}\n")
    print(EXAMPLES)


def _conclude(run: Run, analyse: bool) -> None:
    from fwsim import study

    print(f"recorded: {run.folder}")
    if analyse and run.analysis.is_file():
        _show(study.analyse(run))
    elif analyse:
        print(f"no analysis: write analysis/{run.manifest['experiment']}.py to have one")


@contextmanager
def _swept() -> Iterator[None]:
    """Leave it to the summary to say how many points failed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".* points failed", category=UserWarning)
        yield


def _summarise(folder: str | Path) -> None:
    from fwsim.study.runs import Run

    run = Run(Path(folder))
    manifest = run.manifest
    points, failed, wall = manifest["points"], manifest["failed"], manifest["wall_time"]
    print(f"{_points(points)}: {points - failed} done, {failed} failed, in {wall:.1f} s")
    if failed:
        print(f"errors: {run.folder / 'failed.csv'}; again: fwsim resume {run.folder} --retry-failed")
    print(f"recorded: {run.folder}")
    if run.analysis.is_file():
        print(f"next: fwsim analyse {run.folder}")


def _points(number: int) -> str:
    return f"{number} point" if number == 1 else f"{number} points"


def _show(report: Any) -> None:
    if report.table is not None:
        rows = [[_text(value) for value in row] for row in report.table.itertuples(index=False)]
        _table("", tuple(map(str, report.table.columns)), rows)
    print("written:", *report.files, sep="\n  ")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title or None, box=SIMPLE_HEAD, title_justify="left")
    for row in rows or [("(none)",)]:
        table.add_row(*map(Text, row))
    Console().print(table)


def _rules() -> list[tuple[str, str]]:
    from fwsim import rules
    from fwsim.study.files import question

    exported = {name: getattr(rules, name) for name in dir(rules)}
    kinds = tuple(value for name, value in exported.items() if name.endswith("Rule"))
    return [
        (name, question(value.__doc__ or ""))
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, kinds) and value not in kinds
    ]


def _run_row(run: Run) -> tuple[str, str, str]:
    try:
        return str(run.folder), _state(run), str(run.manifest["started"])
    except ConfigError:
        return str(run.folder), "unreadable", ""


def _state(run: Run) -> str:
    if "sweep" not in run.manifest:
        return run.state
    from fwsim.study.sweep_run import finished_points

    points, failed = run.manifest["points"], run.manifest["failed"]
    ended = f"{finished_points(run)} of {_points(points)}" + (f", {failed} failed" if failed else "")
    return f"{run.state}: {ended}"


if __name__ == "__main__":
    main()

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

from fwsim import __version__, terminal
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
  fwsim run --again runs/NAME                   repeat a run, and say whether the result is the same
  fwsim analyse runs/NAME                       table and figures again
  fwsim compare runs/NAME                       the spiking and the tensor version of its model
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
    from fwsim.study import files, overview, runs

    found = files.available("experiments")
    rows = [(name, files.question(files.docstring(path))) for name, path in found.items()]
    terminal.table("Experiments", ("name", "question"), rows)
    terminal.table("Rules", ("name", "what it is"), overview.rules())
    terminal.table(
        "Runs", ("folder", "state", "started"), [overview.run_row(run) for run in runs.past_runs()]
    )


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
def run(*tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> int:
    """Run an experiment: fwsim run NAME --option value; fwsim run NAME --help shows its options."""
    if not tokens or tokens[0] in ("--help", "-h"):
        _usage("run", "Run an experiment, or repeat a run: fwsim run --again RUN [--to FOLDER].")
        return 0
    if tokens[0] == "--again":
        return _again(tokens[1:])
    from fwsim import study
    from fwsim.study.options import RunSettings, parse

    name, rest = _experiment_first("run", tokens)
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
    _conclude(done, settings.analyse)
    return 0


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
        terminal.report(study.analyse(found))


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

    terminal.report(study.analyse(run, analysis))


@app.command
def checksum(run: str) -> None:
    """Print the SHA-256 of every recorded variable of a run, to compare copies and repetitions.

    Parameters
    ----------
    run
        Its folder.
    """
    from fwsim.recording import checksums
    from fwsim.study.runs import find_run

    for name, digest in sorted(checksums(find_run(run).recording).items()):
        print(f"{digest}  {name}")


@app.command
def compare(run: str, *, analysis: Path | None = None) -> None:
    """Compare the spiking and the tensor version of a run's model: errors of trajectories, rates, recall, lifetimes.

    Parameters
    ----------
    run
        Its folder.
    analysis
        Another analysis than the run's own: a path or a name.
    """
    from fwsim import study

    terminal.report(study.compare(run, analysis))


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
        terminal.table(*table)


@app.command
def doctor() -> int:
    """Show what this machine can run, and how to get what is missing."""
    from fwsim.study.doctor import checks

    found = checks()
    terminal.table(
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
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}; FWSIM_DEBUG=1 shows where", 1
    return f"unexpected {type(error).__name__}: {error}; FWSIM_DEBUG=1 shows where, please report it", 1


def _fail(message: str, code: int) -> int:
    print("fwsim:", " ".join(message.split()), file=sys.stderr)
    return code


def _experiment_first(command: str, tokens: Sequence[str]) -> tuple[str, list[str]]:
    name, *rest = tokens
    if name.startswith("-"):
        raise ConfigError(f"{name} stands before the experiment; write: fwsim {command} NAME {name} …")
    return name, rest


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
    print(f"recorded: {found.run.folder}")
    print(*(f"changed: {each}" for each in found.changed), sep="\n", end="\n" if found.changed else "")
    print("equal: all recorded values" if found.difference is None else f"not equal: {found.difference}")
    return 0 if found.difference is None else 1


def _usage(command: str, purpose: str) -> None:
    from fwsim.study.files import available

    print(f"Usage: fwsim {command} NAME [OPTIONS]\n\n{purpose} Its options: fwsim {command} NAME --help\n")
    print(f"NAME is a path or one of: {', '.join(available('experiments')) or '(none found)'}\n")
    print(EXAMPLES)


def _conclude(run: Run, analyse: bool) -> None:
    from fwsim import study

    print(f"recorded: {run.folder}")
    if analyse and run.analysis.is_file():
        terminal.report(study.analyse(run))
    elif analyse:
        print(f"no analysis: write analysis/{run.manifest['experiment']}.py to have one")


@contextmanager
def _swept() -> Iterator[None]:
    """Leave it to the summary to say how many points failed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".* points failed", category=UserWarning)
        yield


def _summarise(folder: str | Path) -> None:
    from fwsim.study import overview
    from fwsim.study.runs import Run

    run = Run(Path(folder))
    manifest = run.manifest
    points, failed, wall = manifest["points"], manifest["failed"], manifest["wall_time"]
    print(f"{overview.points(points)}: {points - failed} done, {failed} failed, in {wall:.1f} s")
    if failed:
        print(f"errors: {run.folder / 'failed.csv'}; again: fwsim resume {run.folder} --retry-failed")
    print(f"recorded: {run.folder}")
    if run.analysis.is_file():
        print(f"next: fwsim analyse {run.folder}")


if __name__ == "__main__":
    main()

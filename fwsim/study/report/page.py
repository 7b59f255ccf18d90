"""One self-contained page about one or several runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import fwsim
from fwsim.errors import ConfigError, truth
from fwsim.names import known_arguments
from fwsim.paths import home_path, plain_file
from fwsim.study import trust as trusted
from fwsim.study.report.contents import Contents, Table, gather
from fwsim.study.runs import Run, find_run
from fwsim.study.writing import existing, write_file

HERE = Path(__file__).parent
MARK = b'<meta name="generator" content="fwsim">'


@known_arguments
def write_report(
    runs: str | Path | Run | Sequence[str | Path | Run],
    to: str | Path | None = None,
    *,
    trust: bool = False,
    force: bool = False,
) -> Path:
    """Write an HTML page about runs: settings, results, figures, provenance, and how to repeat them.

    The page is self-contained: figures are included as vectors, and follow the reader's light or dark scheme. A
    finished run without analysis is analysed first. A comparison with spikes is shown if there is one.

    Parameters
    ----------
    runs
        One or several: runs, their folders, or the folders' names in `./runs`.
    to
        File to write, by default `report.html` in the run's folder, or in the current folder for several runs. An older
        page is replaced.
    trust
        Execute the runs' own code even if it was changed, or if another user made them.
    force
        Replace a file outside of the run that is not such a page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ConfigError
        A run does not exist or is not trusted, none is given, or `to` is no HTML file or an existing file of another
        kind.
    StudyError
        An analysis failed.
    """
    truth(trust=trust, force=force)
    given = [runs] if isinstance(runs, (str, Path, Run)) else list(runs)
    if not given:
        raise ConfigError("a report needs a run; give its folder, see 'fwsim list'")
    found = [find_run(each) for each in given]
    own = found[0].folder if len(found) == 1 else None
    path = (own or Path()) / "report.html" if to is None else home_path(to, "to", new=True)
    if path.suffix not in (".html", ".htm"):
        raise ConfigError(f"{path} is no place for a report; give a file that ends in .html")
    if path.is_dir() or not (force or path.parent == own or _replaceable(path)):
        raise existing(path)
    for run in found:
        trusted.check(run, trust=trust)
    gathered = [gather(run, f"run-{number}") for number, run in enumerate(found, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, render(gathered))
    return path


def _replaceable(path: Path) -> bool:
    """Whether the path is free, or a page that fwsim wrote."""
    if not os.path.lexists(path):
        return True
    try:
        return MARK in plain_file(path)[:1000]
    except ConfigError:
        return False


def render(runs: Sequence[Contents]) -> str:
    """Fill the page."""
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True).from_string(
        (HERE / "page.html").read_text("utf-8")
    )
    names = list(dict.fromkeys(each.manifest["experiment"] for each in runs))
    title = runs[0].run.folder.name if len(runs) == 1 else f"{len(runs)} runs of {', '.join(names)}"
    return template.render(
        title=title,
        version=fwsim.__version__,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        style=(HERE / "style.css").read_text("utf-8"),
        overview=overview(runs),
        runs=runs,
    )


def overview(runs: Sequence[Contents]) -> Table:
    """One row per run: its state, its seed, and the settings in which the runs differ."""
    settings = [{each.name: each.value for each in one.settings} for one in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    differing = [name for name in names if len({one.get(name) for one in settings}) > 1]
    rows = [
        (
            one.run.folder.name,
            one.manifest["experiment"],
            one.run.state,
            str(one.manifest["seed"]),
            *(values.get(name, "") for name in differing),
        )
        for one, values in zip(runs, settings)
    ]
    return Table(("run", "experiment", "state", "seed", *differing), tuple(rows))

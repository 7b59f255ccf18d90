"""Make every table and figure of this folder again, from the commands in `sources.toml`; what is done is skipped.

    make results                    everything
    make results PAGES="forgetting ring_drift"
    python docs/results/regenerate.py --done forgetting       only from runs that are done; says what is outstanding

A run is done if its folder in `runs/results` is finished, by this version of fwsim, from the experiment as it is now;
one that was interrupted goes on. A file of a benchmark is done if it is there. What a command makes is copied here,
with `<page>.json` beside it: commands, seeds, versions, commit and wall time of all runs. A table between the marks
`<!-- NAME.csv -->` and `<!-- end -->` of a page is written anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

import fwsim
from fwsim import study
from fwsim.errors import FwsimError
from fwsim.study import files
from fwsim.study.analysis import Report, save_report
from fwsim.study.figures import house_style
from fwsim.study.runs import Run
from fwsim.study.sweeps.analysis import Made

HERE = Path(__file__).parent
RUNS = Path("runs/results")
LONGEST = 200
"Characters of a folder's name: file systems allow 255 bytes."


@dataclass(frozen=True)
class Source:
    """What a page's tables and figures come from: one entry of `sources.toml`.

    Parameters
    ----------
    page
        Name of the page.
    runs
        Commands `fwsim run …` and `fwsim sweep …`; what stands in braces is replaced by each value of `over`.
    over
        Values by name.
    files
        File here → file that the analysis makes. Of several runs `table.csv` is their tables one below the other,
        and `2/curves.png` a figure of the third.
    labels
        Column to put before those tables → its value for each run.
    analysis
        Another analysis than that of each run's experiment; `"compare"` is `fwsim compare`.
    joined
        Whether the analysis puts all runs into one result, with its function `join`.
    scripts
        Commands that write files here by themselves: file → command.
    """

    page: str
    runs: tuple[str, ...] = ()
    over: Mapping[str, Sequence[object]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Sequence[object]] = field(default_factory=dict)
    analysis: str | None = None
    joined: bool = False
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[str]:
        """All commands of runs, with the values filled in."""
        commands = list(self.runs)
        for name, values in self.over.items():
            filled = (
                [command.replace(f"{{{name}}}", str(value)) for value in values]
                if f"{{{name}}}" in command
                else [command]
                for command in commands
            )
            commands = [command for several in filled for command in several]
        return commands


def sources(path: Path = HERE / "sources.toml") -> list[Source]:
    """Read what the pages are made from; a page may have several entries."""
    entries = tomllib.loads(path.read_text())
    return [Source(page, **entry) for page, several in entries.items() for entry in several]


def folder_of(command: str) -> Path:
    """Folder of a command's run, named after it; a long name is cut, and ends in a digest of the command."""
    name = re.sub(r"[^\w.=,]+", "-", command.removeprefix("fwsim "))
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 9]}-{hashlib.sha256(command.encode()).hexdigest()[:8]}"
    return RUNS / name


def is_done(run: Run) -> bool:
    """Whether a run is finished, and by this version, from the experiment as it is now."""
    if not (run.folder / "run.json").is_file():
        return False
    manifest = run.manifest
    now = files.fingerprint(files.find(manifest["experiment"]))
    return (run.state, manifest["source_sha256"], manifest["versions"]["fwsim"]) == (
        "finished",
        now,
        fwsim.__version__,
    )


def done(command: str) -> Run:
    """Run of a command that is done already; `FwsimError` if it is not."""
    run = Run(folder_of(command))
    if not is_done(run):
        raise FwsimError(f"not done: {command}")
    return run


def carry_out(command: str) -> Run:
    """Run a command unless it is done, or go on with it; `subprocess.CalledProcessError` if it fails."""
    run = Run(folder_of(command))
    if not is_done(run):
        print(f"→ {command}", flush=True)
        tokens = [*shlex.split(command)[1:], "--to", str(run.folder), "--force"]
        tokens += ["--no-analyse"] if tokens[0] == "run" else []
        if (run.folder / "run.json").is_file() and _can_go_on(run):
            tokens = ["resume", str(run.folder), "--no-analyse"]
        subprocess.run([sys.executable, "-m", "fwsim.cli", *tokens], check=True)
    return run


def _can_go_on(run: Run) -> bool:
    manifest = run.manifest
    now = files.fingerprint(files.find(manifest["experiment"]))
    return run.state in ("interrupted", "failed") and manifest["source_sha256"] == now


def analysed(source: Source, runs: Sequence[Run]) -> list[Report]:
    """Reports of the analyses as they are now: one of each run, or one of all if they are joined."""
    if source.analysis == "compare":
        return [study.compare(run, run.manifest["experiment"]) for run in runs]
    if not source.joined:
        return [study.analyse(run, source.analysis or run.manifest["experiment"]) for run in runs]
    name = source.analysis or runs[0].manifest["experiment"]
    module = files.load(files.find(name, "analysis"), ("join", "table", "plot"))
    result, folder = module.join([run.recording for run in runs]), RUNS / source.page
    folder.mkdir(parents=True, exist_ok=True)
    with house_style():
        figures = module.plot(result)
    table = pd.DataFrame(module.table(result))
    return [Report(result, table, tuple(save_report(folder, Made(result, table, figures))))]


def place(source: Source, reports: Sequence[Report]) -> None:
    """Copy what the analyses made to this folder."""
    for name, origin in source.files.items():
        if origin == "table.csv":
            tables = [report.table.copy() for report in reports]
            for column, values in source.labels.items():
                for table, value in zip(tables, values, strict=True):
                    table.insert(0, column, value)
            pd.concat(tables).to_csv(HERE / name, index=False)
        else:
            number, _, figure = origin.rpartition("/")
            shutil.copyfile(reports[int(number or 0)].folder / figure, HERE / name)


def provenance(run: Run, command: str) -> dict[str, object]:
    """What a result file has to say about a run."""
    manifest = run.manifest
    began, ended = (datetime.fromisoformat(manifest[name]) for name in ("started", "finished"))
    return {
        "command": command,
        "seeds": manifest.get("sweep", {}).get("seeds", [manifest["seed"]]),
        "wall_time_s": manifest.get("wall_time", (ended - began).total_seconds()),
        **{name: manifest[name] for name in ("started", "device", "commit", "versions", "source_sha256")},
    }


def write_tables(page: Path) -> None:
    """Write the tables between the marks of a page anew."""

    def made(match: re.Match[str]) -> str:
        if not (HERE / match[1]).is_file():
            return match[0]
        rows = pd.read_csv(HERE / match[1], dtype=str, keep_default_na=False)
        lines = [rows.columns, ["---"] * len(rows.columns), *rows.values.tolist()]
        return "\n".join(
            [match[0].split("\n")[0], *(f"| {' | '.join(line)} |" for line in lines), "<!-- end -->"]
        )

    if page.is_file():
        page.write_text(re.sub(r"<!-- (\S+\.csv) -->\n.*?<!-- end -->", made, page.read_text(), flags=re.S))


def by_itself(command: str) -> bool:
    """Run a script that writes its files here, and return whether it succeeded."""
    print(f"→ {command}", flush=True)
    return subprocess.run([sys.executable, *shlex.split(command)[1:]]).returncode == 0


def published(page: str) -> dict[str, object]:
    """What the page's file says about its runs, by command."""
    path = HERE / f"{page}.json"
    return {record["command"]: record for record in json.loads(path.read_text())} if path.is_file() else {}


def make(page: str, entries: Sequence[Source], run_of: Callable[[str], Run] = carry_out) -> list[str]:
    """Make all of a page, and return the commands that failed; what can be made without them is.

    The tables of an entry without any run stay as they are, and so does what is said about its runs.
    """
    missing: list[str] = []
    records: dict[str, object] = {}
    before = published(page)
    for source in entries:
        runs = {}
        for command in source.commands:
            try:
                runs[command] = run_of(command)
            except (subprocess.CalledProcessError, FwsimError):
                missing.append(command)
        if runs and (source.joined or len(runs) == len(source.commands)):
            place(source, analysed(source, list(runs.values())))
        records |= {command: provenance(run, command) for command, run in runs.items()}
        if not runs:
            records |= {command: before[command] for command in source.commands if command in before}
        for name, command in source.scripts.items():
            if not (HERE / name).exists() and not (run_of is carry_out and by_itself(command)):
                missing.append(command)
    if records:
        (HERE / f"{page}.json").write_text(
            json.dumps(list(records.values()), indent=1, ensure_ascii=False) + "\n"
        )
    write_tables(HERE / f"{page}.md")
    return missing


def main(arguments: Sequence[str]) -> int:
    """Make the pages that are wanted, or all."""
    run_of = done if "--done" in arguments else carry_out
    wanted = [argument for argument in arguments if argument != "--done"]
    pages: dict[str, list[Source]] = {}
    for source in sources():
        pages.setdefault(source.page, []).append(source)
    unknown = [page for page in wanted if page not in pages]
    if unknown:
        print(f"no page {unknown[0]}; there are {', '.join(pages)}", file=sys.stderr)
        return 2
    missing = [command for page in wanted or pages for command in make(page, pages[page], run_of)]
    print(*(f"outstanding: {command}" for command in missing), sep="\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Help of the command, and of commands whose first word is an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from fwsim.errors import ConfigError

EXAMPLES = {
    command: "\n  ".join(["Examples:", *lines.strip().splitlines()])
    for command, lines in {
        "": """
fwsim list                                   experiments, rules and past runs
fwsim run associative_retrieval --quick      a small run, as a test
fwsim run associative_retrieval --help       its options, units, defaults
fwsim run associative_retrieval --units 20 --seed 3
fwsim sweep forgetting --over tau=1:100:log9 --over eta=0.1,0.3 --seeds 3
fwsim resume runs/NAME                       continue after Ctrl-C or a crash
fwsim run --again runs/NAME                  repeat it, and compare the result
fwsim analyse runs/NAME                      table and figures again
fwsim explore runs/NAME                      look at it in the browser
fwsim compare runs/NAME                      its model with and without spikes
fwsim report runs/NAME                       one HTML page to keep or send
fwsim new mine                               a pair of files to change""",
        "list": """
fwsim list                              experiments, rules, past runs
fwsim list | grep interrupted           runs that fwsim resume can continue""",
        "new": """
fwsim new mine                          a minimal pair of files to change
fwsim new mine --from forgetting        a copy of a pair that is there
fwsim new mine --from ~/lab/delay.py    from a file of yours""",
        "run": """
fwsim run forgetting --quick                 a small run, as a test
fwsim run forgetting --help                  its options, units, defaults
fwsim run forgetting --tau 5s --seed 3 --to runs/mine
fwsim run --again runs/mine                  repeat it, and compare the result""",
        "run --again": """
fwsim run --again runs/mine             equal, or where recordings differ
fwsim run --again runs/mine --device cpu --to runs/repeated""",
        "sweep": """
fwsim sweep forgetting --over tau=1:100:log9 --seeds 3
fwsim sweep forgetting --over tau=5s,50s --over eta=0.1,0.3   all pairs
fwsim sweep forgetting --over "tau=5,50 eta=0.1,0.3"          both together
fwsim sweep forgetting --help           its options, units, defaults""",
        "resume": """
fwsim resume runs/mine                  continue after Ctrl-C or a crash
fwsim resume runs/mine --retry-failed   also the points of a sweep that failed
fwsim resume runs/mine --workers 2      a sweep on two processes""",
        "analyse": """
fwsim analyse runs/mine                 into runs/mine/results
fwsim analyse runs/mine --analysis ~/lab/delay.py""",
        "explore": """
fwsim explore runs/mine                 opens the browser
fwsim explore runs/mine --no-browser --port 8123    for forwarding by ssh""",
        "compare": """
fwsim compare runs/mine                 into runs/mine/agreement
fwsim compare runs/mine --analysis working_memory""",
        "report": """
fwsim report runs/mine                  writes runs/mine/report.html
fwsim report runs/one runs/two --to ~/both.html""",
        "fit": """
fwsim fit responses.csv --rule tsodyks_markram
fwsim fit responses.csv --rule varela --holdout 20Hz    predict a protocol
fwsim fit tables/ --rule tsodyks_markram --with tau_facil=500ms""",
        "export": """
fwsim export runs/mine --to mine.nwb    for programs that read NWB
fwsim export runs/mine --to mine.nc     for programs that read NetCDF""",
        "import": """
fwsim import session.nwb --to recorded  spikes and time series, trial by trial
fwsim import session.nwb --to cued --align cue_time --before 500ms --after 2s""",
        "checksum": """
fwsim checksum runs/mine                one line per variable
fwsim checksum runs/mine > mine.txt     to compare with that of a copy""",
        "doctor": """
fwsim doctor                            what runs here, and what is missing
fwsim doctor && fwsim run forgetting    only if nothing needed is missing""",
        "--install-completion": """
fwsim --install-completion              for the shell that you use
fwsim --install-completion --shell zsh  for another one""",
    }.items()
}
"""Last part of the help, by command."""


def print_usage(command: str, purpose: str) -> None:
    """Print the usage of a command, and the experiments that exist."""
    from fwsim.study.files import available

    print(f"Usage: fwsim {command} NAME [OPTIONS]\n\n{purpose} Its options: fwsim {command} NAME --help\n")
    print(f"NAME is a path or one of: {', '.join(available('experiments')) or '(none found)'}\n")
    print(EXAMPLES[command])


def asks_for_usage(tokens: Sequence[str]) -> bool:
    """Whether no experiment is named."""
    return not tokens or tokens[0] in ("--help", "-h")


def experiment_first(command: str, tokens: Sequence[str]) -> tuple[str, list[str]]:
    """Name of the experiment, and the options after it."""
    name, *rest = tokens
    if any(token.partition("=")[0] == "--again" for token in tokens):
        raise ConfigError(
            "--again repeats a run with its own experiment; write: fwsim run --again RUN, without another name"
        )
    if name.startswith("-"):
        raise ConfigError(f"{name} stands before the experiment; write: fwsim {command} NAME {name} …")
    return name, rest

"""Help of the command, and of those whose first word is an experiment."""

from __future__ import annotations

from collections.abc import Sequence

from fwsim.errors import ConfigError

EXAMPLES = """Examples:
  fwsim list                                   what can be run, and what was
  fwsim run associative_retrieval --quick      a small run, to see it work
  fwsim run associative_retrieval --help       its options, units, defaults
  fwsim run associative_retrieval --units 20 --seed 3
  fwsim sweep forgetting --over tau=1:100:log9 --over eta=0.1,0.3 --seeds 3
  fwsim resume runs/NAME                       go on after Ctrl-C or a crash
  fwsim run --again runs/NAME                  repeat it, and compare the result
  fwsim analyse runs/NAME                      table and figures again
  fwsim explore runs/NAME                      look into it in the browser
  fwsim compare runs/NAME                      its model with and without spikes
  fwsim report runs/NAME                       one HTML page to keep or send
  fwsim new mine --from associative_retrieval  a pair of files to change"""


def print_usage(command: str, purpose: str) -> None:
    """Print how a command is used and which experiments there are."""
    from fwsim.study.files import available

    print(f"Usage: fwsim {command} NAME [OPTIONS]\n\n{purpose} Its options: fwsim {command} NAME --help\n")
    print(f"NAME is a path or one of: {', '.join(available('experiments')) or '(none found)'}\n")
    print(EXAMPLES)


def asks_for_usage(tokens: Sequence[str]) -> bool:
    """Whether no experiment is named."""
    return not tokens or tokens[0] in ("--help", "-h")


def experiment_first(command: str, tokens: Sequence[str]) -> tuple[str, list[str]]:
    """Name of the experiment, and the options after it."""
    name, *rest = tokens
    if name.startswith("-"):
        raise ConfigError(f"{name} stands before the experiment; write: fwsim {command} NAME {name} …")
    return name, rest

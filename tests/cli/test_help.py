"""What `--help` shows of each command."""

import re
import shlex
from functools import partial

import pytest

from fwsim import cli
from fwsim.cli.commands import GROUPS, NAMES
from fwsim.cli.usage import EXAMPLES
from fwsim.rules.table import presynaptic_rule
from fwsim.study import load_experiment, options
from fwsim.study.settings import RunSettings, SweepSettings

COMMANDS = sorted(NAMES.get(each, each.__name__) for group in GROUPS.values() for each in group)


def examples(name):
    """Commands of the examples, without what is said about them."""
    return [re.split("  |[|>&]", line.strip())[0].strip() for line in EXAMPLES[name].splitlines()[1:]]


def test_every_command_has_examples_of_its_own():
    assert {*COMMANDS, "", "run --again", "--install-completion"} == set(EXAMPLES)
    for name, text in EXAMPLES.items():
        own = examples(name)
        assert all(line.startswith(f"fwsim {name}".strip()) for line in own)
        assert name == "" or 2 <= len(own) <= 4
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name])
def test_help_ends_with_them(fwsim, name):
    code, out, _ = fwsim(*name.split(), "--help")
    assert code == 0
    assert out.rstrip().endswith(EXAMPLES[name])
    assert out.count("Examples:") == 1


@pytest.mark.parametrize("line", [line for name in EXAMPLES for line in examples(name)])
def test_examples_use_options_that_there_are(line):
    _, command, *rest = shlex.split(line)
    kinds = {"run": RunSettings, "sweep": SweepSettings}
    if command in kinds and rest[0] != "--again":
        parse = partial(options.parse, load_experiment(rest[0]), kind=kinds[command])
        assert "--help" in rest or parse(rest[1:])
    else:
        known = cli.AGAIN if rest[:1] == ["--again"] else cli.app
        for setting in rest[rest.index("--with") + 1 :] if "--with" in rest else ():
            presynaptic_rule(rest[rest.index("--rule") + 1], [setting])
        known.parse_args(rest[1:] if known is cli.AGAIN else [command, *rest], exit_on_error=False)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("run", "sweep")])
def test_every_option_is_explained(name):
    for argument in cli.app[name].assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help, (name, argument.names)
        assert not any(option.startswith("--empty-") for option in argument.names)


def test_a_run_is_given_by_its_place_only(fwsim):
    for name in ("resume", "analyse", "explore", "compare", "checksum", "new"):
        _, out, _ = fwsim(name, "--help")
        assert "--run" not in out
        assert "--name" not in out

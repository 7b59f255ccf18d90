"""The commands of `fwsim`, in the order in which help shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclopts import Group

from fwsim import __version__
from fwsim.cli.analyse import analyse
from fwsim.cli.checksum import checksum
from fwsim.cli.compare import compare
from fwsim.cli.completion import CommandLine
from fwsim.cli.doctor import doctor
from fwsim.cli.exchange import export, import_
from fwsim.cli.explore import explore
from fwsim.cli.fit import fit
from fwsim.cli.listing import list_all
from fwsim.cli.new import new
from fwsim.cli.report import report
from fwsim.cli.resume import resume
from fwsim.cli.run import run
from fwsim.cli.sweep import sweep
from fwsim.cli.usage import EXAMPLES

GROUPS: dict[str, tuple[Callable, ...]] = {
    "Experiments": (list_all, new, run, sweep, resume),
    "Results": (analyse, explore, compare, report, fit, export, import_, checksum),
    "This machine": (doctor,),
}
NAMES: dict[Callable, str] = {list_all: "list", import_: "import"}  # words of Python
OWN_HELP: tuple[Callable, ...] = (run, sweep)  # their own help shows the experiment's options

app = CommandLine(
    name="fwsim",
    help="Fast weights as short-term synaptic plasticity: run experiments, analyse recordings.",
    help_format="plaintext",
    help_epilogue=EXAMPLES[""],
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `fwsim.cli.main` says how to continue
)
app.register_install_completion_command(
    help="Let the shell complete commands, options, experiments and runs.",
    help_epilogue=EXAMPLES["--install-completion"],
)
for flag in ("--install-completion", "--help", "--version"):
    app[flag].group = "This machine"
for place, (title, commands) in enumerate(GROUPS.items()):
    group = Group(title, sort_key=place)
    for order, command in enumerate(commands):
        name = NAMES.get(command, command.__name__)
        flags: dict[str, Any] = {"help_flags": [], "version_flags": []} if command in OWN_HELP else {}
        app.command(
            command,
            name=name,
            group=group,
            sort_key=order,
            help_epilogue=EXAMPLES[name],
            **flags,
        )

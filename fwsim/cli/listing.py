"""`fwsim list`."""

from __future__ import annotations

from fwsim.cli import terminal


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

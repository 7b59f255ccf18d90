"""Rules and past runs as rows of a table."""

from __future__ import annotations

from fwsim.study.runs import Run


def points(number: int) -> str:
    """Number of points of a sweep, in words."""
    return f"{number} point" if number == 1 else f"{number} points"


def rules() -> list[tuple[str, str]]:
    """Names of rules and their meaning."""
    from fwsim import rules
    from fwsim.study.files import question

    exported = {name: getattr(rules, name) for name in dir(rules)}
    kinds = tuple(value for name, value in exported.items() if name.endswith("Rule"))
    return [
        (name, question(value.__doc__ or ""))
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, kinds) and value not in kinds
    ]


def run_row(run: Run) -> tuple[str, str, str]:
    """Folder, state and start of a run; for a folder with a damaged manifest, that it is damaged."""
    try:
        started = str(run.manifest["started"])
    except Exception:  # the folder may be damaged in any way
        return str(run.folder), "damaged", ""
    try:
        return str(run.folder), _state(run), started
    except Exception:
        return str(run.folder), "damaged", started


def _state(run: Run) -> str:
    state = run.state
    if "sweep" not in run.manifest:
        return state
    from fwsim.study.sweeps.run import finished_points

    number, failed = run.manifest["points"], run.manifest["failed"]
    ended = f"{finished_points(run)} of {points(number)}" + (f", {failed} failed" if failed else "")
    return f"{state}: {ended}"

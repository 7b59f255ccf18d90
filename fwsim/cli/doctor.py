"""`fwsim doctor`."""

from __future__ import annotations

from fwsim.cli import terminal


def doctor() -> int:
    """Show what this machine can run, and how to get what is missing."""
    from fwsim.study.doctor import checks

    found = checks()
    terminal.table(
        "", ("what", "state", "found", "to mend it"), [(c.name, c.state, c.detail, c.remedy) for c in found]
    )
    return 1 if any(check.state in ("missing", "broken") for check in found) else 0

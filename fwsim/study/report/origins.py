"""Origin of a run, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fwsim.paths import typed
from fwsim.study.runs import Run

MANY = 10
"""Number of values of a setting above which only the first and the last are shown."""


@dataclass(frozen=True)
class Repeat:
    """Commands that repeat a run, and a sentence about them."""

    why: str
    commands: tuple[str, ...]


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Time, place, code and random numbers, from the manifest."""
    entries = {
        "command": manifest["command"],
        "state": manifest["state"],
        "started": manifest["started"],
        "finished": manifest.get("finished"),
        "resumed": ", ".join(each["started"] for each in manifest.get("resumed", [])),
        "seed": manifest["seed"],
        "device": manifest["device"],
        "commit": manifest["commit"],
        "versions": ", ".join(f"{name} {version}" for name, version in manifest["versions"].items()),
        "SHA-256 of the experiment": manifest["source_sha256"],
        "configuration": json.dumps(manifest["configuration"]),
    }
    return {name: str(value) for name, value in entries.items() if value not in (None, "")}


def repeat(run: Run, manifest: Mapping[str, Any]) -> Repeat:
    """How to get the same result."""
    setup = f"with fwsim {manifest['versions'].get('fwsim', '')}, commit {manifest['commit'][:12]}"
    if "sweep" in manifest:
        return Repeat(
            f"The sweep, {setup}; or one of its points, with the point's values and its point_seed:",
            (manifest["command"], f"fwsim run {manifest['experiment']} --seed POINT_SEED …"),
        )
    state = run.state
    if state == "running":
        return Repeat(f"It is running, {setup}; once it is finished it can be repeated.", ())
    if state == "finished":
        return Repeat(
            f"From the run's folder, {setup}; it says whether all recorded values are the same:",
            (f"fwsim run --again {typed(run.folder)}",),
        )
    return Repeat(f"Continue with what is missing, {setup}:", (f"fwsim resume {typed(run.folder)}",))


def swept(manifest: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Parameters of a sweep and their values."""
    if "sweep" not in manifest:
        return ()
    plan = manifest["sweep"]
    axes = [
        (", ".join(axis["names"]), "; ".join(" ".join(map(said, row)) for row in axis["rows"]))
        for axis in plan["axes"]
    ]
    return (*axes, ("seed", ", ".join(map(str, plan["seeds"]))))


def said(value: Any) -> str:
    """A setting as text: numbers of six digits, yes and no, and of a long sequence the ends."""
    if isinstance(value, (list, tuple)):
        every = [said(each) for each in value]
        if len(every) > MANY:
            every = [*every[:3], "…", f"{every[-1]} ({len(every)} values)"]
        return ", ".join(every) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

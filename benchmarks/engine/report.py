"""Result files: what was measured, on which machine, with which versions, by which command."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def arguments(description: str) -> argparse.Namespace:
    """Command line of all benchmarks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a look in less than a minute; writes nothing")
    parser.add_argument("--threads", type=int, default=2, help="threads of all contenders (default 2)")
    options = parser.parse_args()
    threads = str(options.threads)
    if os.environ.get("OMP_NUM_THREADS") != threads:  # read when torch is loaded, so the script begins anew
        os.execve(sys.executable, sys.orig_argv, os.environ | {"OMP_NUM_THREADS": threads})
    return options


def publish(name: str, rows: list[dict], *, quick: bool, **notes: object) -> None:
    """Print the rows as a table, and write them to `docs/results/<name>.json`."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = [columns, *([_text(row.get(key, "")) for key in columns] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
    for key, value in notes.items():
        print(f"{key}: {_text(value)}")
    if quick:
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"rows": rows, **notes, **_circumstances()}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _circumstances() -> dict[str, object]:
    libraries = (
        "fwsim",
        "torch",
        "numpy",
        "triton",
        "jax",
        "jaxlib",
        "flash-linear-attention",
        "brian2",
        "nest-simulator",
    )
    installed = {name.metadata["Name"].lower(): name.version for name in metadata.distributions()}
    return {
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: installed[name] for name in libraries if name in installed},
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

"""Install fwsim as users do, in empty environments outside of the checkout, and use it: `make test-install`.

For every Python: the newest and the lowest admitted versions of what fwsim needs, from a wheel and from source. One
line for each environment, which is removed afterwards. `--torch torch==2.13.0` fixes torch, whose newest may be
several GB for CUDA.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
NEWER = ("python3.11", "python3.12", "python3.13", "python3.14")
LIMIT = 1800  # s for a step
SPIKING = """
from fwsim.spiking import Circuit, Connection, Population, simulate
import fwsim as fw
circuit = Circuit([Population("E", 50, background=0.03)], [Connection("E", "E", 1e-4, 0.1, fw.TsodyksMarkram())])
assert len(simulate(circuit, steps=500, progress=False).spike_time)
"""


def main() -> int:
    """Try all environments; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", help="names or paths; by default all from 3.11 on that run")
    parser.add_argument("--torch", help="requirement that fixes torch, such as torch==2.13.0")
    options = parser.parse_args()
    pythons = options.pythons or [name for name in NEWER if _runs(name)]
    failed = False
    with tempfile.TemporaryDirectory(prefix="fwsim-install-") as place:
        folder = Path(place)
        wheel, source = _built(folder)
        for python, versions, package in product(pythons, ("newest", "lowest"), (wheel, source)):
            what = f"{_version(python)}, {versions} versions, {'wheel' if package is wheel else 'source'}"
            began, environment = time.monotonic(), folder / "environment"
            try:
                size = _tried(python, versions, package, wheel, environment, options.torch)
                print(f"{what}: ok, {size / 1e9:.1f} GB, {time.monotonic() - began:.0f} s", flush=True)
            except subprocess.SubprocessError as error:
                failed = True
                print(f"{what}: FAILED, {_last_line(error)}", flush=True)
            finally:
                shutil.rmtree(environment, ignore_errors=True)
    return int(failed)


def _runs(python: str) -> bool:
    return (
        shutil.which(python) is not None
        and subprocess.run([python, "-V"], capture_output=True).returncode == 0
    )


def _version(python: str) -> str:
    return _run(python, "-V", folder=Path.cwd()).strip()


def _built(folder: Path) -> tuple[Path, Path]:
    """Wheel and source archive of what git tracks."""
    copy = folder / "fwsim"
    for name in _run("git", "ls-files", folder=ROOT).splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    builder = folder / "builder"
    _run(sys.executable, "-m", "venv", str(builder), folder=folder)
    _run(str(builder / "bin/python"), "-m", "pip", "install", "-q", "build", folder=folder)
    _run(str(builder / "bin/python"), "-m", "build", "-o", str(folder / "dist"), str(copy), folder=folder)
    return next((folder / "dist").glob("*.whl")), next((folder / "dist").glob("*.tar.gz"))


def _tried(
    python: str, versions: str, package: Path, wheel: Path, environment: Path, torch: str | None
) -> int:
    """Install and use fwsim; the size of the environment in bytes."""
    _run(python, "-m", "venv", str(environment), folder=environment.parent)
    own = str(environment / "bin/python")
    install = [own, "-m", "pip", "install", "-q"]
    if versions == "lowest":
        bounds = environment / "lowest.txt"
        bounds.write_text("\n".join(_lowest(wheel, own, torch)))
        install += ["-c", str(bounds)]
    _run(*install, *([torch] if torch else []), str(package), folder=environment)
    work = environment / "work"
    work.mkdir()
    for snippet in (*_snippets(), SPIKING):
        _run(own, "-c", snippet, folder=work)
    command = str(environment / "bin/fwsim")
    for arguments in (["doctor"], ["list"], ["run", "forgetting", "--quick", "--to", "first"]):
        _run(command, *arguments, folder=work)
    size = sum(
        each.stat().st_size for each in environment.rglob("*") if each.is_file() and not each.is_symlink()
    )
    _editable(own, environment.parent / "fwsim")
    return size


def _editable(python: str, clone: Path) -> None:
    """A script beside a clone called fwsim gets the package, not the clone's folder."""
    _run(python, "-m", "pip", "install", "-q", "--no-deps", "-e", str(clone), folder=clone.parent)
    script = clone.parent / "script.py"
    script.write_text("from fwsim import FastWeightNetwork, second\n")
    _run(python, str(script), folder=clone.parent)


def _lowest(wheel: Path, python: str, torch: str | None) -> Iterator[str]:
    """The lowest admitted version of each direct dependency, as constraints of pip."""
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(name), validate=False)
    number = re.search(r"3\.\d+", _version(python))
    surroundings = {"python_version": number[0] if number else "", "extra": ""}
    for each in metadata.requires_dist or ():
        asked = Requirement(str(each))
        if asked.marker is not None and not asked.marker.evaluate(surroundings):
            continue
        if asked.name == "torch" and torch:
            yield torch
            continue
        for bound in asked.specifier:
            if bound.operator == ">=":
                yield f"{asked.name}=={bound.version}"


def _snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def _run(*command: str, folder: Path) -> str:
    """What a command prints, in surroundings that know nothing of the checkout or of its constraints."""
    hidden = ("PYTHONPATH", "PIP_CONSTRAINT", "VIRTUAL_ENV")
    surroundings = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=folder, env=surroundings, capture_output=True, text=True, check=True, timeout=LIMIT
    )
    return done.stdout or done.stderr


def _last_line(error: subprocess.SubprocessError) -> str:
    command = " ".join(str(error.cmd).split())[:80] if hasattr(error, "cmd") else ""
    texts = [str(getattr(error, name, None) or "") for name in ("stderr", "stdout")]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return f"{command}: {lines[-1] if lines else error}"


if __name__ == "__main__":
    sys.exit(main())

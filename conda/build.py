"""Build and test the recipe of conda with rattler-build, which is on PyPI.

    pip install py-rattler py-rattler-build
    python conda/build.py                          # against packages made of those in this environment
    python conda/build.py --channel conda-forge    # against those of conda-forge

Without a channel, this Python, what fwsim needs in it, and empty packages for the compiler (whose place g++ of this
machine takes) become a channel in a temporary folder. So the recipe can be built and tested where no channel can be
reached. It says nothing about the packages of conda-forge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import rattler_build as rb
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler.index import index_fs

RECIPE = Path(__file__).with_name("recipe.yaml")
PLATFORM = "linux-64"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NAMES = {"torch": "pytorch"}  # on conda-forge, if they differ from those on PyPI
EMPTY = {"gxx_linux-64": "14.0", "sysroot_linux-64": "2.28"}
UNPACKED = ("site-packages", "test", "idlelib", "ensurepip", "__pycache__")  # of the standard library


def main() -> None:
    """Build, test, and say where the package is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channel", help="where packages come from; by default from this environment")
    parser.add_argument("--to", type=Path, default=Path("dist/conda"), help="folder of the package")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        channel = options.channel or str(local_channel(Path(scratch)))
        variants = {"python": [PYTHON], "c_stdlib": ["sysroot"], "cxx_compiler": ["gxx"]}
        built = rb.Stage0Recipe.from_file(RECIPE).render(rb.VariantConfig(variants))
        for each in built:
            result = each.run_build(
                output_dir=options.to,
                channels=[channel],
                env_isolation=rb.EnvironmentIsolation.CONDA_BUILD,
            )
            for path in result.packages:
                tests = rb.Package.from_file(path).run_tests(channel=[channel])
                print(
                    path,
                    *(f"test {test.test_index}: {'passed' if test.success else 'FAILED'}" for test in tests),
                )
                if not all(test.success for test in tests):
                    print(*("\n".join(test.output) for test in tests if not test.success), sep="\n")
                    sys.exit(1)


def local_channel(folder: Path) -> Path:
    """Make a channel of this Python, of what fwsim needs in it, and of a compiler without files."""
    (folder / "noarch").mkdir()
    place(folder, "python", sys.version.split()[0], list(of_python()), [])
    for name, version in EMPTY.items():
        place(folder, name, version, [], [])
    library = Path(sysconfig.get_path("purelib"))
    for found in needed("pip", "setuptools", *required(metadata.distribution("fwsim"))):
        files = [
            library / each for each in found.files or () if ".." not in each.parts and each.suffix != ".pyc"
        ]
        target = f"lib/python{PYTHON}/site-packages"
        entries = [(path, f"{target}/{path.relative_to(library)}") for path in files if path.is_file()]
        depends = ["python", *map(conda_name, required(found))]
        place(folder, conda_name(found.name), found.version, entries, depends)
    asyncio.run(index_fs(folder))
    return folder


def of_python() -> Iterator[tuple[Path, str]]:
    """Files of this Python, and where they go."""
    base = Path(sys.base_prefix)
    for name in (f"python{PYTHON}", "python3", "python"):
        yield Path(os.path.realpath(base / "bin" / f"python{PYTHON}")), f"bin/{name}"
    yield from ((path, f"lib/{path.name}") for path in (base / "lib").glob("libpython*.so*"))
    for root in (base / "lib" / f"python{PYTHON}", base / "include" / f"python{PYTHON}"):
        for path in root.rglob("*"):
            if path.is_file() and not set(UNPACKED) & set(path.relative_to(root).parts):
                yield path, str(path.relative_to(base))


def needed(*names: str) -> list[metadata.Distribution]:
    """The distributions of these names, and all that they need."""
    found: dict[str, metadata.Distribution] = {}
    left = list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found[name] = metadata.distribution(name)
            left += required(found[name])
    return list(found.values())


def required(found: metadata.Distribution) -> list[str]:
    """Names of what a distribution needs without extras."""
    needs = map(Requirement, found.requires or ())
    return [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]


def conda_name(name: str) -> str:
    """Name of a package of conda."""
    name = canonicalize_name(name)
    return NAMES.get(name, name)


def place(folder: Path, name: str, version: str, files: list[tuple[Path, str]], depends: list[str]) -> None:
    """Put a package into the channel."""
    rb.assemble_package(
        name, version.replace("-", "_"), PLATFORM, "0", folder / PLATFORM,
        files=[rb.FileEntry.from_paths(source, target) for source, target in files],
        depends=depends,
        compression_level=0,
        detect_prefix=name == "python",
    )  # fmt: skip


if __name__ == "__main__":
    main()

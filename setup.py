"""Compile the native engine and ship `experiments/` and `analysis/` in the wheel (all else is in pyproject.toml).

The environment says how: `FWSIM_NATIVE=required` fails where the engine cannot be compiled (by default plain torch
serves then), `FWSIM_NATIVE=none` leaves it out, `FWSIM_VARIANTS=avx2` compiles one variant alone (several: separated by
commas), and `FWSIM_SANITIZE=1` adds the checks of AddressSanitizer and UBSan. `CXX` and `CXXFLAGS` are respected.
"""

import os
import runpy
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

ENGINE = Path("fwsim/engine/native")
NATIVE = runpy.run_path(str(ENGINE / "variants.py"))

FLAGS = [
    *(
        "-std=c++17",
        "-fPIC",
        "-fvisibility=hidden",
        "-fno-exceptions",
        "-fno-rtti",
        "-Wall",
        "-Wextra",
        "-Wno-psabi",
        "-Wno-ignored-attributes",
        "-Wno-align-mismatch",
    ),
    # Numbers are computed in the order that is written; a product and a sum may become one instruction.
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
]
OPTIMISED = ["-O3", "-DNDEBUG"]
SANITIZED = [
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]


class BuildEngine(build_ext):
    """Compiles each variant of the engine into a shared library that Python opens with ctypes."""

    def build_extension(self, ext):
        """Compile what is older than its sources, and link."""
        compiler = shlex.split(NATIVE["compiler"]() or "")
        if not compiler:
            raise CompileError("no C++ compiler was found; install g++ or clang++")
        compiler += [
            *FLAGS,
            *(SANITIZED if os.environ.get("FWSIM_SANITIZE") else OPTIMISED),
            *ext.variant.flags,
        ]
        compiler += [
            f"-DFWSIM_VECTOR_BYTES={ext.variant.vector_bytes}",
            f'-DFWSIM_DIGEST="{NATIVE["digest"]()}"',
        ]
        compiler += shlex.split(os.environ.get("CXXFLAGS", ""))
        library, folder = Path(self.get_ext_fullpath(ext.name)), Path(self.build_temp, ext.variant.name)
        library.unlink(missing_ok=True)
        for each in (library.parent, folder):
            each.mkdir(parents=True, exist_ok=True)
        objects = {folder / f"{Path(source).stem}.o": source for source in ext.sources}
        stale = [
            [*compiler, "-c", objects[each], "-o", each]
            for each in objects
            if self._stale(each, objects[each])
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, stale))
        static = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []
        run([*compiler, "-shared", *objects, *static, "-o", library])

    def _stale(self, compiled, source):
        """Whether an object is older than its source, a header or this file; what holds the digest always is."""
        inputs = [source, __file__, *ENGINE.glob("*.hpp"), ENGINE / "variants.py"]
        newest = max(map(os.path.getmtime, inputs))
        return self.force or "library" in source or not compiled.exists() or compiled.stat().st_mtime < newest

    def get_ext_filename(self, fullname):
        """One file for all versions of Python."""
        return os.path.join(*fullname.split(".")) + ".so"


def run(command):
    """Run a compiler, whose messages go to the terminal."""
    try:
        done = subprocess.run(list(map(str, command)))
    except OSError as error:
        raise CompileError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        raise CompileError(f"{shlex.join(map(str, command))} failed")


def engine():
    """Extensions to build: one for each variant."""
    wanted, native = os.environ.get("FWSIM_VARIANTS", ""), os.environ.get("FWSIM_NATIVE", "")
    sources = [str(ENGINE / each.name) for each in NATIVE["sources"]() if each.suffix == ".cpp"]
    found = []
    for variant in NATIVE["variants"]() if native != "none" else ():
        if not wanted or variant.name in wanted.split(","):
            name = ".".join([*ENGINE.parts, Path(variant.file).stem])
            found.append(Extension(name, sources, optional=native != "required"))
            found[-1].variant = variant
    return found


class WheelForAnyPython(bdist_wheel):
    """The engine is plain C to Python, so a wheel depends on the platform alone."""

    def get_tag(self):
        """Tags of Python, its ABI, and the platform."""
        return "py3", "none", super().get_tag()[2]


class BuildWithExperiments(build_py):
    """Copies the experiment files to `fwsim/_shipped` of the build tree."""

    def run(self):
        """Build as usual, then add the data; an editable install reads the checkout instead."""
        super().run()
        if self.editable_mode:
            return
        for folder in ("experiments", "analysis"):
            target = Path(self.build_lib, "fwsim", "_shipped", folder)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


setup(
    ext_modules=engine(),
    cmdclass={"build_py": BuildWithExperiments, "build_ext": BuildEngine, "bdist_wheel": WheelForAnyPython},
)

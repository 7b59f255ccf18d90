"""Ship `experiments/` and `analysis/` inside the wheel as data (all else is in pyproject.toml)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


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


setup(cmdclass={"build_py": BuildWithExperiments})

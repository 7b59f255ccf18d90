"""Import of packages in another process, so that none can crash this one, with the reasons of failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence

LIMIT = 300  # s for all of them

CODE = """
import importlib, json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from fwsim.requirements import reason
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what packages print is no answer
for name in sys.argv[2:]:
    why = None
    try:
        importlib.import_module(name)
    except BaseException as error:
        why = reason(error, name)
    print(json.dumps(why), file=answers, flush=True)
"""


class Imports:
    """Imports in a second process, which starts when this object is made.

    Parameters
    ----------
    modules
        Names to import, one after the other.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = list(modules)
        self._process = self._begun(self._modules)

    def failures(self) -> dict[str, str]:
        """Reason for each module that cannot be imported, after all have been tried."""
        found: dict[str, str] = {}
        left = self._modules
        while left:
            try:
                text, _ = self._process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                text, _ = self._process.communicate()
            answers = [json.loads(line) for line in text.splitlines()]
            found |= {name: why for name, why in zip(left, answers) if why}
            left = left[len(answers) :]
            if left:
                found[left[0]] = f"cannot be imported ({_end(self._process.returncode)})"
                left = left[1:]
                self._process = self._begun(left)
        self._process.wait()
        return found

    @staticmethod
    def _begun(modules: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CODE, json.dumps(sys.path), *modules]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )


def _end(code: int) -> str:
    """How a process ended that stopped importing."""
    if code < 0:
        return f"Python is ended by {signal.Signals(-code).name}"
    return f"Python ends with exit status {code}"

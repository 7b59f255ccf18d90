"""Ctrl-C at any moment: one line, exit code 130."""

import signal
import subprocess
import sys

import pytest

from fwsim.cli.failure import interruption

PRESS = "import os, signal, sys\npress = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
ON_IMPORT = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            {action}
sys.meta_path.insert(0, Finder())
"""
MAIN = """
sys.argv = ["fwsim", "run", "trace", "--quick", "--no-analyse", "--to", "here"]
from fwsim.cli import main
main()
"""


def ended(code, cwd):
    (cwd / "pressed.py").write_text(PRESS + code + MAIN)
    done = subprocess.run(
        [sys.executable, "-m", "pressed"],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    return done.returncode, done.stdout, done.stderr


PRESSED = {
    "plain": "press()",
    "in a text": "exec('press(); [0 for _ in range(9)]')",
    "turned into another error": """
            try: press(); [0 for _ in range(9)]
            except KeyboardInterrupt as e: raise ImportError('no such thing') from e""",
}
OURS = ("fwsim.cli.calling", "cyclopts", "fwsim.cli.failure")


@pytest.mark.parametrize(
    ("module", "pressed"),
    [
        *((module, "plain") for module in OURS),
        ("cyclopts", "in a text"),
        *(("pydantic", each) for each in PRESSED),
    ],
)
def test_while_it_is_loading(toy, module, pressed):
    code = ON_IMPORT.format(module=module, action=PRESSED[pressed])
    assert ended(code, toy) == (130, "", "fwsim: interrupted\n")
    assert not (toy / "here").exists()


def test_in_a_callback(toy):
    action = "type('Thing', (), {'__del__': lambda self: (press(), [0 for _ in range(9)])})()"
    code, _, err = ended(ON_IMPORT.format(module="fwsim.study.options", action=action), toy)
    assert (code, err.splitlines()[-1][:18]) == (130, "fwsim: interrupted")
    assert err.count("\n") == 1


def test_a_run_that_is_interrupted_while_it_is_put_away_is_named(fwsim, monkeypatch):
    from fwsim.study import doctor
    from fwsim.study.execute import Interrupted
    from fwsim.study.runs import Run

    def twice():
        try:
            raise Interrupted(Run("runs/mine"))
        except KeyboardInterrupt:
            raise KeyboardInterrupt  # noqa: B904 - pressed again

    monkeypatch.setattr(doctor, "checks", twice)
    before = signal.getsignal(signal.SIGINT)
    assert fwsim("doctor") == (130, "", "fwsim: interrupted; continue with: fwsim resume runs/mine\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_interruptions_are_found_among_causes():
    error, cause = ImportError("half a module"), KeyboardInterrupt()
    error.__context__ = cause
    assert interruption(error) is cause
    assert interruption(ValueError()) is None


def test_what_takes_time_is_loaded_where_ctrl_c_is_answered():
    code = "import sys, fwsim.cli; print('cyclopts' in sys.modules, hasattr(fwsim.cli.app, 'name'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"

"""Processes that tests start, interrupt and kill, forked from one that has loaded fwsim: python -m tests.forked.

Each would take seconds to load it otherwise. The process of the tests has threads, so it must not fork itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FWSIM = "from fwsim.cli import main; main()"
"""The command line, as code."""
DASK = "from dask.cli import run_cli; run_cli()"
LOADED = (
    "dask.cli",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "fwsim.cli.calling",
    "fwsim.study.execute",
    "fwsim.study.options",
    "fwsim.study.sweeps.dispatch",
    "fwsim.study.sweeps.run",
    "fwsim.study.sweeps.worker",
    "xarray",
)
"""Modules that bring everything that the processes need."""


class Process:
    """A forked process, with the interface of `subprocess.Popen`."""

    def __init__(self, server: Server, pid: int, out: Path, err: Path) -> None:
        self.server, self.pid, self.returncode, self.said = server, pid, None, (out, err)

    def poll(self) -> int | None:
        """The exit code once it has ended, less than 0 for a signal; None before."""
        if self.returncode is None:
            self.returncode = self.server.ask({"status of": self.pid})
        return self.returncode

    def wait(self, timeout: float = 300.0) -> int:
        """Wait until it has ended."""
        ends = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > ends:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.02)
        return self.returncode

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """Wait, and return what it printed to its two streams."""
        self.wait(timeout)
        out, err = (path.read_text() for path in self.said)
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        if self.poll() is None:  # until it is asked for, the number of an ended process is not used again
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that forks the others; it is started when the first is."""

    def __init__(self) -> None:
        self.place = tempfile.TemporaryDirectory(prefix="fwsim-forked-")
        self.process, self.turn, self.started = None, threading.Lock(), 0

    def ask(self, request: dict) -> int | None:
        """Its answer to a request."""
        with self.turn:
            if self.process is None:
                command = [sys.executable, "-m", "tests.forked"]
                streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
                self.process = subprocess.Popen(command, cwd=Path(__file__).parents[1], **streams)
            print(json.dumps(request), file=self.process.stdin, flush=True)
            return json.loads(self.process.stdout.readline())

    def start(self, code: str, *arguments: str, folder: Path) -> Process:
        """Run code as a script with arguments: in a folder and a session of its own, in this environment."""
        self.started += 1
        out, err = (Path(self.place.name) / f"{self.started}.{name}" for name in ("out", "err"))
        request = {
            "run": code,
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(os.environ),
        }
        return Process(self, self.ask({**request, "out": str(out), "err": str(err)}), out, err)

    def close(self) -> None:
        """End the process that forks; those that it forked go on."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
        self.place.cleanup()


def serve() -> dict | None:
    """Answer requests; in a forked process, return the request that it is for."""
    for line in sys.stdin:
        request = json.loads(line)
        if "run" in request:
            answer = os.fork()
            if not answer:
                return request
        else:
            ended, status = os.waitpid(request["status of"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        print(json.dumps(answer), flush=True)
    return None


def become(request: dict) -> None:
    """Have the streams, folder, environment and handlers of a new process."""
    os.setsid()
    files = (os.devnull, os.O_RDONLY), *((request[name], os.O_WRONLY | os.O_CREAT) for name in ("out", "err"))
    for stream, (path, flags) in enumerate(files):
        opened = os.open(path, flags, 0o666)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["forked", *request["arguments"]]


if __name__ == "__main__":
    import gc
    import importlib

    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # or every process copies all pages when it collects
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which close this process
    mine = serve()
    if mine is not None:
        become(mine)
        exec(mine["run"], {"__name__": "__main__"})

"""Inputs at random, and a count of what must not come of them.

Changes of inputs are functions of a random generator: `damaged` (bytes), `changed` (JSON), `retyped` (text in lines and
cells), `reshaped` (arrays), `disturbed` (one file of a folder). A `Watch` counts what comes of an input: nothing but a
value or an error of fwsim in one line, with little work and memory, without a change on disk, and never another value.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from fwsim import cli
from fwsim.errors import FwsimError
from tests.survival.calls import act_at_call

MOST_CALLS = 20_000_000
"""Calls of functions in an answer, as many on every machine; the longest answers make two million."""
TICK = 1.0  # s between two looks at how far an answer is
STILL = 0.001  # s of the processor; an answer that does less between two looks waits, for a pipe for example
IDLE = 60  # looks in a row at which it waits
BUSY = 600  # s of the processor, in which no machine is so slow; long loops in C make few calls
BYTES = 2 * 2**30  # of memory
ROOM = 8 * 2**30  # bytes of addresses beyond those in use, so that nothing takes the machine down
LONGEST = 700  # characters of a message and what stands before it
CODES = (0, 1, 2)  # with which commands may end
FAULTS = ("unexpected", "hangs", "over 2 GB", "changed files", "silent values")

JUNK = (
    b"1e999",
    b"-1",
    b"null",
    b"nan",
    b"\xff",
    b"\0" * 9,
    b"9" * 400,
    b",,",
    b"\n",
    b'"',
    b"[" * 3000,
    b"{}",
)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 3, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "1", "é" * 99,
    "../x", "/proc/version", "a/b", "\0", "NaN", "200 ms", [], [1, 2], [[]], [None], {}, {"a": 1}, {"rule": "sweep"},
)  # fmt: skip
CELLS = (
    "", " ", "x", "nan", "NA", "inf", "-inf", "-1", "0", "1e400", "-1e-400", "0x10", "1,5", "1;5", '"', "''", "é",
    "\t", "9" * 400, "20 Hz", "3 mV", "2026-01-01", "True", "None", "\ufeff", "\0", "1_0", "١", "=1+1", "#", "a" * 3000,
)  # fmt: skip

OTHERS = "/proc/version"
"""A file that nobody can write: what goes wrong in a test must not damage the machine."""
PLACED: tuple[Callable[[Path], Any], ...] = (
    os.mkfifo,
    os.mkdir,
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to(OTHERS),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to("gone"),
)
"""What is put in the place of a file."""


def damaged(random: Generator, content: bytes) -> bytes:
    """Bytes of which a stretch is lost, replaced, repeated, flipped, or nothing is left as it was."""
    begin = int(random.integers(len(content) + 1))
    end = min(len(content), begin + int(random.choice([0, 1, 4, 40, len(content)])))
    match random.integers(8):
        case 0:
            return content[:begin]
        case 1:
            return random.bytes(int(random.integers(200)))
        case 2:
            return content[:end] + content[begin:]
        case 3:
            return content[:begin] + bytes(end - begin) + content[end:]
        case 4 if content:
            return flipped(content, int(random.integers(8 * len(content))))
        case 5:
            return content[:begin] + random.bytes(end - begin) + content[end:]
        case _:
            return content[:begin] + JUNK[random.integers(len(JUNK))] + content[end:]


def flipped(content: bytes, bit: int) -> bytes:
    """Bytes of which one bit is another."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def changed(random: Generator, value: Any) -> Any:
    """JSON of which one entry, at any depth, is another value, gone, twice there, or nested deep."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places or random.integers(20) == 0:
        return _strange(random, value)
    holder, key = places[random.integers(len(places))]
    match random.integers(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        case 1 | 2 if isinstance(holder, list):
            holder.append(holder[key])
        case 3:
            other, from_key = places[random.integers(len(places))]
            holder[key] = copy.deepcopy(other[from_key])
        case _:
            holder[key] = _strange(random, holder[key])
    return value


def _strange(random: Generator, value: Any) -> Any:
    if random.integers(30) == 0:
        deep: Any = value
        for _ in range(int(random.choice([20, 400]))):
            deep = [deep]
        return deep
    if isinstance(value, int | float) and random.integers(3) == 0:
        return value + int(random.integers(-2, 3))
    return copy.deepcopy(VALUES[random.integers(len(VALUES))])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, each in entries:
        yield value, key
        yield from _places(each)


def retyped(random: Generator, text: str, separators: str = ",") -> bytes:
    """A text of which lines are lost, repeated or exchanged, cells are others, or any bytes are damaged."""
    lines = text.splitlines()
    line = int(random.integers(len(lines)))
    match random.integers(7):
        case 0:
            del lines[line]
        case 1:
            lines.insert(line, lines[random.integers(len(lines))])
        case 2:
            return damaged(random, text.encode())
        case 3:
            return text.replace(separators[0], str(random.choice([";", "\t", " ", ", ", ",,"]))).encode()
        case _:
            cells = lines[line].split(separators[random.integers(len(separators))])
            cells[random.integers(len(cells))] = CELLS[random.integers(len(CELLS))]
            lines[line] = separators[0].join(cells)
    return "\n".join(lines).encode(errors="surrogatepass")


def reshaped(random: Generator, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of which one has another name, shape or type, or is gone, or a new one is there."""
    arrays = dict(arrays)
    name = sorted(arrays)[random.integers(len(arrays))]
    match random.integers(7):
        case 0:
            del arrays[name]
        case 1:
            arrays[f"{name}x"] = arrays.pop(name)
        case 2:
            arrays[name] = arrays[name][None]
        case 3:
            arrays[name] = np.zeros((*arrays[name].shape, 2), arrays[name].dtype)
        case 4:
            arrays[name] = np.full(arrays[name].shape, "x")
        case 5:
            arrays[name] = arrays[name].ravel()[:0]
        case _:
            arrays["more"] = np.zeros(3)
    return arrays


def disturbed(random: Generator, folder: Path, names: str = "*") -> Path:
    """Damage one file of a folder, or put something else in its place, and return where."""
    files = sorted(
        each for each in folder.rglob(names) if _is_plain(each) and not each.name.endswith(".lock")
    )
    path = files[random.integers(len(files))]
    content = path.read_bytes()
    match random.integers(14):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(b"")
        case 2:
            path.unlink()
            PLACED[random.integers(len(PLACED))](path)
        case 3:
            other = files[random.integers(len(files))]
            ours, theirs = content, other.read_bytes()
            path.write_bytes(theirs)
            other.write_bytes(ours)
        case 4 | 5 | 6 | 7 if path.suffix == ".json" and loaded(content) is not None:
            path.write_text(json.dumps(changed(random, loaded(content))))
        case _:
            path.write_bytes(damaged(random, content))
    return path


def loaded(content: bytes) -> Any:
    """Bytes as JSON; None if they are none, as in a file that was damaged before."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def ctrl_c(*_: object, **__: object) -> None:
    """What is called in the place of a function at which a user presses Ctrl-C."""
    raise KeyboardInterrupt


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All that lies in a folder, but locks: when it was changed, its size and what it is."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if not name.endswith(".lock"):
                each = os.lstat(path := os.path.join(root, name))
                # What is written beside a file and goes again changes the time of the folder alone.
                found[path] = (
                    0 if name in folders else each.st_mtime_ns,
                    each.st_size * (name in files),
                    each.st_mode,
                )
    return found


@dataclass
class Outcome:
    """What came of an input: a value, or the message of a refusal."""

    value: Any = None
    refused: str | None = None


@dataclass
class Watch:
    """Counts inputs and faults, each with a line on what it was."""

    inputs: int = 0
    refused: int = 0
    faults: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in FAULTS})
    about: str = ""
    bytes: int = BYTES

    def fault(self, kind: str, what: str) -> None:
        """Note what must not happen."""
        self.faults[kind].append(f"{self.about}: {what}")

    def call(self, call: Callable[[], Any], folder: Path | None = None) -> Outcome:
        """Call a function that is to give a value or an error of fwsim, which leaves a folder as it was."""
        before = tree(folder) if folder else {}
        outcome = Outcome()
        with self._bounded():
            try:
                outcome.value = call()
            except FwsimError as error:
                outcome.refused = str(error)
                if "\n" in outcome.refused or len(outcome.refused) > LONGEST:
                    self.fault(
                        "unexpected",
                        f"a message of {len(outcome.refused)} characters: {outcome.refused[:200]}",
                    )
        if outcome.refused is not None:
            self.refused += 1
            self._unchanged(folder, before)
        return outcome

    def command(self, tokens: list[str], folder: Path | None = None) -> Outcome:
        """Call the command line; the value is what it prints, unless it fails."""
        before = tree(folder) if folder else {}
        out, err, code = io.StringIO(), io.StringIO(), None
        with self._bounded(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main(tokens)
            except SystemExit as end:
                code = end.code
        said = err.getvalue()
        if code not in CODES or "fwsim: unexpected" in said or "Traceback" in said:
            self.fault("unexpected", f"{tokens!r:.300} ended with {code}: {said[-400:]}")
        if not code:
            return Outcome(out.getvalue())
        if not said.startswith("fwsim: ") or said.count("\n") != 1 or len(said) > LONGEST:
            self.fault("unexpected", f"{tokens!r:.300} said {said[:300]!r}")
        self.refused += 1
        self._unchanged(folder, before)
        return Outcome(refused=said)

    def _unchanged(self, folder: Path | None, before: dict) -> None:
        after = tree(folder) if folder else {}
        if after != before:
            other = {path for path in {*before, *after} if before.get(path) != after.get(path)}
            self.fault("changed files", f"{sorted(other)[:3]}")

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """Bound work and memory, and note what is no answer."""
        memory, limits = _memory(reset=True), _Limits()
        try:
            with limits:
                yield
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.fault(
                "unexpected", f"{type(error).__name__}: {error!s:.200} at {where.filename}:{where.lineno}"
            )
        except _TooLong:
            pass
        if limits.passed:
            self.fault("hangs", limits.passed)
        if _memory() - memory > self.bytes:
            self.fault("over 2 GB", f"{(_memory() - memory) / 2**30:.1f} GiB")


class _TooLong(BaseException):
    """Not an `Exception`: nothing but the watch is to catch it."""


class _Limits:
    """Ends an answer that makes too many calls, or waits for what does not come.

    Neither depends on how fast or how busy the machine is, or on whether this process is stopped for a while.
    """

    def __init__(self) -> None:
        self.passed = ""  # which limit, said also if the end is caught
        self.worked = self.last = 0.0
        self.idle = 0

    def __enter__(self) -> None:
        self.began, self.worked = time.monotonic(), time.process_time()
        self.last = self.worked
        self.handler = signal.signal(signal.SIGALRM, self.look)
        # The time limit of the test, which goes on later.
        self.others = signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        act_at_call(MOST_CALLS, lambda: self.end(f"{MOST_CALLS:,} calls of functions"))

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.handler)
        left, interval = self.others
        took = time.monotonic() - self.began
        signal.setitimer(signal.ITIMER_REAL, left and max(0.01, left - took), interval)

    def look(self, number: int, frame: Any) -> None:
        """Look whether it has done anything since the last look."""
        now = time.process_time()
        self.idle = self.idle + 1 if now - self.last < STILL else 0
        self.last = now
        if self.idle >= IDLE:
            self.end(f"it waits for more than {IDLE * TICK:.0f} s")
        if now - self.worked > BUSY:
            self.end(f"{BUSY} s of the processor")

    def end(self, why: str) -> None:
        """End it."""
        self.passed = why
        raise _TooLong


def _memory(*, reset: bool = False) -> int:
    """Most bytes in memory since the last reset; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


@contextlib.contextmanager
def bounded_addresses() -> Iterator[None]:
    """Leave this process so much room that it fails before the machine does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    except OSError:
        pass
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fresh(source: Path, target: Path) -> Path:
    """Copy of a folder in the place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Counts by door, in lines."""
    names = ("inputs", "refused", *FAULTS)
    total = {"door": "sum", **{name: sum(row[name] for row in rows) for name in names}}
    width = max(len(row["door"]) for row in [*rows, {"door": "inputs at random"}])
    lines = ["inputs at random".ljust(width) + "".join(f"  {name:>13}" for name in names)]
    return lines + [
        row["door"].ljust(width) + "".join(f"  {row[name]:>13}" for name in names) for row in [*rows, total]
    ]

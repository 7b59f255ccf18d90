"""Claim: the checksums of a recording cost at most 5 % of a run that records everything.

    python benchmarks/recording_digests.py [--quick]

`simulate` to disk with hidden and inner states, attention and memory, as it is, against the same with digests that are
computed of nothing and with chunks that have no checksum; both take turns in one process. Such ratios scatter by more
than the checksums cost, so the share of the processor's time that SHA-256 takes is measured too.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import alternate
from engine.shapes import SHAPES, Shape
from fwsim.recording.digests import digest

EVERYTHING = ("hidden", "inner", "attention", "memory")


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for shape in SHAPES:
        if shape.time > 100:
            continue  # attention and memory of these are more than a disk's cache
        timings = alternate(works(shape), seconds=4 if options.quick else 20)
        ratio = timings["checked"]
        row = {"shape": str(shape), "ratio": ratio.ratio, "CPU ratio": ratio.cpu_ratio}
        rows.append(row | {"share of SHA-256": share_of_digests(works(shape)["checked"])})
    publish("recording_digests", rows, quick=options.quick)


def works(shape: Shape) -> dict[str, Callable[[], object]]:
    """The run without and with checksums."""
    net, x = shape.network(), shape.inputs()

    def recorded() -> None:
        folder = Path(tempfile.mkdtemp(prefix="fwsim-digests-"))
        try:
            fw.simulate(net, x, record=EVERYTHING, to=folder / "run.zarr", progress=False)
        finally:
            shutil.rmtree(folder)

    def unchecked() -> None:
        with without():
            recorded()

    return {"unchecked": unchecked, "checked": recorded}


def share_of_digests(run: Callable[[], object], repetitions: int = 5) -> float:
    """Median share of a run's CPU time, of all threads, that SHA-256 takes."""
    shares = []
    for _ in range(repetitions):
        spent: list[float] = []

        def timed(content: bytes | memoryview, spent: list[float] = spent) -> str:
            began = time.thread_time()
            found = digest(content)
            spent.append(time.thread_time() - began)
            return found

        began = time.process_time()
        with (
            mock.patch("fwsim.recording.stores.digest", timed),
            mock.patch("fwsim.recording.digests.digest", timed),
        ):
            run()
        shares.append(sum(spent) / (time.process_time() - began))
    return statistics.median(shares)


@contextmanager
def without() -> Iterator[None]:
    """Neither digests of files nor checksums of chunks; the recording is opened without looking at them."""
    constant = "0" * 64
    with (
        mock.patch("fwsim.recording.stores.digest", return_value=constant),
        mock.patch("fwsim.recording.digests.digest", return_value=constant),
        mock.patch("zarr.codecs.Crc32cCodec._encode_single", _unchanged),
        mock.patch("zarr.codecs.Crc32cCodec._decode_single", _unchanged),
    ):
        yield


async def _unchanged(self: object, chunk_bytes: object, chunk_spec: object) -> object:
    return chunk_bytes


if __name__ == "__main__":
    main()

"""What the compiler makes of the GPU kernels: registers, what spills out of them, and shared memory. Needs no GPU.

    python benchmarks/gpu_registers.py [--quick] [--direction forward|backward]

The kernels are compiled for an NVIDIA H100 (sm_90) as a run of each shape would have them. A thread has 65536 registers
over the number of threads, but no more than 255; bytes that spill go to the first-level cache and cost its bandwidth.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.report import publish
from fwsim.engine.kernels import (
    triton_held_backward,
    triton_held_forward,
    triton_sizes,
    triton_streamed_backward,
    triton_streamed_forward,
)
from fwsim.engine.kernels.triton_sizes import HELD, Sizes, fits, held_backward, held_forward, power_of_two

PTXAS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
# units, inner steps, chunk, time scales in a matrix: the shapes, and what is just held and just not
SHAPES = [
    (50, 1, 12, 0),
    (50, 1, 51, 0),
    (50, 1, 1, 1),
    (100, 3, 51, 0),
    (100, 3, 1, 1),
    (50, 1, 1, 4),
    (200, 3, 64, 1),
    (1000, 3, 1, 1),
]
INTEGERS = ("steps", "writes", "before", "merged", "chunk", "span")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes; writes nothing")
    parser.add_argument("--direction", choices=("forward", "backward"), help="only that way")
    options = parser.parse_args()
    rows = []
    for shape in (SHAPES[2], SHAPES[6]) if options.quick else SHAPES:
        for direction in ("forward", "backward"):
            if options.direction in (None, direction):
                rows.append(row(direction, *shape))
    publish("gpu_registers", rows, quick=options.quick, compiler=f"triton {triton.__version__}, sm_90")


def row(direction: str, units: int, inner_steps: int, chunk: int, scales: int) -> dict:
    """One line of the table."""
    span = triton_sizes.span_of(chunk)
    sizes = Sizes(units, inner_steps, 0, 1, True, chunk, span, scales, 1000, 0, 1000 if scales else 0)
    held = fits(sizes)
    weights = held_backward(sizes, weights=True) <= HELD
    if direction == "forward":
        module = triton_held_forward if held else triton_streamed_forward
        kernel, numbers, rows = module.forward, held_forward(sizes), power_of_two(chunk)
    else:
        module = triton_held_backward if held else triton_streamed_backward
        kernel, numbers, rows = module.backward, held_backward(sizes, weights), power_of_two(span)
    warps = triton_sizes.warps(numbers if held else HELD)
    told = {
        "UNITS": units,
        "WIDTH": sizes.width,
        "TILE": triton_sizes.tile(sizes),
        "INNER_STEPS": inner_steps,
        "ACTIVATION": sizes.activation,
        "NORMALISATION": sizes.normalise,
        "SELF": True,
        "ROWS": rows,
        "SCALES": scales,
        "SCALES_WIDTH": power_of_two(scales),
        "TABLES": False,
        "GIVEN": False,
        "MERGES": scales > 0,
        "INNER": False,
        "KEPT": True,
        "RATES": False,
        "W_HELD": weights,
    }
    return {
        "direction": direction,
        "units": units,
        "S": inner_steps,
        "chunk": chunk,
        "K": scales,
        "memory": "held" if held else "streamed",
        "warps": warps,
        **compiled(kernel, {name: told[name] for name in kernel.arg_names if name in told}, warps),
    }


def compiled(kernel: Any, constants: dict[str, Any], warps: int) -> dict[str, int]:
    """Compile a float32 kernel, and ask the assembler what it uses."""
    types = {
        name: "i32" if name in INTEGERS else "*fp32" for name in kernel.arg_names if name not in constants
    }
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(kernel.arg_names)
        if types.get(name) == "*fp32"
    }
    source = ASTSource(kernel, signature, constants, aligned)
    built = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "num_stages": 1}
    )
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(built.asm["ptx"])
        file.flush()
        command = [str(PTXAS), "-v", "-arch=sm_90a", file.name, "-o", "/dev/null"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {
        "registers": int(re.findall(r"Used (\d+) registers", said)[0]),
        "spilled bytes": int(re.findall(r"(\d+) bytes spill stores", said)[0]),
        "shared bytes": built.metadata.shared,
    }


if __name__ == "__main__":
    main()

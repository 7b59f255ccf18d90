"""The compiled engine: which variant is loaded, and what is said where there is none."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import warnings

import pytest
import torch

import fwsim as fw
from fwsim import ConfigError
from fwsim.engine.native import dense, library, sequence, spikes, variants
from fwsim.engine.rate import compiled as rates


def forget():
    for each in (library.library, library.obstacle, library.variant):
        each.cache_clear()


@pytest.fixture(autouse=True)
def fresh():
    forget()
    yield
    forget()


@pytest.fixture
def compiled():
    """File of the library in use."""
    if why := library.obstacle():
        pytest.skip(f"the native engine {why}")
    file = library.variant().file
    forget()
    return file


def test_registers_are_as_wide_as_the_variant_says(compiled):
    assert library.library().fwsim_vector_bytes() == library.variant().vector_bytes


@pytest.mark.parametrize(
    ("capability", "expected"),
    [("AVX512", "avx512"), ("AVX2", "avx2"), ("DEFAULT", "baseline"), ("NO AVX", "baseline")],
)
def test_torch_says_which_variant(monkeypatch, tmp_path, capability, expected):
    usable = variants.variants("x86_64")
    for each in usable:
        (tmp_path / each.file).touch()
    monkeypatch.setattr(library, "variants", lambda: usable)
    monkeypatch.setenv("FWSIM_NATIVE_FOLDER", str(tmp_path))
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    assert library.variant().name == expected


def test_a_slower_variant_serves_where_the_fastest_was_not_compiled(monkeypatch, tmp_path):
    (tmp_path / variants.BASELINE.file).touch()
    monkeypatch.setattr(library, "variants", lambda: variants.variants("x86_64"))
    monkeypatch.setenv("FWSIM_NATIVE_FOLDER", str(tmp_path))
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    assert library.variant() == variants.BASELINE


def test_each_machine_has_its_variants():
    assert [each.name for each in variants.variants("x86_64")] == ["avx512", "avx2", "baseline"]
    assert [each.name for each in variants.variants("arm64")] == ["neon"]
    assert variants.variants("riscv64") == ()


def test_a_missing_library_is_an_obstacle_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("FWSIM_NATIVE_FOLDER", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "not compiled" in library.obstacle()
    with pytest.raises(ConfigError, match=r"not compiled.*apt install g\+\+"):
        library.library()


def test_a_library_that_does_not_load_is_named_once(compiled, monkeypatch, tmp_path):
    (tmp_path / compiled).write_text("no library")
    monkeypatch.setenv("FWSIM_NATIVE_FOLDER", str(tmp_path))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        first, second = library.obstacle(), library.obstacle()
    assert first == second
    assert "cannot be loaded" in first
    (only,) = said
    assert re.search("cannot be loaded.*more slowly", str(only.message))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("sequence", sequence.RUN.size),
        ("dense", ctypes.sizeof(dense.DenseRun)),
        ("rates", ctypes.sizeof(rates.RatesRun)),
        ("spikes", ctypes.sizeof(spikes.SpikesRun)),
        ("spike_rule", ctypes.sizeof(spikes.Rule)),
        ("spike_source", ctypes.sizeof(spikes.SpikeSource)),
        ("spike_synapses", ctypes.sizeof(spikes.SpikeSynapses)),
        ("association", ctypes.sizeof(spikes.Association)),
    ],
)
def test_structures_have_the_size_that_the_engine_expects(compiled, name, ours):
    size = getattr(library.library(), f"fwsim_{name}_bytes")
    size.restype = ctypes.c_int64
    assert size() == ours


def test_a_library_older_than_its_sources_is_not_used(compiled, monkeypatch):
    monkeypatch.setattr(library, "digest", lambda: "another")
    with pytest.warns(RuntimeWarning, match=r"older than its sources.*build_ext"):
        assert "older" in library.obstacle()


def test_every_source_counts_for_the_digest(monkeypatch, tmp_path):
    if not variants.sources():
        pytest.skip("sources are in a checkout only")
    for path in variants.sources():
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(variants, "FOLDER", tmp_path)
    found = {variants.digest()}
    for path in variants.sources():
        path.write_text(path.read_text() + "\n")
        found.add(variants.digest())
    assert len(found) == 1 + len(variants.sources())


def test_torch_limits_the_instructions(compiled):
    code = "from fwsim.engine.native.library import variant; print(variant().name)"
    limited = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=limited
    )
    assert found.stdout.strip() in ("baseline", "neon")


@pytest.mark.parametrize("memory", [None, fw.Delta()], ids=["none", "Delta"])
def test_all_functions_of_a_run_are_those_of_one_library(compiled, monkeypatch, tmp_path, memory):
    """Forward and backward pass ran on two variants where a process had changed the library between them."""
    slowest = variants.variants()[-1]
    if compiled == slowest.file or not (variants.FOLDER / slowest.file).exists():
        pytest.skip("there is one variant only")
    with_checks = "FWSIM_NATIVE_FOLDER" in os.environ
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(100, 50, memory, kernel="native").double()
    x = torch.randn(8, 50, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = net(x)[0]
    shutil.copy(variants.FOLDER / slowest.file, tmp_path)
    monkeypatch.setenv("FWSIM_NATIVE_FOLDER", str(tmp_path))
    forget()
    with torch.no_grad():
        second = net(x)[0]
    if with_checks and torch.equal(first, second):
        pytest.skip("compiled with checks, products and sums are not fused: all variants give the same bits")
    assert not torch.equal(first, second)
    assert torch.equal(net(x)[0], second)


def test_the_threads_of_torch_are_found_where_other_modules_do_not_see_them(monkeypatch):
    """As in torch's wheels for ARM, which load their OpenMP for torch alone."""
    if not library.team():
        pytest.skip("torch has no OpenMP here")

    class Library(ctypes.CDLL):
        def __init__(self, name, *options, **more):
            if name is None:
                raise OSError("nothing is visible to all modules")
            super().__init__(name, *options, **more)

    monkeypatch.setattr(library.ctypes, "CDLL", Library)
    assert library._team.__wrapped__()

"""Rules as synapse models in NESTML: the text, what it computes, NESTML's own checks, and compiled into NEST."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.rules.functions import log
from fwsim.rules.parameters import frequency, number, time_constant
from fwsim.rules.rule import PresynapticRule
from tests.rules.cases import CASES, TM, exact, trains
from tests.rules.nestml_text import responses


@dataclass(frozen=True, eq=False)
class AwkwardHTTPSynapse(PresynapticRule):
    """Names that NESTML or the text itself uses, rates in Hz, times beside plain numbers, and fractions."""

    w: Any = number(0.3)
    t: Any = time_constant(0.1)
    k: Any = frequency(3.0)
    double: Any = time_constant(0.05)
    τ: Any = time_constant(0.02)

    def rest(self):
        return {"release": 1, "C": 1, "g": 0, "elapsed": 0}

    def drift(self, state):
        release, C, g, elapsed = state.values()
        return {
            "release": (1 - release) * self.k,
            "C": (1 - C) / self.t,
            "g": -g * (1 / self.double + self.k),
            "elapsed": (C - 1) / self.double - elapsed / self.τ,
        }

    def on_pre(self, state):
        release, C, g, elapsed = state.values()
        after = {"release": release * (1 - self.w) ** 0.5, "C": C + self.t / 0.5, "g": g + self.k / 7}
        return {**after, "elapsed": elapsed}, C**4 * release**0.25 + g / 3 + elapsed + log(1 + C)


EXACT = {name: rule for name, rule in CASES.items() if isinstance(rule, PresynapticRule)} | {
    "awkward": AwkwardHTTPSynapse(),
    "one_component": fw.Enhancement(0.8, 0.1, (), (), (), (), depression=0.7, tau_depression=0.3),
    "no_facilitation": fw.TsodyksMarkram(U=0.3, tau_rec=0.2),
    "no_inactivation": fw.TsodyksMarkram(**TM, convention="tm1998"),
    "no_recovery_time": fw.TsodyksMarkram(0.3, 0.0, 0.5, convention="tm1998", tau_inact=0.02),
    "no_recovery": fw.TsodyksMarkram(0.03, float("inf"), 0.2),
}
SITES = fw.StochasticRelease(fw.TsodyksMarkram(), sites=1, depletion="site")
ALL = EXACT | {"quanta": fw.StochasticRelease(fw.TsodyksMarkram(**TM), 3, 0.2), "sites": SITES}


@pytest.mark.parametrize("name", EXACT)
def test_text_computes_the_response(name):
    times = trains(1, 30)[0]
    times = torch.cat([times, times[10:12]]).sort().values  # two pairs of simultaneous spikes
    expected = EXACT[name].respond(times).numpy()
    np.testing.assert_allclose(responses(EXACT[name].nestml(), times), expected, rtol=1e-11, atol=1e-14)


def test_parameters_are_in_ms_and_states_begin_at_rest():
    text = fw.TsodyksMarkram(U=0.2, tau_rec=0.13, tau_facil=float("inf")).nestml(name="mine")
    assert "model mine:" in text
    for line in (
        "U real = 0.2",
        "tau_rec ms = 130.0 ms",
        "tau_facil ms = inf * 1 ms",
        "u real = U",
        "x real = 1",
    ):
        assert f"        {line}\n" in text
    assert "# u begins at rest for the values below: set it together with them." in text
    assert "set it together" not in fw.Varela().nestml()


def test_names():
    text = AwkwardHTTPSynapse().nestml()
    assert "model awkward_http_synapse_synapse:" in text
    assert 'codegen_opts={"weight_variable": {"awkward_http_synapse_synapse": "syn_w"}}' in text
    names = re.findall(r"^        (\w+) (?:real|ms|integer) =", text, re.M)
    assert len(names) == len(set(names))
    assert {"w", "syn_w", "syn_t", "k", "double", "u3c4", "elapsed", "syn_elapsed"} <= set(names)
    assert all(name.isascii() for name in names)


def test_quanta_have_the_distribution_of_the_rule():
    rule = fw.StochasticRelease(fw.TsodyksMarkram(**TM), sites=4, cv=1.0)
    found = pairs(rule, 1500, apart=0.02)
    for k, p in enumerate(rule.rule.respond(exact([0.0, 0.02])).tolist()):
        assert abs(found[:, k].mean() - p) < 4 * found[:, k].std() / 1500**0.5
        variance = p * (1 - p) / 4 + p / 4
        assert abs(found[:, k].var() / variance - 1) < 0.2


def test_single_sites_are_empty_after_release():
    found = pairs(SITES, 3000, apart=0.03)
    refilled = 0.5 * -np.expm1(-0.03 / 0.8)  # chance of a release after a release; 0.5 after a failure
    for before, chance in ((1, refilled), (0, 0.5)):
        rows = found[found[:, 0] == before, 1]
        assert abs(rows.mean() - chance) < 4 * (chance * (1 - chance) / len(rows)) ** 0.5


def pairs(rule, number, apart):
    """Responses `[pair, spike]` to pairs of spikes, each long after the one before."""
    times = 100.0 * np.arange(1, number + 1)[:, None] + [0.0, apart]
    return responses(rule.nestml(), times.ravel(), np.random.default_rng(0)).reshape(number, 2)


@dataclass(frozen=True, eq=False)
class Chain(PresynapticRule):
    """Three variables, each driven by the one before."""

    tau: Any = time_constant(0.1)

    def rest(self):
        return {"a": 0, "b": 0, "c": 0}

    def drift(self, state):
        a, b, c = state.values()
        return {"a": -a / self.tau, "b": (a - b) / self.tau, "c": (b - c) / self.tau}

    def on_pre(self, state):
        return {**state, "a": state["a"] + 1}, state["c"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (CASES["hebbian_traces"], "HebbianTraces has no nestml: it needs postsynaptic spikes too"),
        (fw.TsodyksMarkram(U=torch.tensor([0.1, 0.2])), "those of 2 synapses; give one number each"),
        (Chain(), "Chain: nestml has no form for a, b, c, which drive each other"),
        (fw.StochasticRelease(CASES["tm1998"], depletion="site"), "TsodyksMarkram: a site that released is not"),
    ],
    ids=["associative", "several synapses", "a chain of three", "three states of a site"],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(rule, words):
    with pytest.raises(ConfigError, match=words) as refused:
        rule.nestml()
    assert "\n" not in str(refused.value)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(
        ConfigError, match=r"name='my synapse' cannot name a model; use letters, digits and _"
    ):
        fw.Varela().nestml(name="my synapse")


def written(folder: Path) -> dict[str, Path]:
    """Each rule in a file of its own."""
    files = {f"{name}_synapse": folder / f"{name}_synapse.nestml" for name in ALL}
    for (model, file), rule in zip(files.items(), ALL.values()):
        file.write_text(rule.nestml(name=model), encoding="utf-8")
    return files


@pytest.mark.slow
def test_nestml_accepts_every_rule(tmp_path):
    pytest.importorskip("pynestml", reason="nestml is not installed (pip install 'fwsim[nestml]')")
    assert complaints(written(tmp_path).values()) == []
    broken = tmp_path / "broken.nestml"
    for wrong in ("sites - missing", "sites - * empty"):  # an unknown name, and a wrong syntax
        broken.write_text(SITES.nestml(name="broken_synapse").replace("sites - empty", wrong))
        assert complaints([broken])


def complaints(files: Iterable[Path]) -> list[str]:
    """Errors of NESTML's parser and of its context conditions."""
    from pynestml.cocos.co_cos_manager import CoCosManager
    from pynestml.frontend.pynestml_frontend import init_predefined
    from pynestml.utils.logger import Logger, LoggingLevel
    from pynestml.utils.model_parser import ModelParser

    Logger.init_logger(LoggingLevel.NO)
    init_predefined()
    found = []
    for file in files:
        parsed = ModelParser.parse_file(str(file))
        found += [] if parsed else [f"{file.name} cannot be parsed"]
        for model in parsed.get_model_list() if parsed else ():
            CoCosManager.check_cocos(model)
    return found + [entry[-1] for entry in Logger.get_messages(level=LoggingLevel.ERROR)]


@pytest.mark.slow
def test_compiled_into_nest_every_rule_responds_as_here(tmp_path):
    nest = pytest.importorskip("nest", reason="NEST is not installed (pip install 'fwsim[nest]')")
    pytest.importorskip("pynestml", reason="nestml is not installed (pip install 'fwsim[nestml]')")
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    files = written(tmp_path)
    library = compiled(files, Path(nest.__file__).parent / "include" / "nest", tmp_path / "code")
    steps = np.sort(np.random.default_rng(3).choice(8000, 60, replace=False)) + 1
    path = os.pathsep.join([str(library.parent), os.environ.get("LD_LIBRARY_PATH", "")])
    script = Path(__file__).with_name("nest_responses.py")
    subprocess.run(
        [
            sys.executable,
            script,
            library.stem,
            tmp_path / "found.npz",
            ",".join(files),
            ",".join(map(str, steps)),
        ],
        check=True,
        env=os.environ | {"LD_LIBRARY_PATH": path},
    )
    found, times = np.load(tmp_path / "found.npz"), exact(steps * 1e-4)
    for name, rule in EXACT.items():
        expected = rule.respond(times).numpy()
        np.testing.assert_allclose(found[f"{name}_synapse"], expected, rtol=1e-11, atol=1e-13, err_msg=name)
    assert set(found["sites_synapse"]) == {0.0, 1.0}


def compiled(files: dict[str, Path], headers: Path, code: Path) -> Path:
    """Extension module of NEST with all models. NEST's wheel lacks headers of libltdl and boost: it does without."""
    from pynestml.codegeneration.nest_builder import NESTBuilder
    from pynestml.frontend.pynestml_frontend import generate_target

    if not headers.is_dir():
        pytest.skip("NEST has no headers here")
    options = {
        "weight_variable": {name: _weight(file) for name, file in files.items()},
        "nest_version": "v3.10.0",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NESTBuilder, "build", lambda self: None)  # the wheel lacks the files that cmake needs
        generate_target(
            [str(file) for file in files.values()], "NEST", target_path=str(code), logging_level="ERROR",
            module_name="rulesmodule", codegen_opts=options,
        )  # fmt: skip
    (code / "ltdl.h").write_text("typedef struct lt__handle* lt_dlhandle;\n")
    (code / "without_boost.h").write_text('#include "config.h"\n#undef HAVE_BOOST\n')
    subprocess.run(
        ["g++", "-O0", "-std=c++20", "-D_GLIBCXX_USE_CXX11_ABI=0", "-fPIC", "-shared", "-fopenmp", f"-I{headers}",
         f"-I{code}", "-include", code / "without_boost.h", code / "rulesmodule.cpp", "-o", code / "rulesmodule.so"],
        check=True,
    )  # fmt: skip
    return code / "rulesmodule.so"


def _weight(file: Path) -> str:
    return re.search(r'"weight_variable": \{"\w+": "(\w+)"\}', file.read_text(encoding="utf-8"))[1]

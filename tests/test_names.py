"""Misspelled names in Python, and what the answer to them may not change."""

import copy
import inspect
import pickle
from dataclasses import dataclass, replace
from importlib import import_module

import pytest
import torch

import fwsim as fw
from fwsim.names import ArgumentError, nearest
from tests.test_public_names import PACKAGES

MISTAKES = [
    (lambda: fw.TsodyksMarkram(u=0.3), "TsodyksMarkram has no u=; did you mean U? it takes U, tau_rec, tau_facil"),
    (lambda: fw.Hebbian(taus=1.0, eta=0.1), "Hebbian has no taus=; did you mean tau? it takes tau, eta, eta_rate"),
    (lambda: fw.Delta(Beta=1.0), "did you mean beta?"),
    (lambda: fw.FastWeightNetwork(1, 2, normalize="all"), "did you mean normalise?"),
    (lambda: fw.RateNetwork([], taus=1.0), "did you mean tau?"),
    (lambda: fw.Projection(weight=1.0), "did you mean weights?"),
    (lambda: fw.Record("hidden", evry=2), "did you mean every?"),
    (lambda: fw.spiking.Population("E", 2, treshold=1.0), "did you mean threshold?"),
    (lambda: fw.spiking.Connection("E", "E", 1.0, delays=1.0), "did you mean delay?"),
    (lambda: fw.spiking.Circuit([], DT=1.0), "did you mean dt?"),
    (lambda: fw.spiking.Pulse(amplitud=1.0), "did you mean amplitude?"),
    (lambda: fw.simulate(None, None, recrod="hidden"), "did you mean record?"),
    (lambda: fw.spiking.simulate(None, sead=1), "did you mean seed?"),
    (lambda: fw.spiking.respond(None, None, Dt=1), "did you mean dt?"),
    (lambda: fw.fit(None, None, replicate=1), "did you mean replicates?"),
    (lambda: fw.siegert(refactory=1), "did you mean refractory?"),
    (lambda: fw.TsodyksMarkram(zzz=1), "has no zzz=; it takes U"),
    (lambda: fw.measure.basins(None, None, iteration=9), "basins has no iteration=; did you mean iterations?"),
    (lambda: fw.measure.InnerLoop(nett=None), "InnerLoop has no nett="),
    (lambda: fw.theory.palimpsest_overlap(0.1, epsilo=1.0), "did you mean epsilon?"),
    (lambda: fw.tasks.AssociativeRetrieval(pair=4), "did you mean pairs?"),
    (lambda: fw.training.Training(epoch=4), "did you mean epochs?"),
]  # fmt: skip


def answer(call):
    """The one line with which arguments are refused, with one traceback."""
    with pytest.raises(ArgumentError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, fw.ConfigError)
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_an_unknown_keyword_is_answered_with_the_nearest(call, message):
    assert message in answer(call)


NOT_CALLABLE_SO = [
    (lambda: fw.FastWeightNetwork(), "FastWeightNetwork needs inputs and units; it takes inputs, units, memory"),
    (lambda: fw.FastWeightNetwork(3), "FastWeightNetwork needs units; it takes"),
    (lambda: fw.simulate(), "simulate needs net; it takes net, drive"),
    (lambda: fw.Product(), "Product needs weight and release; it takes weight, release"),
    (lambda: fw.simulate(1, 2, 3), "simulate is called with 3 arguments; it takes net, drive, and by name steps=,"),
    (lambda: fw.TsodyksMarkram(1, 2, 3, 4, 5, 6), "called with 6 arguments; it takes U, tau_rec, tau_facil,"),
    (lambda: fw.siegert(0.02), "siegert is called with 1 argument; it takes none, and by name tau=,"),
    (lambda: fw.TsodyksMarkram().respond(), "respond needs times; it takes times, state"),
    (lambda: fw.HebbianTraces().respond([0.0]), "respond needs post; it takes pre, post, state"),
    (lambda: fw.TsodyksMarkram().respond([0.0], [0.1]), "respond is called with 2 arguments; it takes times, and by"),
    (lambda: fw.TsodyksMarkram().steady_state(rat=3), "steady_state has no rat=; did you mean rate?"),
    (lambda: Own2(), "Own2 needs more; it takes more"),
]  # fmt: skip


class Own2(fw.FastWeightNetwork):
    """A network that a user derives."""

    def __init__(this, more):  # noqa: N805  # nobody has to call it self
        super().__init__(1, 2)


@pytest.mark.parametrize(("call", "message"), NOT_CALLABLE_SO)
def test_missing_and_too_many_arguments_are_named_in_one_line(call, message):
    assert message in answer(call)


def test_a_type_error_from_within_stays_what_it_is():
    def fails(start, stop):
        return None + 1

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        fw.simulate(fw.FastWeightNetwork(1, 2), fails, steps=3)
    assert not isinstance(caught.value, fw.FwsimError)


def takes_named_arguments_only(function):
    """Whether it has parameters, and each of them a name of its own."""
    parameters = inspect.signature(function).parameters.values()
    return bool(parameters) and not any(each.kind is each.VAR_KEYWORD for each in parameters)


PUBLIC_FUNCTIONS = {
    f"{package}.{name}": found
    for package, names in PACKAGES.items()
    for name in names.split()
    if inspect.isfunction(found := getattr(import_module(package), name))
    and takes_named_arguments_only(found)
}


@pytest.mark.parametrize("name", PUBLIC_FUNCTIONS)
def test_every_public_function_names_what_it_takes(name):
    with pytest.raises(ArgumentError, match="has no nothing_like_it=; it takes "):
        PUBLIC_FUNCTIONS[name](nothing_like_it=1)


@pytest.mark.parametrize(
    ("package", "name", "meant"),
    [(fw, "Hebian", "Hebbian"), (fw, "tsodyksmarkram", "TsodyksMarkram"), (fw.measure, "overlp", "overlap"),
     (fw.spiking, "Populaton", "Population"), (fw.rules, "Varella", "Varela"),
     (fw.tasks, "CatchEnvironmen", "CatchEnvironment"), (fw.theory, "palimpsest_capacty", "palimpsest_capacity")],
)  # fmt: skip
def test_an_unknown_public_name_is_answered_with_the_nearest(package, name, meant):
    with pytest.raises(AttributeError, match=rf"has no {name}; did you mean {meant}\?"):
        getattr(package, name)
    assert not hasattr(package, "nothing_like_it")
    assert not hasattr(package, "__wrapped__")


@dataclass(frozen=True, eq=False)
class Own(fw.TsodyksMarkram):
    """A rule that a user derives has it too."""

    extra: float = 0.0


def test_own_rules_have_it_too():
    with pytest.raises(ArgumentError, match="Own has no extr=; did you mean extra"):
        Own(extr=1.0)
    assert Own(extra=2.0).extra == 2.0


def test_signatures_copies_and_pickles_are_as_without():
    assert list(inspect.signature(fw.TsodyksMarkram).parameters)[:2] == ["U", "tau_rec"]
    assert list(inspect.signature(fw.FastWeightNetwork).parameters)[:2] == ["inputs", "units"]
    assert "record" in inspect.signature(fw.simulate).parameters
    rule = fw.TsodyksMarkram(U=0.25)
    for twin in (pickle.loads(pickle.dumps(rule)), copy.deepcopy(rule), replace(rule, tau_rec=0.8)):
        assert twin.U == 0.25
    net = fw.FastWeightNetwork(1, 2, fw.Hebbian(tau=1.0, eta=0.1))
    torch.testing.assert_close(pickle.loads(pickle.dumps(net)).W, net.W)
    assert pickle.loads(pickle.dumps(fw.simulate)) is fw.simulate
    with pytest.raises(TypeError, match="multiple values"):
        fw.TsodyksMarkram(0.1, U=0.2)


def test_upper_and_lower_case_count_as_the_same():
    assert nearest("TAU_REC", ["tau_rec", "tau_facil"]) == "tau_rec"
    assert nearest("zzz", ["tau_rec"]) is None

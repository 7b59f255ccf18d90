"""Quantities as people type them."""

import subprocess
import sys
from fractions import Fraction

import brian2 as b
import numpy as np
import pytest
import quantities as pq
import torch

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.units import nearest_step, quantity, si, steps_until


@pytest.mark.parametrize(
    ("given", "dimension", "si"),
    [
        (0.2, "time", 0.2),
        (np.float64(0.2), "time", 0.2),
        (np.float32(0.25), "time", 0.25),
        (np.int64(2), "time", 2.0),
        (Fraction(1, 2), "time", 0.5),
        ("0.2", "time", 0.2),
        ("200 ms", "time", 0.2),
        ("200ms", "time", 0.2),
        ("1.6 min", "time", 96.0),
        ("1e3 us", "time", 1e-3),
        ("10 Hz", "rate", 10.0),
        ("-70 mV", "voltage", -0.07),
        ("inf", "time", float("inf")),
    ],
)
def test_quantities(given, dimension, si):
    assert quantity(given, dimension) == pytest.approx(si, rel=1e-15)


@pytest.mark.parametrize("given", ["10 mV", "soon", "", "ms", "1 2 s", True, None, [1.0], "nan"])
def test_what_is_no_time_says_so(given):
    with pytest.raises(ConfigError, match=r"is not a time; write a number|'mV' is not a unit of time"):
        quantity(given, "time")


def test_an_unknown_dimension_is_named():
    with pytest.raises(
        ConfigError, match=r"dimension='mass' is unknown; use one of 'time', 'rate', 'voltage'"
    ):
        quantity(1.0, "mass")


@pytest.mark.parametrize(
    ("given", "dimension", "expected"),
    [
        (200 * b.ms, "time", 0.2),
        (b.ms, "time", 1e-3),
        (b.second / b.second, "time", 1.0),
        ([1, 2] * b.ms, "time", [1e-3, 2e-3]),
        ([1 * b.ms, "2 ms", 0.5], "time", [1e-3, 2e-3, 0.5]),
        (("100 ms", ["1 s"]), "time", (0.1, [1.0])),
        (np.array(["1 ms", "2 s"]), "time", [1e-3, 2.0]),
        (10 * b.Hz, "rate", 10.0),
        (5 / b.second, "rate", 5.0),
        (-70 * b.mV, "voltage", -0.07),
        (3 * pq.ms, "time", 3e-3),
        ([3, 4] * pq.kHz, "rate", [3e3, 4e3]),
        (np.float32(0.5), "time", np.float32(0.5)),
    ],
)
def test_one_rule_for_quantities_of_any_package(given, dimension, expected):
    plain = si("it", given, dimension)
    if isinstance(expected, tuple):
        assert plain == expected
    else:
        np.testing.assert_allclose(plain, expected, rtol=1e-15)
        assert type(plain) is float or not hasattr(plain, "dim")


@pytest.mark.parametrize(
    ("given", "dimension"),
    [(200 * b.mV, "time"), (10 * b.second, "rate"), (200 * b.Hz, "time"), ([1, 2] * b.mV, "time"),
     (1 * b.ms, "number"), (1 * b.metre, "voltage"), (3 * pq.mV, "time"), ([1 * b.ms, 2 * b.mV], "time")],
)  # fmt: skip
def test_a_quantity_of_another_dimension_is_refused(given, dimension):
    with pytest.raises(ConfigError, match=f"it=.* is not a {dimension}; give a {dimension}") as caught:
        si("it", given, dimension)
    assert "\n" not in str(caught.value)


TIMES = torch.tensor([0.0, 0.05], dtype=torch.float64)
ONE = torch.ones(1, 1, dtype=torch.float64)
RULE = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.5)
NET = fw.FastWeightNetwork(1, 2, fw.Hebbian(tau=2.0, eta=0.1))
CIRCUIT = fw.spiking.Circuit([fw.spiking.Population("E", 2)])

ENTRIES = {  # where a time comes in, and what then must not depend on how it was written
    "tau_rec": (0.2, lambda t: fw.TsodyksMarkram(U=0.3, tau_rec=t).respond(TIMES)),
    "tau_D": (0.2, lambda t: fw.Varela(d=(0.5,), tau_D=(t,)).respond(TIMES)),
    "tau of traces": (0.2, lambda t: fw.HebbianTraces(tau=t, eta=0.1).respond(TIMES, TIMES)),
    "tau of a memory": (0.2, lambda t: fw.Hebbian(tau=t, eta=0.1).tau),
    "taus of a memory": (0.2, lambda t: fw.Hebbian(tau=[t, 3.0], eta=0.1).tau),
    "tau of the delta rule": (0.2, lambda t: fw.Delta(tau=t).tau),
    "dt of a decay": (0.2, lambda t: fw.Hebbian.from_decay(0.9, eta=0.1, dt=t).tau),
    "shortest": (0.2, lambda t: fw.Hebbian.power_law(0.5, shortest=t, longest=9.0, tolerance=0.1).tau),
    "interval": (0.2, lambda t: RULE.propagate({"u": 0.5, "x": 0.5}, t)["x"]),
    "lag": (0.02, lambda t: fw.HebbianTraces().steady_state(5.0, 5.0, lag=t).weight),
    "dt of a network": (0.2, lambda t: fw.FastWeightNetwork(1, 2, None, dt=t).dt),
    "dt of a rate network": (0.2, lambda t: fw.RateNetwork(fw.Projection([[0.0]]), tau=0.1, dt=t).dt),
    "tau of a rate network": (0.2, lambda t: fw.RateNetwork(fw.Projection([[0.0]]), tau=t).tau.item()),
    "tau of a gain": (0.2, lambda t: fw.siegert(tau=t)(torch.zeros(1))),
    "tau of a population": (0.2, lambda t: fw.spiking.Population("E", 2, tau=t).tau),
    "delay": (0.2, lambda t: fw.spiking.Connection("E", "E", 0.1, delay=t).delays),
    "delays": (0.2, lambda t: fw.spiking.Connection("E", "E", 0.1, delay=(0.1, t)).delays),
    "decay": (0.2, lambda t: fw.spiking.Connection("E", "E", 0.1, decay=t).decay),
    "dt of a circuit": (0.2, lambda t: fw.spiking.Circuit([fw.spiking.Population("E", 2)], dt=t).dt),
    "pulse": (0.2, lambda t: fw.spiking.Pulse(0.1, start=t).start),
    "duration": (0.2, lambda t: fw.spiking.stimulus(CIRCUIT, t).shape),
    "dt of Brian2": (0.05, lambda t: fw.spiking.respond(RULE, TIMES, dt=t)),
    "dt of per_second": (0.2, lambda t: fw.per_second(fw.Hebbian(tau=2.0, eta=0.1), t).eta_rate),
    "start of a record": (0.2, lambda t: fw.Record("hidden", start=t).interval),
    "dt of exponents": (0.2, lambda t: fw.measure.lyapunov_exponents(torch.tanh, ONE, 5, dt=t).exponent),
    "theory": (0.2, lambda t: fw.theory.attention_span(t, dt=0.1)),
    "half-life": (0.2, lambda t: fw.theory.half_life(t)),
    "epsilon": (0.2, lambda t: fw.theory.epsilon_from_tau(t, 100)),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_every_time_comes_in_by_the_same_rule(name):
    seconds, use = ENTRIES[name]
    expected = use(seconds)
    for given in (seconds * b.second, f"{1000 * seconds} ms", seconds * 1000 * pq.ms):
        got = use(given)
        np.testing.assert_allclose(
            *(np.asarray(v.detach() if isinstance(v, torch.Tensor) else v) for v in (got, expected)),
            rtol=1e-12,
        )
    for wrong in (seconds * b.mV, seconds * b.Hz, f"{seconds} mV", seconds * pq.Hz, "soon"):
        with pytest.raises(ConfigError) as caught:
            use(wrong)
        assert "\n" not in str(caught.value)


def test_rates_voltages_and_trains_come_in_by_it_too():
    assert (
        RULE.steady_state(10 * b.Hz).release
        == RULE.steady_state("10 Hz").release
        == RULE.steady_state(10).release
    )
    torch.testing.assert_close(RULE.respond([0, 50] * b.ms), RULE.respond(TIMES))
    assert fw.Hebbian(tau=1.0, eta_rate=3 * b.Hz).eta_rate == 3
    made = fw.spiking.Population("E", 2, threshold=20 * b.mV, reset="10 mV", noise=1 * b.mV)
    assert (made.threshold, made.reset, made.noise) == (0.02, 0.01, 0.001)
    assert fw.spiking.Connection("E", "E", 0.1 * b.mV).efficacy == 1e-4
    for wrong in (lambda: RULE.steady_state(10 * b.second), lambda: fw.TsodyksMarkram(U=0.3 * b.mV),
                  lambda: fw.spiking.Population("E", 2, threshold=20 * b.ms), lambda: RULE.respond([0, 50] * b.mV),
                  lambda: fw.spiking.Connection("E", "E", 0.1 * b.ms), lambda: fw.BCPNN(f_max=20 * b.ms)):  # fmt: skip
        with pytest.raises(ConfigError, match=r"is not a (rate|number|voltage|time); give a"):
            wrong()


def test_no_package_of_units_is_imported_for_it():
    code = (
        "import sys, fwsim as fw; fw.TsodyksMarkram(tau_rec='200 ms').steady_state('10 Hz');"
        "fw.Hebbian(tau='1 s', eta=1);"
        "print(sorted({'brian2', 'pint', 'quantities', 'astropy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 2e-4, 0.1, 0.3])
def test_steps_do_not_depend_on_rounding(dt):
    for count in (1, 3, 7, 10, 33, 1000, 123457):
        for time in (
            count * dt,
            float(np.nextafter(count * dt, 0)),
            float(np.nextafter(count * dt, np.inf)),
            sum([dt] * count) if count < 2000 else count * dt,
        ):
            assert nearest_step(time, dt) == steps_until(time, dt) == count
        assert steps_until((count + 0.5) * dt, dt) == count
    single = torch.arange(1, 1001, dtype=torch.float32) * dt
    assert steps_until(single, dt).tolist() == list(range(1, 1001))


ABSURD = {  # plain numbers that were meant in ms or mV
    "tau_rec=200": lambda: fw.TsodyksMarkram(tau_rec=200),
    "tau_D=380": lambda: fw.Varela(tau_D=(380, 9.2)),
    "tau_calcium=200": lambda: fw.CalciumRecovery(tau_calcium=200),
    "tau=20": lambda: fw.spiking.Population("E", 2, tau=20),
    "threshold=16": lambda: fw.spiking.Population("E", 2, threshold=16),
    "delay=1.5": lambda: fw.spiking.Connection("E", "E", "0.1 mV", delay=1.5),
    "delay=1": lambda: fw.spiking.Connection("E", "E", "0.1 mV", delay=1),
    "efficacy=0.1": lambda: fw.spiking.Connection("E", "E", 0.1),
    "dt=0.1": lambda: fw.spiking.Circuit([fw.spiking.Population("E", 2)], dt=0.1),
    "amplitude=3": lambda: fw.spiking.Pulse(3),
    "reset=-10": lambda: fw.siegert(threshold="20 mV", reset=-10),
    "tau=8": lambda: fw.RateNetwork(fw.Projection([[0.0]]), tau=8),
    "dt=0.2": lambda: fw.RateNetwork(fw.Projection([[0.0]]), tau="8 ms", dt=0.2),
    "dt=100": lambda: fw.FastWeightNetwork(1, 2, fw.Hebbian(tau=1.0, eta=0.1), dt=100),
    "potential=16": lambda: Fields(potential=16),
    "potential=-70": lambda: Fields(potential="-70"),
}


class Fields(fw.study.Config):
    potential: fw.study.Volts = 0.0
    """A potential."""


@pytest.mark.parametrize("said", ABSURD)
def test_an_absurd_plain_number_is_said_with_the_remedy_where_it_was_typed(said):
    name, value = said.split("=")
    with pytest.warns(UserWarning, match="unusual") as caught:
        ABSURD[said]()
    assert [each.filename for each in caught] == [__file__]
    message = str(caught[0].message)
    small = "mV" if name in ("threshold", "amplitude", "reset", "potential", "efficacy") else "ms"
    assert f"{name}={value} is {value} " in message
    assert f"write {value}*{small} or '{value} {small}' if you mean {small}, or '{value} " in message


def test_what_is_usual_or_says_its_unit_gets_no_warning(recwarn):
    fw.TsodyksMarkram(tau_rec="200 s", tau_facil=200 * b.second)
    fw.TsodyksMarkram(tau_rec=float("inf"), tau_facil=torch.tensor([500.0]))
    fw.Enhancement(tau_potentiation="390 s")
    fw.AugmentedRelease(tau_aug=60)
    fw.HebbianTraces()
    Fields(potential="16 V")
    fw.RateNetwork(fw.Projection([[0.0]]), tau=1.0, dt=0.1)  # without units, as in theory
    assert not [each for each in recwarn if "unusual" in str(each.message)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: fw.spiking.Circuit([fw.spiking.Population("E", 2)], dt=-1),
        lambda: fw.FastWeightNetwork(1, 2, dt=-100),
        lambda: fw.TsodyksMarkram(tau_rec=-200),
        lambda: fw.Varela(tau_D=(-380, 9.2)),
        lambda: fw.spiking.Population("E", 2, tau=-20),
        lambda: fw.RateNetwork(fw.Projection([[0.0]]), tau=-8),
        lambda: fw.siegert(tau=-20),
    ],
)
def test_what_is_refused_is_not_warned_of_before(call, recwarn):
    with pytest.raises(ConfigError, match="is not allowed"):
        call()
    assert not recwarn.list

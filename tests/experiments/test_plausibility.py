"""Verdicts: the values of known models, a fitted synapse as a source, Dale's law."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import RecordingError
from fwsim.fitting import synthetic_table
from fwsim.spiking import MEASUREMENTS, Circuit, Connection, Population, judge, measured_by, measurements
from fwsim.study import files
from fwsim.units import mV

ROOT = Path(__file__).parents[2]
plausibility = files.load(ROOT / "analysis" / "plausibility.py", ("analyse", "plot"))


def judged(**circuits):
    """Verdicts by component and quantity."""
    described = {name: circuit.configuration() for name, circuit in circuits.items()}
    result = plausibility.analyse(xr.Dataset(attrs={"circuits": json.dumps(described)}))
    rows = plausibility.table(result)
    assert {each for each in rows["verdict"] if not each.startswith("violated by ")} <= {
        "among the measured values", "exceeds every tabulated value", "below every tabulated value", "no data", "holds",
    }  # fmt: skip
    return {(row.component, row.quantity): row for row in rows.itertuples()}


def test_mongillos_values():
    made = files.load(ROOT / "experiments" / "working_memory.py", ("Config", "run"))
    found = judged(memory=made.circuit(made.Config(), "mongillo2008"))
    assert found["excitatory synapse", "first release"].verdict == "among the measured values"
    assert found["excitatory synapse", "first release"].value == pytest.approx(0.36)
    assert found["excitatory synapse", "tau_rec"].verdict == "among the measured values"
    facil = found["excitatory synapse", "tau_facil"]
    assert facil.verdict == "exceeds every tabulated value"
    assert facil.nearest.startswith("0.67")
    assert found["augmentation", "decay"].verdict == "among the measured values"
    assert found["network", "Dale's law"].verdict == "holds"


def test_hebbian_values():
    made = files.load(ROOT / "experiments" / "hebbian_memory.py", ("Config", "run"))
    config = made.Config()
    trained = judged(trained=made.circuit(config, "trained"))
    decay = trained["Hebbian potentiation", "decay"]
    assert decay.value == pytest.approx(0.3 / -math.log(0.95))
    assert decay.verdict == "below every tabulated value"
    described = {"trained": made.circuit(config, "trained").configuration()}
    rows = plausibility.table(plausibility.analyse(xr.Dataset(attrs={"circuits": json.dumps(described)})))
    unlimited = rows[rows["value"] == math.inf]  # a weight without a limit
    assert unlimited[["quantity", "verdict"]].values.tolist() == [
        ["potential", "exceeds every tabulated value"]
    ]
    bcpnn = judged(bcpnn=made.circuit(config, "bcpnn"))
    assert bcpnn["network", "Dale's law"].verdict == "violated by E"


def test_learnt_time_constants_are_judged_one_by_one():
    """At 1 s a step, 500 s lies between the measured 96 and 1140 s; strengths of 0 and depression have no data."""
    values = {"trained_tau": [[20.0, 500, 5000], [4, 9, 50]], "trained_eta": [[0.1, 0.2, 0.3], [0.1, -1, 0]]}
    learnt = xr.Dataset({name: (("post", "pre"), rows) for name, rows in values.items()})
    rows = plausibility.table(plausibility.analyse(learnt))
    assert list(rows["model"].str[:10]) == ["4 synapses"] * 3 + ["1 synapses"] * 3
    assert list(rows["component"]) == ["Hebbian potentiation"] * 3 + ["Hebbian depression"] * 3
    assert rows["value"].tolist() == pytest.approx([26, 260, 2600, 0.9, 9, 90])
    among, below, above = (
        "among the measured values",
        "below every tabulated value",
        "exceeds every tabulated value",
    )
    parts = [
        [(25, among), (75, below)],
        [(25, among), (50, below), (25, above)],
        [(25, among), (25, below), (50, above)],
    ]
    for verdict, said in zip(rows["verdict"][:3], parts, strict=True):
        assert verdict == ", ".join(f"{part} % {text}" for part, text in said)
    assert set(rows["verdict"][3:]) == {"100 % no data"}


def test_verdicts_at_the_ends():
    assert judge("excitatory synapse", "tau_facil", 0.67).verdict == "among the measured values"
    assert judge("excitatory synapse", "tau_facil", 0.671).verdict == "exceeds every tabulated value"
    assert judge("excitatory synapse", "tau_facil", 0.01).verdict == "below every tabulated value"
    unknown = judge("glia", "tau_facil", 0.1)
    assert (unknown.verdict, unknown.nearest) == ("no data", None)


def test_the_table_says_what_is_not_given():
    table = measurements()
    assert len(table) == len(MEASUREMENTS)
    assert (table["sd"] == "not given").all()
    assert table["source"].str.contains(r"\d{4}").all()


def test_a_fitted_synapse_is_a_source():
    table = synthetic_table(fw.TsodyksMarkram(0.15, 0.1, 2.0), sweeps=100, cv=0.2, seed=1)
    fit = fw.fit(fw.TsodyksMarkram(0.2, 0.2, 1.0), table, starts=4, replicates=40)
    mine = measured_by(fit, preparation="simulated", source="this test, 2026")
    facil = next(each for each in mine if each.quantity == "tau_facil")
    assert facil.low < 2.0 < facil.high
    assert facil.n is None  # sweeps are not cells
    told = replace(fit, responses=replace(fit.responses, cells=("one", "other")))
    assert measured_by(told, preparation="simulated", source="this test, 2026")[0].n == 2
    assert judge("excitatory synapse", "tau_facil", 2.0).verdict == "exceeds every tabulated value"
    assert judge("excitatory synapse", "tau_facil", 2.0, "s", [*MEASUREMENTS, *mine]).nearest is facil


def test_recordings_of_simulate_are_judged():
    connections = [Connection("E", "I", 0.1 * mV), Connection("I", "E", -0.1 * mV)]
    circuit = Circuit([Population("E", 5, noise=1 * mV), Population("I", 2)], connections)
    run = xr.Dataset(attrs={"configuration": json.dumps(circuit.configuration())})
    assert "holds" in plausibility.table(plausibility.analyse(run))["verdict"].tolist()
    with pytest.raises(RecordingError, match="what circuit"):
        plausibility.analyse(xr.Dataset())


@pytest.mark.parametrize(
    "attribute",
    [
        {"synapse": json.dumps({"rule": "sweep", "experiment": "payload.py", "over": {}})},
        {"circuits": json.dumps({"a": {"connections": [{"efficacy": 1.0, "synapse": {"rule": "sweep"}}]}})},
        {"circuits": "no json"},
        {"circuits": "[]"},
        {"circuits": "[" * 100_000},
        {"configuration": "3"},
        {},
    ],
    ids=lambda given: str(given)[:60],
)
def test_attributes_are_data(attribute, monkeypatch):
    """A name in a recording calls nothing but rules."""
    monkeypatch.setattr(fw, "sweep", lambda **_: pytest.fail("called"))
    recording = xr.Dataset(attrs=attribute)
    if "synapse" in attribute:
        recording = recording.assign(parameter_unit=("parameter", ["s"])).assign_coords(parameter=["tau_rec"])
    with pytest.raises(RecordingError):
        plausibility.analyse(recording)

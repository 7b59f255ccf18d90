"""working_memory, small: a high background holds the cue, a low one does not. silent_memory: the ping reads it out."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from analysis.working_memory import boundary
from fwsim import study
from fwsim.study import files

SMALL = {"models": ("mongillo2008",), "networks": 1, "engine": "auto", "settle": 0.3, "cue": 0.3}
REGIMES = {**SMALL, "backgrounds": (0.0225, 0.0242), "delay": 1.1}
PINGS = {**SMALL, "silence": 0.1, "ping_delays": (0.3,)}


@pytest.fixture(scope="module")
def run(tmp_path_factory, numpy_target):
    return study.run("working_memory", REGIMES, folder=tmp_path_factory.mktemp("memory") / "run")


@pytest.fixture(scope="module")
def silent(tmp_path_factory, numpy_target):
    return study.run("silent_memory", PINGS, folder=tmp_path_factory.mktemp("silent") / "run")


def test_forgets_below_and_holds_above(run):
    report = study.analyse(run)
    regime = report.result["regime"].sel(model="mongillo2008").isel(network=0)
    np.testing.assert_array_equal(regime, [0, 1])
    assert {path.name for path in report.files} >= {"memory.png", "regimes.png", "table.csv"}


def test_the_cue_goes_to_the_first_pool():
    made = files.load(files.find("working_memory"), ("run", "Config"))
    config = made.Config(settle=0.5, cue=0.2, delay=1.0, dt=0.001)
    drive = made.cued(config, made.circuit(config, "mongillo2008"), (0.02, 0.03))
    assert drive.shape == (2, 1700, 7)  # five pools, the other excitatory neurons, and inhibitory ones
    for trial, background in enumerate((0.02, 0.03)):
        usual = [background] * 6 + [0]
        for step, expected in ((499, usual), (500, [1.15 * background, *usual[1:]]), (700, usual)):
            assert drive[trial, step].tolist() == pytest.approx(expected)


def test_boundaries_of_one_network_are_the_backgrounds_around_them():
    """Of several networks Student's interval, widened to backgrounds; of one that is never reached, nothing."""
    backgrounds = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(boundary(backgrounds, np.array([[0.0, 0.0, 1.0, 1.0]])), [2.5, 2, 3])
    assert np.isnan(boundary(backgrounds, np.zeros((1, 4)))).all()
    alike = boundary(backgrounds, np.array([[0.0, 0.0, 1.0, 1.0]] * 3))
    np.testing.assert_allclose(alike, [2.5, 2, 3])
    various = boundary(
        backgrounds, np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    )
    assert various[1] < 2 < various[0] < 3 < various[2]


def test_networks_of_several_runs_are_joined(run):
    from analysis.working_memory import join

    both = join([run.recording, run.recording])
    alone = study.analyse(run).result
    assert both.sizes["network"] == 2
    np.testing.assert_array_equal(both["regime"].isel(network=1), alone["regime"].isel(network=0))
    np.testing.assert_array_equal(both["raster_rate"], alone["raster_rate"])


def test_a_ping_reads_the_memory_out(silent):
    report = study.analyse(silent)
    pinged = report.result["selectivity"].sel(model="mongillo2008", ping_delay=0.3, interval="estimate")
    assert pinged.item() > 0.5
    assert {path.name for path in report.files} >= {"selectivity.png", "table.csv"}


def test_a_lifetime_ends_where_the_selectivity_falls_through_one_half():
    from analysis.silent_memory import fall

    delay = np.array([1.0, 2.0, 4.0])
    assert fall(delay, np.array([0.9, 0.6, 0.2])) == pytest.approx(
        2.5
    )  # a quarter of the way from 0.6 to 0.2
    assert fall(delay, np.array([0.4, 0.9, 0.9])) == 0
    assert fall(delay, np.array([0.9, 0.6, 0.5])) == 4


def test_lifetimes_are_over_both_time_constants(silent):
    """A made-up recording: memories last longer with slower facilitation, and the table says how long."""
    from analysis.silent_memory import analyse, join, plot, table

    tau = {"tau_facil": [0.5, 1.5], "tau_rec": [0.2, 0.6]}
    delay = np.array([0.5, 1.5, 3.0])
    cued = 3.0 * np.exp(
        -delay / np.array(tau["tau_facil"])[:, None, None, None]
    )  # [facil, rec, network, delay]
    rate = np.ones((1, 2, 2, 2, 3, 7))
    rate[0, ..., 0] = 1 + np.broadcast_to(4 * cued, (2, 2, 2, 3))
    dims = ("model", "tau_facil", "tau_rec", "network", "ping_delay", "unit")
    recording = xr.Dataset(
        {
            "ping_response": (dims, rate),
            "mean_field_ping_response": (tuple(dim for dim in dims if dim != "network"), rate[:, :, :, 0]),
        },
        {"model": ["mongillo2008"], "ping_delay": delay, **tau},
        silent.recording.attrs,
    )
    result = analyse(recording)
    lifetime = result["lifetime"].sel(interval="estimate", model="mongillo2008")
    # (cued − 1)/(cued + 1) falls through one half where the cued pool answers three times as much as the others do.
    assert (lifetime.sel(tau_facil=1.5) > lifetime.sel(tau_facil=0.5)).all()
    np.testing.assert_allclose(result["network_lifetime"].mean("network"), result["mean_field_lifetime"])
    rows = table(result)
    assert len(rows) == 4
    assert rows[0]["quantity"] == "lifetime at τ_facil 0.5 s, τ_rec 0.2 s (s)"
    figures = plot(result)
    assert set(figures) == {"selectivity", "lifetime"}
    panels = [axes.get_title() for axes in figures["selectivity"].axes]
    assert panels == ["τ_rec 0.2 s", "τ_rec 0.6 s"]
    labels = [text.get_text() for text in figures["lifetime"].legends[0].get_texts()]
    assert labels == [f"facilitation (mongillo2008), τ_rec {rec} s" for rec in (0.2, 0.6)]
    dots = [bars.lines[0].get_xdata() for bars in figures["lifetime"].axes[0].containers]
    assert (dots[0] != dots[1]).all()  # equal lifetimes do not hide each other
    other = recording.assign(ping_response=recording["ping_response"] * [[[2.0]], [[1.0]]])
    both = join([recording, other])
    assert both.sizes["network"] == 4
    np.testing.assert_allclose(both["network_lifetime"][..., :2], result["network_lifetime"])


def test_slow_currents_have_no_time_constants_of_plasticity(tmp_path):
    with pytest.raises(fw.ConfigError, match="slow_current takes one tau_facil"):
        study.run("silent_memory", {"tau_facil": (0.5, 1.5)}, folder=tmp_path / "run")


def test_pings_read_out_synapses_that_are_drawn_for_each_neuron(tmp_path):
    given = {**PINGS, "models": ("spread", "measured"), "ping_delays": (0.12,)}
    report = study.analyse(study.run("silent_memory", given, folder=tmp_path / "run"))
    assert report.result["network_selectivity"].notnull().all()
    assert list(report.table["model"]) == ["facilitation, spread as measured", "measured synapses"]


def test_both_versions_are_compared(run, silent):
    table = study.compare(run).table
    spontaneous = table[table["quantity"].str.startswith("spontaneous")]
    assert len(spontaneous) == 2
    assert set(table["quantity"]) >= {"rate of the cued pool (Hz)"}
    assert set(study.compare(silent).table["quantity"]) == {"selectivity of a ping", "lifetime (s)"}
    # A fifth of the network fires at half the rate (docs/results/working_memory.md).
    assert (spontaneous["difference"].str.split().str[0].astype(float).abs() < 1).all()

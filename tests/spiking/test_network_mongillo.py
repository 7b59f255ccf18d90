"""Mongillo, Barak & Tsodyks 2008 at full size: 10,000 neurons, three regimes, three seeds.

The bands were stated before any run at full size, from networks of 2000 to 7000 neurons and from the rate version.
"""

from pathlib import Path

import pytest

from analysis.working_memory import EVENT, events, regime
from fwsim.study import files

EXPERIMENT = files.load(Path(__file__).parents[2] / "experiments/working_memory.py", ("Config", "run"))
BACKGROUNDS = {"forgets": 0.0230, "holds": 0.0242, "lost": 0.0275}  # V


@pytest.fixture(scope="module", params=[1, 2, 3])
def run(request):
    """Rates, u and x `[trial, time, unit]`, one regime a trial."""
    config = EXPERIMENT.Config(scale=1.0, backgrounds=tuple(BACKGROUNDS.values()))
    net = EXPERIMENT.circuit(config, "mongillo2008")
    drive = EXPERIMENT.cued(config, net, config.backgrounds)
    return EXPERIMENT.spikes(config, net, drive, request.param), config


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestFullSize:
    def test_regimes(self, run):
        recording, config = run
        assert regime(recording["rate"], config.settle).values.tolist() == [0, 1, 2]

    def test_forgets_but_keeps_the_trace(self, run):
        recording, config = run
        one = recording.isel(trial=0)
        rest = one["rate"].where((one["time"] > 0.2) & (one["time"] <= config.settle)).mean("time")
        assert 0.05 < rest[:5].mean() < 1.5
        assert 3 < rest[6] < 8
        late = one.sel(time=one["time"] > config.settle + config.cue + 1).mean("time")
        assert late["rate"][0] < 1
        assert (
            one["u"].sel(time=config.settle + config.cue + 1)[0]
            > 1.3 * one["u"].sel(time=config.settle + config.cue + 1)[1:5].mean()
        )

    def test_holds_as_population_spikes(self, run):
        recording, config = run
        one = recording.isel(trial=1)
        late = one["rate"].sel(time=one["time"] > config.settle + config.cue + 1).mean("time")
        assert 3 < late[0] < 10
        assert late[1:5].max() < 1.5
        assert 2 <= events(one["rate"].isel(unit=0)) <= 10

    def test_spontaneous_state_is_lost(self, run):
        recording, config = run
        before = recording["rate"].isel(trial=2, unit=slice(5)).sel(time=slice(0.2, config.settle))
        assert (before > EVENT).any()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_silent_memory_is_read_out_by_the_ping_and_a_rival_is_not(tmp_path):
    """The experiment, end to end, at a fifth of the size."""
    from fwsim.study import analyse, run

    values = {
        "models": ("mongillo2008", "slow_current"),
        "ping_delays": (0.5, 1.5, 3.0),
        "networks": 3,
    }
    report = analyse(run("silent_memory", values, quick=True, folder=tmp_path / "run"))
    selectivity = report.result["selectivity"].sel(interval="estimate")
    assert selectivity.sel(model="mongillo2008", ping_delay=0.5) > 0.5
    # A ping may ignite any pool of the rival, so that only several networks and delays tell.
    assert selectivity.sel(model="slow_current", ping_delay=[1.5, 3.0]).mean() < 0.25
    assert {path.name for path in report.files} >= {"selectivity.png", "table.csv"}

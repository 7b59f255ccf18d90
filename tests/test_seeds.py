"""Any integer of at least 0 is a seed, everywhere."""

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.fitting import synthetic_table
from fwsim.seeds import numpy_generator, seed_of_32_bits, stream_seed, torch_generator
from fwsim.spiking import Circuit, Population
from fwsim.study import Context

CIRCUIT = Circuit([Population("E", 5, background=0.02, noise=0.005)])
HIDDEN = xr.DataArray(np.random.default_rng(0).normal(size=(20, 3, 4)), dims=("trial", "time", "unit"))
NOISY = fw.RateNetwork([fw.Projection(torch.eye(2))], tau=0.01, gain=fw.tanh, dt=1e-3, noise=1.0)
RANDOM = fw.StochasticRelease(fw.TsodyksMarkram(), sites=50)
TIMES = torch.arange(1, 20, dtype=torch.float64) / 100
RULE = fw.TsodyksMarkram()
USES = {
    "respond": lambda seed: fw.spiking.respond(RANDOM, TIMES, dt=1e-2, seed=seed),
    "spiking": lambda seed: (
        fw.spiking.simulate(CIRCUIT, steps=20, seed=seed, record="potential", progress=False).potential
    ),
    "build": lambda seed: np.array(fw.spiking.build(CIRCUIT, seed=seed).neurons.v),
    "decode": lambda seed: fw.measure.decode(HIDDEN, np.arange(20) % 2, seed=seed).accuracy,
    "bootstrap": lambda seed: fw.measure.bootstrap(HIDDEN.values, np.square, seed=seed, draws=5),
    "synthetic": lambda seed: synthetic_table(RULE, {"a": [0.1, 0.2]}, sweeps=3, seed=seed).amplitude,
    "rates": lambda seed: fw.simulate(NOISY, steps=5, seed=seed, record="rate", progress=False).rate,
    "forward": lambda seed: NOISY(torch.zeros(1, 5, 2), seed=seed)[0].detach(),
    "release": lambda seed: RANDOM.respond(TIMES, seed=seed),
    "stream": lambda seed: torch.randn(4, generator=torch_generator(seed, "x", 1)),
    "context": lambda seed: torch.randn(4, generator=Context(".", seed).generator("x")),
}
LARGE = (2**32 + 1, 2**63 - 1, 2**64 + 1, np.int64(3))


@pytest.mark.parametrize("use", USES)
def test_seeds_of_any_size_differ_and_repeat(use):
    seen = {seed: np.asarray(USES[use](seed)) for seed in (1, *LARGE)}
    for seed in (1, 2**64 + 1):
        np.testing.assert_array_equal(seen[seed], np.asarray(USES[use](seed)))
    if use != "decode":  # whose accuracies are few
        assert len({each.tobytes() for each in seen.values()}) == len(seen)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("seed", [-1, 1.0, True, "1", None, np.float64(2), float("nan")])
def test_everything_else_is_refused_in_one_line(use, seed):
    with pytest.raises(fw.ConfigError, match=r"seed=.* is not allowed; it must be an integer of at least 0"):
        USES[use](seed)


def test_small_seeds_are_those_of_the_generators():
    assert seed_of_32_bits(2**32 - 1) == 2**32 - 1
    assert torch_generator(7).initial_seed() == 7
    assert numpy_generator(7).random() == np.random.default_rng(7).random()
    assert numpy_generator(7, 1).random() == np.random.default_rng([7, 1]).random()


def test_fits_take_them():
    table = synthetic_table(RULE, sweeps=5)
    one = fw.fit(RULE, table, starts=2, replicates=2, seed=2**70)
    assert one.replicates.equal(fw.fit(RULE, table, starts=2, replicates=2, seed=2**70).replicates)
    with pytest.raises(fw.ConfigError, match="seed=-1"):
        fw.fit(RULE, table, seed=-1)


def test_recordings_keep_them(tmp_path):
    run = fw.simulate(NOISY, steps=5, seed=2**70, record="rate", to=tmp_path / "run", progress=False)
    assert fw.open_recording(tmp_path / "run").attrs["seed"] == 2**70
    fw.recording.write_netcdf(run, tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as stored:
        assert stored.attrs["seed"] == str(2**70)


def test_bits_of_a_stream():
    context = Context(".", 5)
    assert context.seed_of("noise", bits=31) == context.seed_of("noise") % 2**31


def test_streams_of_a_seed():
    assert Context(".", 5).seed_of("noise") == stream_seed(5, "noise")
    assert len({stream_seed(5, *names) for names in ("a", "b", (0,), (1,), ("a", 1), ("b", 1))}) == 6


def test_torch_is_seeded_for_a_while():
    before = torch.get_rng_state()
    with Context(".", 5).random_state("weights"):
        inside = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(stream_seed(5, "weights"))
    assert torch.equal(inside, torch.rand(3))
    torch.set_rng_state(before)


def test_sampled_steady_states_have_a_seed():
    rule = fw.LinearNonlinear(a=1.0, tau_trace=0.01)
    zero, again, other = (rule.steady_state(10.0, "poisson", seed=seed).release for seed in (0, 0, 1))
    assert torch.equal(zero, again)
    assert not torch.equal(zero, other)
    with pytest.raises(fw.ConfigError, match="seed=-1"):
        rule.steady_state(10.0, seed=-1)

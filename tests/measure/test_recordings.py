"""Measures of recordings against what they must be by construction."""

import math
import sys
from itertools import permutations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import ttest_rel

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError, ShapeError
from fwsim.measure.forgetting import _p_values


@pytest.fixture(scope="module")
def run():
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(3, 8, fw.Hebbian.from_decay(0.9, eta=0.3), inner_steps=3).double()
    x = torch.randn(4, 12, 3, dtype=torch.float64)
    return fw.simulate(net, x, record=["hidden", "inner", "attention", fw.Record("memory", every=1)])


def orthogonal_stream(decay=0.8, units=8, dt=1.0):
    """A memory that was written with orthogonal patterns, one a step, recorded after each write."""
    memory = fw.Hebbian.from_decay(decay, eta=0.5, dt=dt)
    net = fw.FastWeightNetwork(1, units, memory, dt=dt).double()
    patterns = 2 * torch.eye(units, dtype=torch.float64)
    state, kept = net.initial_state(1), []
    for pattern in patterns:
        state = net.write(state, pattern[None])
        kept.append(state.memory[0, 0].detach().numpy())
    time = dt * np.arange(1, units + 1)
    stored = xr.Dataset(
        {
            "memory": (("trial", "time", "post", "pre"), np.array(kept)[None]),
            "hidden": (("trial", "time", "unit"), patterns.numpy()[None]),
        },
        coords={"time": time},
    )
    return stored, patterns


def test_overlap_is_the_cosine(run):
    patterns = np.random.default_rng(0).normal(size=(5, 8))
    result = fw.measure.overlap(run, patterns)
    assert result.dims == ("trial", "time", "pattern")
    h = run.hidden.values[2, 7]
    assert result.values[2, 7] == pytest.approx(
        patterns @ h / np.linalg.norm(patterns, axis=1) / np.linalg.norm(h)
    )
    assert fw.measure.overlap(run["inner"], torch.tensor(patterns)).dims == (
        "trial",
        "time",
        "iteration",
        "pattern",
    )
    own = fw.measure.overlap(run, run.hidden.values)
    assert np.diagonal(own.values, axis1=1, axis2=2) == pytest.approx(np.ones((4, 12)))


def test_overlap_with_the_mean_taken_out(run):
    mean = run.hidden.mean(["trial", "time"])
    patterns = np.random.default_rng(1).normal(size=(2, 8))
    centred = fw.measure.overlap(run, patterns, centre=mean)
    by_hand = fw.measure.overlap(run.hidden - mean, patterns - mean.values)
    assert np.allclose(centred, by_hand)
    assert not np.allclose(centred, fw.measure.overlap(run, patterns))


def test_overlap_of_nothing_is_zero():
    states = xr.DataArray(np.zeros((1, 2, 3)), dims=("trial", "time", "unit"))
    assert (fw.measure.overlap(states, np.ones((1, 3))) == 0).all()


def test_lazy_recordings_stay_lazy_and_give_the_same(run):
    lazy = run.chunk(trial=2, time=5)
    patterns = np.random.default_rng(2).normal(size=(3, 8))
    result = fw.measure.overlap(lazy, patterns)
    assert result.chunks is not None
    assert np.allclose(result.compute(), fw.measure.overlap(run, patterns))
    for measure in (fw.measure.attention, fw.measure.convergence):
        lazily, directly = measure(lazy), measure(run)
        for name in directly:
            assert np.allclose(lazily[name].compute(), directly[name], equal_nan=True), name
    assert np.allclose(fw.measure.participation_ratio(lazy).compute(), fw.measure.participation_ratio(run))
    assert np.allclose(
        fw.measure.principal_components(lazy).projection, fw.measure.principal_components(run).projection
    )


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_retention_of_orthogonal_patterns_is_exactly_exponential(dt):
    stored, patterns = orthogonal_stream(decay=0.8, dt=dt)
    result = fw.measure.retention(stored, patterns)
    assert result.lag.values == pytest.approx(dt * np.arange(8))
    assert result.strength.values[0] == pytest.approx(0.5 * 0.8 ** np.arange(8))
    assert result.overlap.values[0] == pytest.approx([1.0] + [0.0] * 7)
    assert result.patterns.values.tolist() == list(range(8, 0, -1))
    law = fw.measure.forgetting_curve(result.strength)
    assert law.best == "exponential"
    assert float(law.tau[0, 0]) == pytest.approx(float(fw.theory.tau_from_decay(0.8, dt)), rel=1e-5)


def test_retention_with_times_given():
    stored, patterns = orthogonal_stream()
    late = fw.measure.retention(stored, patterns[2:4], shown=[3.0, 4.0])
    assert late.lag.values.tolist() == [0, 1, 2, 3, 4, 5]
    assert late.strength.values[0] == pytest.approx(0.5 * 0.8 ** np.arange(6))


def test_retention_says_what_is_missing():
    stored, patterns = orthogonal_stream()
    with pytest.raises(RecordingError, match="memory"):
        fw.measure.retention(stored.drop_vars(["memory", "hidden"]), patterns)
    with pytest.raises(ShapeError, match="20 patterns, but 8 samples") as caught:
        fw.measure.retention(stored, np.ones((20, 8)))
    assert "shown" not in str(caught.value)
    with pytest.raises(ShapeError, match="shown"):
        fw.measure.retention(stored, patterns, shown=[1.0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda run: fw.measure.overlap(run, np.ones((2, 5))), "units"),
        (lambda run: fw.measure.overlap(run, [[1, 2], [1]]), "patterns has rows of different lengths"),
        (lambda run: fw.measure.overlap("run", np.ones((2, 8))), "run is a str"),
        (lambda run: fw.measure.retention(run, np.ones(8)), r"patterns has shape \[8\]"),
    ],
)
def test_what_is_no_recording_or_no_pattern_is_refused(run, call, says):
    with pytest.raises((ConfigError, ShapeError), match=says):
        call(run)


def test_attention_describes_shares(run):
    result = fw.measure.attention(run)
    raw = np.abs(run.attention.values)
    share = raw[1, 9, 2] / raw[1, 9, 2].sum()
    assert result.weight.values[1, 9, 2] == pytest.approx(share)
    used = share[:9]
    assert float(result.span[1, 9, 2]) == pytest.approx(1 / (used**2).sum())
    entropy = -(used[used > 0] * np.log(used[used > 0])).sum()
    assert float(result.concentration[1, 9, 2]) == pytest.approx(1 - entropy / math.log(9))
    assert float(result.lag[1, 9, 2]) == pytest.approx((used * (10 - np.arange(1, 10))).sum())
    assert int(result.peak[1, 9, 2]) == int(used.argmax()) + 1
    assert result.span[:, 0].isnull().all()
    assert (result.peak[:, 0] == -1).all()


def test_attention_span_of_equal_states_is_that_of_the_kernel():
    steps, decay, dt = 400, 0.95, 0.01
    lag = np.arange(steps)[::-1]
    weights = np.zeros((1, 1, 1, steps + 1))
    weights[..., :steps] = decay**lag
    run = xr.Dataset(
        {"attention": (("trial", "time", "iteration", "past"), weights)},
        coords={"time": [(steps + 1) * dt], "past": np.arange(1, steps + 2)},
        attrs={"dt": dt},
    )
    span = float(fw.measure.attention(run).span[0, 0, 0])
    assert span == pytest.approx(
        fw.theory.attention_span(fw.theory.tau_from_decay(decay, dt), dt=dt), rel=1e-6
    )
    assert float(fw.measure.attention(run).lag[0, 0, 0]) == pytest.approx(dt * (1 + 0.95 / 0.05), rel=1e-5)


def test_convergence_of_a_known_contraction():
    fixed, factor = np.array([3.0, 4.0]), 0.1
    path = fixed + factor ** np.arange(8)[:, None] * np.array([1.0, -1.0])
    states = xr.DataArray(path[None, None], dims=("trial", "time", "iteration", "unit"))
    result = fw.measure.convergence(states, tolerance=1e-3)
    assert float(result.rate[0, 0]) == pytest.approx(factor, rel=0.02)
    # |h_{s+1} − h_s| = 0.9·√2·0.1^s, of |h| ≈ 5: .25, .025, .0025, .00025.
    assert result.iterations.values.tolist() == [[3.0]]
    assert bool(result.settled[0, 0])
    strict = fw.measure.convergence(states, tolerance=1e-12)
    assert not bool(strict.settled[0, 0])
    assert np.isnan(strict.iterations[0, 0])


def test_convergence_needs_iterations():
    with pytest.raises(ShapeError, match="inner_steps"):
        fw.measure.convergence(xr.DataArray(np.ones((1, 1, 2)), dims=("time", "iteration", "unit")))


@given(st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_participation_ratio_counts_equal_directions(dimensions, seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(9, 9)))[0][:dimensions]
    corners = np.concatenate([np.eye(dimensions), -np.eye(dimensions)])
    assert fw.measure.participation_ratio(corners @ basis + 5.0) == pytest.approx(dimensions)
    assert fw.measure.participation_ratio(torch.tensor(corners @ basis)) == pytest.approx(dimensions)


def test_participation_ratio_of_a_recording(run):
    result = fw.measure.participation_ratio(run)
    assert result.dims == ("trial",)
    eigenvalues = np.linalg.eigvalsh(np.cov(run.hidden.values[3].T))
    assert float(result[3]) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    assert fw.measure.participation_ratio(run, ("trial", "time")).ndim == 0


def test_principal_components_are_those_of_the_svd(run):
    result = fw.measure.principal_components(run, count=3)
    data = run.hidden.values.reshape(-1, 8)
    data = data - data.mean(0)
    _, singular, vectors = np.linalg.svd(data, full_matrices=False)
    assert result.variance.values == pytest.approx(singular[:3] ** 2 / (len(data) - 1))
    assert np.abs((result.component.values * vectors[:3]).sum(1)) == pytest.approx(np.ones(3))
    assert result.projection.values.reshape(-1, 3).var(0, ddof=1) == pytest.approx(result.variance.values)
    with pytest.raises(ConfigError, match="components"):
        fw.measure.principal_components(run, count=9)


def ornstein_uhlenbeck(tau, dt, steps, trials, seed):
    rng = np.random.default_rng(seed)
    decay = math.exp(-dt / tau)
    noise = rng.standard_normal((trials, steps, 1)) * math.sqrt(1 - decay**2)
    noise[:, 0] /= math.sqrt(1 - decay**2)
    values = lfilter([1], [1, -decay], noise, axis=1)
    return xr.DataArray(values, dims=("trial", "time", "unit"), coords={"time": dt * np.arange(1, steps + 1)})


@pytest.mark.parametrize(("tau", "dt", "steps", "trials"), [(0.05, 0.005, 5000, 1), (0.2, 0.02, 400, 12)])
def test_autocorrelation_time_of_ornstein_uhlenbeck_within_its_error(tau, dt, steps, trials):
    estimates = [
        fw.measure.autocorrelation_time(ornstein_uhlenbeck(tau, dt, steps, trials, s)) for s in range(20)
    ]
    z = np.array([(float(one.tau[0]) - tau) / float(one.error[0]) for one in estimates])
    assert abs(z.mean()) < 3 / math.sqrt(20) + 0.2  # the method's own bias is below .2 of an error
    assert 0.5 < z.std() < 1.6
    assert (np.abs(z) < 3).all()
    assert all(bool(one.resolved[0]) for one in estimates)
    assert np.mean([float(one.error[0]) for one in estimates]) < 0.3 * tau


@pytest.mark.parametrize(("length", "trials"), [(30, 400), (100, 40)])
def test_short_trials_with_means_and_an_evoked_response_have_the_same_time_constant(length, trials):
    values = ornstein_uhlenbeck(10.0, 1.0, length, trials, 1)
    random = np.random.default_rng(0)
    values = values + random.normal(size=(trials, 1, 1)) + 3 * np.sin(np.arange(length) / 9)[None, :, None]
    found = fw.measure.autocorrelation_time(values)
    assert bool(found.resolved[0])
    assert float(found.tau_low[0]) < 10 < float(found.tau_high[0])
    assert float(found.tau[0]) == pytest.approx(10, rel=0.25)


def test_a_single_short_trial_is_not_resolved():
    found = xr.concat(
        [fw.measure.autocorrelation_time(ornstein_uhlenbeck(10.0, 1.0, 30, 1, s)) for s in range(20)], "set"
    )
    assert not found.resolved.any()
    assert float(((found.tau_low <= 10) & (found.tau_high >= 10)).mean()) > 0.8


def test_the_expected_sum_of_a_short_trial_is_that_of_the_whole_covariance():
    """By matrices: centred covariance C Σ C with C = 1 − 11ᵀ/L, summed along its diagonals."""
    from fwsim.measure.exponential import Sums

    length, window, tau = 25, 3, 7.0
    covariance = np.exp(-abs(np.subtract.outer(np.arange(length), np.arange(length))) / tau)
    centre = np.eye(length) - 1 / length
    centred = centre @ covariance @ centre
    means = [np.diagonal(centred, lag).mean() for lag in range(window + 1)]
    sums = Sums(window, length, 4)
    assert sums.mean(tau) == pytest.approx(sum(means[1:]) / means[0])
    weights = (
        sum(np.eye(length, k=lag) / (length - lag) for lag in range(1, window + 1))
        - sums.mean(tau) * np.eye(length) / length
    )
    weights = (weights + weights.T) / 2 @ centred
    exact = math.sqrt(2 * np.trace(weights @ weights) / 4) / means[0]
    assert sums.spread(tau) == pytest.approx(exact, rel=0.1)
    assert sums.tau(sums.mean(tau)) == pytest.approx(tau, rel=1e-4)


def test_autocorrelation_time_of_white_noise_constants_and_bad_axes():
    white = xr.DataArray(np.random.default_rng(0).normal(size=(5000, 1)), dims=("time", "unit"))
    assert float(fw.measure.autocorrelation_time(white).tau[0]) < 0.5
    constant = xr.DataArray(np.ones((100, 1)), dims=("time", "unit"))
    assert np.isnan(fw.measure.autocorrelation_time(constant).tau[0])
    uneven = constant.assign_coords(time=np.arange(100) ** 2)
    with pytest.raises(ShapeError, match="evenly"):
        fw.measure.autocorrelation_time(uneven)


T = np.arange(60.0)


@pytest.mark.parametrize(
    ("law", "values", "tau"),
    [
        ("exponential", 0.5 * np.exp(-T / 19.5), [19.5]),
        ("two exponentials", np.exp(-T / 2) + 0.3 * np.exp(-T / 30), [30.0, 2.0]),
        ("power law", (1 + T / 3) ** -0.5, [3.0]),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_forgetting_laws_are_told_apart(law, values, tau, noise):
    values = values + noise * np.random.default_rng(1).standard_normal(60)
    result = fw.measure.forgetting_curve(values, T)
    assert result.best == law
    assert float(result.weight.sum()) == pytest.approx(1.0)
    found = result.tau.sel(law=law).dropna("term").values
    assert found == pytest.approx(tau, rel=1e-4 if noise == 0 else 0.2)
    if law == "power law":
        assert float(result.exponent.sel(law=law)) == pytest.approx(0.5, rel=1e-4 if noise == 0 else 0.1)


def test_information_criteria_of_forgetting_by_hand():
    lag = np.arange(12.0)
    values = np.exp(-lag / 4) + 0.05 * np.random.default_rng(3).standard_normal(12)
    result = fw.measure.forgetting_curve(values, lag)
    for law, size in (
        ("exponential", 3),
        ("two exponentials", 5),
        ("power law", 4),
    ):  # the error's size counts
        residual = ((result.curve.sel(law=law).values - values) ** 2).sum()
        deviance = 12 * math.log(residual / 12)
        assert float(result.bic.sel(law=law)) == pytest.approx(deviance + size * math.log(12))
        aicc = deviance + 2 * size + 2 * size * (size + 1) / (12 - size - 1)  # Hurvich & Tsai 1989
        assert float(result.aicc.sel(law=law)) == pytest.approx(aicc)


def test_forgetting_needs_enough_lags():
    with pytest.raises(ShapeError, match="at least"):
        fw.measure.forgetting_curve(np.ones(4), np.arange(4))
    with pytest.raises(ShapeError, match="lag"):
        fw.measure.forgetting_curve(np.ones(40))


def test_streams_reject_laws_that_do_not_predict():
    """Errors of neighbouring lags are equal, which a single curve cannot tell from a second exponential."""
    drift = np.random.default_rng(0).normal(size=(12, 4)).repeat(15, axis=1)
    for law, values in (
        ("exponential", np.exp(-T / 20)),
        ("two exponentials", np.exp(-T / 2) + 0.3 * np.exp(-T / 30)),
    ):
        streams = xr.DataArray(values + 0.05 * drift, dims=("trial", "lag"), coords={"lag": T})
        result = fw.measure.forgetting_curve(streams)
        assert result.best == law
        assert result.attrs["chosen_by"] == "validation"
        assert bool(result.rejected.sel(law="exponential")) == (law != "exponential")


def random_stream(units, items, tau=20.0):
    """Memories with one time constant and self-connections after each of the items, and the items."""
    net = fw.FastWeightNetwork(1, units, fw.Hebbian(tau=tau, eta=1.0 / units)).double()
    items = torch.randn(
        3, items, units, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).sign()
    state, memory = net.initial_state(3), []
    for item in items.unbind(1):
        state = net.write(state, item)
        memory.append(state.memory.sum(1).detach().numpy())
    run = xr.Dataset({"memory": (("trial", "time", "post", "pre"), np.stack(memory, 1))})
    return run.assign_coords(time=np.arange(1.0, items.shape[1] + 1)), items


def test_the_time_constant_of_a_memory_with_self_connections_is_found():
    run, items = random_stream(30, 100)
    kept = fw.measure.retention(run, items)
    np.testing.assert_allclose(kept.strength, np.tile(np.exp(-kept.lag.values / 20) / 30, (3, 1)), atol=1e-9)
    assert float(abs(kept.strength_control).max()) < 1e-9
    law = fw.measure.forgetting_curve(kept.strength - kept.strength_control)
    assert law.best == "exponential"
    assert float(law.tau.sel(law="exponential")[0]) == pytest.approx(20, rel=1e-4)


def test_laws_are_rejected_by_a_paired_test_over_streams():
    error = np.random.default_rng(0).normal([[1.0], [1.1], [1.4]], 0.2, (3, 6))
    expected = [ttest_rel(row, error[0], alternative="greater").pvalue for row in error[1:]]
    np.testing.assert_allclose(_p_values(error), [1.0, *expected], rtol=1e-9)


def test_the_control_of_a_few_units_is_the_mean_over_all_their_orders():
    """Of more patterns than are measured together, so that the whole memory is left."""
    random = np.random.default_rng(1)
    memory, patterns = random.normal(size=(1, 1, 3, 3)), random.normal(size=(4, 3))
    run = xr.Dataset({"memory": (("trial", "time", "post", "pre"), memory)}).assign_coords(time=[0.0])
    kept = fw.measure.retention(run, patterns, shown=np.zeros(4))
    orders = patterns[:, list(permutations(range(3)))]
    strength = np.einsum("pni,ij,pnj->pn", orders, memory[0, 0], orders).mean(1)
    assert kept.strength_control.item() == pytest.approx((strength / (patterns**2).sum(1) ** 2).mean())


def test_shuffled_patterns_have_the_strength_of_what_else_is_stored():
    """The control is a mean over all orders of units; here over many."""
    run, items = random_stream(12, 40)
    some = items[:, -1:] + 0.5
    last = run.isel(time=[-1]).assign_coords(time=[0.0])
    kept = fw.measure.retention(last, some)
    residual = last.memory.values[:, 0] - kept.strength.values[:, 0, None, None] * np.einsum(
        "ti,tj->tij", some[:, 0], some[:, 0]
    )
    random = np.random.default_rng(0)
    orders = np.stack([some[0, 0].numpy()[random.permutation(12)] for _ in range(20_000)])
    strength = np.einsum("ni,ij,nj->n", orders, residual[0], orders) / (some[0, 0] ** 2).sum().item() ** 2
    assert abs(strength.mean() - float(kept.strength_control[0, 0])) < 4 * strength.std() / 20_000**0.5


def test_shuffled_patterns_overlap_by_their_means(run):
    patterns = np.random.default_rng(0).normal(size=(2, 8)) + 1
    control = fw.measure.retention(run, patterns).overlap_control
    orders = np.stack([patterns[0][np.random.default_rng(k).permutation(8)] for k in range(4000)])
    cosine = fw.measure.overlap(run.hidden[0, 11], orders)
    assert float(control[0, -1]) == pytest.approx(float(cosine.mean()), abs=0.02)
    mean = run.hidden.mean(["trial", "time"]).values
    centred = fw.measure.retention(run, patterns, centre=mean)
    assert float(abs(centred.overlap_control[0, -1])) < float(control[0, -1])


def test_a_pattern_whose_negative_is_recalled_is_not_retrieved():
    assert fw.measure.information([0.9], 100) == -fw.measure.information([-0.9], 100) > 60


def test_information_of_perfect_chance_and_half_recall():
    assert fw.measure.information(np.ones(7), units=100) == pytest.approx(700)
    rng = np.random.default_rng(0)
    chance = rng.choice([-1, 1], size=(4000, 1, 200)).mean(-1)
    assert fw.measure.information(chance, units=200).mean() == pytest.approx(0, abs=0.06)
    half = np.where(rng.random((4000, 1, 200)) < 0.75, 1, -1).mean(-1)
    expected = 200 * float(fw.theory.binary_information(0.5))
    assert fw.measure.information(half, units=200).mean() == pytest.approx(expected, abs=0.5)
    array = xr.DataArray(np.ones((2, 7)), dims=("trial", "pattern"))
    assert fw.measure.information(array, units=10).values.tolist() == [70, 70]


def coded(kind, trials=120, times=10, units=20, seed=0):
    """Trials of two labels in noise: the same direction all the time, a turning one, or hidden in between."""
    rng = np.random.default_rng(seed)
    labels = np.arange(trials) % 2
    sign = 2.0 * labels - 1
    directions = np.linalg.qr(rng.normal(size=(units, units)))[0]
    signal = {
        "stable": np.tile(directions[0], (times, 1)),
        "rotating": directions[:times],
        "silent": np.where((np.arange(times) % 9 == 0)[:, None], directions[0], 0.0),
        "absent": np.zeros((times, units)),
    }[kind]
    states = 3 * sign[:, None, None] * signal + 0.5 * rng.normal(size=(trials, times, units))
    return xr.DataArray(
        states, dims=("trial", "time", "unit"), coords={"time": np.arange(times) / 10}
    ), labels


@pytest.mark.parametrize("kind", ["stable", "rotating", "silent", "absent"])
def test_decoding_tells_codes_apart(kind):
    pytest.importorskip("sklearn", reason="scikit-learn is an optional dependency")
    states, labels = coded(kind)
    result = fw.measure.decode(states, labels)
    assert result.accuracy.dims == ("train_time", "test_time")
    assert result.code.values[4] == kind
    assert float(result.chance) == 0.5
    if kind == "stable":
        assert float(result.accuracy.min()) > 0.95
    if kind == "silent":
        assert result.decodable.values.tolist() == [True] + [False] * 8 + [True]
    if kind == "absent":
        assert not result.decodable.any()


def test_a_weak_constant_code_is_never_called_silent():
    """In 30 sets of 40 trials; without a test of absence 97 % of such sets had a silent time."""
    pytest.importorskip("sklearn", reason="scikit-learn is an optional dependency")
    labels = np.arange(40) % 2
    for seed in range(30):
        states = np.random.default_rng(seed).normal(size=(40, 6, 8))
        states[..., 0] += 0.8 * (2 * labels[:, None] - 1)
        code = fw.measure.decode(
            xr.DataArray(states, dims=("trial", "time", "unit")), labels, permutations=40
        ).code
        assert not set(code.values) & {"silent", "absent", "rotating"}


def test_the_discriminant_is_that_of_scikit_learn():
    """For every labelling, with the same shrunk covariance."""
    analysis = pytest.importorskip(
        "sklearn.discriminant_analysis", reason="scikit-learn is an optional dependency"
    )
    from fwsim.measure.discriminant import discriminant

    random = np.random.default_rng(0)
    states, labels = random.normal(size=(60, 7)), np.arange(60) % 3
    states[:, 0] += 3 * labels
    rows = np.stack([labels, random.permutation(labels)])
    found = discriminant(states, rows, 3)
    scaled, tests = (states - found.origin) / found.scale, random.normal(size=(200, 7))

    class Shrunk:
        def get_params(self, deep=True):
            return {}

        def fit(self, part):
            from sklearn.covariance import ledoit_wolf_shrinkage

            shrinkage = ledoit_wolf_shrinkage(scaled, assume_centered=True)
            self.covariance_ = (1 - shrinkage) * np.cov(part.T, bias=True) + shrinkage * np.eye(7)
            return self

    for row, guesses in zip(rows, found(tests)):
        other = analysis.LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Shrunk()).fit(
            scaled, row
        )
        np.testing.assert_array_equal(other.predict((tests - found.origin) / found.scale), guesses)


def test_a_classifier_of_the_user_gives_the_same_null():
    analysis = pytest.importorskip(
        "sklearn.discriminant_analysis", reason="scikit-learn is an optional dependency"
    )
    states, labels = coded("stable", trials=40, times=2, units=3)
    own = fw.measure.decode(states, labels, permutations=20, folds=2)
    given = fw.measure.decode(
        states,
        labels,
        permutations=20,
        folds=2,
        classifier=analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    )
    assert (own.decodable == given.decodable).all()
    np.testing.assert_allclose(own.guessing, given.guessing, atol=0.05)
    with pytest.raises(ConfigError, match="give 99 or more"):
        fw.measure.decode(states, labels, level=0.99, permutations=20)


def test_decoding_refuses_too_few_trials_and_says_what_to_install(monkeypatch):
    states, labels = coded("stable", trials=12)
    with pytest.raises(ConfigError, match="folds"):
        fw.measure.decode(states, labels, folds=7)
    with pytest.raises(ShapeError, match="trial"):
        fw.measure.decode(states, labels[:-1])
    monkeypatch.setitem(sys.modules, "sklearn.discriminant_analysis", None)
    with pytest.raises(ConfigError, match="decode needs scikit-learn, which cannot be imported"):
        fw.measure.decode(states, labels)


def test_a_variable_that_was_not_recorded_is_named(run):
    with pytest.raises(RecordingError, match="'inner'"):
        fw.measure.convergence(run.drop_vars("inner"))
    with pytest.raises(RecordingError, match="no 'attention' but 'hidden', 'inner', 'memory'; record it"):
        fw.measure.attention(run.drop_vars("attention"))


def test_a_missing_value_is_not_left_out_in_silence():
    """Sums that skip NaN would give the dimension of the other units."""
    states = np.random.default_rng(0).normal(size=(9, 4))
    states[3, 2] = np.nan
    assert np.isnan(fw.measure.participation_ratio(states))
    with pytest.raises(ConfigError, match="NaN"):
        fw.measure.principal_components(xr.DataArray(states, dims=("time", "unit")), 2, dim="time")


@pytest.mark.parametrize(
    "call",
    [
        lambda run: fw.measure.overlap(run, np.full((2, 3), np.nan)),
        lambda run: fw.measure.overlap(run, np.ones((2, 3)), centre=np.zeros(4)),
        lambda run: fw.measure.overlap(run, "pattern"),
        lambda run: fw.measure.information(np.ones(2), 0),
        lambda run: fw.measure.bootstrap([]),
        lambda run: fw.measure.bootstrap([1.0, 2.0], level=95),
        lambda run: fw.measure.firing_rate(run, 0.0),
        lambda run: fw.measure.basins(torch.tanh, torch.ones(1, 2), iterations=0),
        lambda run: fw.measure.fixed_points(torch.tanh, torch.ones(1, 2), tolerance=-1.0),
        lambda run: fw.measure.fixed_points(lambda x: None, torch.ones(1, 2)),
    ],
)
def test_what_cannot_be_measured_is_named(call):
    spikes = {f"spike_{name}": ("spike", np.zeros(2, int)) for name in ("time", "unit", "trial")}
    run = xr.Dataset(
        {"hidden": (("trial", "time", "unit"), np.ones((1, 2, 3))), **spikes}, attrs={"duration": 1.0}
    )
    with pytest.raises(fw.FwsimError) as caught:
        call(run)
    assert "\n" not in str(caught.value)


def test_half_time_of_exponentials_and_of_what_never_halves():
    """An exponential halves after τ ln 2; between samples it is interpolated, along one dimension of several."""
    lag = np.arange(0.0, 40.0, 0.01)
    tau = xr.DataArray([2.0, 5.0], dims="unit")
    falling = np.exp(-xr.DataArray(lag, {"lag": lag}, "lag") / tau)
    np.testing.assert_allclose(fw.measure.half_time(falling), tau * math.log(2), rtol=1e-4)
    assert math.isnan(fw.measure.half_time(falling.isel(unit=1, lag=slice(100))))
    assert np.isnan(fw.measure.half_time(-falling)).all()
    assert np.isnan(fw.measure.half_time(0 * falling)).all()
    with pytest.raises(ShapeError, match="lag"):
        fw.measure.half_time(falling.rename(lag="time"))

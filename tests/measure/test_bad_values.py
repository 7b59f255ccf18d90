"""NaN, infinity, half precision, integers, empty and swapped axes: the right value or one line, from every measure."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.neighbors import KNeighborsClassifier

import fwsim as fw
from fwsim import measure as m
from fwsim.measure import differentiation

FWSIM = (fw.ConfigError, fw.ShapeError, fw.RecordingError, fw.DivergedError)
torch.manual_seed(0)
NET = fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=[2.0, 5.0], eta=[0.3, 0.1]), 2)
PATTERNS = torch.sign(torch.randn(4, 3))
LABELS = [0, 1] * 6
RUN = fw.simulate(
    NET, torch.randn(12, 10, 2), record=["hidden", "inner", "attention", "memory"], progress=False
).load()
OF_RUNS = {
    "attention": m.attention,
    "convergence": m.convergence,
    "autocorrelation_time": m.autocorrelation_time,
    "participation_ratio": m.participation_ratio,
    "principal_components": lambda run: m.principal_components(run, 1),
    "overlap": lambda run: m.overlap(run, PATTERNS),
    "retention": lambda run: m.retention(run, PATTERNS),
    "forgetting_curve": lambda run: m.forgetting_curve(m.retention(run, PATTERNS).strength),
    "decode": lambda run: m.decode(run, LABELS[: run.sizes["trial"]], folds=2),
    "inner loop": lambda run: xr.DataArray(
        m.InnerLoop.at(NET, run, 5.0, torch.zeros(2))(torch.zeros(1, 3)).detach().numpy()
    ),
}

EMPTY = [
    *(
        (name, "trial")
        for name in ("attention", "convergence", "overlap", "retention", "participation_ratio")
    ),
    ("attention", "unit"),
    ("convergence", "time"),
    ("overlap", "time"),
]  # where what is left has a meaning, and is empty too


@pytest.fixture(autouse=True)
def _no_warnings():
    """A warning of a library says nothing to whoever called a measure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def damaged(value):
    """The run with a value in trial 0, at 5 s, in unit 0, and in the past state 2."""
    run = RUN.copy(deep=True)
    run.hidden[0, 4, 0] = run.inner[0, 4, 1, 0] = run.memory[0, 4, 1, 0, 0] = run.attention[0, 4, 1, 1] = (
        value
    )
    return run


def every(result):
    return result.data_vars.values() if isinstance(result, xr.Dataset) else [result]


@pytest.mark.parametrize("name", OF_RUNS)
def test_dimensions_count_by_name(name):
    swapped = RUN.transpose(*reversed(list(RUN.sizes)))
    for one, other in zip(every(OF_RUNS[name](RUN)), every(OF_RUNS[name](swapped))):
        assert set(one.dims) == set(other.dims)
        if one.dtype.kind in "fc":
            xr.testing.assert_allclose(one, other.transpose(*one.dims), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OF_RUNS)
def test_half_precision_and_integers_do_not_overflow(name):
    """300² is no half-precision number, and 100² no short integer."""
    large = RUN * 300
    for kind in ("float16", "float64"):
        run = large.astype(kind).assign_attrs(RUN.attrs)
        run["attention"] = RUN.attention.astype(kind)
        for variable in every(OF_RUNS[name](run)):
            assert variable.dtype.kind not in "fc" or not np.isinf(variable.values).any()
    cosine = m.overlap((RUN * 20).round().astype("int8"), PATTERNS.to(torch.int8))
    xr.testing.assert_allclose(cosine, m.overlap((RUN * 20).round().astype(float), PATTERNS), atol=1e-6)
    half = m.overlap(large.astype("float16"), PATTERNS.half())
    xr.testing.assert_allclose(half, m.overlap(RUN, PATTERNS), atol=1e-3)
    OF_RUNS[name]((RUN > 0).assign_attrs(RUN.attrs))


@pytest.mark.parametrize("kind", [complex, object, str])
@pytest.mark.parametrize("name", OF_RUNS)
def test_what_is_no_real_number(name, kind):
    run = RUN.astype(kind).assign_attrs(RUN.attrs)
    with pytest.raises(fw.ConfigError, match="not real numbers"):
        OF_RUNS[name](run)


@pytest.mark.parametrize("dimension", ["trial", "time", "unit"])
@pytest.mark.parametrize("name", OF_RUNS)
def test_empty_recordings_are_empty_or_one_line(name, dimension):
    empty = RUN.isel({dimension: []})
    if (name, dimension) not in EMPTY:
        with pytest.raises(FWSIM):
            OF_RUNS[name](empty)
        return
    for variable in every(OF_RUNS[name](empty)):
        assert not variable.size or variable.dims == ("lag",) or name == "attention"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_neither_vanishes_nor_spreads(bad):
    run = damaged(bad)
    cosine = m.overlap(run, PATTERNS)
    assert cosine.isnull().sum() == 4
    assert cosine[0, 4].isnull().all()
    settled = m.convergence(run)
    assert not settled.settled[0, 4]
    assert settled.iterations[0, 4].isnull()
    assert settled.rate[0, 4].isnull()
    clean = m.convergence(RUN)
    others = settled.distance.notnull() & (settled.trial != 0)
    xr.testing.assert_equal(settled.where(others.any("iteration")), clean.where(others.any("iteration")))
    attended = m.attention(run)
    assert attended.weight[0, 4, 1].isnull().all()
    for name in ("span", "concentration", "lag"):
        assert attended[name][0, 4, 1].isnull()
    assert attended.peak[0, 4, 1] == -1
    assert attended.weight.isnull().sum() == attended.sizes["past"]
    tau = m.autocorrelation_time(run).tau
    assert tau.isnull().values.tolist() == [True, False, False]
    assert m.participation_ratio(run).isnull().values.tolist() == [True] + 11 * [False]
    kept = m.retention(run, PATTERNS)
    assert kept.overlap[0].isnull().sum() == 4  # the sample's lags to four patterns
    assert not kept.overlap[1:].isnull().any()
    assert (~np.isfinite(kept.strength[0])).sum() == 4
    for measure in (
        lambda: m.decode(run, LABELS),
        lambda: m.principal_components(run),
        lambda: m.forgetting_curve(kept.overlap),
        lambda: m.InnerLoop.at(NET, run, 5.0, torch.zeros(2)),
    ):
        with pytest.raises(FWSIM, match="NaN"):
            measure()


def test_where_there_is_nothing_to_attend_to_weights_are_zero():
    nothing = m.attention((RUN * 0).assign_attrs(RUN.attrs))
    assert (nothing.weight == 0).all()
    assert (nothing.peak == -1).all()
    assert nothing.span.isnull().all()


def test_rounding_of_half_precision_is_no_contraction():
    settled = xr.DataArray(
        np.float16([[1.0, 1.001, 1.0, 1.001]]).T[:, :, None], dims=("iteration", "trial", "unit")
    )
    assert m.convergence(settled).rate.isnull().all()
    assert not m.convergence(settled.astype(float)).rate.isnull().any()


@pytest.mark.parametrize("dt", [None, "1", np.nan, 0.0, -1.0])
def test_a_step_that_is_none(dt):
    with pytest.raises(fw.RecordingError, match="dt"):
        m.attention(RUN.assign_attrs(dt=dt))


@pytest.mark.parametrize(
    "time",
    [np.arange(10.0)[::-1], np.zeros(10), np.r_[np.arange(9.0), 20], np.r_[np.arange(9) * 1e-9, 1e-7]],
    ids=["reversed", "constant", "a gap", "a gap of nanoseconds"],
)
def test_correlations_need_even_samples(time):
    with pytest.raises(fw.ShapeError, match="evenly sampled"):
        m.autocorrelation_time(RUN.hidden.assign_coords(time=time))
    scaled = RUN.hidden.assign_coords(time=np.arange(10) * 1e-9)
    expected = m.autocorrelation_time(RUN.hidden.assign_coords(time=np.arange(10.0)))
    np.testing.assert_allclose(m.autocorrelation_time(scaled).tau, expected.tau * 1e-9)


# --- arrays --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown", [[0, 1, 2], [0, 1, 2, np.nan], [0, 1, 2, np.inf], ["a"] * 4, [99.0] * 4, [[0, 1, 2, 3]]], ids=str
)
def test_times_of_patterns_that_are_none(shown):
    with pytest.raises(FWSIM, match="shown"):
        m.retention(RUN, PATTERNS, shown=shown)


def test_lags_that_differ_by_rounding_are_one():
    run = RUN.assign_coords(time=np.round(np.arange(1, 11) * 0.1, 12))
    kept = m.retention(run, PATTERNS, shown=[0.1, 0.2, 0.1 + 0.2, 0.4])
    assert kept.lag.values.tolist() == [round(0.1 * k, 12) for k in range(10)]
    assert kept.patterns.values.tolist() == [4] * 7 + [3, 2, 1]
    single = m.retention(run, PATTERNS, shown=torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert single.patterns.values.tolist() == kept.patterns.values.tolist()


LAG = np.arange(12.0)
LEFT = np.exp(-LAG / 3)


def test_forgetting_of_any_size():
    expected = m.forgetting_curve(LEFT, LAG)
    for factor in (1e-200, 1e200):
        found = m.forgetting_curve(factor * LEFT, LAG)
        assert found.attrs["best"] == expected.attrs["best"] == "exponential"
        np.testing.assert_allclose(found.amplitude[0, 0] / factor, expected.amplitude[0, 0], rtol=1e-6)
        np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-6, atol=1e-9)
    assert m.forgetting_curve(0 * LEFT, LAG).r_squared.isnull().all()
    assert m.forgetting_curve(0 * LEFT + 1, LAG).r_squared.isnull().all()


def test_forgetting_leaves_out_only_what_nobody_knows():
    missing = np.where(LAG == 3, np.nan, LEFT)
    assert m.forgetting_curve(missing, LAG).sizes["lag"] == 11
    trials = xr.DataArray([missing, missing], dims=("trial", "lag"), coords={"lag": LAG})
    assert m.forgetting_curve(trials).sizes["lag"] == 11
    trials[0, 3] = 1.0
    with pytest.raises(fw.ConfigError, match="NaN in some of trial at 1 lags"):
        m.forgetting_curve(trials)
    for values, lag in (
        (LEFT, LAG - 1),
        (LEFT, np.where(LAG == 3, np.nan, LAG)),
        (np.where(LAG == 3, np.inf, LEFT), LAG),
    ):
        with pytest.raises(fw.ConfigError, match="lag is negative or not finite"):
            m.forgetting_curve(values, lag)


def test_information_of_overlaps_that_are_none():
    assert np.isnan(m.information([0.5, np.nan], 10))
    assert m.information(np.int8([1, -1, 1]), 10) == m.information([1.0 + 1e-7, -1.0, 1.0], 10) == 10
    for bad in ([2.0], [np.inf], ["a"], [1j], 0.5):
        with pytest.raises(FWSIM):
            m.information(bad, 10)


def test_intervals_of_repetitions_that_are_nan():
    found = m.bootstrap([[1.0, 1.0], [np.nan, 2.0]], draws=50)
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()
    for bad in ([1j], ["a"], [], np.zeros((2, 0)), [[1], [1, 2]], None):
        with pytest.raises(FWSIM):
            m.bootstrap(bad)
    for options in ({"level": 1}, {"level": np.nan}, {"draws": 0}, {"seed": -1}):
        with pytest.raises(fw.ConfigError):
            m.bootstrap([1.0, 2.0], **options)


@pytest.mark.parametrize(
    "labels",
    [[0, np.nan] * 6, [0, None] * 6, [0j, 1j] * 6, [[0], [1]] * 6, [0, 1]],
    ids=["nan", "none", "complex", "2d", "few"],
)
def test_labels_that_are_none(labels):
    with pytest.raises(FWSIM, match="labels"):
        m.decode(RUN, labels, folds=2)


def test_labels_of_any_kind_are_decoded_alike():
    expected = m.decode(RUN, LABELS, folds=2).accuracy
    for labels in (
        np.array(["a", "b"], np.dtypes.StringDType())[np.arange(len(RUN.trial)) % 2],
        torch.tensor(LABELS),
        [bool(k) for k in LABELS],
        np.array(["a", "b"], dtype=object)[LABELS],
    ):
        xr.testing.assert_equal(m.decode(RUN, labels, folds=2).accuracy, expected)


def test_decoders_that_are_none():
    for classifier in ("lda", KNeighborsClassifier):
        with pytest.raises(fw.ConfigError, match="classifier="):
            m.decode(RUN, LABELS, folds=2, classifier=classifier)
    with pytest.raises(fw.ConfigError, match="cannot be trained on 2 trials"):
        m.decode(RUN.isel(trial=slice(4)), LABELS[:4], folds=2)
    for options in ({"level": 1.0}, {"level": np.nan}, {"seed": -1}, {"folds": 2.0}):
        with pytest.raises(fw.ConfigError):
            m.decode(RUN, LABELS, **options)


@pytest.mark.parametrize("dim", ["unit", "x", 3, None, (), ("trial", "unit")])
def test_samples_along_what_are_none(dim):
    with pytest.raises(fw.ShapeError):
        m.participation_ratio(RUN.hidden, dim)
    with pytest.raises(fw.ShapeError):
        m.principal_components(RUN.hidden, 1, dim)


@pytest.mark.parametrize("time", [np.nan, np.inf, 5.4, -1.0, 99.0, "x", None])
def test_moments_that_were_not_recorded(time):
    with pytest.raises(FWSIM):
        m.InnerLoop.at(NET, RUN, time, torch.zeros(2))


@pytest.mark.parametrize("trial", [-1, 12, 0.5, "0", True])
def test_trials_that_are_none(trial):
    for make in (
        lambda: m.InnerLoop.at(NET, RUN, 5.0, torch.zeros(2), trial),
        lambda: m.InnerLoop.of(NET, NET.initial_state(12), torch.zeros(2), trial),
    ):
        with pytest.raises(fw.ConfigError, match="trial="):
            make()


# --- maps ----------------------------------------------------------------------------------------------

X = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
SEARCHES = {
    "fixed_points": m.fixed_points,
    "lyapunov_exponents": lambda step, starts: m.lyapunov_exponents(step, starts, 20),
    "basins": lambda step, starts: m.basins(step, starts, iterations=20),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    "starts",
    [
        *(X.half(), X.bfloat16(), X.long(), X > 0, X + 0j, X.to_sparse(), X.numpy() > 0, X.numpy() + 0j),
        *(X * torch.nan, X[0], X[:0], X[:, :0]),
    ],
    ids=lambda starts: f"{getattr(starts, 'dtype', 'list')} {list(np.shape(starts))}",
)
def test_starts_that_are_none(name, starts):
    with pytest.raises(FWSIM, match="start"):
        SEARCHES[name](torch.tanh, starts)


@pytest.mark.parametrize(
    "step",
    [lambda x: torch.from_numpy(np.tanh(x.numpy())), lambda x: x.mul_(0.5), lambda x: np.tanh(x)],
    ids=["numpy", "in place", "a function of numpy"],
)
def test_steps_that_torch_cannot_differentiate(step):
    for name in ("fixed_points", "lyapunov_exponents"):
        with pytest.raises(fw.ConfigError, match="write it with functions of torch alone"):
            SEARCHES[name](step, X)
    SEARCHES["basins"](step, X)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    "step",
    [lambda x: x.float(), lambda x: x.long(), lambda x: x * torch.nan, lambda x: None, lambda x: x.numpy()],
)
def test_steps_that_leave_the_numbers(name, step):
    with pytest.raises(FWSIM, match="step"):
        SEARCHES[name](step, X)


def test_a_derivative_that_is_zero_or_not_finite():
    exponents = m.lyapunov_exponents(torch.sign, X[:1], 20).exponent
    assert (exponents == -np.inf).all()
    assert (m.lyapunov_exponents(lambda x: torch.ones_like(x), X[:1], 20).exponent == -np.inf).all()
    kink, zero = (lambda x: x.abs().sqrt()), torch.zeros_like(X)
    points = m.fixed_points(kink, zero)
    assert points.converged.all()
    assert points.eigenvalue.isnull().all()
    assert not points.stable.any()
    with pytest.raises(fw.DivergedError, match="tangent"):
        m.lyapunov_exponents(kink, zero[:1], 20)
    assert m.fixed_points(lambda x: x * 1e200, X).sizes["point"] > 0  # squares overflow, the search does not


def test_nothing_is_near_infinity():
    start = torch.tensor([[1e140]], dtype=torch.float64)  # → 1e290 → ∞ → 0, which stays
    found = m.basins(lambda x: torch.where(x.isinf(), 0.0, 1e10 * x.square()), start)
    assert found.iterations.item() == 3


def test_energies_of_states_that_are_none():
    net = fw.FastWeightNetwork(2, 3, None, normalise="none").double()
    loop = m.InnerLoop.of(net, net.initial_state(1), torch.zeros(2, dtype=torch.float64))
    assert m.energy(loop, X * torch.nan).isnan().all()
    assert m.energy(loop, -X.abs()).isposinf().all()
    tanh = fw.FastWeightNetwork(2, 3, None, normalise="none", activation="tanh").double()
    other = m.InnerLoop.of(tanh, tanh.initial_state(1), torch.zeros(2, dtype=torch.float64))
    assert m.energy(other, 2 * torch.ones_like(X)).isposinf().all()
    assert m.energy(other, X * torch.nan).isnan().all()
    for bad in (X.tolist(), X.long(), X.float(), X[:, :2], torch.tensor(1.0)):
        with pytest.raises(fw.ShapeError, match="states"):
            m.energy(loop, bad)


# --- what belongs to the caller ------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_RUNS)
def test_measures_leave_recordings_alone_and_keep_no_part_of_them(name):
    run = RUN.copy(deep=True)
    result = OF_RUNS[name](run)
    xr.testing.assert_identical(run, RUN)
    for variable in every(result):
        for given in run.data_vars.values():
            assert not np.shares_memory(variable.values, given.values)


def test_a_frozen_loop_stays_as_it_was():
    net = fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=2.0, eta=0.3))
    state = net.write(net.initial_state(1), torch.ones(1, 3))
    loop = m.InnerLoop.of(net, state, torch.ones(2))
    before = loop(X.float())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    assert torch.equal(loop(X.float()), before)


def test_a_step_that_works_in_place_changes_no_starts():
    starts = X.clone()
    m.basins(lambda x: x.mul_(0.5), starts, iterations=5)
    assert torch.equal(starts, X)


def test_a_spectrum_keeps_its_own_numbers():
    theta = np.array([1.0, 2.0])
    spectrum = fw.theory.Spectrum(theta, np.array([1.0, 1.0]))
    before = spectrum.strength(0.5)
    theta *= 2
    assert spectrum.strength(0.5) == before


def test_labels_in_another_order_are_not_taken_by_their_place():
    states = RUN.hidden
    patterns = xr.DataArray(PATTERNS.numpy(), dims=("pattern", "unit"), coords={"unit": [2, 1, 0]})
    labels = xr.DataArray(LABELS, dims="trial", coords={"trial": range(11, -1, -1)})
    for call, dim in (
        (lambda: m.overlap(RUN, patterns), "unit"),
        (lambda: m.retention(RUN, patterns), "unit"),
        (lambda: m.overlap(RUN, PATTERNS, centre=patterns[0]), "unit"),
        (lambda: m.decode(RUN, labels, folds=2), "trial"),
        (lambda: m.procrustes_distance(states, states[::-1]), "trial"),
        (lambda: m.linear_cka(states, states[::-1]), "trial"),
    ):
        with pytest.raises(fw.ShapeError, match=f"has {dim} in another order than the recording"):
            call()
    sorted_again = patterns.sel(unit=RUN.unit)
    plain = PATTERNS.numpy()[:, ::-1]
    xr.testing.assert_equal(m.overlap(RUN, sorted_again), m.overlap(RUN, plain))
    with pytest.raises(fw.ShapeError, match="one label for each trial"):
        m.decode(RUN, labels.rename(trial="time").drop_vars("time"), folds=2)


def test_times_in_milliseconds_are_not_taken_for_seconds():
    in_ms = RUN.hidden.assign_coords(time=RUN.time.assign_attrs(units="ms"))
    with pytest.raises(fw.ConfigError, match=r"time of hidden is in ms; give seconds: .* \* 0.001"):
        m.autocorrelation_time(in_ms)
    lags = {"lag": ("lag", np.arange(20.0), {"units": "ms"})}
    curve = xr.DataArray(np.exp(-np.arange(20.0)), dims="lag", coords=lags)
    with pytest.raises(fw.ConfigError, match="lag of array is in ms"):
        m.forgetting_curve(curve)
    spikes = {"spike_time": ("spike", [5.0, 7.0], {"units": "ms"}), "spike_unit": ("spike", [0, 0])}
    with pytest.raises(fw.RecordingError, match="spike_time is in ms; give seconds"):
        m.firing_rate(xr.Dataset({**spikes, "spike_trial": ("spike", [0, 0])}))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: m.half_time(np.ones(3)), "autocorrelation is a ndarray; give a DataArray"),
        (lambda: m.bootstrap([1.0, 2.0], lambda mean: "x"), "statistic fails for the mean"),
        (
            lambda: m.autocorrelation_time(RUN.hidden.assign_coords(time=np.arange(10).astype("M8[s]"))),
            r"time holds datetime64\[s\]",
        ),
    ],
)
def test_other_kinds_of_values(call, said):
    with pytest.raises(FWSIM, match=said):
        call()


def test_a_dimension_named_twice_counts_once():
    xr.testing.assert_equal(
        m.participation_ratio(RUN, dim=("time", "time")), m.participation_ratio(RUN, dim="time")
    )


def detached(x, *_):
    with torch.no_grad():
        return torch.tanh(2 * x)


MAPS = {
    "fixed_points": lambda step: m.fixed_points(step, X),
    "lyapunov_exponents": lambda step: m.lyapunov_exponents(step, X, 5),
    "lyapunov_exponents with a drive": lambda step: m.lyapunov_exponents(
        lambda x, u: step(x), X, 5, drive=torch.ones(1, 5, 1)
    ),
    "covariant_vectors": lambda step: m.covariant_vectors(step, X, 5),
    "continuation": lambda step: m.continuation(lambda x, p: step(x), X, 1.0, (0.5, 1.5)),
    "limit_cycles": lambda step: m.limit_cycles(
        lambda x, p: step(x), torch.randn(20, 2).double(), (0.0, 1.0), parameter=0.5, period=1.0
    ),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_step_without_gradient_is_not_taken_for_a_constant(name):
    with pytest.raises(fw.ConfigError, match=r"derivative 0; leave out torch.no_grad\(\)"):
        MAPS[name](detached)


@pytest.mark.parametrize("name", [*MAPS, "basins"])
def test_a_step_that_mixes_rows_or_is_random_is_no_map(name):
    call = MAPS.get(name, lambda step: m.basins(step, X))
    for step in (lambda x: torch.tanh(x - x.mean(0)), lambda x: torch.tanh(x) + 0.1 * torch.rand_like(x)):
        with pytest.raises(fw.ConfigError, match="another image among other states"):
            call(step)


ZERO = torch.zeros(40, 200, dtype=torch.float64)
SOME = torch.randn(40, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WEIGHTS = torch.randn(200, 200, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
AT_A_TIE = (SOME[:1] @ WEIGHTS)[0]


def chaotic(x):
    """The logistic map, 100 times: rounding grows to the size of the state."""
    for _ in range(100):
        x = 3.99 * x * (1 - x)
    return x


@pytest.mark.parametrize(
    ("step", "states"),
    [
        (lambda x: 1e4 * x.square(), ZERO),
        (lambda x: x.abs(), ZERO),
        (torch.sign, ZERO),
        (lambda x: torch.sign(x @ WEIGHTS - AT_A_TIE), SOME),
        (lambda x: chaotic((x @ WEIGHTS).sigmoid()), SOME),
    ],
    ids=["minimum", "kink", "jump", "ties", "chaos"],
)
def test_a_step_whose_derivative_is_zero_or_without_bound_is_still_a_map(step, states):
    differentiation.require_derivative(states, step)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: m.fixed_points(torch.tanh, X.to("meta")), "starts is a tensor on the device 'meta'"),
        (
            lambda: m.fixed_points(torch.tanh, xr.DataArray(X, dims=("unit", "point"))),
            r"transpose\('point', 'unit'\)",
        ),
        (lambda: m.InnerLoop("x", 2, 3), r"cell is a str; .* InnerLoop.of\(net"),
        (lambda: m.Composite("x"), "shapes='x' is not allowed"),
        (lambda: m.Composite({"rate": 3}), "give the shape of each part by its name"),
        (lambda: m.Composite({"rate": (0,)}), r"shapes\['rate'\]=0 is not allowed"),
        (lambda: fw.equilibrium("x", torch.zeros(1, 2), None), "net is a str; give a FastWeightNetwork"),
        (
            lambda: fw.per_second(fw.TsodyksMarkram(), 1.0),
            "memory is a TsodyksMarkram; give a Hebbian memory",
        ),
    ],
)
def test_what_are_no_states_loops_and_parts(call, said):
    with pytest.raises(FWSIM, match=said):
        call()

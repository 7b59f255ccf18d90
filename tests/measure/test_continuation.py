"""Branches of systems whose bifurcations are known."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError


def follow(step, start, parameter, bounds, kind="flow", **options):
    starts = torch.tensor([start], dtype=torch.float64)
    return fw.measure.continuation(step, starts, parameter, bounds, kind, **{"length": 0.2} | options)


def special(found):
    """Label, parameter and state of every bifurcation, by branch."""
    return [
        [
            (str(label), float(p), x.tolist())
            for label, p, x in zip(
                found.bifurcation.values[branch], found.parameter.values[branch], found.state.values[branch]
            )
            if label
        ]
        for branch in range(found.sizes["branch"])
    ]


def columns(*values):
    return torch.stack(values, 1)


def brusselator(x, p, a=1.3):
    """Its Hopf point is at p = 1 + a², with frequency a."""
    X, Y, b = x[:, 0], x[:, 1], p[:, 0]
    return columns(a - (b + 1) * X + X**2 * Y, b * X - X**2 * Y)


def delayed_logistic(x, p):
    """x ← p x (1 − y), y ← x: a Neimark–Sacker point at p = 2, eigenvalues exp(±iπ/3) (Kuznetsov 2004, section 4.7)."""
    return columns(p[:, 0] * x[:, 0] * (1 - x[:, 1]), x[:, 0])


def lorenz(x, p):
    """Pitchfork at 1; Hopf points at σ(σ + β + 3)/(σ − β − 1) = 24.7368 (σ = 10, β = 8/3)."""
    X, Y, Z = x.unbind(1)
    return columns(10 * (Y - X), X * (p[:, 0] - Z) - Y, X * Y - 8 / 3 * Z)


wing = np.sqrt(8 / 3 * (470 / 19 - 1))

KNOWN = {
    "fold": (lambda x, p: p - x**2, [1.0], 1.0, (-1, 1), "flow", [[("fold", 0, [0])]]),
    "closed curve": (
        lambda x, p: 1 - x**2 - p**2,
        [0.9],
        0.0,
        (-2, 2),
        "flow",
        [[("fold", 1, [0]), ("fold", -1, [0])]],
    ),
    "pitchfork": (
        lambda x, p: p * x - x**3,
        [0.0],
        -1.0,
        (-1, 1),
        "flow",
        [[("branch point", 0, [0])]] * 2,
    ),
    "transcritical": (
        lambda x, p: p * x - x**2,
        [0.0],
        -0.7,
        (-1, 1),
        "flow",
        [[("branch point", 0, [0])]] * 2,
    ),
    "hopf": (brusselator, [1.3, 1.0], 1.0, (0.5, 4), "flow", [[("hopf", 2.69, [1.3, 2.69 / 1.3])]]),
    "logistic map": (
        lambda x, p: p * x * (1 - x),
        [0.5],
        2.0,
        (0.2, 3.8),
        "map",
        [[("branch point", 1, [0]), ("flip", 3, [2 / 3])], [("branch point", 1, [0])]],
    ),
    "neimark-sacker": (
        delayed_logistic,
        [0.3, 0.3],
        1.5,
        (1.2, 2.5),
        "map",
        [[("neimark-sacker", 2, [0.5, 0.5])]],
    ),
    "lorenz": (
        lorenz,
        [0.0, 0.0, 0.0],
        0.5,
        (0.5, 30),
        "flow",
        [
            [("branch point", 1, [0, 0, 0])],
            [
                ("hopf", 470 / 19, [-wing, -wing, 451 / 19]),
                ("branch point", 1, [0, 0, 0]),
                ("hopf", 470 / 19, [wing, wing, 451 / 19]),
            ],
        ],
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_bifurcations_are_where_algebra_says(name):
    *problem, expected = KNOWN[name]
    found = special(follow(*problem))
    assert len(found) == len(expected)
    for branch, known in zip(found, expected):
        for one, other in zip(sorted(branch), sorted(known), strict=True):
            assert one[0] == other[0]
            assert one[1] == pytest.approx(other[1], abs=1e-6)
            assert one[2] == pytest.approx(other[2], abs=1e-6)


def test_states_and_stability_along_a_pitchfork():
    found = follow(*KNOWN["pitchfork"][:-1])
    trivial, forked = (found.isel(branch=b, point=found.index.values[b] >= 0) for b in (0, 1))
    assert trivial.state.values == pytest.approx(np.zeros((trivial.sizes["point"], 1)), abs=1e-12)
    assert forked.state.values[:, 0] ** 2 == pytest.approx(forked.parameter.values, abs=1e-9)
    away = np.abs(trivial.parameter.values) > 1e-6
    assert (trivial.stable.values == (trivial.parameter.values < 0))[away].all()
    assert forked.stable.values[np.abs(forked.parameter.values) > 1e-6].all()
    ordinary = forked.parameter.values > 1e-6
    assert forked.eigenvalue.values[ordinary, 0].real == pytest.approx(-2 * forked.parameter.values[ordinary])
    for branch in (trivial, forked):
        assert branch.parameter.values[[0, -1]].tolist() in ([-1, 1], [1, 1])  # the ends lie on the bounds
        assert (np.diff(branch.arc.values) > 0).all()
    assert found.parent.values.tolist() == [-1, 0]
    assert (found.end == "bound").all()
    assert follow(*KNOWN["pitchfork"][:-1], switch=False).sizes["branch"] == 1


def test_the_period_at_its_birth_is_that_of_theory():
    found = follow(*KNOWN["neimark-sacker"][:-1])
    born = found.eigenvalue.values[found.bifurcation.values == "neimark-sacker"]
    assert np.abs(np.angle(born[0])) == pytest.approx(np.full(2, np.pi / 3), abs=1e-6)
    found = follow(*KNOWN["hopf"][:-1])
    born = found.eigenvalue.values[found.bifurcation.values == "hopf"]
    assert np.abs(born[0].imag) == pytest.approx(np.full(2, 1.3), abs=1e-6)


alpha, tau, J, tau_rec, U, tau_facil = 1.5, 0.013, 3.07, 0.2, 0.3, 1.5


def cortes(z, p):
    """Rate, resources and utilisation of a network with Tsodyks–Markram synapses, over its input."""
    E, x, u = z.unbind(1)
    gain = alpha * torch.nn.functional.softplus((J * u * x * E + p[:, 0]) / alpha)
    return columns((gain - E) / tau, (1 - x) / tau_rec - u * x * E, (U - u) / tau_facil + U * (1 - u) * E)


def cortes_at(E):
    """Fixed points in closed form, given the rate E: u, x, and the input."""
    u = U * (1 + tau_facil * E) / (1 + U * tau_facil * E)
    x = 1 / (1 + tau_rec * u * E)
    return u, x, alpha * np.log(np.expm1(E / alpha)) - J * u * x * E


def hurwitz(E):
    """a₁a₂ − a₃ of the characteristic polynomial λ³ + a₁λ² + a₂λ + a₃; it is 0 at Hopf points."""
    u, x, _ = cortes_at(E)
    g = -np.expm1(-E / alpha)  # slope of the gain where its value is E
    A = np.array(
        [
            [(g * J * u * x - 1) / tau, g * J * u * E / tau, g * J * x * E / tau],
            [-u * x, -1 / tau_rec - u * E, -x * E],
            [U * (1 - u), 0.0, -1 / tau_facil - U * E],
        ]
    )
    minors = sum(np.linalg.det(np.delete(np.delete(A, k, 0), k, 1)) for k in range(3))
    return -np.trace(A) * minors + np.linalg.det(A)


def test_a_network_with_plastic_synapses():
    """Cortes et al. 2013, PNAS 110:16610, against closed forms and against the tutorial of BifurcationKit.

    BifurcationKit prints intervals ("Neural mass equation", tutorials/ode/tutorialsBasic1, version of 2026-09-03), the
    ends of its last bisection. A fold lies beyond both ends, by less than their distance.
    """
    found = follow(cortes, [0.238616, 0.982747, 0.367876], -2.0, (-4.0, -0.9), length=0.1)
    (points,) = special(found)
    assert [label for label, *_ in points] == ["fold", "hopf", "fold", "hopf"]
    first, onset, second, end = (p for _, p, _ in points)
    assert -1.85075293 < onset < -1.84970242
    assert -1.15202958 < end < -1.14947379
    assert first == pytest.approx(-1.46302753, abs=7e-5)
    assert second == pytest.approx(-1.86522340, abs=3e-4)

    def rising(E, bump=1e-5):
        return (cortes_at(E + bump)[2] - cortes_at(E - bump)[2]) / (2 * bump)

    for p, test, interval in (
        (first, rising, (1, 2)),
        (onset, hurwitz, (3, 3.9)),
        (second, rising, (3, 5)),
        (end, hurwitz, (6, 9)),
    ):
        assert p == pytest.approx(cortes_at(brentq(test, *interval, xtol=1e-12))[2], abs=1e-6)
    known = found.parameter.values[0] <= 0
    u, x, parameter = cortes_at(found.state.values[0, known, 0])
    assert found.parameter.values[0, known] == pytest.approx(parameter, abs=1e-8)
    assert found.state.values[0, known, 1:] == pytest.approx(np.stack([x, u], 1), abs=1e-8)


def test_folds_of_a_network_that_is_given_as_it_is():
    """Its folds are those of `cortes`; oscillations begin elsewhere, since the field lags behind its synapses."""
    synapse = fw.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil)
    net = fw.RateNetwork(fw.Projection([[J]], synapse=synapse), tau=tau, gain=fw.softplus(alpha), dt=0.001)
    step = fw.measure.NetworkMap(net.double())
    found = fw.measure.continuation(step, step.rest(1), -1.9, (-1.9, -1.3))
    (points,) = special(found)
    folds = [p for label, p, _ in points if label == "fold"]
    assert folds == pytest.approx([-1.463027326, -1.865223910], abs=1e-6)


def test_every_pattern_of_a_network_branches_off_at_its_eigenvalue():
    """Of x ← tanh(p W x) with symmetric W: a branch leaves 0 where p λ = 1, and there is a flip where p λ = −1."""
    A = torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    W = (A + A.T) / 12**0.5
    eigenvalues = torch.linalg.eigvalsh(W).numpy()
    found = follow(lambda x, p: torch.tanh(p * (x @ W.T)), [0.0] * 12, 0.1, (0.1, 0.6), "map")
    trivial = special(found)[0]
    for label, side in (("branch point", eigenvalues), ("flip", -eigenvalues)):
        expected = sorted(1 / value for value in side if 0.1 < 1 / value < 0.6)
        assert sorted(p for kind, p, _ in trivial if kind == label) == pytest.approx(expected, abs=1e-6)
        assert expected
    assert found.parent.values.tolist() == [-1] + [0] * (found.sizes["branch"] - 1)
    for branch in range(1, found.sizes["branch"]):
        x = torch.tensor(found.state.values[branch])
        p = torch.tensor(found.parameter.values[branch])[:, None]
        assert float((torch.tanh(p * (x @ W.T)) - x).nan_to_num().abs().max()) < 1e-8


def test_two_starts_on_one_branch_are_followed_once():
    starts = torch.tensor([[-1.0], [1.0], [0.0]], dtype=torch.float64)
    found = fw.measure.continuation(lambda x, p: p * x - x**3, starts, 0.9, (-1, 1), "flow", length=0.2)
    assert found.sizes["branch"] == 2


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"bounds": (1.0, -1.0)}, ConfigError, "bounds"),
        ({"bounds": 3.0}, ConfigError, "lowest and the highest"),
        ({"parameter": 2.0}, ConfigError, "parameter=2.0"),
        ({"kind": "ode"}, ConfigError, "'map', 'flow'"),
        ({"length": 0}, ConfigError, "length=0"),
        ({"switch": "no"}, ConfigError, "switch='no'"),
        ({"starts": torch.zeros(1, 1)}, ShapeError, "float64"),
        ({"starts": torch.zeros(1)}, ShapeError, "batch, unit"),
        ({"step": lambda x, p: 1 + x**2 + p**2}, ConfigError, "no start is near a fixed point"),
        ({"step": lambda x, p: 0 * x}, ConfigError, "not isolated"),
    ],
)
def test_bad_requests_are_refused(change, error, said):
    given = {
        "step": lambda x, p: p * x - x**3,
        "starts": torch.zeros(1, 1).double(),
        "parameter": -1.0,
        "bounds": (-1.0, 1.0),
        "kind": "flow",
    }
    with pytest.raises(error, match=said):
        fw.measure.continuation(**given | change)


def hopf_form(x, p):
    radius = x.square().sum(1, keepdim=True)
    turned = torch.stack([-x[:, 1], x[:, 0]], 1)
    return (p - radius) * x + turned


@pytest.mark.parametrize(
    ("step", "start", "parameter", "kind", "labels", "at"),
    [
        (lambda x, p: p - x**2, [0.0], 0.0, "flow", ["fold"], [0.0]),
        (lambda x, p: -p - x**2, [0.0], 0.0, "flow", ["fold"], [0.0]),
        (lambda x, p: x**2 + p**2 - 0.25, [0.0], 0.5, "flow", ["fold", "fold"], [0.5, -0.5]),
        (lambda x, p: x**2 + p**2 - 0.25, [-0.001], 0.499999, "flow", ["fold", "fold"], [0.5, -0.5]),
        (hopf_form, [0.0, 0.0], 0.0, "flow", ["hopf"], [0.0]),
        (lambda x, p: (p + 3) * x * (1 - x), [2 / 3], 0.0, "map", ["flip"], [0.0]),
    ],
)
def test_a_start_at_a_bifurcation(step, start, parameter, kind, labels, at):
    starts = torch.tensor([start], dtype=torch.float64)
    found = fw.measure.continuation(step, starts, parameter, (-0.6, 0.6), kind=kind, length=0.05)
    bifurcation = found.bifurcation.values[0]
    assert bifurcation[bifurcation != ""].tolist() == labels
    assert found.parameter.values[0][bifurcation != ""] == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("shape", ["parabola", "bump"])
@pytest.mark.parametrize("half", [0.03, 0.003])
def test_two_bifurcations_within_one_step_are_found(shape, half):
    """Oscillations begin and end within a share of the longest step, 0.2 of the range of 2."""
    at = 0.0137

    def field(x, p):
        growth = half**2 - (p - at) ** 2
        if shape == "bump":
            growth = torch.exp(-0.5 * ((p - at) / 0.2) ** 2) - np.exp(-0.5 * (half / 0.2) ** 2)
        return hopf_form(x, growth)

    (points,) = special(follow(field, [0.0, 0.0], -1.0, (-1.0, 1.0)))
    assert [label for label, *_ in points] == ["hopf", "hopf"]
    assert [p for _, p, _ in points] == pytest.approx([at - half, at + half], abs=1e-6)


def test_two_folds_within_one_step_are_found():
    """p = x³ − e x has folds at ±2 (e/3)^(3/2)."""
    e = 1e-3
    (points,) = special(follow(lambda x, p: p - x**3 + e * x, [-1.0], -0.8, (-1.0, 1.0)))
    assert [label for label, *_ in points] == ["fold", "fold"]
    assert [p for _, p, _ in points] == pytest.approx([2 * (e / 3) ** 1.5, -2 * (e / 3) ** 1.5], abs=1e-9)

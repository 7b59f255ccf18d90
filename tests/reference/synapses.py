"""Synapses written out by hand from the equations of their papers, independent of `fwsim.rules`.

Between spikes SciPy integrates the differential equations in small steps; at spikes the jumps are
applied one after the other. Slow, and obvious.
"""

import numpy as np
from scipy.integrate import solve_ivp


def tsodyks_markram(convention, U, tau_rec, tau_facil, tau_inact):
    def drift(s):
        u, x, y = s
        if convention == "tm1998":
            return [-u / tau_facil, (1 - x - y) / tau_rec, -y / tau_inact]
        return [(U - u) / tau_facil, (1 - x) / tau_rec, 0.0]

    def pre(s):
        u, x, y = s
        plus = u + U * (1 - u)
        p_release = {"maass2002": u, "tm1998": plus, "mongillo2008": plus, "mixed": u}[convention]
        p_deplete = {"maass2002": u, "tm1998": plus, "mongillo2008": plus, "mixed": plus}[convention]
        return [plus, x - p_deplete * x, y + p_deplete * x], p_release * x

    return [0.0 if convention == "tm1998" else U, 1.0, 0.0], drift, pre, None


def varela(f, tau_F, d1, tau_D1, d2, tau_D2, amplitude):
    def drift(s):
        return [(1 - s[0]) / tau_F, (1 - s[1]) / tau_D1, (1 - s[2]) / tau_D2]

    def pre(s):
        return [s[0] + f, s[1] * d1, s[2] * d2], amplitude * s[0] * s[1] * s[2]

    return [1.0, 1.0, 1.0], drift, pre, None


def enhancement(increments, taus, d, tau_D):
    """Increments and time constants of F1, F2, A, P1, P2; one depression."""

    def drift(s):
        return [-v / tau for v, tau in zip(s[:5], taus)] + [(1 - s[5]) / tau_D]

    def pre(s):
        f1, f2, a, p1, p2, depression = s
        release = (1 + f1 + f2) * (1 + a) * (1 + p1 + p2) * depression
        return [v + i for v, i in zip(s[:5], increments)] + [depression * d], release

    return [0.0] * 5 + [1.0], drift, pre, None


def linear_nonlinear(baseline, a, taus, readout):
    read = {"logistic": lambda v: 1 / (1 + np.exp(-v)), "cloglog": lambda v: 1 - np.exp(-np.exp(v))}[readout]

    def drift(s):
        return [-v / tau for v, tau in zip(s, taus)]

    def pre(s):
        return [v + kick for v, kick in zip(s, a)], read(baseline + sum(s))

    return [0.0] * len(a), drift, pre, None


def augmented_release(U, tau_rec, tau_facil, A, tau_aug):
    def drift(s):
        return [(U - s[0]) / tau_facil, (1 - s[1]) / tau_rec, -s[2] / tau_aug]

    def pre(s):
        u, x, w = s
        release = (u + w - u * w) * x
        return [u + U * (1 - u), x - release, w + A * (1 - w)], release

    return [U, 1.0, 0.0], drift, pre, None


def independent_depression(U, tau_rec, tau_facil, d, tau_D):
    def drift(s):
        return [(U - s[0]) / tau_facil, (1 - s[1]) / tau_rec, (1 - s[2]) / tau_D]

    def pre(s):
        u, x, D = s
        return [u + U * (1 - u), x - u * D * x, d * D], u * D * x

    return [U, 1.0, 1.0], drift, pre, None


def calcium_recovery(F1, K_F, tau_F, tau_rec, boost, K_D, tau_D):
    """The FD model of Dittman, Kreitzer & Regehr 2000, with D itself as a variable."""

    def drift(s):
        rate = 1 / tau_rec + boost / tau_D / (1 + K_D / max(s[1], 1e-300))
        return [-s[0] / tau_F, -s[1] / tau_D, (1 - s[2]) * rate]

    def pre(s):
        F = F1 + (1 - F1) / (1 + K_F / max(s[0], 1e-300))
        return [s[0] + 1, s[1] + 1, s[2] - F * s[2]], F * s[2]

    return [0.0, 0.0, 1.0], drift, pre, None


def hebbian_traces(taus, etas, tau_pre, tau_post, w_max=np.inf):
    def drift(s):
        return [-s[0] / tau_pre, -s[1] / tau_post] + [-w / tau for w, tau in zip(s[2:], taus)]

    def pre(s):
        p, q, *w = s
        return [p + 1, q] + [min(v + eta * q, w_max) for v, eta in zip(w, etas)], sum(w)

    def post(s):
        p, q, *w = s
        return [p, q + 1] + [min(v + eta * p, w_max) for v, eta in zip(w, etas)]

    return [0.0] * (2 + len(taus)), drift, pre, post


def bcpnn(tau_pre, tau_post, tau_p, kappa, f_max, epsilon):
    """Z_i, Z_j, P_i, P_j, P_ij as printed: the product Z_i Z_j is formed while integrating."""

    def drift(s):
        zi, zj, pi, pj, pij = s
        return [
            (epsilon - zi) / tau_pre,
            (epsilon - zj) / tau_post,
            kappa * (zi - pi) / tau_p,
            kappa * (zj - pj) / tau_p,
            kappa * (zi * zj - pij) / tau_p,
        ]

    def pre(s):
        zi, zj, pi, pj, pij = s
        return [zi + 1 / (f_max * tau_pre), zj, pi, pj, pij], np.log(pij / (pi * pj))

    def post(s):
        zi, zj, pi, pj, pij = s
        return [zi, zj + 1 / (f_max * tau_post), pi, pj, pij]

    return [epsilon, epsilon, epsilon, epsilon, epsilon**2], drift, pre, post


def benna_fusi_matrix(length, tau, leak):
    """du/dt = M u for the chain alone."""
    C = 2.0 ** np.arange(length)
    g = np.append(2.0 ** -np.arange(1.0, length), leak)
    M = np.zeros((length, length))
    for k in range(length):
        M[k, k] -= g[k]
        if k + 1 < length:
            M[k, k + 1] += g[k]
        if k > 0:
            M[k, k - 1] += g[k - 1]
            M[k, k] -= g[k - 1]
    return M / C[:, None] / tau


def benna_fusi(length, tau, eta, leak, tau_pre, tau_post):
    M = benna_fusi_matrix(length, tau, leak)

    def drift(s):
        return [-s[0] / tau_pre, -s[1] / tau_post, *(M @ np.array(s[2:]))]

    def pre(s):
        return [s[0] + 1, s[1], s[2] + eta * s[1], *s[3:]], s[2]

    def post(s):
        return [s[0], s[1] + 1, s[2] + eta * s[0], *s[3:]]

    return [0.0] * (2 + length), drift, pre, post


def product(weight, release):
    rest_w, drift_w, pre_w, post_w = weight
    rest_r, drift_r, pre_r, _ = release
    n = len(rest_w)

    def pre(s):
        after_w, w = pre_w(s[:n])
        after_r, r = pre_r(s[n:])
        return [*after_w, *after_r], w * r

    return (
        [*rest_w, *rest_r],
        lambda s: [*drift_w(s[:n]), *drift_r(s[n:])],
        pre,
        lambda s: [*post_w(s[:n]), *s[n:]],
    )


def respond(model, pre_times, post_times=()):
    """What each presynaptic spike reads; of ties the presynaptic spike comes first."""
    state, drift, pre, post = model
    events = sorted([(t, 0) for t in pre_times] + [(t, 1) for t in post_times])
    now, read = events[0][0], []
    for time, side in events:
        if time > now:
            flow = solve_ivp(
                lambda _, s: drift(s), (0.0, time - now), state, rtol=1e-11, atol=1e-13, method="LSODA"
            )
            state, now = list(flow.y[:, -1]), time
        if side == 0:
            state, value = pre(state)
            read.append(value)
        else:
            state = post(state)
    return np.array(read)


def regular_tsodyks_markram(convention, U, tau_facil, tau_rec, rate):
    """Closed form of a regular train: u before a spike (maass2002), resources, release."""
    e_f = np.exp(-1 / (rate * tau_facil)) if tau_facil else 0.0
    e_d = np.exp(-1 / (rate * tau_rec))
    u = U / (1 - (1 - U) * e_f)
    p = u + U * (1 - u) if convention == "mongillo2008" else u
    x = (1 - e_d) / (1 - (1 - p) * e_d)
    return u, x, p * x


def poisson_tsodyks_markram(convention, U, tau_facil, tau_rec, rate, order=60):
    """Moment hierarchy under Poisson spikes: n_k = E[u^k], M_k = E[u^k x]; u rests at U."""
    from math import comb

    p1, p0 = (1.0, 0.0) if convention == "maass2002" else (1 - U, U)  # p = p0 + p1 u
    jump = lambda k: [comb(k, j) * U ** (k - j) * (1 - U) ** j for j in range(k + 1)]  # noqa: E731
    n = np.zeros(order + 1)
    n[0] = 1.0
    for k in range(1, order + 1):
        c = jump(k)
        n[k] = (k * U * n[k - 1] / tau_facil + rate * np.dot(c[:k], n[:k])) / (
            k / tau_facil + rate * (1 - c[k])
        )
    A, b = np.zeros((order + 1, order + 1)), np.zeros(order + 1)
    for k in range(order + 1):
        if k:
            A[k, k - 1] += k * U / tau_facil
        A[k, k] -= k / tau_facil + 1 / tau_rec + rate
        b[k] -= n[k] / tau_rec
        for j, c in enumerate(jump(k)):
            A[k, j] += rate * c * (1 - p0)
            if j < order:
                A[k, j + 1] -= rate * c * p1
    M = np.linalg.solve(A, b)
    return p0 * M[0] + p1 * M[1]


def poisson_varela(f, tau_F, d, tau_D, rate):
    """E[F D1 D2] from the eight multilinear moments."""
    from itertools import chain, combinations

    subsets = list(chain.from_iterable(combinations(range(3), n) for n in range(4)))
    index = {s: i for i, s in enumerate(subsets)}
    taus = [tau_F, *tau_D]
    A, b = np.zeros((8, 8)), np.zeros(8)
    A[0, 0], b[0] = 1.0, 1.0
    for s in subsets[1:]:
        row = index[s]
        for v in s:  # d/dt of the factor v: (1 − v)/τ
            A[row, row] -= 1 / taus[v]
            A[row, index[tuple(w for w in s if w != v)]] += 1 / taus[v]
        kept = np.prod([d[v - 1] for v in s if v])
        A[row, row] += rate * (kept - 1)
        if 0 in s:
            A[row, index[tuple(w for w in s if w)]] += rate * kept * f
    return np.linalg.solve(A, b)[index[0, 1, 2]]

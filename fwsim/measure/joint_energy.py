"""Energy of activity and synapses together, if a network has one."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.engine.rate.gains import Gain, Relu, Tanh
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.state import State
from fwsim.errors import ConfigError, RecordingError, ShapeError, type_of
from fwsim.measure.recorded import described, numbers, recorded, require_entries
from fwsim.names import known_arguments

NODES = 64
"""Of the integral of a gain without a closed form."""

ASYMMETRY = 1e-5
"""A matrix whose transpose differs by less than this fraction of its largest element is symmetric."""


@known_arguments
def joint_energy(
    net: RateNetwork, states: State | xr.Dataset, drive: Tensor | None = None
) -> Tensor | xr.DataArray:
    """Energy of rates and Hebbian memory together: it never increases, and decreases while rates or memory change.

    E = Σ_i (h_i r_i − ∫_0^{h_i} gain) − I·r − ½ rᵀ W r − ½ Σ_k rᵀ A_k r + Σ_k ‖A_k‖² / (4 η_k τ_k)

    with r = gain(h), a constant input I and the sum W of all projections. Then ∂E/∂r = −τ dh/dt and
    ∂E/∂A_k = −(dA_k/dt)/(2 η_k), so that dE/dt = −Σ_i τ_i gain'(h_i) (dh_i/dt)² − Σ_k ‖dA_k/dt‖²/(2 η_k) ≤ 0. Rates and
    memory therefore never oscillate. With a bounded gain such as tanh they go to fixed points. With an unbounded one
    such as relu, E may have no lower bound, and they may also grow without limit.

    Parameters
    ----------
    net
        A `RateNetwork` with static symmetric projections, a gain that does not decrease, and if wanted a `Hebbian`
        memory of positive strengths between symmetric pairs; no normalisation and no noise.
    states
        A `State` of this network, or a recording with `hidden[trial, time, unit]` and, if there is one, `memory` at the
        same times.
    drive
        The constant input, `[unit]`, or `[trial, unit]` with as many trials as the states; 0 by default.

    Returns
    -------
    Tensor or DataArray
        `[trial]` of a state, `[trial, time]` of a recording. A simulation with a finite step follows the decrease up to
        the error of its step.

    Raises
    ------
    ConfigError
        No such function is known: synapses are plastic, projections or the memory are not symmetric, a strength is not
        positive, the gain decreases, fields are normalised, or the network has noise. Or the state is one of another
        kind of network, or the drive is not finite.
    RecordingError, ShapeError
        A variable is missing, or a shape does not fit.

    Notes
    -----
    Dong & Hopfield 1992, Network 3:267, for activities and synapses with one time constant each; with memory and
    without, the first terms are those of Cohen & Grossberg 1983, IEEE Trans. Syst. Man Cybern. 13:815.

    Examples
    --------
    >>> import fwsim as fw
    >>> net = fw.RateNetwork(fw.Projection([[0.0, 0.5], [0.5, 0.0]]), tau=0.01, gain=fw.tanh, dt=0.001,
    ...                      memory=fw.Hebbian(tau=0.1, eta_rate=5.0)).double()
    >>> drive = torch.tensor([1.0, -0.5], dtype=torch.float64)
    >>> run = fw.simulate(net, drive.expand(1, 300, 2), record=["hidden", "memory"])
    >>> fall = joint_energy(net, run, drive).diff("time")
    >>> bool((fall < 0).all())
    True
    """
    if not isinstance(net, RateNetwork):
        raise ConfigError(
            f"net is {type_of(net)}; give a RateNetwork (of an inner loop with a fixed memory: energy)"
        )
    _require_energy(net)
    like = net.weights[0]
    drive = like.new_zeros(net.units) if drive is None else torch.as_tensor(numbers(drive, "drive")).to(like)
    if not bool(drive.isfinite().all()):
        raise ConfigError("drive is NaN or infinite; give a constant input of finite values")
    with torch.no_grad():
        if isinstance(states, State):
            _require_shapes(net, states, drive)
            memory = None if states.memory is None else states.memory.to(like)
            return _energy(net, states.hidden.to(like), memory, drive)
        if isinstance(states, xr.Dataset):
            return _of_recording(net, states, drive)
    raise ConfigError(f"states is {type_of(states)}; give a State or a recording")


def _of_recording(net: RateNetwork, run: xr.Dataset, drive: Tensor) -> xr.DataArray:
    like, memory = net.weights[0], None
    hidden = _ordered(recorded(run, "hidden"), "trial", "time", "unit")
    if net.memory is not None:
        memory = _ordered(recorded(run, "memory"), "trial", "time", "timescale", "post", "pre")
        if not np.array_equal(memory["time"].values, hidden["time"].values):
            raise RecordingError("hidden and memory are recorded at different times; record both alike")

    def at(time: int) -> State:  # memories of all times together would be large
        fields = torch.tensor(hidden.isel(time=time).values).to(like)
        return State(fields, None if memory is None else torch.tensor(memory.isel(time=time).values).to(like))

    _require_shapes(net, at(0), drive)
    states = (at(time) for time in range(hidden.sizes["time"]))
    rows = [_energy(net, state.hidden, state.memory, drive) for state in states]
    coords = {name: hidden.coords[name] for name in ("trial", "time") if name in hidden.coords}
    values = xr.DataArray(torch.stack(rows, 1).cpu().numpy(), dims=("trial", "time"), coords=coords)
    return described(values, "energy", "1", "energy of rates and memory")


def _ordered(values: xr.DataArray, *dims: str) -> xr.DataArray:
    """Values in this order of dimensions, where a single trial or time scale need not have its own."""
    values = values.expand_dims(
        [dim for dim in ("trial", "timescale") if dim in dims and dim not in values.dims]
    )
    require_entries(values, *dims)
    if len(values.dims) > len(dims):
        raise ShapeError(f"{values.name} has dimensions {list(values.dims)}; it needs {', '.join(dims)}")
    return values.transpose(*dims)


def _require_shapes(net: RateNetwork, state: State, drive: Tensor) -> None:
    """Raise unless a state is one of the network, and the drive is for its units, of all trials or of each."""
    trials = len(state.hidden)
    net.check_state(state, trials)
    if tuple(drive.shape) not in ((net.units,), (trials, net.units)):
        raise ShapeError(
            f"drive has shape {list(drive.shape)}; give a constant input [unit] or [trial, unit] with unit={net.units} "
            f"and trial={trials}"
        )


def _require_energy(net: RateNetwork) -> None:
    """Raise unless the network has an energy."""
    none = "no energy is known; use fixed_points, basins or lyapunov_exponents"
    if any(each.synapse is not None for each in net.projections):
        raise ConfigError(f"the network has presynaptic plasticity: {none}")
    if net.normalise is not None:
        raise ConfigError(f"the network normalises its fields ({net.normalise}): {none}")
    if bool((net.noise > 0).any()):
        raise ConfigError("the network has noise, which raises any energy; give noise=0")
    for row, weights in enumerate(net.weights):
        _require_symmetric(f"projection {row}", weights, none)
    if net.memory is not None:
        if net.memory.eta_rate is None or not bool((net.memory.eta_rate > 0).all()):
            raise ConfigError(f"the memory has a strength of 0 or below: {none}")
        if not bool((net.memory.tau > 0).all() and net.memory.tau.isfinite().all()):
            raise ConfigError(f"the memory has a time constant of 0 or infinity: {none}")
        if net.connected is not None:
            _require_symmetric("connected", net.connected.to(net.weights[0]), none)


def _require_symmetric(name: str, matrix: Tensor, otherwise: str) -> None:
    seen = matrix.detach()
    asymmetry = (seen - seen.mT).abs().max()
    if not bool(asymmetry <= ASYMMETRY * seen.abs().max()):
        raise ConfigError(f"{name} is not symmetric (|W − Wᵀ| up to {float(asymmetry):.2g}): {otherwise}")


def _energy(net: RateNetwork, hidden: Tensor, memory: Tensor | None, drive: Tensor) -> Tensor:
    """Energy `[batch]` of fields `[batch, unit]` and a memory `[batch, timescale, post, pre]`."""
    rate = net.gain(hidden)
    total = _potential(net.gain, hidden, rate).sum(-1) - (drive * rate).sum(-1)
    for weights in net.weights:
        total = total - (rate * torch.matmul(weights, rate[..., None])[..., 0]).sum(-1) / 2
    if memory is None or net.memory is None:
        return total
    _require_symmetric(
        "the memory", memory, "no energy is known; begin with an empty memory, or one written by the network"
    )
    total = total - torch.einsum("bi,bkij,bj->b", rate, memory, rate) / 2
    cost = 1 / (4 * net.memory.eta_rate * net.memory.tau).to(hidden)
    return total + (cost * memory.square().sum((-2, -1))).sum(-1)


def _potential(gain: Gain, hidden: Tensor, rate: Tensor) -> Tensor:
    """Of every unit: h r − ∫_0^h gain."""
    if isinstance(gain, Relu):
        return rate.square() / 2
    if isinstance(gain, Tanh):
        return hidden * rate - (hidden.abs() + torch.log1p(torch.exp(-2 * hidden.abs())) - np.log(2.0))
    places, weights = np.polynomial.legendre.leggauss(NODES)
    shares = torch.tensor((places + 1) / 2).to(hidden)
    values = torch.stack([gain(share * hidden) for share in shares])
    rising = (torch.diff(values, dim=0) * hidden.sign() >= -1e-9 * values.abs().amax()).all()
    if not bool(rising):
        raise ConfigError("the gain decreases somewhere between 0 and the fields: no energy is known")
    return hidden * rate - hidden * torch.einsum("n,nbu->bu", torch.tensor(weights / 2).to(hidden), values)

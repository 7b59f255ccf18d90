"""The CPU kernel against the reference: hidden states, inner states, memory, and all gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import numba_run, numba_team, numba_threads, numba_weights
from tests.engine.comparison import assert_like_reference, memory_full_of_nan, network


@pytest.fixture(params=[False, True], ids=["one entry", "lanes"])
def lanes(request, monkeypatch):
    """Runs the attention form one entry after the other, or in lanes, whatever the planner thinks."""
    monkeypatch.setattr(numba_run, "in_lanes", lambda *sizes: request.param)


@pytest.mark.usefixtures("lanes")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_networks_match_the_reference(data):
    def draw(*values):
        return data.draw(st.sampled_from(values))

    torch.manual_seed(draw(*range(8)))
    batch, timescales = draw(1, 3, 19), draw(1, 3)
    net = network(
        draw(1, 7, 50),
        timescales,
        draw(0, 1, 2, 3, 4),
        inputs=draw(1, 3, 20),
        batch=draw(None, batch),
        learn=draw((), ("tau", "eta")),
        activation=draw("relu", "tanh", "sign"),
        normalise=draw("inner", "all"),
        write=draw("final", "before"),
        self_connections=draw(True, False),
    )
    assert_like_reference(
        numba_run,
        net,
        batch=batch,
        time=draw(1, 2, 33),
        chunk=draw(None, 1, 2, 4, 16),
        start=draw("zero", "symmetric", "any"),
        past=draw(0, 3),
    )


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize(("batch", "time", "inputs"), [(70, 1, 150), (40, 3, 100)])
def test_several_groups_with_one_sum(batch, time, inputs):
    torch.manual_seed(11)
    assert_like_reference(numba_run, network(9, 1, 1, inputs=inputs), batch=batch, time=time, chunk=None)


@pytest.mark.usefixtures("lanes")
def test_autocast_leaves_the_precision_of_a_run_alone():
    torch.manual_seed(12)
    net = network(20, 1, 1, inputs=17, kernel="numba", dtype=torch.float32)
    x = torch.randn(3, 5, 17)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x)[0].dtype == torch.float32


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("wanted", ["x", "W", "C", "b", "gain", "bias"])
def test_one_gradient_alone(wanted):
    torch.manual_seed(10)
    net, x = network(20, 1, 2, inputs=17), torch.randn(19, 5, 17, dtype=torch.float64, requires_grad=True)
    every = dict(net.named_parameters()) | {"x": x}
    truth = torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0]
    for name, value in every.items():
        value.requires_grad_(name == wanted)
    alone = torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0]
    torch.testing.assert_close(alone, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_every_entry_has_its_own_rates(inner_steps):
    torch.manual_seed(9)
    net = network(7, 2, inner_steps, batch=21, learn=("tau", "eta"))
    assert_like_reference(numba_run, net, batch=21, time=9, chunk=None, past=2)


@pytest.mark.parametrize("chunk", [None, 1, 16])
@pytest.mark.parametrize("timescales", [1, 3])
def test_wide_networks_match_the_reference(timescales, chunk):
    torch.manual_seed(1)
    assert_like_reference(
        numba_run, network(129, timescales, 2, learn=("tau", "eta")), batch=2, time=33, chunk=chunk
    )


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("chunk", [None, 1, 4])
def test_without_normalisation(chunk):
    torch.manual_seed(2)
    assert_like_reference(
        numba_run, network(7, 1, 3, normalise="none", activation="tanh"), batch=3, time=9, chunk=chunk
    )
    assert_like_reference(numba_run, network(7, 1, 1, normalise="none"), batch=3, time=3, chunk=chunk)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("inner_steps", [0, 1, 5])
def test_without_memory(inner_steps):
    torch.manual_seed(3)
    assert_like_reference(numba_run, network(20, 0, inner_steps), batch=3, time=9, chunk=None)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("chunk", [None, 1, 16])
@pytest.mark.parametrize("units", [50, 129])
def test_single_precision_is_close(units, chunk):
    torch.manual_seed(4)
    net = network(units, 1, 2, dtype=torch.float32)
    assert_like_reference(numba_run, net, batch=2, time=11, chunk=chunk, dtype=torch.float32)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("form", ["attention", "hybrid", "dense"])
def test_a_run_cut_in_two_equals_the_run_in_one(form):
    torch.manual_seed(5)
    net = network(20, 2, 2, form=form, kernel="numba", learn=("tau", "eta"))
    x = torch.randn(3, 21, 3, dtype=torch.float64)

    def gradients(parts):
        state, hidden = None, []
        for part in parts:
            states, state = net(part, state)
            hidden.append(states)
        loss = torch.cat(hidden, 1).square().sum() + state.memory.square().sum()
        return torch.cat(hidden, 1), torch.autograd.grad(loss, list(net.parameters()))

    whole, cut = gradients([x]), gradients([x[:, :8], x[:, 8:9], x[:, 9:]])
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-10, atol=1e-10)
    for ours, truth in zip(cut[1], whole[1]):
        torch.testing.assert_close(ours, truth, rtol=1e-9, atol=1e-9)


@pytest.fixture
def torch_threads():
    """Sets torch's number of threads, and puts it back."""
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)


def test_several_callers_at_once(torch_threads):
    torch_threads(2)
    torch.manual_seed(8)
    net = network(20, 1, 2, kernel="numba")
    x = torch.randn(5, 9, 3, dtype=torch.float64)
    with torch.no_grad(), ThreadPoolExecutor(4) as callers:
        alone = net(x)[0]
        together = [run.result()[0] for run in [callers.submit(net, x) for _ in range(40)]]
    assert all(torch.equal(hidden, alone) for hidden in together)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_thread_reaches_the_caller(threads, torch_threads, monkeypatch):
    monkeypatch.setattr(numba_threads, "_openmp", lambda: 0)
    torch_threads(threads)

    def interrupted(team, part, parts, batch, *arrays):
        if batch and part == parts - 1:
            raise KeyboardInterrupt

    interrupted.__name__ = "forward"
    with pytest.raises(KeyboardInterrupt):
        numba_threads.share_out(interrupted, 4, np.zeros(1), np.zeros(1))


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("form", ["attention", "hybrid"])
def test_results_do_not_depend_on_what_lay_in_memory(form):
    torch.manual_seed(7)
    net = network(7, 2, 2, kernel="numba", form=form, learn=("tau",))
    x = torch.randn(2, 40, 3, dtype=torch.float64)

    def result():
        hidden, state = net(x)
        loss = hidden.square().sum() + state.memory.sum()
        return [hidden, *torch.autograd.grad(loss, list(net.parameters()))]

    clean = result()
    with memory_full_of_nan():
        filled = result()
    for one, other in zip(clean, filled):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("batch", "time"), [(0, 5), (2, 0)])
def test_empty_batch_and_empty_sequence(batch, time):
    net = network(7, 1, 1, kernel="numba")
    hidden, state = net(torch.randn(batch, time, 3, dtype=torch.float64))
    assert hidden.shape == (batch, time, 7)
    assert state.memory.shape == (batch, 1, 7, 7)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("start", ["zero", "matrix"])
def test_nan_is_handed_on_in_its_own_entry_alone(chunk, start):
    net = network(7, 1, 1)
    x, hidden = torch.zeros(3, 5, 3, dtype=torch.float64), torch.zeros(3, 7, dtype=torch.float64)
    hidden[1, 3] = float("nan")
    trace = net.initial_state(3).stored
    if start == "matrix":
        trace = replace(trace, matrix=0.1 * torch.ones(3, 1, 7, 7, dtype=torch.float64))
    states = numba_run.run(net.cell(), Drive(x, net.C, net.b), hidden, trace, chunk=chunk).hidden
    assert states[1].isnan().all()
    assert states[[0, 2]].isfinite().all()


def test_backward_twice_and_second_derivatives():
    net = network(7, 1, 1, kernel="numba")
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    loss = net(x)[0].square().sum()
    first = torch.autograd.grad(loss, net.W, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(loss, net.W, retain_graph=True)[0])
    gradient = torch.autograd.grad(loss, net.W, create_graph=True)[0]
    with pytest.raises(fw.ConfigError, match=r"second derivative .*kernel='reference'"):
        gradient.sum().backward()


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("inner_steps", [1, 2, 3])
@pytest.mark.parametrize(("batch", "form"), [(8, "hybrid"), (8, "attention"), (33, "attention")])
def test_a_training_step_keeps_at_most_four_numbers_for_each_state(batch, form, inner_steps):
    torch.manual_seed(8)
    time, units = 60, 50
    net = network(units, 1, inner_steps, kernel="numba", form=form, dtype=torch.float32)
    x = torch.randn(batch, time, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        hidden, _ = net(x)
    own = {t.data_ptr(): t.numel() for t in kept if t.data_ptr() != hidden.data_ptr()}
    assert sum(own.values()) <= 4 * batch * time * units


def test_numba_says_what_it_cannot_run():
    net = fw.FastWeightNetwork(3, 5, fw.Hebbian(tau=1.0, eta=0.1), kernel="numba").half()
    with pytest.raises(fw.ConfigError, match=r"float16.*kernel='auto'"):
        net(torch.zeros(1, 2, 3, dtype=torch.float16))


def test_both_ways_to_list_active_units_agree():
    import numba

    from fwsim.engine.kernels import numba_vectors

    if not numba_vectors.COMPRESSES:
        pytest.skip("this processor does not compress vectors")
    scanned = numba.njit(lambda *arguments: numba_vectors.active_scanned(*arguments))
    compressed = numba.njit(lambda *arguments: numba_vectors.active_compressed(*arguments))
    for units in (1, 7, 16, 50, 129):
        state = torch.randn(144, dtype=torch.float64).relu().numpy()
        state[0] = float("nan")
        results = []
        for lister in (scanned, compressed):
            index, value = np.zeros(160, np.int32), np.zeros(160)
            count = lister(state, units, index, value)
            results.append((index[:count], value[:count]))
        np.testing.assert_array_equal(results[0][0], results[1][0])
        np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "time", "units"), [(1, 1, 16), (3, 2, 7), (4, 150, 50), (2, 3, 129)])
def test_gradient_of_the_weights(batch, time, units, dtype):
    generator = torch.Generator().manual_seed(0)
    dz, states = torch.randn(2, batch, time, units, dtype=dtype, generator=generator)
    hidden = torch.randn(units, batch, dtype=dtype, generator=generator).mT  # dense, and not contiguous
    before = torch.cat([hidden[:, None], states[:, :-1]], dim=1)
    expected = torch.einsum("bti,btj->ij", dz.double(), before.double())
    with memory_full_of_nan():
        error = (numba_weights.of_weights(dz, states, hidden) - expected).norm() / expected.norm()
    assert error < (1e-5 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("batch", "time", "inputs", "units"),
    [(1, 1, 16, 16), (3, 2, 7, 50), (2, 70, 50, 7), (4, 150, 50, 33), (2, 3, 129, 129), (0, 3, 20, 20)],
)
def test_drive_and_its_gradients(batch, time, inputs, units, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(time, batch, inputs, dtype=dtype, generator=generator).transpose(0, 1)  # not contiguous
    C = torch.randn(inputs, units, dtype=dtype, generator=generator).T
    b = torch.randn(units, dtype=dtype, generator=generator)
    d_drive = torch.randn(units, batch, time, dtype=dtype, generator=generator).movedim(0, -1)
    given = [each.requires_grad_() for each in (x, C, b)]
    truth = [each.detach().double().requires_grad_() for each in given]
    with memory_full_of_nan():
        drive = numba_weights.project(*given)
        with torch.no_grad():
            assert torch.equal(numba_weights.project(*given), drive)
        assert type(drive.grad_fn).__name__ == "ProjectionBackward"
        result = drive, *torch.autograd.grad(drive, given, d_drive)
    expected = torch.nn.functional.linear(*truth)
    expected = expected, *torch.autograd.grad(expected, truth, d_drive.double())
    for ours, theirs in zip(result, expected, strict=True):
        error = (ours - theirs).norm() / theirs.norm().clamp(min=1)
        assert error < (1e-5 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_as_exact_as_its_precision(dtype):
    import numba

    from fwsim.engine.kernels import numba_vectors

    in_vectors = numba.njit(lambda values: numba_vectors.tanh(values))
    x = torch.cat([scale * torch.randn(1000, dtype=dtype) for scale in (1e-6, 0.1, 1, 5, 50)])
    values = x.numpy().copy()
    in_vectors(values)
    truth = torch.tanh(x.double())
    error = ((torch.from_numpy(values) - truth) / truth).abs().max()
    assert error < 10 * torch.finfo(dtype).eps
    special = torch.tensor([0.0, float("inf"), -float("inf"), float("nan")], dtype=dtype).numpy()
    in_vectors(special)
    np.testing.assert_array_equal(special, [0, 1, -1, np.nan])


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.usefixtures("lanes")
def test_what_decays_beyond_full_precision_counts_as_nothing_in_kernels_alone(chunk):
    tiny = (
        1e-40  # in float32: what a memory that decays ends in, at a hundred times the cost of other numbers
    )
    net = fw.FastWeightNetwork(20, 20, fw.Hebbian(tau=5.0, eta=0.5), normalise="none", kernel="numba")
    with torch.no_grad():
        net.W.zero_(), net.C.copy_(torch.eye(20)), net.b.zero_()
    run = numba_run.run(
        net.cell(),
        Drive(torch.full((3, 9, 20), tiny), net.C, net.b),
        torch.zeros(3, 20),
        net.initial_state(3).stored,
        chunk=chunk,
    )
    flushed = numba_team.X86
    assert bool((run.hidden == 0).all()) == flushed
    assert float(torch.full((1,), tiny) * 0.5) > 0  # the caller's own arithmetic is as it was

"""Synapses of circuits: as a plain drawing makes them, in little memory, and refused where there are too many."""

import tracemalloc

import numpy as np
import pytest

import fwsim as fw
from fwsim.engine.native import library
from fwsim.errors import ConfigError
from fwsim.seeds import numpy_generator
from fwsim.spiking import Circuit, Connection, PoissonGenerator, Population, simulate, wiring
from fwsim.spiking.arrangement import LEVELS, arranged

native = pytest.mark.skipif(library.obstacle() is not None, reason="no native engine")
MATRIX = np.where(np.random.default_rng(0).random((300, 200)) < 0.1, 1e-3, 0.0)


def populations(**options):
    return [
        Population(name, size, background=0.021, noise=0.001, **options)
        for name, size in (("a", 200), ("b", 300))
    ]


def plainly_drawn(circuit, seed):
    """Neurons and delays of all synapses: every random number of a connection is drawn at once."""
    random, found = numpy_generator(seed, 1), []
    for each in circuit.connections:
        starts, sizes = zip(
            *((m.start, m.stop - m.start) for m in (circuit.members[each.pre], circuit.members[each.post]))
        )
        if np.ndim(each.efficacy):
            post, pre = np.nonzero(each.efficacy)
        else:
            total, last, chosen = sizes[0] * sizes[1], -1, np.empty(0, np.int64)
            while each.probability < 1 and last < total:
                count = int(min(4_000_000, each.probability * (total - last) * 1.05 + 100))
                chosen = np.append(chosen, last + np.cumsum(random.geometric(each.probability, size=count)))
                last = chosen[-1]
            chosen = chosen[chosen < total] if each.probability < 1 else np.arange(total)
            pre, post = np.divmod(chosen, sizes[1])
            keep = (pre != post) | (each.pre != each.post)
            pre, post = pre[keep], post[keep]
        found.append((pre + starts[0], post + starts[1], random.uniform(*each.delays, len(pre))))
    return [np.concatenate(part) for part in zip(*found)]


@pytest.mark.parametrize("at_once", [97, 65_536])
def test_synapses_are_those_of_a_plain_drawing(monkeypatch, at_once):
    monkeypatch.setattr(wiring, "AT_ONCE", at_once)
    delay = (0.0, 2e-3)
    connections = [
        Connection("a", "b", 1e-3, 0.2, delay=delay),
        Connection("b", "b", 1e-3, 0.05, delay=delay),
        Connection("a", "b", MATRIX, delay=delay),
        Connection("b", "a", 1e-3, delay=delay),
        Connection("a", "a", 1e-3, 1e-9, delay=delay),  # none
        Connection("b", "a", 1e-3, 0.01),
    ]
    circuit = Circuit(populations(), connections)
    (found,) = wiring.wirings(circuit, seed=3)
    pre, post, when = plainly_drawn(circuit, 3)
    np.testing.assert_array_equal(found.pre, pre)
    np.testing.assert_array_equal(found.post, post)
    np.testing.assert_array_equal(found.delay, when.astype(np.float32))


def test_no_pair_beyond_the_last_is_chosen():
    """With gaps of 5, pairs 4, 9, 14 and 19 are chosen: of 19 pairs, the last one has the number 18."""

    class Gaps:
        def geometric(self, probability, size):
            return np.full(size, 5)

    for total, chosen in ((20, [4, 9, 14, 19]), (19, [4, 9, 14]), (15, [4, 9, 14])):
        assert np.concatenate(list(wiring._chosen(total, 0.2, Gaps()))).tolist() == chosen


@pytest.mark.parametrize(
    ("size", "bits"), [(1, 8), (256, 8), (257, 16), (65_536, 16), (65_537, 32), (2**32, 32), (2**32 + 1, 64)]
)
def test_indices_take_the_fewest_bytes_that_hold_all(size, bits):
    found = wiring._small(np.array([0, size - 1]), size)
    assert found.tolist() == [0, size - 1]
    assert found.dtype == np.dtype(f"uint{bits}")


def test_a_probability_of_almost_nothing_gives_no_synapses():
    circuit = Circuit(populations(), [Connection("a", "b", 1e-3, 1e-300)])
    assert len(wiring.wirings(circuit, seed=0)[0].pre) == 0


@pytest.mark.parametrize("engine", ["brian2", pytest.param("native", marks=native)])
def test_too_many_synapses_are_refused_before_they_are_drawn(engine):
    huge = Circuit([Population("E", 1_000_000)], [Connection("E", "E", 1e-3, 0.5)])
    with pytest.raises(ConfigError, match=r"5e\+11 synapses"):
        simulate(huge, steps=10, engine=engine)


@native
def test_jumps_that_are_listed_and_jumps_of_each_synapse_are_the_same():
    tm = fw.TsodyksMarkram(0.4, 0.3, 0.5)
    drawn = Circuit(populations(), [Connection("a", "b", 1e-3, 0.1, tm), Connection("b", "a", 2e-3, 0.1, tm)])
    (found,) = wiring.wirings(drawn, seed=1)
    dense = np.zeros((500, 500))
    dense[found.post, found.pre] = found.jump
    alike = Circuit(
        populations(),
        [Connection("a", "b", dense[200:, :200], 1.0, tm), Connection("b", "a", dense[:200, 200:], 1.0, tm)],
    )
    runs = [
        simulate(each, steps=500, seed=1, record=["spike_time", "potential"], engine="native", progress=False)
        for each in (drawn, alike)
    ]
    assert runs[0].sizes["spike"] > 20
    for name in ("spike_time", "potential"):
        np.testing.assert_array_equal(*(run[name] for run in runs))


def part(count, jump):
    """So many synapses from one neuron to itself."""
    none = np.zeros(count, np.uint8)
    return wiring.Drawn((0, 0), none, none, np.asarray(jump, np.float32), none)


@native
def test_many_different_jumps():
    few, many = ([part(3, 1e-3 * k) for k in range(count)] for count in (LEVELS, LEVELS + 1))
    for parts in (few, many, [part(3, 1e-3), part(2, [2e-3, 3e-3])]):
        found = arranged(parts, 1, 1)
        jump = found["jump"] if found["level"] is None else found["jump"][found["level"]]
        expected = [np.broadcast_to(each.jump, len(each.pre)) for each in parts]
        np.testing.assert_array_equal(jump, np.concatenate(expected))
        assert (found["level"] is None) == (parts is not few)


@native
def test_a_synapse_of_a_class_takes_few_bytes():
    from fwsim.spiking.arrangement import synapses

    circuit = Circuit([Population("E", 2000)], [Connection("E", "E", 1e-3, 0.5, delay=(1e-4, 1e-3))], dt=1e-4)
    tracemalloc.start()
    ((_, found),) = synapses(circuit, seed=0)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(found["target"])
    assert count > 990_000
    assert kept < 6 * count
    assert peak < 14 * count


@native
def test_noise_of_a_neuron_does_not_depend_on_other_populations():
    def run(middle):
        quiet = {"threshold": 1.0, "reset": 0.0, "noise": 0.003}
        parts = [Population("a", 100, **quiet), middle, Population("b", 450, **quiet)]
        options = {"steps": 20, "record": "potential", "engine": "native", "progress": False}
        return simulate(Circuit(parts), seed=2, **options).potential

    alike = run(Population("m", 50, threshold=1.0, reset=0.0, noise=0.003))
    assert (alike[:, -1] - alike[:, 0]).std() > 1e-3
    for middle in (Population("m", 50, threshold=1.0, reset=0.0), PoissonGenerator("m", 50, 100.0)):
        found = run(middle)
        for units in (slice(0, 100), slice(150, 600)):
            np.testing.assert_array_equal(found[..., units], alike[..., units])

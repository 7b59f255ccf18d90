"""Training on trials: what counts in the loss, and that streams, clips and epochs are what they are called."""

import pytest
import torch
from torch import nn

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.models import MatchingNetwork
from fwsim.seeds import stream_seed, torch_generator
from fwsim.tasks import DelayedMatch, SequentialMatch
from fwsim.training import train_trials, trial_loss

TASK = DelayedMatch(dt=0.05, delay=0.2)


class Streams:
    """Random streams of one seed."""

    def generator(self, name):
        return torch_generator(1, name)

    def seed_of(self, name, *, bits=63):
        return stream_seed(1, name) % 2**bits


def network(seed=0, **options):
    torch.manual_seed(seed)
    return MatchingNetwork(TASK, 10, **options)


def test_the_loss_counts_the_steps_that_count():
    """Written out with logarithms; steps of weight 0 may have any score."""
    trials = TASK.sample(5, torch.Generator().manual_seed(0))
    scores = torch.randn(*trials.target.shape, 3)
    rate = torch.rand(*trials.target.shape, 4)
    chosen = scores.log_softmax(-1).gather(-1, trials.target[..., None])[..., 0]
    expected = -(chosen * trials.weight).sum() / trials.weight.numel() + 0.3 * (rate**2).mean()
    changed = torch.where(trials.weight[..., None] > 0, scores, 100 * scores)
    for given in (scores, changed):
        found = trial_loss(lambda inputs, seed, given=given: (given, rate), (trials, 0), 0.3)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("plasticity", ["presynaptic", "anti_hebbian", "none"])
def test_training_lowers_the_loss(plasticity):
    """In the same trials with the same noise."""
    model, progress = network(plasticity=plasticity), fw.progress.track
    trials = TASK.sample(64, torch.Generator().manual_seed(0)), 1
    before = float(trial_loss(model, trials).detach())
    history = train_trials(
        model, TASK, Streams(), steps=20, epochs=4, learning_rate=0.05, batch=8,
        progress=lambda title, total: progress(title, total, show=False),
    )  # fmt: skip
    assert history.sizes["epoch"] == 4
    assert float(trial_loss(model, trials).detach()) < 0.9 * before
    weights = model.core.weights[0]
    assert (weights[:, :8] >= 0).all()
    assert (weights[:, 8:] <= 0).all()
    assert not weights.diagonal().any()


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [0.0, 0.5])
def test_a_network_learns_which_tests_match(repeats):
    """ABCA and ABBA. Whoever does not know the sample says "match" as often whether a test matches or not."""
    task = SequentialMatch(dt=0.05, repeats=repeats)
    torch.manual_seed(1)
    model = MatchingNetwork(task, 50)
    train_trials(model, task, Streams(), steps=200)
    trials = task.sample(400, torch.Generator().manual_seed(2))
    with torch.no_grad():
        scores, _ = model(trials.inputs, seed=3)
    says = (scores.argmax(-1) == 2)[:, 27:34].float().mean(1)  # in the first test, without its grace
    match = trials.match[:, 0]
    assert float(says[match].mean() - says[~match].mean()) > 0.4


def test_gradients_are_clipped_during_training_only():
    """With a clip near 0 Adam's first step is as large as ever; the gradients that it sees are not."""
    model = network()
    seen = []
    original = model.bias_in.register_hook(lambda gradient: seen.append(float(gradient.norm())))
    train_trials(model, TASK, Streams(), steps=1, epochs=1, clip=1e-6)
    original.remove()
    assert float(model.bias_in.grad.norm()) <= 1.0001e-6 < seen[0]
    model.zero_grad()
    trial_loss(model, (TASK.sample(8, torch.Generator().manual_seed(0)), 0)).backward()
    assert float(model.bias_in.grad.norm()) > 1e-5


def test_what_is_refused():
    for options, says in (
        ({"steps": 21}, "multiple"),
        ({"steps": 20, "clip": 0.0}, "clip"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(ConfigError, match=says):
            train_trials(network(), TASK, Streams(), **options)
    with pytest.raises(ConfigError, match="plasticity"):
        network(plasticity="hebbian")


def test_initial_networks_differ_only_in_plasticity():
    plastic, plain = network(3), network(3, plasticity="none")
    torch.testing.assert_close(plastic.core.weights[0], plain.core.weights[0])
    torch.testing.assert_close(plastic.weights_in, plain.weights_in)
    assert isinstance(plain.core.projections[0].synapse, type(None))
    assert nn.utils.parametrize.is_parametrized(plain.core.weights)


def test_every_step_has_new_noise():
    model, seeds = network(), []
    model.register_forward_pre_hook(lambda _, args, options: seeds.append(options["seed"]), with_kwargs=True)
    train_trials(model, TASK, Streams(), steps=6, epochs=2, batch=4)
    validation = Streams().seed_of("validation noise")
    assert seeds.count(validation) == 2
    assert len(set(seeds)) == 7

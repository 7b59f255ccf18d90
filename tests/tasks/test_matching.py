"""Delayed matching: trials against their description, and timing and tuning against the published code's numbers."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.tasks import DelayedMatch, DualMatch, Motion, SequentialMatch

SILENT = Motion(noise=0.0)


def drawn(task, trials=400, seed=0):
    return task.sample(trials, torch.Generator().manual_seed(seed))


def decoded(inputs, motion):
    """Direction that a pattern `[trial, unit]` shows, −1 for none."""
    found = torch.cdist(inputs, motion.tuning()).argmin(1)
    return torch.where(inputs.sum(1) > 0, found, -1)


def test_tuning_is_the_published_one():
    """tuning_height · exp(kappa · cos d) / exp(kappa), 24 preferred directions, 8 stimuli."""
    tuning = Motion().tuning()
    for stimulus in range(8):
        for unit in range(24):
            d = math.cos(math.radians(45 * stimulus - 15 * unit))
            assert tuning[stimulus, unit].item() == pytest.approx(4 * math.exp(2 * d) / math.exp(2), rel=1e-5)


def test_noise_is_the_published_one():
    """sqrt(2/alpha) · 0.1 with alpha = 10/100, rectified."""
    early = drawn(DelayedMatch()).inputs[:, :50]
    assert (early >= 0).all()
    assert early.square().mean().sqrt().item() == pytest.approx(math.sqrt(20) * 0.1 / math.sqrt(2), rel=0.01)


@given(st.sampled_from([0, 45, 90, -90, 180]), st.booleans(), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_trials_of_delayed_match(rotation, distractor, seed):
    task = DelayedMatch(SILENT, rotation=rotation, distractor=distractor)
    trials = drawn(task, 60, seed)
    assert trials.inputs.shape == (60, 250, 24) == (60, task.length, task.inputs)
    sample, test = trials.sample[:, 0], trials.test[:, 0]
    shown = [decoded(trials.inputs[:, t], SILENT) for t in range(250)]
    for t, direction in enumerate(shown):
        wanted = sample if 50 <= t < 100 else test if t >= 200 else torch.full_like(sample, -1)
        if not (distractor and 125 <= t < 175):
            assert torch.equal(direction, wanted), t
        else:
            assert (direction >= 0).all()
    match = test == (sample + rotation // 45) % 8
    assert torch.equal(trials.match[:, 0], match)
    assert (trials.target[:, :200] == 0).all()
    assert torch.equal(trials.target[:, 220], torch.where(match, 2, 1))
    assert trials.weight[0].tolist() == [1] * 200 + [0] * 5 + [1] * 45


def test_categories_are_halves_of_the_circle():
    trials = drawn(DelayedMatch(category=True))
    same = trials.sample // 4 == trials.test // 4
    assert torch.equal(trials.match, same)
    assert {(int(a), int(b)) for a, b in zip(trials.sample[:, 0], trials.test[:, 0])} >= {
        (0, 1),
        (0, 0),
        (0, 4),
    }


@pytest.mark.parametrize("repeats", [0.0, 0.5, 1.0])
def test_sequences_of_tests(repeats):
    task = SequentialMatch(SILENT, repeats=repeats)
    trials = drawn(task, 3000)
    assert task.length == 330
    for number, onset in enumerate((130, 210, 290)):
        assert torch.equal(decoded(trials.inputs[:, onset], SILENT), trials.test[:, number])
        assert (trials.weight[:, onset : onset + 5] == 0).all()
        target = torch.where(trials.match[:, number], 2, 1)
        assert torch.equal(trials.target[:, onset + 39], target)
        assert (trials.target[:, onset - 1] == 0).all()
    assert torch.equal(trials.match, trials.test == trials.sample)
    other = ~trials.match
    again = (trials.test[:, 1:] == trials.test[:, :-1]) & other[:, 1:]
    share = again.sum() / (other[:, 1:] & other[:, :-1]).sum()
    assert share.item() == pytest.approx(repeats, abs=0.04)


def test_times_may_be_texts():
    assert DelayedMatch(dt="25 ms", delay="2 s") == DelayedMatch(dt=0.025, delay=2.0)


def test_two_samples_and_a_cue():
    task = DualMatch(SILENT)
    trials = drawn(task, 200)
    assert trials.inputs.shape == (200, 400, 54)
    fields = trials.inputs[..., :24], trials.inputs[..., 24:48]
    for place in range(2):
        assert torch.equal(decoded(fields[place][:, 60], SILENT), trials.sample[:, place])
    for number, (cue, onset, end) in enumerate([(150, 200, 250), (300, 350, 400)]):
        lines = trials.inputs[:, cue:end, 48:]
        assert (lines == lines[:, :1]).all()
        assert not trials.inputs[:, cue - 1, 48:].any()
        cued = (lines[:, 0, 1] > 0).long()
        assert torch.equal(lines[:, 0] > 0, torch.arange(6) % 2 == cued[:, None])
        assert torch.equal(trials.asked[:, number], cued)
        seen = torch.stack([decoded(each[:, onset], SILENT) for each in fields], 1)
        assert torch.equal(seen.gather(1, cued[:, None])[:, 0], trials.test[:, number])
        asked = trials.sample.gather(1, cued[:, None])[:, 0]
        assert torch.equal(trials.match[:, number], asked == trials.test[:, number])
        assert (trials.target[:, cue : onset - 1] == 0).all()


@pytest.mark.parametrize(
    "task", [DelayedMatch(), DelayedMatch(category=True), SequentialMatch(), DualMatch()]
)
def test_half_of_all_tests_match_and_a_seed_repeats(task):
    trials = drawn(task, 2000)
    first = trials.match[:, 0]  # in ABBA, later tests may also repeat one that matched
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(trials.inputs, drawn(task, 2000).inputs)
    perfect, lazy = trials.target, torch.zeros_like(trials.target)
    assert (trials.correct(perfect) == 1).all()
    assert (trials.correct(lazy) == 0).all()


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (lambda: DelayedMatch(rotation=30), "45 degrees"),
        (lambda: DelayedMatch(delay=0.005), "multiple of dt"),
        (lambda: DelayedMatch(dt=0), "above 0"),
        (lambda: DelayedMatch(delay="1 V"), "delay: '1 V'"),
        (lambda: DelayedMatch(delays=1.0), "delay"),
        (lambda: DelayedMatch(rotation="90"), "rotation='90'"),
        (lambda: DelayedMatch(distractor=True, delay=0.2), "shorter"),
        (lambda: DelayedMatch(category=True, rotation=90), "category"),
        (lambda: DelayedMatch(shown=0.05), "grace"),
        (lambda: SequentialMatch(tests=8), "fewer"),
        (lambda: SequentialMatch(repeats=2), "repeats"),
        (lambda: Motion(noise=-1), "noise"),
        (lambda: DelayedMatch(Motion(directions=1)), "directions"),
        (lambda: replace(DelayedMatch(), fixation=math.nan), "fixation"),
        (lambda: drawn(DelayedMatch(), 0), "trials"),
    ],
)
def test_what_cannot_be_is_refused(task, says):
    with pytest.raises(fw.ConfigError, match=says):
        task()

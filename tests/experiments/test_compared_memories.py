"""The networks have the sizes of the paper's code; HebbFF cannot see digits; runs and sweeps make one table."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import study
from fwsim.study import files, load_experiment

NAME = "compared_memories"
made = load_experiment(NAME).run.__globals__
analysis = files.load(files.find(NAME, "analysis"), ("analyse", "join", "table", "plot"))
NUMBERS = {"stpn": 2039, "hebbff": 1989, "fast_weights": 1977, "lstm": 2098}  # by hand, see below


def drawn(number=64):
    return made["draw"](fw.tasks.AssociativeRetrieval(), number, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", NUMBERS)
def test_sizes(model):
    """3·11·48 + 11, 26·37 + 26 + 2, 20·57 + 20 + 2·20 and 4·9·46 + 2·36, with readouts of (units + 1)·37."""
    torch.manual_seed(0)
    net = made["build"](model, 37)
    assert fw.models.parameter_count(net) == NUMBERS[model]
    assert net(drawn().tokens).shape == (64, 37)


def test_targets_are_the_digit_after_the_letter_asked_for():
    tokens, target, _ = drawn()
    for sequence, digit in zip(tokens.tolist(), target.tolist(), strict=True):
        letters, digits = sequence[:8:2], sequence[1:8:2]
        assert digits[letters.index(sequence[-1])] == digit


def test_hebbff_cannot_see_digits_and_an_stpn_can():
    """The memory of one-hot inputs answers a letter by when it was there; so HebbFF cannot be better than guessing."""
    tokens = drawn().tokens
    other = tokens.clone()
    other[:, 1:8:2] = 26 + (tokens[:, 1:8:2] - 26 + torch.randint(1, 10, (64, 4))) % 10
    for model, sees in (("hebbff", False), ("stpn", True)):
        torch.manual_seed(1)
        net = made["build"](model, 37).double()
        with torch.no_grad():
            for parameter in filter(lambda each: each.requires_grad, net.parameters()):
                parameter += 0.3 * torch.randn_like(parameter)
            change = (net(tokens) - net(other)).abs().max()
        assert (float(change) > 1e-3) == sees
        assert sees or float(change) < 1e-12


def test_stpn_has_constants_for_every_synapse_in_the_range_that_the_analysis_draws():
    torch.manual_seed(0)
    values = {name: each.detach() for name, each in made["build"]("stpn", 37).core.memory.values().items()}
    decay = torch.exp(-1 / values["tau"].squeeze(-1))
    assert decay.shape == (11, 48)
    assert 0.01 - 1e-6 <= float(decay.min()) < 0.05
    assert 0.95 < float(decay.max()) <= 0.99 + 1e-6
    assert float(values["eta"].abs().max()) <= 1e-3 / 11**0.5


def test_runs_and_sweeps_make_one_table(tmp_path):
    over, small = {"model": ["stpn", "lstm"]}, {"training_sequences": 320, "batch": 64}
    swept = study.sweep(NAME, over, 2, small, quick=True, workers=1, folder=tmp_path / "sweep")
    config = {**small, "model": "hebbff", "learning_rate": 3e-2}
    one = study.run(NAME, config, quick=True, folder=tmp_path / "run").recording
    result = analysis.join([swept, one])
    assert list(result["model"].values) == ["stpn", "lstm", "hebbff"]
    rows = analysis.table(result)
    assert [(row["network"], row["numbers"], row["networks"], row["peak rate"]) for row in rows] == [
        ("STPN", 2039, 2, "0.01"),
        ("LSTM", 2098, 2, "0.01"),
        ("HebbFF", 1989, 1, "0.03"),
    ]
    error = swept["test_error"].sel(model="lstm").values
    assert rows[1]["test error (%)"].startswith(f"{error.mean():.2f} [")
    assert (float(rows[1]["lowest"]), float(rows[1]["highest"])) == pytest.approx(sorted(error), abs=0.006)
    assert "[" not in rows[2]["test error (%)"]
    constants = analysis.time_constants(result.isel(network=0))
    assert [each.size for each in constants] == [528, 528]
    np.testing.assert_allclose(np.sort(constants[0]), np.sort(swept["trained_tau"][0, 0].values.ravel()))
    assert analysis.time_constants(result.isel(network=1)) == []
    assert set(analysis.plot(result)) == {"memories"}

"""Facilitation, augmentation and potentiation against closed forms."""

import math

import torch

import fwsim as fw
from tests.rules.cases import exact

NONE = {
    name: () for group in ("facilitation", "augmentation", "potentiation") for name in (group, f"tau_{group}")
}


def test_components_add_within_a_group_and_multiply_across():
    times = exact([0.0, 0.05, 0.1])
    rule = fw.Enhancement(facilitation=(0.8, 0.1), tau_facilitation=(0.05, 0.3), augmentation=0.1,
                          tau_augmentation=7.0, potentiation=0.2, tau_potentiation=70.0)  # fmt: skip
    second = (1 + 0.8 * math.exp(-1) + 0.1 * math.exp(-1 / 6)) * (1 + 0.1 * math.exp(-0.05 / 7))
    second *= 1 + 0.2 * math.exp(-0.05 / 70)
    assert math.isclose(rule.respond(times)[1], second, rel_tol=1e-14)


def test_nothing_enhanced_is_constant():
    assert torch.equal(fw.Enhancement(**NONE).respond(torch.arange(3).double()), torch.ones(3).double())


def test_augmentation_lasts_seconds():
    """10 s after a train facilitation is gone, potentiation mostly kept."""
    train = torch.cat([torch.arange(200).double() / 20, exact([20.0])])
    late = {
        group: float(fw.Enhancement(**NONE | {group: 0.01, f"tau_{group}": tau}).respond(train)[-1]) - 1
        for group, tau in (("facilitation", 0.05), ("augmentation", 7.0), ("potentiation", 70.0))
    }
    assert late["facilitation"] < 1e-12 < late["augmentation"] < late["potentiation"]

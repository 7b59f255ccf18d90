"""Layouts of glimpses: which pixels are seen when, and what the controls say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d

import fwsim as fw
from fwsim.tasks import GlimpseLayout


def test_the_papers_24_glimpses():
    layout = GlimpseLayout()
    assert layout.length == 24
    kinds = ["integrate" if step.integrate else step.side for step in layout.steps]
    assert kinds == [14, 7, 7, 7, 7, "integrate"] * 4
    corners = [(step.row, step.column) for step in layout.steps]
    assert corners[::6] == [(0, 0), (0, 14), (14, 0), (14, 14)]
    assert corners[7:11] == [(0, 14), (0, 21), (7, 14), (7, 21)]
    assert [step for step, on in enumerate(layout.stored) if on] == [0, 6, 12, 18]
    assert layout.cleared == layout.stored


@given(
    doublings=st.integers(0, 3),
    glimpse=st.integers(1, 3),
    levels=st.integers(1, 4),
    seed=st.integers(0, 9),
    store=st.sampled_from(["whole", "region", "every", "none"]),
)
@settings(max_examples=30, deadline=None)
def test_every_glimpse_is_its_region_averaged(doublings, glimpse, levels, seed, store):
    """Against average pooling of each region cut out; every level covers the image once."""
    levels = min(levels, doublings + 1)
    layout = GlimpseLayout(glimpse * 2**doublings, glimpse, levels, store)
    images = torch.rand(2, layout.size, layout.size, generator=torch.Generator().manual_seed(seed))
    seen = layout.inputs(images)
    assert seen.shape == (2, layout.length, layout.channels)
    covered = torch.zeros(levels)
    for time, step in enumerate(layout.steps):
        region = images[:, step.row : step.row + step.side, step.column : step.column + step.side]
        pooled = avg_pool2d(region[:, None], step.side // glimpse).flatten(1)
        expected = torch.zeros_like(pooled) if step.integrate else pooled
        torch.testing.assert_close(seen[:, time, : glimpse**2], expected)
        covered[step.level] += 0 if step.integrate else step.side**2
    assert covered.tolist() == [layout.size**2] * levels


def test_controls_say_level_integration_store_clear_and_part():
    layout = GlimpseLayout(store="every")
    assert layout.control_inputs[[0, 2, 5]].tolist() == [
        [1, 0, 0, 1, 1, 1, 0, 0, 0],
        [0, 1, 0, 1, 0, 0, 1, 0, 0],
        [1, 0, 1, 1, 0, 1, 0, 0, 0],
    ]
    assert GlimpseLayout(store="none", clear="never").control_inputs[:, 3:5].sum() == 0


def test_without_controls_only_pixels_are_seen():
    layout, images = GlimpseLayout(controls="none"), torch.rand(2, 28, 28)
    assert layout.channels == 49
    assert torch.equal(layout.inputs(images), layout.glimpses(images))
    told = GlimpseLayout()
    assert (layout.stored, layout.cleared, layout.weights()) == (told.stored, told.cleared, told.weights())


def test_regions_are_stored_before_their_parts_and_after():
    layout = GlimpseLayout(store="region")
    assert [step for step, on in enumerate(layout.stored) if on] == [0, 5, 6, 11, 12, 17, 18, 23]
    assert [step for step, on in enumerate(layout.cleared) if on] == [0, 6, 12, 18]


def test_levels_and_weights():
    assert [GlimpseLayout(levels=levels).length for levels in (1, 2, 3)] == [16, 24, 26]
    three = GlimpseLayout(levels=3)
    assert [step.level for step in three.steps][:4] == [0, 1, 2, 2]
    assert three.steps[-1].integrate
    assert three.steps[-1].side == 28
    assert set(three.weights("all")) == {0}
    assert three.weights("levels") == tuple(int(step.integrate) for step in three.steps)
    assert len(set(three.weights("none"))) == 5


def test_bytes_are_scaled():
    layout = GlimpseLayout(4, 2, 2)
    image = torch.full((1, 4, 4), 51, dtype=torch.uint8)
    assert layout.glimpses(image)[0, 0].tolist() == pytest.approx([0.2] * 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 27}, "size=27 with glimpse=7 is not possible"),
        ({"size": 21}, "size=21 with glimpse=7 is not possible"),
        ({"levels": 4}, "levels=4 is too many for size=28 and glimpse=7; use 1 to 3"),
        ({"levels": 0}, "levels=0 is not allowed"),
        ({"glimpse": 1.0}, r"glimpse=1\.0 is not allowed"),
        ({"store": "some"}, "store='some' is unknown"),
        ({"clear": "all"}, "clear='all' is unknown"),
        ({"controls": "some"}, "controls='some' is unknown"),
    ],
    ids=str,
)
def test_impossible_layouts(arguments, said):
    with pytest.raises(fw.ConfigError, match=said):
        GlimpseLayout(**arguments)


def test_images_of_another_size():
    with pytest.raises(fw.ShapeError, match="28, 28"):
        GlimpseLayout().inputs(torch.zeros(1, 8, 8))
    with pytest.raises(fw.ConfigError, match="sharing"):
        GlimpseLayout().weights("some")

"""Lines can be told apart without colour, and figures are saved in all formats."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from fwsim.study import COLOURS, errorbars, figure
from fwsim.study.figures import save_figure, tell_apart

BLUE, RED = COLOURS["blue"], COLOURS["vermillion"]


def looks(axes):
    return [(line.get_linestyle(), line.get_marker()) for line in axes.lines]


def test_lines_of_several_colours_get_dashes_and_the_legend_too():
    made, axes = figure()
    for colour in (BLUE, RED):
        axes.plot([0, 1], [0, 1], color=colour, label=colour)
    legend = axes.legend()
    tell_apart(made)
    assert [style for style, _ in looks(axes)] == ["-", "--"]
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "--"]


def test_points_of_several_colours_get_markers():
    made, axes = figure()
    for colour in (BLUE, RED):
        axes.plot([0, 1], [0, 1], "o", color=colour)
    tell_apart(made)
    assert [marker for _, marker in looks(axes)] == ["o", "s"]


def test_styles_that_mean_something_stay():
    made, axes = figure()
    axes.plot([0, 1], [0, 1], "-", color=BLUE)
    axes.plot([0, 1], [0, 1], ":", color=RED)
    before = looks(axes)
    tell_apart(made)
    assert looks(axes) == before


def test_a_legend_of_the_figure_looks_as_its_lines_do():
    made, axes = figure()
    for name in ("blue", "green"):
        axes.plot([0, 1], color=COLOURS[name], label=name)
    legend = made.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
    tell_apart(made)
    assert [line.get_linestyle() for line in legend.get_lines()] == [
        line.get_linestyle() for line in axes.lines
    ]
    assert len({line.get_linestyle() for line in axes.lines}) == 2


def test_the_layout_is_found_once_for_all_formats_and_kept(tmp_path, monkeypatch):
    """Before the first format the figure is drawn for its layout; every format then is one drawing."""
    draw, drawn = Figure.draw, []
    monkeypatch.setattr(Figure, "draw", lambda self, renderer: (drawn.append(renderer), draw(self, renderer)))
    made, axes = figure()
    made.colorbar(axes.imshow([[0.0, 1.0]]), ax=axes)
    layout = made.get_layout_engine()
    for _ in range(2):
        drawn.clear()
        save_figure(made, tmp_path, "one")
        assert len(drawn) == 4
        assert made.get_layout_engine() is layout


def test_means_have_students_intervals_whatever_the_order_of_dimensions():
    values = xr.DataArray([[1.0, 3.0], [10.0, 10.0], [0.0, 4.0]], dims=("tau", "seed"))
    made, axes = figure()
    errorbars(axes, [1.0, 2.0, 4.0], values, over="seed", fmt="o", label="measured")
    (container,) = axes.containers
    assert container.get_label() == "measured"
    np.testing.assert_array_equal(container.lines[0].get_xydata(), [[1, 2], [2, 10], [4, 2]])
    ends = [segment[:, 1] for segment in container.lines[2][0].get_segments()]
    half = 12.7062  # 97.5 % quantile of t with one degree of freedom; standard errors of 1, 0 and 2
    assert np.array(ends) == pytest.approx(
        np.array([[2 - half, 2 + half], [10, 10], [2 - 2 * half, 2 + 2 * half]])
    )
    assert made.axes == [axes]

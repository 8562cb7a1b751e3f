"""Sequences and frames in figures: which line is where, in which color, on which axis."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from isthmus import plots
from isthmus.plots.sequences import MOST_CELLS, thinned

RNG = np.random.default_rng(0)
ONE, FOUR = RNG.random((9, 1, 20)), RNG.random((9, 4, 20)) * 10.0 ** np.arange(4)[:, None]
FRAMES = RNG.random((9, 4, 1, 6, 5))


def visible(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def heights(axes: Axes) -> list[npt.NDArray[np.float64]]:
    return [np.asarray(line.get_ydata()) for line in axes.get_lines()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_an_original_lies_in_gray_below_its_reconstruction_in_blue_with_its_error():
    figure = plots.reconstructions(ONE, ONE + 1, error=np.arange(9) / 8)
    panels = visible(figure)
    assert len(panels) == 6
    for k, axes in enumerate(panels):
        original, made = axes.get_lines()
        np.testing.assert_array_equal(original.get_ydata(), ONE[k, 0])
        np.testing.assert_array_equal(made.get_ydata(), ONE[k, 0] + 1)
        np.testing.assert_array_equal(made.get_xdata(), np.arange(20))
        assert (to_hex(original.get_color()), to_hex(made.get_color())) == ("#9a9a9a", "#0072b2")
        assert axes.get_title(loc="left") == f"example {k}, squared error {k / 8:.2f}"
    assert legend(figure) == ["original", "reconstruction"]
    assert [axes.get_xlabel() for axes in panels] == [""] * 3 + ["step"] * 3


def test_each_channel_has_a_row_with_its_name_and_a_value_axis_of_its_own():
    figure = plots.denoised({"a": FOUR, "b": FOUR * 2, "c": FOUR * 3}, channels=["p", "$q$", "r", "s"])
    panels = np.array(visible(figure), dtype=object).reshape(4, 3)
    for channel, example in np.ndindex(4, 3):
        for factor, line in enumerate(heights(panels[channel, example]), 1):
            np.testing.assert_array_equal(line, factor * FOUR[example, channel])
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["p", "$q$", "r", "s"]
    tops = [[axes.get_ylim()[1] for axes in row] for row in panels]
    assert all(len(set(row)) == 1 for row in tops)
    for (low, *_), (high, *_) in pairwise(tops):
        assert high > 5 * low
    assert legend(figure) == ["a", "b", "c"]


def test_of_many_channels_the_first_are_drawn_and_the_title_says_so():
    figure = plots.samples(RNG.random((2, 13, 8)))
    assert len(visible(figure)) == 6 * 2
    assert figure.get_suptitle() == "Samples (first 6 of 13 channels)"
    assert [axes.get_ylabel() for axes in visible(figure)[::2]] == [f"channel {k}" for k in range(6)]


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (5, 5), (40, 24)])
def test_samples_of_one_channel_fill_a_grid(count: int, panels: int):
    figure = plots.samples(RNG.random((count, 1, 8)))
    assert len(visible(figure)) == panels
    assert ("first" in figure.get_suptitle()) == (count > panels)


@pytest.mark.parametrize("steps", [1, 2, 16, 17])
def test_few_steps_have_dots_so_that_a_single_one_is_seen(steps: int):
    (line,) = visible(plots.samples(np.ones((1, 1, steps))))[0].get_lines()
    assert (line.get_marker() == "o") == (steps <= 16)


def test_an_interpolation_goes_from_dark_to_light_with_both_ends_thick():
    paths = RNG.random((4, 5, 2, 20))
    figure = plots.interpolation(paths)
    *panels, bar = figure.axes
    assert (len(panels), bar.get_ylabel()) == (2 * 3, "t")
    lines = panels[4].get_lines()  # the second channel of the second pair
    np.testing.assert_array_equal(np.stack(heights(panels[4])), paths[1, :, 1])
    light = [sum(line.get_color()[:3]) for line in lines]
    assert light == sorted(light)
    assert light[-1] < 2.2  # no yellow on white
    widths = [line.get_linewidth() for line in lines]
    assert widths[0] == widths[-1] > max(widths[1:-1])
    assert figure.get_suptitle() == "Interpolations (first 3 of 4)"


def test_a_traversal_is_colored_by_the_value_of_its_latent():
    figure = plots.traversals(RNG.random((2, 5, 1, 20)), [-2, -1, 0, 1, 2], [3.0, 1.0])
    *panels, bar = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["z1  3.0 nats", "z2  1.0 nats"]
    assert bar.get_ylabel() == "value of the latent"
    assert bar.get_ylim() == (-2, 2)


def test_a_grid_of_codes_has_a_line_per_channel_in_each_cell_on_one_scale():
    values = RNG.random((6, 2, 7))
    figure = plots.manifold(values, x=[0.0, 0.5, 1.0], y=[1.0, 0.0], channels=["p", "q"])
    (axes,) = figure.axes
    for channel, lines in enumerate(axes.collections[:2]):
        low, high = values[:, channel].min(), values[:, channel].max()
        for cell, points in enumerate(lines.get_segments()):
            row, column = divmod(cell, 3)
            assert column < points[:, 0].min() < points[:, 0].max() < column + 1
            # upwards is down in the coordinates of the axes, and each channel has half of a cell
            level = (values[cell, channel] - low) / (high - low)
            np.testing.assert_allclose(points[:, 1], row + (channel + 0.92 - 0.84 * level) / 2)
    assert legend(figure) == ["p", "q"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.5", "1"]


@pytest.mark.parametrize("side", range(1, 40))
def test_a_large_grid_is_thinned_and_keeps_both_ends_where_that_is_possible(side: int):
    every = thinned(side)
    assert -(-side // every) <= MOST_CELLS
    assert every == 1 or side > MOST_CELLS
    if side in (13, 21, 25, 33):
        assert (side - 1) % every == 0


def test_the_corners_of_a_plane_are_framed_where_its_examples_are():
    figure = plots.bilinear(RNG.random((169, 1, 9)))
    (axes,) = figure.axes
    frames = {(min(line.get_xdata()), min(line.get_ydata())) for line in axes.get_lines()}
    assert frames == {(0, 0), (0, 12), (12, 0), (12, 12)}
    assert len(axes.collections[0].get_segments()) == 49


@pytest.mark.parametrize(("steps", "lines"), [(3, False), (30, True)])
def test_long_filters_are_lines_and_short_ones_tiles_of_channels_by_steps(steps: int, lines: bool):
    weights = RNG.normal(size=(5, 2, steps))
    figure = plots.filters(weights)
    if lines:
        np.testing.assert_array_equal(heights(visible(figure)[7])[0], weights[2, 1])
    else:
        tiles = [np.asarray(image.get_array()) for image in figure.axes[0].images]
        np.testing.assert_allclose(np.stack(tiles), weights / np.abs(weights).max((1, 2), keepdims=True))


def test_frames_go_from_left_to_right_with_their_reconstruction_below():
    figure = plots.reconstructions(FRAMES, FRAMES[::-1], error=np.arange(9.0))
    (axes,) = figure.axes
    tiles = np.stack([np.asarray(image.get_array()) for image in axes.images]).reshape(4, 2, 4, 6, 5)
    np.testing.assert_array_equal(tiles[:, 0], FRAMES[:4, :, 0])
    np.testing.assert_array_equal(tiles[:, 1], FRAMES[::-1][:4, :, 0])
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[:4] == ["original 0", "reconstruction 0\nsquared error 0.00", "original 1", names[3]]
    assert (axes.get_xlabel(), [text.get_text() for text in axes.get_xticklabels()]) == ("frame", list("0123"))


@pytest.mark.parametrize("kind", ["interpolation", "manifold", "filters"])
def test_where_there_is_room_for_one_frame_it_is_the_middle_one(kind: str):
    if kind == "interpolation":
        paths = FRAMES.reshape(1, 9, 4, 1, 6, 5)
        figure, expected = plots.interpolation(paths), FRAMES[0, 2, 0]
    elif kind == "manifold":
        figure, expected = plots.manifold(FRAMES[:1], x=[0], y=[0]), FRAMES[0, 2, 0]
    else:
        figure, expected = plots.filters(FRAMES), FRAMES[0, 2, 0] / FRAMES[0, 2, 0].max()
    (axes, *_) = figure.axes
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), expected)
    assert "(frame 3 of 4)" in " ".join(axes.get_title(loc="left").split())

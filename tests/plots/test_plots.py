"""What the figures hold: panels, labels, numbers and pixels; how they look was judged by eye."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from isthmus import plots
from isthmus.errors import BadData, BadOption, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.random((14, 1, 8, 8))
COLOUR = RNG.random((5, 3, 16, 12))
TABLE = RNG.random((9, 5))
HISTORY = [
    {"epoch": e, "step": e, "rate": 0.1, "train": {"kl": 1.0, "loss": 9.0 / e}, "valid": {"loss": 8 + abs(e - 3.0)}}
    for e in range(1, 6)
]
WALKS, TABLE_WALKS = RNG.random((2, 5, 1, 8, 8)), RNG.random((2, 5, 6))
SEQUENCES, FRAMES = RNG.random((9, 2, 20)), RNG.random((9, 4, 1, 6, 5))
SEQUENCE_WALKS, FRAME_WALKS = RNG.random((2, 5, 2, 20)), RNG.random((2, 5, 3, 1, 6, 5))
# Every function, on pictures and on tables: (a call with its array, the array).
MEMBERS = {
    "strip": (lambda a: plots.strip({"a": a, "b": a}, title="t"), IMAGES),
    "reconstructions": (lambda a: plots.reconstructions(a, a), IMAGES),
    "reconstructions of a table": (lambda a: plots.reconstructions(a, a), TABLE),
    "denoised": (lambda a: plots.denoised({"a": a, "b": a, "c": a}, psnr=(range(14), range(14))), IMAGES),
    "denoised of a table": (lambda a: plots.denoised({"a": a, "b": a, "c": a}), TABLE),
    "samples": (plots.samples, COLOUR),
    "samples of a table": (plots.samples, TABLE),
    "filters": (plots.filters, COLOUR - 0.5),
    "filters of a table": (plots.filters, TABLE - 0.5),
    "codes": (plots.codes, TABLE[:, :2]),
    "manifold": (lambda a: plots.manifold(a, x=range(7), y=(0, 1)), IMAGES),
    "bilinear": (plots.bilinear, IMAGES[:9]),
    "interpolation": (plots.interpolation, WALKS),
    "interpolation of a table": (plots.interpolation, TABLE_WALKS),
    "traversals": (lambda a: plots.traversals(a, range(5)), WALKS),
    "reconstructions of sequences": (lambda a: plots.reconstructions(a, a, error=range(9)), SEQUENCES),
    "reconstructions of frames": (lambda a: plots.reconstructions(a, a, error=range(9)), FRAMES),
    "denoised sequences": (lambda a: plots.denoised({"a": a, "b": a, "c": a}), SEQUENCES),
    "denoised frames": (lambda a: plots.denoised({"a": a, "b": a, "c": a}), FRAMES),
    "samples of sequences": (plots.samples, SEQUENCES),
    "samples of frames": (plots.samples, FRAMES),
    "filters of sequences": (plots.filters, SEQUENCES - 0.5),
    "short filters of sequences": (plots.filters, SEQUENCES[..., :3] - 0.5),
    "filters of frames": (plots.filters, FRAMES - 0.5),
    "manifold of sequences": (lambda a: plots.manifold(a, x=range(3), y=range(3)), SEQUENCES),
    "manifold of frames": (lambda a: plots.manifold(a, x=range(3), y=range(3)), FRAMES),
    "bilinear of sequences": (plots.bilinear, SEQUENCES),
    "interpolation of sequences": (plots.interpolation, SEQUENCE_WALKS),
    "interpolation of frames": (plots.interpolation, FRAME_WALKS),
    "traversals of sequences": (lambda a: plots.traversals(a, range(5)), SEQUENCE_WALKS),
    "traversals of frames": (lambda a: plots.traversals(a, range(5)), FRAME_WALKS),
    "traversals of a table": (lambda a: plots.traversals(a, range(5)), TABLE_WALKS),
}
Draw = Callable[[npt.NDArray[np.float64]], Figure]
each_member = pytest.mark.parametrize(("draw", "array"), MEMBERS.values(), ids=MEMBERS.keys())


def x_words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_xticklabels()]


def y_words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def pixels(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


@each_member
def test_equal_arrays_give_equal_bytes_and_leave_only_the_picture(
    draw: Draw, array: npt.NDArray[np.float64], tmp_path: Path
):
    first, second = (plots.save(draw(array), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@each_member
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(draw: Draw, array: npt.NDArray[np.float64], bad: float):
    broken = array.copy()
    broken.flat[3] = bad
    with pytest.raises(BadData, match=f"1 of {array.size} values are NaN or infinite.*must be finite"):
        draw(broken)


@each_member
def test_an_empty_array_is_refused(draw: Draw, array: npt.NDArray[np.float64]):
    with pytest.raises(BadData, match="must hold at least one value"):
        draw(array[:0])


@each_member
def test_an_array_of_one_axis_is_refused(draw: Draw, array: npt.NDArray[np.float64]):
    with pytest.raises(ShapeError, match=r"must have shape .*, but the shape is \(\d+,\)"):
        draw(array.ravel())


def test_drawing_needs_neither_pyplot_nor_torch():
    program = "import sys, isthmus.plots; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_save_that_fails_leaves_the_old_picture_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = plots.save(plots.samples(IMAGES), tmp_path / "a.png")
    before = path.read_bytes()

    def full(self: object, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(BadOption, match="cannot be written: disk full"):
        plots.save(plots.samples(COLOUR), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_save_makes_missing_folders_and_writes_no_date(tmp_path: Path):
    path = plots.save(plots.samples(IMAGES), tmp_path / "new" / "a.png", dpi=50)
    with Image.open(path) as image:
        assert set(image.info) == {"dpi"}


def test_text_from_outside_is_never_mathematics(tmp_path: Path):
    figure = plots.strip({"$x_1": IMAGES}, title=r"a $\broken title")
    plots.save(figure, tmp_path / "a.png")
    plots.save(plots.codes(TABLE[:, :2], np.zeros(9, int), label_names=[r"$\no$"]), tmp_path / "b.png")
    assert titles(figure) == [r"a $\broken title"]


def test_a_strip_shows_twelve_columns_of_labeled_rows():
    figure = plots.strip({"original": IMAGES, "restored": IMAGES}, title="Denoising", captions=list("abc"))
    assert y_words(figure) == ["original", "restored"]
    assert x_words(figure) == ["a", "b", "c"]
    assert len(pixels(figure)) == 24
    np.testing.assert_array_equal(pixels(figure)[12], IMAGES[0, 0])


def test_values_outside_the_unit_interval_are_clipped_for_display():
    shown = pixels(plots.samples(np.full((1, 1, 2, 2), 1.5)))[0]
    np.testing.assert_array_equal(shown, 1)
    shown = pixels(plots.samples(np.full((1, 3, 2, 2), -0.5)))[0]
    np.testing.assert_array_equal(shown, np.zeros((2, 2, 3)))


def stretched(x: npt.NDArray[np.float64], axes: tuple[int, ...]) -> npt.NDArray[np.float64]:
    low, high = (np.percentile(x, q, axis=axes, keepdims=True) for q in (1, 99))
    return ((x - low) / (high - low)).clip(0, 1)


def test_two_channels_are_shown_by_their_mean_each_stretched():
    units = COLOUR[:, :2] * np.array([1.0, 1000.0])[:, None, None]
    figure = plots.samples(units)
    np.testing.assert_allclose(pixels(figure)[0], stretched(COLOUR[:, :2], (0, 2, 3)).mean(axis=1)[0])
    assert titles(figure) == ["Samples (mean of 2 channels)"]


@pytest.mark.parametrize(("count", "shown"), [(4, (0, 1, 2)), (5, (4, 2, 0)), (13, (12, 6, 0))])
def test_of_many_channels_three_are_shown_in_color_and_the_title_says_which(count: int, shown: tuple[int, int, int]):
    scene = RNG.random((4, count, 6, 5)) * 10.0 ** np.arange(count)[:, None, None]
    figure = plots.samples(scene)
    expected = stretched(scene[:, shown], (0, 2, 3)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(pixels(figure)[2], expected[2])
    (title,) = titles(figure)
    expected_title = "Samples (channels {}, {} and {} of {} as red, green and blue)".format(*shown, count)
    assert " ".join(title.split()) == expected_title


def test_originals_and_reconstructions_of_a_scene_are_stretched_alike():
    scene = RNG.random((3, 5, 4, 4)) * 50
    figure = plots.reconstructions(scene, scene / 2)
    both = stretched(np.concatenate([scene, scene / 2])[:, [4, 2, 0]], (0, 2, 3)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(np.stack(pixels(figure)), both)


@pytest.mark.parametrize("scale", [0.05, 4000.0])
def test_pictures_whose_numbers_are_no_brightness_are_stretched_together(scale: float):
    figure = plots.samples(COLOUR * scale)
    np.testing.assert_allclose(pixels(figure)[1], stretched(COLOUR, (0, 1, 2, 3))[1].transpose(1, 2, 0))
    assert titles(figure) == ["Samples (brightness stretched)"]


def test_pixels_are_never_interpolated():
    for figure in (plots.samples(IMAGES), plots.manifold(IMAGES, x=range(7), y=(0, 1)), plots.filters(TABLE)):
        assert {image.get_interpolation() for image in figure.axes[0].images} == {"nearest"}


def test_reconstructions_stand_below_their_originals_with_their_errors():
    figure = plots.reconstructions(IMAGES[:3], IMAGES[3:6], error=[0.5, 1.234, 12.0])
    assert y_words(figure) == ["original", "reconstruction"]
    assert x_words(figure) == ["0.5", "1.2", "12.0"]
    assert figure.axes[0].get_xlabel() == "squared error"
    np.testing.assert_array_equal(pixels(figure)[3], IMAGES[3, 0])


def test_no_error_gives_no_numbers():
    figure = plots.reconstructions(IMAGES, IMAGES)
    assert x_words(figure) == []
    assert figure.axes[0].get_xlabel() == ""


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (5, 5), (9, 6)])
def test_a_table_gives_up_to_six_panels_and_one_legend(count: int, shown: int):
    figure = plots.reconstructions(TABLE[:count], TABLE[:count], error=np.arange(count) + 1.0)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == shown
    assert panels[0].get_title(loc="left") == "example 0, squared error 1.00"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["original", "reconstruction"]


def test_a_wide_table_is_drawn_by_lines():
    wide = RNG.random((2, 60))
    assert len(plots.reconstructions(wide, wide).axes[0].patches) == 0
    assert len(plots.reconstructions(TABLE, TABLE).axes[0].patches) == 5


def test_shapes_that_disagree_are_named():
    with pytest.raises(ShapeError, match=r"\(14, 1, 8, 8\) and the reconstruction \(3, 1, 8, 8\)"):
        plots.reconstructions(IMAGES, IMAGES[:3])
    with pytest.raises(ShapeError, match="all shapes must be equal"):
        plots.strip({"a": IMAGES, "b": IMAGES[:2]}, title="t")
    with pytest.raises(ShapeError, match=r"The squared error must have shape \(14,\), but the shape is \(1,\)"):
        plots.reconstructions(IMAGES, IMAGES, error=[1.0])
    with pytest.raises(BadData, match="no rows"):
        plots.strip({}, title="t")


def test_samples_fill_a_square_of_at_most_sixty_four():
    assert len(pixels(plots.samples(RNG.random((70, 1, 4, 4))))) == 64
    table = plots.samples(TABLE)
    assert pixels(table)[0].shape == (9, 5)
    assert [axes.get_ylabel() for axes in table.axes] == ["example"]
    assert [bar.get_ylabel() for bar in table.axes[0].child_axes] == ["value"]


def test_each_filter_is_scaled_about_zero_by_its_own_largest_weight():
    weights = np.stack([[[[1.0, -4.0]]], [[[0.01, 0.02]]], [[[0.0, 0.0]]]])
    shown = np.stack(pixels(plots.filters(weights.reshape(3, 1, 1, 2))))
    np.testing.assert_allclose(shown, [[[0.25, -1]], [[0.5, 1]], [[0, 0]]])


def test_filters_say_their_scale_and_how_many_were_left_out():
    figure = plots.filters(RNG.normal(size=(65, 1, 3, 3)), title="Filters")
    assert len(pixels(figure)) == 64
    assert titles(figure) == ["Filters (first 64 of 65)"]
    assert figure.axes[0].child_axes[0].get_ylabel() == "relative weight"


def test_the_heat_map_of_weights_is_symmetric_about_zero():
    low, high = plots.filters(np.array([[1.0, -3.0]])).axes[0].images[0].get_clim()
    assert (low, high) == (-3.0, 3.0)


def test_curves_have_a_panel_for_each_part_and_the_loss_first():
    figure = plots.curves(HISTORY)
    assert titles(figure) == ["loss", "kl"]
    assert figure.axes[0].get_ylabel() == "nats per example"
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}


def test_train_is_solid_and_validation_dashed_and_its_best_epoch_marked():
    train, valid, best = plots.curves(HISTORY).axes[0].lines
    assert (train.get_linestyle(), valid.get_linestyle()) == ("-", "--")
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (3, 8.0)
    assert best.get_label() == "best: 8 at epoch 3"


@pytest.mark.parametrize("valid", [None, {"loss": 2.5}])
def test_one_epoch_is_drawn_by_markers(valid: dict[str, float] | None, tmp_path: Path):
    figure = plots.curves([{"epoch": 1, "train": {"loss": 2.0}, "valid": valid}])
    assert figure.axes[0].lines[0].get_marker() == "o"
    plots.save(figure, tmp_path / "one.png")


def test_epochs_without_validation_are_passed_over():
    rows = [HISTORY[0] | {"valid": None}, *HISTORY[1:]]
    assert list(plots.curves(rows).axes[0].lines[1].get_xdata()) == [2, 3, 4, 5]


def curve(losses: list[float]) -> Figure:
    return plots.curves([{"epoch": n + 1, "train": {"loss": value}} for n, value in enumerate(losses)])


def test_first_epochs_that_flatten_the_rest_are_off_the_scale_and_the_panel_says_so():
    falling = [10 - n / 10 for n in range(20)]
    panel = curve([500.0, *falling]).axes[0]
    assert panel.get_title("left") == "loss (epoch 1 off the scale)"
    low, high = panel.get_ylim()
    assert low < min(falling) < max(falling) < high < 11
    # the line itself keeps all epochs
    assert panel.lines[0].get_ydata()[0] == 500
    assert curve([900.0, 400.0, *falling]).axes[0].get_title("left") == "loss (epochs 1 to 2 off the scale)"
    rising = curve([0.0, *[90 + n / 10 for n in range(20)]]).axes[0]
    assert rising.get_ylim()[0] > 80


@pytest.mark.parametrize("losses", [[9.0 / n for n in range(1, 8)], [5.0] * 8, [500.0, 1.0, 0.9, 0.8], [7.0]])
def test_a_curve_that_is_not_flattened_shows_all_epochs(losses: list[float]):
    panel = curve(losses).axes[0]
    assert panel.get_title("left") == "loss"
    low, high = panel.get_ylim()
    assert low < min(losses) <= max(losses) < high


def test_a_history_without_numbers_is_refused():
    with pytest.raises(BadData, match="holds no loss"):
        plots.curves([])
    with pytest.raises(BadData, match="'loss' of the train history"):
        plots.curves([{"epoch": 1, "train": {"loss": float("nan")}}])


def test_denoised_pictures_have_the_decibels_of_both_below_each_other():
    figure = plots.denoised(
        {"original": IMAGES[:2], "corrupted": IMAGES[2:4], "restored": IMAGES[4:6]}, psnr=([9.96, 12], [20.04, 7])
    )
    assert y_words(figure) == ["original", "corrupted", "restored"]
    assert x_words(figure) == ["10.0\n20.0", "12.0\n7.0"]
    assert figure.axes[0].get_xlabel() == "PSNR in dB, corrupted above restored"
    np.testing.assert_array_equal(pixels(figure)[4], IMAGES[4, 0])
    four = dict.fromkeys(("original", "corrupted", "BM3D", "denoiser"), IMAGES[:2])
    assert plots.denoised(four, psnr=([1, 2], [3, 4])).axes[0].get_xlabel() == "PSNR in dB, BM3D above denoiser"
    bare = plots.denoised({"input": IMAGES[:2], "restored": IMAGES[2:4]})
    assert x_words(bare) == []
    assert bare.axes[0].get_xlabel() == ""


@pytest.mark.parametrize("wide", [False, True])
def test_a_denoised_table_draws_what_lies_between_in_a_color_of_its_own(wide: bool):
    table = RNG.random((3, 60 if wide else 5))
    figure = plots.denoised({"original": table, "corrupted": table + 1, "restored": table + 2})
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["original", "corrupted", "restored"]
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[-2].get_ydata(), table[0] + 1)
    np.testing.assert_allclose(lines[-1].get_ydata(), table[0] + 2)
    assert (lines[-2].get_color(), lines[-1].get_color()) == ("#D55E00", "#0072B2")
    assert len(figure.axes[0].patches) == (0 if wide else 5)


def test_what_is_denoised_must_be_of_one_shape_and_have_one_psnr_each():
    with pytest.raises(ShapeError, match="all shapes must be equal"):
        plots.denoised({"input": TABLE, "restored": TABLE[:3]})
    with pytest.raises(ShapeError, match="The PSNR must have shape"):
        plots.denoised({"a": IMAGES, "b": IMAGES, "c": IMAGES}, psnr=([1.0], [1.0]))
    with pytest.raises(BadData, match="no rows of images"):
        plots.denoised({})


def test_a_traversal_says_what_its_values_are():
    assert plots.traversals(WALKS, range(5), values_name="share").axes[0].get_xlabel() == "share"
    assert plots.traversals(WALKS, range(5)).axes[0].get_xlabel() == "value of the latent"


def test_codes_are_colored_by_class_with_a_legend_outside():
    axes = plots.codes(TABLE[:, :2], [0, 1, 2] * 3, label_names=["ant", "bee"]).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ant", "bee", "2"]
    assert len(np.unique(axes.collections[-1].get_facecolors(), axis=0)) == 3
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_aspect()) == ("z1", "z2", 1.0)


def test_dots_of_a_class_share_its_color_in_the_legend():
    axes = plots.codes(TABLE[:, :2], ["b", "a", *["b"] * 7]).axes[0]
    legend, dots = axes.collections[:-1], axes.collections[-1].get_facecolors()
    np.testing.assert_allclose(dots[1, :3], legend[0].get_facecolors()[0, :3])
    np.testing.assert_allclose(dots[0, :3], legend[1].get_facecolors()[0, :3])


@pytest.mark.parametrize("labels", [np.arange(13), np.linspace(0, 1, 13), [f"c{k:02}" for k in range(13)]])
def test_many_labels_or_fractions_get_a_color_bar(labels: npt.ArrayLike):
    axes = plots.codes(RNG.random((13, 2)), labels).axes[0]
    assert axes.get_legend() is None
    assert axes.child_axes[0].get_ylabel() == "label"


def test_codes_refuse_what_is_no_plane_and_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"must have shape \(N, 2\), but the shape is \(9, 5\)"):
        plots.codes(TABLE)
    with pytest.raises(ShapeError, match=r"The labels must have shape \(9,\), but the shape is \(2,\)"):
        plots.codes(TABLE[:, :2], [1, 2])
    with pytest.raises(BadData, match="The labels"):
        plots.codes(TABLE[:, :2], [np.nan] * 9)


def test_a_manifold_joins_its_pictures_row_by_row():
    figure = plots.manifold(COLOUR[:4], x=(0, 1), y=(0, 1))
    sheet = pixels(figure)[0]
    assert sheet.shape == (32, 24, 3)
    np.testing.assert_array_equal(sheet[16:, :12], COLOUR[2].transpose(1, 2, 0))


def test_a_manifold_names_the_coordinates_of_the_centers_even_where_they_are_uneven():
    figure = plots.manifold(IMAGES[:6], x=(-1, 0.5, 4), y=(2, -2), axis_labels=("z3", "quantile"))
    assert x_words(figure) == ["−1", "0.5", "4"]
    assert y_words(figure) == ["2", "−2"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("z3", "quantile")
    with pytest.raises(BadData, match="14 images, but 3 rows of 3 need 9"):
        plots.manifold(IMAGES, x=(1, 2, 3), y=(1, 2, 3))


def test_a_bilinear_interpolation_is_a_square_with_framed_corners():
    figure = plots.bilinear(IMAGES[:9])
    (axes,) = figure.axes
    assert x_words(figure) == y_words(figure) == ["0", "0.5", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("u", "v")
    height, width = IMAGES.shape[2:]
    np.testing.assert_allclose(pixels(figure)[0][-height:, :width], IMAGES[6, 0])
    centers = {(np.mean(line.get_xdata()[:4]), np.mean(line.get_ydata()[:4])) for line in axes.lines}
    assert centers == {(0.5, 0.5), (2.5, 0.5), (0.5, 2.5), (2.5, 2.5)}
    with pytest.raises(BadData, match="has 8 images, which fill no square"):
        plots.bilinear(IMAGES[:8])


def test_an_interpolation_goes_from_zero_to_one_with_both_ends_framed():
    figure = plots.interpolation(WALKS)
    assert x_words(figure) == ["0", "0.25", "0.5", "0.75", "1"]
    assert len([line for line in figure.axes[0].lines if line.get_linewidth() == 2]) == 4


def test_a_long_walk_still_names_both_its_ends():
    words = x_words(plots.interpolation(RNG.random((1, 41, 1, 4, 4))))
    assert (words[0], words[-1]) == ("0", "1")
    assert len(words) <= 21


def test_a_walk_through_tables_gives_a_heat_map_each_on_one_scale():
    figure = plots.interpolation(TABLE_WALKS)
    assert titles(figure)[:2] == ["pair 1", "pair 2"]
    assert len({axes.images[0].get_clim() for axes in figure.axes[:2]}) == 1
    assert figure.axes[2].get_ylabel() == "value"


def test_traversals_name_each_latent_with_its_nats_and_each_value():
    figure = plots.traversals(WALKS, [-2, -1, 0, 1, 2], [3.21, 0.04], names=["z7", "z2"])
    assert y_words(figure) == ["z7  3.2 nats", "z2  0.0 nats"]
    assert x_words(figure) == ["−2", "−1", "0", "1", "2"]
    assert y_words(plots.traversals(WALKS, range(5))) == ["z1", "z2"]


def test_traversals_refuse_counts_that_do_not_fit():
    with pytest.raises(ShapeError, match="values"):
        plots.traversals(WALKS, [0, 1])
    with pytest.raises(ShapeError, match="3 names, but 2 latents"):
        plots.traversals(WALKS, range(5), names=["a", "b", "c"])
    with pytest.raises(ShapeError, match=r"The KL must have shape \(2,\), but the shape is \(1,\)"):
        plots.traversals(WALKS, range(5), [1.0])


def test_more_rows_than_fit_are_cut_and_said():
    figure = plots.traversals(RNG.random((20, 3, 1, 4, 4)), [0, 1, 2], title="Latents")
    assert titles(figure) == ["Latents (first 16 of 20)"]


def test_a_line_may_have_a_dashed_one_beside_it_in_its_color():
    x, up = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    series = {"a": (x, up), "b": (x, [4.0, 4.0, 4.0])}
    axes = plots.lines(series, title="t", axis_labels=("x", "y"), beside={"b": (x, [5.0, 5.0, 5.0])}).axes[0]
    first, second, dashed = axes.lines
    assert [line.get_linestyle() for line in axes.lines] == ["-", "-", "--"]
    assert dashed.get_color() == second.get_color() != first.get_color()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_a_line_shows_how_far_its_points_may_be_off():
    axes = plots.lines(
        {"a": ([1.0, 2.0], [3.0, 5.0])}, title="t", axis_labels=("x", "y"), spreads={"a": [0.5, 1.0]}
    ).axes[0]
    (bars,) = axes.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[2.5, 3.5], [4.0, 6.0]]
    assert tuple(bars.get_color()[0]) == to_rgba(axes.lines[0].get_color())
    with pytest.raises(ShapeError, match="The line 'a' has 2 x and 1 y"):
        plots.lines({"a": ([1.0, 2.0], [3.0, 5.0])}, title="t", axis_labels=("x", "y"), spreads={"a": [0.5]})


@pytest.mark.parametrize(("last", "written"), [(500.0, ["20", "50", "200", "500"]), (50_000.0, [])])
def test_a_long_logarithmic_axis_has_numbers_at_powers_of_ten_alone(last, written):
    axes = plots.lines({"a": ([10.0, last], [1.0, 2.0])}, title="t", axis_labels=("x", "y"), log_x=True).axes[0]
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    texts = [t.get_text() for t, at in zip(axes.get_xminorticklabels(), axes.get_xticks(minor=True), strict=True)
             if low <= at <= high]  # fmt: skip
    assert [text for text in texts if text] == written


def test_a_long_line_has_few_markers_and_lines_of_unequal_length_are_refused():
    x = [float(k) for k in range(100)]
    (line,) = plots.lines({"a": (x, x)}, title="t", axis_labels=("x", "y")).axes[0].lines
    assert 100 / line.get_markevery() <= 16
    for beside in ({}, {"a": (x, x[1:])}):
        series = {"a": (x, x if beside else x[1:])}
        with pytest.raises(ShapeError, match="The line 'a' has 100 x and 99 y"):
            plots.lines(series, title="t", axis_labels=("x", "y"), beside=beside)

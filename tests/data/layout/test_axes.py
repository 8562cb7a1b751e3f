"""The meaning of axes: what shapes and letters say, and what is found by lengths and values."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

import isthmus as it
from isthmus import zoo
from isthmus.data.preparing import prepare
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms.axes import canonical, example_axes, kind_of, unit_axis, units_of
from isthmus.data.transforms.layout import layout_of
from isthmus.errors import BadData, BadOption, ShapeError
from isthmus.options import DataOptions

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
GAPS = np.where(R.random((20, 50, 4)) < 0.1, np.nan, 1)
UNITS = np.array([1.0, 1e3, 1e-3, 1.0])


def notes_of(x: Array, **options: object) -> tuple[str, ...]:
    return prepare(x, DataOptions(**options), 0).notes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "kind", "axis", "units"),
    [
        ((7,), "table", 1, 7),
        ((4, 50), "sequences", 1, 4),
        ((1, 50), "sequences", 1, 1),
        ((1, 8, 9), "images", None, 1),
        ((3, 8, 9), "images", None, 1),
        ((4, 8, 9), "images", 1, 4),
        ((13, 8, 9), "images", 1, 13),
        ((5, 1, 8, 9), "frames", None, 1),
        ((5, 3, 8, 9), "frames", None, 1),
        ((3, 5, 8, 9), "frames", 2, 5),
    ],
)
def test_the_shape_says_the_kind_and_what_has_units(
    shape: tuple[int, ...], kind: str, axis: int | None, units: int
) -> None:
    assert (kind_of(shape), unit_axis(shape), units_of(shape)) == (kind, axis, units)


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4, 5)])
def test_other_shapes_are_of_no_kind(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="has 1 to 4 axes"):
        kind_of(shape)


@pytest.mark.parametrize(
    ("order", "lengths", "shape"),
    [
        ("ND", (5,), (5,)),
        ("NT", (50,), (1, 50)),
        ("NTC", (50, 4), (4, 50)),
        ("NCT", (4, 50), (4, 50)),
        ("NHW", (8, 9), (1, 8, 9)),
        ("NHWC", (8, 9, 2), (2, 8, 9)),
        ("NCHW", (2, 8, 9), (2, 8, 9)),
        ("NWHC", (9, 8, 2), (2, 8, 9)),
        ("NFHW", (6, 8, 9), (6, 1, 8, 9)),
        ("NFHWC", (6, 8, 9, 2), (6, 2, 8, 9)),
        ("NFCHW", (6, 2, 8, 9), (6, 2, 8, 9)),
    ],
)
def test_letters_say_the_shape_of_an_example(order: str, lengths: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert canonical(example_axes(order), lengths) == shape
    x = np.arange(3 * np.prod(lengths), dtype=np.float32).reshape(3, *lengths)
    layout = layout_of(Examples(x), order=order)
    tensor = layout.tensor(x).numpy()
    assert tensor.shape == (3, *shape) == (3, *layout.shape)
    # each value is where its letters say, by an independent description of the axes
    letters = {"D": "d", "T": "t", "C": "c", "H": "h", "W": "w", "F": "f", "N": "n"}
    own = "".join(letters[letter] for letter in order)
    goal = {1: "nd", 2: "nct", 3: "nchw", 4: "nfchw"}[len(shape)]
    if len(own) < len(goal):
        goal = goal.replace("c", "")
    np.testing.assert_array_equal(tensor.squeeze() if "c" not in own else tensor, np.einsum(f"{own}->{goal}", x))


@pytest.mark.parametrize("order", ["TC", "NN", "NTW", "NTCC", "NHC", "N", "NDT", "NFTC"])
def test_letters_that_mean_nothing_are_refused(order: str) -> None:
    with pytest.raises(BadOption, match=f"data.layout cannot be {order}. Use N "):
        layout_of(Examples(np.zeros((3, 4, 5))), order=order)


def test_letters_are_read_in_any_case_and_with_separators() -> None:
    assert prepare(np.zeros((9, 4, 5)) + R.random((9, 1, 1)), DataOptions(layout="(n, t, c)"), 0).shape == (5, 4)


def test_a_layout_of_another_number_of_axes_is_refused() -> None:
    with pytest.raises(BadData, match=r"^The array has 2 axes, of lengths \(9, 5\), but data.layout=NTC has 3\. Set"):
        prepare(R.random((9, 5)), DataOptions(layout="NTC"), 0)


FOUND: dict[str, tuple[Array, str, tuple[int, ...], str]] = {
    "table": (R.random((20, 5)), "D", (5,), ""),
    "square images": (R.random((20, 9, 9)), "HW", (1, 9, 9), "gray images"),
    "spectrograms": (-80 * R.random((20, 65, 31)), "HW", (1, 65, 31), "gray images"),
    "bytes of a strange shape": (R.integers(0, 255, (20, 64, 4)).astype(np.uint8), "HW", (1, 64, 4), "gray images"),
    "sensors": (R.normal(size=(20, 50, 4)) * UNITS, "TC", (4, 50), "sequences of 4 channels, whose units differ"),
    "sensors first": (np.moveaxis(R.normal(size=(20, 50, 4)) * UNITS, -1, 1), "CT", (4, 50), "(N, C, T)"),
    "sensors with offsets": (R.random((20, 50, 2)) + np.array([0, 100]), "TC", (2, 50), "sequences of 2 channels"),
    "sensors with gaps": (
        np.where(R.random((20, 50, 4)) < 0.1, np.nan, R.random((20, 50, 4))) * UNITS,
        "TC",
        (4, 50),
        "",
    ),
    "many sensors": (R.normal(size=(20, 40, 17)) + 100 * np.arange(17), "TC", (17, 40), "sequences of 17 channels"),
    "many sensors first": (R.normal(size=(20, 17, 18)) + 99 * np.arange(17)[:, None], "CT", (17, 18), "(N, C, T)"),
    "as many sensors as steps": (R.normal(size=(20, 4, 4)) + UNITS, "TC", (4, 4), "sequences of 4 channels"),
    "a field with a gradient": (R.random((20, 40, 17)) + np.arange(17), "HW", (1, 40, 17), "gray images"),
    "small digits": (load_digits().images[:200], "HW", (1, 8, 8), "gray images"),
    "one sensor": (R.normal(size=(20, 50, 1)), "TC", (1, 50), "sequences of 1 channel"),
    "color": (R.random((20, 8, 9, 3)), "HWC", (3, 8, 9), "channels last, as that axis has length 3"),
    "color first": (R.random((20, 3, 8, 9)), "CHW", (3, 8, 9), "channels first, as that axis has length 3"),
    "2 channels": (R.random((20, 8, 9, 2)), "HWC", (2, 8, 9), "data.layout=NCHW if not"),
    "5 channels first": (R.random((20, 5, 8, 9)), "CHW", (5, 8, 9), "or data.layout=NFHW for frames if not"),
    "13 channels": (R.random((20, 16, 16, 13)), "HWC", (13, 16, 16), "as that axis is the shortest"),
    "frames": (R.random((20, 6, 8, 9, 3)), "FHWC", (6, 3, 8, 9), "Five axes are (N, F, H, W, C), channels last"),
    "frames, channels second": (R.random((20, 6, 3, 8, 9)), "FCHW", (6, 3, 8, 9), "data.layout=NFHWC if not"),
}


@pytest.mark.parametrize("name", FOUND)
def test_axes_are_found_and_said(name: str) -> None:
    x, axes, shape, words = FOUND[name]
    made = prepare(x, DataOptions(), 0)
    assert (made.contract.axes, made.shape) == (axes, shape)
    assert words in " ".join(made.notes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((20, 64, 4), r"sequences of 64 steps with 4 channels or gray images of 64 x 4 .* data.layout=NTC or .*=NHW\."),
        ((20, 4, 64), r"sequences of 64 steps with 4 channels or gray images of 4 x 64 .* data.layout=NCT or .*=NHW\."),
        ((20, 6, 7, 6), r"may be \(N, H, W, C\) or \(N, C, H, W\)\. Set data.layout=NHWC .* data.layout=NCHW .*=NFHW"),
        ((20, 5, 6, 7, 6), r"\(N, F, H, W, C\) or \(N, F, C, H, W\)\. Set data.layout=NFHWC .* data.layout=NFCHW"),
        ((2, 3, 4, 5, 6, 7), r"a table \(N, D\), sequences .* are required"),
    ],
)
def test_what_may_be_read_in_two_ways_is_asked_in_one_sentence(shape: tuple[int, ...], message: str) -> None:
    x = R.random(shape)
    with pytest.raises(BadData, match=message) as caught:
        prepare(x, DataOptions(), 0)
    assert str(caught.value).startswith(f"The array has shape {shape}")
    for option in [word for word in str(caught.value).replace(".", " ").replace(",", " ").split() if "layout=" in word]:
        assert prepare(x, DataOptions(layout=option.partition("=")[2]), 0).notes == ()


def test_a_told_layout_is_no_guess() -> None:
    assert notes_of(R.random((20, 50, 4)), layout="NTC") == ()
    assert notes_of(R.random((20, 9, 9)), layout="NHW") == ()


def test_margins_of_pictures_are_no_channels() -> None:
    x = R.random((20, 64, 4))
    x[..., 0] = 0
    with pytest.raises(BadData, match="which may be sequences"):
        prepare(x, DataOptions(), 0)


def test_numbers_that_mean_missing_are_no_evidence() -> None:
    x = R.random((20, 64, 4))
    x[::2, ::3, 1] = -9999
    with pytest.raises(BadData, match="which may be sequences"):
        prepare(x, DataOptions(missing=(-9999,)), 0)
    assert prepare(x, DataOptions(), 0).kind == "sequences"


def test_a_source_that_knows_its_axes_needs_no_guess_and_bears_no_other() -> None:
    source = Examples(R.random((20, 64, 4)), axes="TC")
    assert layout_of(source).shape == (4, 64)
    with pytest.raises(BadData, match=r"has the axes NTC, not data.layout=NHW. Leave data.layout out"):
        layout_of(source, order="NHW")


def test_rows_of_a_table_are_sequences_if_the_layout_says_so() -> None:
    x = R.random((20, 12))
    assert prepare(x, DataOptions(shape=(4, 3)), 0).shape == (1, 4, 3)
    made = prepare(x, DataOptions(shape=(4, 3), layout="NTC"), 0)
    assert made.shape == (3, 4)
    run = it.fit("simple", x, epochs=1, options={"data.shape": (4, 3), "data.layout": "NTC"})
    np.testing.assert_array_equal(run.to_tensor(x).numpy(), x.reshape(20, 4, 3).transpose(0, 2, 1).astype(np.float32))
    np.testing.assert_array_equal(run.encode(x), run.encode(x.reshape(20, 4, 3)))


def test_a_single_picture_is_called_one() -> None:
    x = np.random.default_rng(0).random((30, 8, 9, 3))
    run = it.fit("pca", x, options={"latent.size": 2})
    for one in (x[4], np.moveaxis(x[4], -1, 0)):
        with pytest.raises(ShapeError, match=r"one example, of shape \(.*\), not several\. Pass x\[None\]"):
            run.encode(one)
        np.testing.assert_allclose(run.encode(one[None]), run.encode(x)[4:5], atol=1e-5)


@pytest.mark.parametrize("letters", ["XYZ", "", "nchw28", "NNNNNNNN"])
def test_other_letters_are_refused_with_those_that_there_are(letters: str) -> None:
    with pytest.raises(BadOption, match=r"data.layout cannot be '.*': it should be one letter per axis .* such as NTC"):
        zoo.recipe("vae").with_options({"data.layout": letters})

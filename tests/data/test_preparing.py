"""Prepared tensors: scaled by the training part, channels first, binary where asked, and always finite."""

import json

import numpy as np
import pytest
import torch

from isthmus.data.dataset import Dataset
from isthmus.data.prepared import PreparedData
from isthmus.data.preparing import prepare_dataset, with_validation
from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms import missing
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.binary import draw_bernoulli
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Kind, Scaling, measure
from isthmus.data.transforms.splits import SPLITS
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions
from isthmus.runs.data import check_trained_on_pixels

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (8, 5, 6, 3), dtype=np.uint8)


def prepare(train: np.ndarray, test: np.ndarray | None = None, *, seed: int = 0, **settings: object) -> PreparedData:
    images = train.ndim > 2
    pixels = images and train.dtype == np.uint8
    parts = [None if x is None else Examples(x, np.arange(len(x))) for x in (train, test)]
    dataset = Dataset("a", parts[0], test=parts[1], pixels=pixels, label_names=("b",))
    return prepare_dataset(dataset, DataOptions(test=0, validation=0, **settings), seed)


def like_training(x: np.ndarray, contract: DataContract) -> torch.Tensor:
    view = StoredTensor(Examples(x), contract, BadExamples("stop", len(x)))
    if contract.in_unit_interval(Examples(x)):
        view.add_check(check_trained_on_pixels)
    return view.load()[0]


def test_pixels_become_floats_in_the_unit_interval_channels_first():
    made = prepare(COLOUR, COLOUR[:2])
    assert made.shape == (3, 5, 6)
    assert made.train.x.shape == (8, 3, 5, 6)
    assert made.train.x.dtype == torch.float32
    assert made.train.x.is_contiguous()
    np.testing.assert_array_equal(made.train.x.numpy(), (COLOUR / np.float32(255)).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(made.test.x.numpy(), made.train.x[:2].numpy())
    assert made.test.labels.tolist() == [0, 1]
    assert (made.valid, made.images, made.dynamic, made.held_out) == (None, True, False, "test set")
    assert (made.name, made.label_names) == ("a", ("b",))
    assert prepare(COLOUR[..., 0]).shape == (1, 5, 6)


def test_tables_are_left_by_auto_and_none_leaves_pixels():
    x = RNG.normal(size=(6, 4)) * 100
    np.testing.assert_array_equal(prepare(x).train.x.numpy(), x.astype(np.float32))
    np.testing.assert_array_equal(prepare(COLOUR, scale="none").train.x.max().numpy(), COLOUR.max())


@pytest.mark.parametrize("dtype", ["u2", "u4", "i1", "i8", ">f4", "f2", "f8", "u1"])
def test_every_number_type_is_taken(dtype: str):
    x = np.arange(12).reshape(4, 3).astype(dtype)
    np.testing.assert_array_equal(prepare(x).train.x.numpy(), np.arange(12).reshape(4, 3))


def test_raw_arrays_are_never_written_to():
    x = RNG.random((6, 4)).astype(np.float32)
    before = x.copy()
    made = prepare(x)
    made.train.x.zero_()
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_scaling_is_measured_on_the_training_part_alone(kind: str):
    train, test = RNG.normal(3, 5, size=(50, 4)), RNG.normal(90, 5, size=(20, 4))
    made = prepare(train, test, scale=kind)
    x = made.train.x.double().numpy()
    if kind == "minmax":
        np.testing.assert_array_equal((x.min(axis=0), x.max(axis=0)), ([0] * 4, [1] * 4))
    else:
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-7)
        np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-6)
    assert made.test.x.min() > 1.5
    assert len(made.scaling.scale) == 4


def test_all_pixels_of_images_are_scaled_together():
    made = prepare(COLOUR.astype(np.int16), scale="standard")
    assert made.scaling.offset == (pytest.approx(COLOUR.mean()),)
    assert made.scaling.scale == (pytest.approx(COLOUR.std()),)


@pytest.mark.parametrize("kind", ["minmax", "standard"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e9])
def test_a_constant_feature_becomes_zero(kind: str, value: float):
    x = RNG.normal(size=(1000, 2))
    x[:, 0] = value
    made = prepare(x, scale=kind)
    assert made.scaling.scale[0] == 1
    assert made.train.x[:, 0].abs().max() == 0
    assert made.train.x[:, 1].std() > 0
    flat = prepare(np.full((7, 9, 11), value), scale=kind)
    assert flat.scaling == Scaling(kind, (value,), (1.0,))


@pytest.mark.parametrize("kind", ["auto", "none", "minmax", "standard"])
@pytest.mark.parametrize("images", [True, False])
def test_invert_undoes_apply_and_json_keeps_all(kind: Kind, images: bool):
    x = torch.from_numpy(RNG.normal(4, 9, size=(9, 1, 5, 2) if images else (9, 5)))
    scaling = measure(x, kind, brightest=255.0 if images else None)
    torch.testing.assert_close(scaling.invert(scaling.apply(x)), x, rtol=1e-12, atol=1e-12)
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again == scaling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "auto", "offset": [0]}, "requires exactly the keys kind, offset and scale"),
        ({"kind": "auto", "offset": [0], "scale": ["1"]}, "scale of a scaling must be a list of numbers"),
        ({"kind": "auto", "offset": 0, "scale": [1]}, "offset of a scaling must be a list"),
        ({"kind": "cube", "offset": [0], "scale": [1]}, "cannot be of kind 'cube'"),
        ({"kind": "auto", "offset": [0, 1], "scale": [1]}, "2 offsets and 1 scales"),
        ({"kind": "auto", "offset": [0], "scale": [0]}, "scales above 0"),
        ({"kind": "auto", "offset": [float("nan")], "scale": [1]}, "finite offsets"),
    ],
)
def test_a_damaged_scaling_is_refused(values: dict[str, object], message: str):
    with pytest.raises(BadData, match=message):
        Scaling.from_dict(values)


def test_a_scaling_refuses_other_features():
    with pytest.raises(ShapeError, match=r"has 2 features, but the data has shape \(4, 3\)"):
        Scaling("minmax", (0.0, 0.0), (1.0, 2.0)).apply(torch.ones(4, 3))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_what_is_infinite_is_named_by_part_row_and_column(value: float):
    x, test = np.ones((9, 4)), np.ones((9, 4))
    test[5, 2] = test[7, 0] = value
    with pytest.raises(BadData, match=r"test split of 'a' holds 2 inf.* first in row 5, column 2 .*counted from 0"):
        prepare(x, test)
    pictures = np.ones((9, 4, 4), np.float32)
    pictures[3, 1, 1] = value
    with pytest.raises(BadData, match=r"train split of 'a' holds 1 inf.* first in row 3 \(counted"):
        prepare(pictures)
    with pytest.raises(BadData, match=r"row 5 is invalid: it holds NaN or infinity \(column 2\)"):
        like_training(test, DataContract((4,)))


def test_what_is_missing_is_counted_and_the_first_named_by_row_and_column():
    x, test = np.ones((9, 4)), np.ones((9, 4))
    test[5, 2] = test[7, 0] = test[7, 1] = np.nan
    made = prepare(x, test)
    assert str(made.missing) == "3 missing values in 2 of 18 examples"
    assert made.missing.first == "row 5, column 2 (counted from 0)"
    np.testing.assert_array_equal(made.test.x, test)
    pictures = np.ones((9, 4, 4), np.float32)
    pictures[3, 1, 1] = np.nan
    assert prepare(pictures).missing.first == "row 3 (counted from 0)"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_row_is_right_beyond_the_first_piece(value: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(missing, "PIECE", 8)
    x = np.ones((9, 4))
    x[6, 3] = x[8, 1] = value
    if np.isnan(value):
        assert str(prepare(x).missing) == "2 missing values in 2 of 9 examples"
        assert prepare(x).missing.first.startswith("row 6, column 3")
        return
    with pytest.raises(BadData, match=r"holds 2 infinite values.* row 6, column 3"):
        prepare(x)


def test_values_beyond_32_bits_are_refused():
    x = np.ones((4, 2))
    x[1] = 1e300
    with pytest.raises(BadData, match=r"too large for 32-bit numbers .*set data.scale=standard"):
        prepare(x)
    assert prepare(x, scale="minmax").train.x.max() == 1
    x[0], x[1] = -1.7e308, 1.7e308
    with pytest.raises(BadData, match="finite"):
        prepare(x, scale="minmax")


def test_static_pixels_are_drawn_once_with_their_own_mean():
    gray = np.full((4, 50, 50), 51, dtype=np.uint8)
    made, same, other = (prepare(gray, gray, binarize="static", seed=s) for s in (0, 0, 1))
    x = made.train.x
    assert set(x.unique().tolist()) == {0, 1}
    # 10,000 draws of p = 0.2: five standard errors are 0.02
    assert float(x.mean()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(x, same.train.x)
    assert torch.equal(made.test.x, same.test.x)
    assert not torch.equal(x, other.train.x)
    assert not torch.equal(x, made.test.x)
    assert made.dynamic is False


def test_dynamic_leaves_the_training_part_gray_and_draws_the_rest_as_static_does():
    static, made = (prepare(COLOUR, COLOUR, binarize=b) for b in ("static", "dynamic"))
    assert made.dynamic
    assert len(made.train.x.unique()) > 2
    assert torch.equal(made.test.x, static.test.x)


def test_a_zero_stays_zero_at_the_smallest_draw(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "rand", lambda shape, generator: torch.zeros(shape))
    made = prepare(np.array([[0.0, 0.5]]), binarize="static")
    np.testing.assert_array_equal(made.train.x, [[0, 1]])


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_zeros_and_ones_pass_binarising_unchanged(binarize: str):
    x = (COLOUR[..., 0] > 99).astype(np.float32)
    made = prepare(x, x, binarize=binarize, seed=5)
    np.testing.assert_array_equal(made.train.x[:, 0].numpy(), x)
    np.testing.assert_array_equal(made.test.x[:, 0].numpy(), x)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_only_probabilities_can_be_binarized(binarize: str):
    with pytest.raises(BadData, match=f"from 1 to 9, but data.binarize={binarize} .*Set data.scale=minmax, or"):
        prepare(np.array([[1.0], [9.0]]), binarize=binarize)
    beyond = prepare(np.array([[1.0], [9.0]]), np.array([[0.0], [90.0]]), scale="minmax", binarize=binarize)
    assert beyond.test is not None
    np.testing.assert_array_equal(beyond.test.tensor.numpy(), [[0], [1]])
    made = prepare(np.array([[1.0], [9.0]]), scale="minmax", binarize=binarize)
    np.testing.assert_array_equal(made.train.x.numpy(), [[0], [1]])


def test_further_data_goes_the_way_of_the_training_data():
    made = prepare(COLOUR)
    np.testing.assert_array_equal(like_training(COLOUR, made.contract), made.train.x)
    gray = prepare(COLOUR[..., 0])
    np.testing.assert_array_equal(like_training(COLOUR[..., 0], gray.contract), gray.train.x)
    table = prepare(RNG.normal(size=(9, 4)), scale="standard")
    raw = RNG.normal(size=(3, 4))
    expected = (raw - np.array(table.scaling.offset)) / np.array(table.scaling.scale)
    np.testing.assert_array_equal(like_training(raw, table.contract), expected.astype(np.float32))


def test_pixels_and_floats_meet_in_the_unit_interval():
    floats = COLOUR / 255
    on_pixels, on_floats = prepare(COLOUR), prepare(floats)
    for contract in (on_pixels.contract, on_floats.contract):
        from_pixels, from_floats = like_training(COLOUR, contract), like_training(floats, contract)
        torch.testing.assert_close(from_pixels, on_pixels.train.x, rtol=0, atol=1e-7)
        torch.testing.assert_close(from_floats, on_pixels.train.x, rtol=0, atol=1e-7)
    with pytest.raises(BadData, match=r"from \d+ to 255 .*, but the model was trained on 8-bit pixels"):
        like_training(COLOUR.astype(float), on_pixels.contract)


def test_small_whole_numbers_of_a_table_are_not_taken_for_pixels():
    x = np.array([[1, 10]], dtype=np.uint8)
    like = like_training(x, DataContract((2,), scaling=Scaling("auto", (0.0,), (1.0,))))
    np.testing.assert_array_equal(like, [[1, 10]])
    trained = prepare(np.array([[0.5, 0.25], [0.75, 0.1]]))
    np.testing.assert_array_equal(like_training(x, trained.contract), [[1, 10]])


@pytest.mark.parametrize(
    ("x", "shape", "came"),
    [
        (np.ones((2, 4)), (5,), r"\(4,\)"),
        (np.ones((2, 4, 4)), (16,), r"\(4, 4\)"),
        (np.ones((2, 16)), (1, 4, 4), r"\(16,\)"),
        (np.ones((2, 4, 4)), (3, 4, 4), r"\(1, 4, 4\)"),
        (np.ones((2, 5, 4, 3)), (3, 4, 5), r"\(5, 4, 3\)"),
    ],
)
def test_another_shape_is_refused_with_both_shapes(x: np.ndarray, shape: tuple[int, ...], came: str):
    wanted = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ShapeError, match=f"shape {came}, but the model was trained on examples of shape {wanted}"):
        like_training(x, DataContract(shape))


def test_a_given_validation_set_has_binary_samples_of_its_own():
    gray = np.full((5, 6, 6), 0.5, np.float32)
    options = DataOptions(binarize="static", test=0, validation=0)
    made = with_validation(prepare(gray, binarize="static"), gray, options, 7)
    assert made.valid is not None
    assert torch.equal(made.valid.tensor, draw_bernoulli(torch.from_numpy(gray)[:, None], 7, len(SPLITS)))
    with pytest.raises(BadData, match=r"^The validation set has values from 2 to 2"):
        with_validation(prepare(gray, binarize="static"), gray * 4, options, 7)

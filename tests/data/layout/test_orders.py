"""Arrays with their axes in any order: training, new data, and answers."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import scipy.sparse

import isthmus as it
from isthmus.data.description.overview import describe
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
GAUSSIAN = {"likelihood.kind": "gaussian"}
WANTED = {
    "ND": R.normal(size=(30, 5)),
    "NTC": R.normal(size=(30, 12, 2)),
    "NHW": R.normal(size=(30, 6, 7)),
    "NHWC": R.normal(size=(30, 6, 7, 3)),
    "NFHW": R.normal(size=(30, 4, 6, 7)),
    "NFHWC": R.normal(size=(30, 4, 6, 7, 3)),
}
ORDERS = {
    "ND": ["DN"],
    "NTC": ["NCT", "TCN", "CTN", "CNT"],
    "NHW": ["HWN", "WHN", "NWH"],
    "NHWC": ["NCHW", "HWCN", "CHWN", "WHCN"],
    "NFHW": ["HWFN", "FHWN"],
    "NFHWC": ["NFCHW", "HWCFN"],
}
PAIRS = [(usual, order) for usual, orders in ORDERS.items() for order in orders]


def turned(x: Array, usual: str, order: str) -> Array:
    """The same examples with their axes in another order."""
    return np.einsum(f"{usual.lower()}->{order.lower()}", x)


@pytest.mark.parametrize(("usual", "order"), PAIRS)
def test_any_order_gives_the_same_run_to_the_bit(usual: str, order: str, tmp_path: Path) -> None:
    x = WANTED[usual]
    expected = it.fit("simple", x, epochs=1, options=GAUSSIAN | {"data.layout": usual})
    run = it.fit("simple", turned(x, usual, order), epochs=1, options=GAUSSIAN | {"data.layout": order})
    run.save(tmp_path / "run")
    codes = expected.encode(x)
    for each in (run, it.load(tmp_path / "run")):
        # new data in the order of training, and in the usual one, without an option
        np.testing.assert_array_equal(each.encode(turned(x, usual, order)), codes)
        np.testing.assert_array_equal(each.encode(x), codes)
        # a single example, whose axis of examples is as short as others
        np.testing.assert_array_equal(each.encode(x[:1]), expected.encode(x[:1]))
    # examples are first, and their axes as they were
    own = "N" + order.replace("N", "")
    np.testing.assert_array_equal(run.reconstruct(turned(x, usual, order)), turned(expected.reconstruct(x), usual, own))


@pytest.mark.parametrize(("usual", "other"), [("NTC", "NCT"), ("NHWC", "NCHW"), ("NFHWC", "NFCHW")])
def test_channels_of_new_data_may_be_at_either_end(usual: str, other: str) -> None:
    x = WANTED[usual]
    for order in (usual, other):
        run = it.fit("simple", turned(x, usual, order), epochs=1, options=GAUSSIAN | {"data.layout": order})
        np.testing.assert_array_equal(run.encode(turned(x, usual, other)), run.encode(x))


def test_new_data_of_equal_lengths_has_the_order_of_training() -> None:
    x = R.normal(size=(30, 5, 5))
    run = it.fit("simple", x, epochs=1, options=GAUSSIAN | {"data.layout": "NCT"})
    np.testing.assert_array_equal(run.to_tensor(x).numpy(), x.astype(np.float32))
    images = R.normal(size=(30, 3, 3, 3))
    run = it.fit("simple", images, epochs=1, options=GAUSSIAN | {"data.layout": "NCHW"})
    np.testing.assert_array_equal(run.to_tensor(images).numpy(), images.astype(np.float32))


def test_new_data_is_never_guessed_at() -> None:
    x = R.normal(size=(30, 50, 4)) * [1, 1e3, 1e-3, 1]
    run = it.fit("simple", x, epochs=1, options=GAUSSIAN | {"data.scale": "standard"})
    alike = R.normal(size=(30, 50, 4))
    assert run.encode(alike).shape[0] == 30
    with pytest.raises(ShapeError, match=r"examples of shape \(50, 5\), but the model was trained on .* \(4, 50\)"):
        run.encode(R.normal(size=(3, 50, 5)))


def test_labels_and_targets_stay_with_their_examples(tmp_path: Path) -> None:
    x, y = WANTED["NHWC"], np.arange(30) % 3
    matlab = turned(x, "NHWC", "HWCN")
    options = GAUSSIAN | {"data.layout": "HWCN", "data.test": 0, "data.validation": 0}
    np.savez(tmp_path / "x.npz", x=matlab, y=y)
    for data, labels in ((matlab, y), ((matlab, y), None), ({"x": matlab, "y": y}, None), (tmp_path / "x.npz", None)):
        run = it.fit("simple", data, labels=labels, epochs=1, options=options)
        assert run.data is not None
        split = run.data.train
        np.testing.assert_array_equal(split.labels, y[split.rows])
        np.testing.assert_array_equal(split.tensor.numpy(), x.transpose(0, 3, 1, 2)[split.rows].astype(np.float32))
    pairs = it.fit("simple", matlab, targets=matlab + 1, epochs=1, options=options)
    assert pairs.data is not None
    assert pairs.data.train.inputs is not None
    np.testing.assert_allclose(pairs.data.train.tensor - pairs.data.train.inputs, 1, atol=1e-6)


def test_a_sparse_matrix_of_columns_is_turned() -> None:
    x = scipy.sparse.random(30, 8, 0.5, random_state=0)
    run = it.fit("simple", x.T, epochs=1, options=GAUSSIAN | {"data.layout": "DN"})
    expected = it.fit("simple", x, epochs=1, options=GAUSSIAN)
    np.testing.assert_array_equal(run.encode(x.T), expected.encode(x))


def test_a_validation_set_has_the_order_of_the_training_set() -> None:
    x, valid = WANTED["NHWC"], R.normal(size=(9, 6, 7, 3))
    options = GAUSSIAN | {"data.layout": "HWCN"}
    run = it.fit("simple", turned(x, "NHWC", "HWCN"), valid=turned(valid, "NHWC", "HWCN"), epochs=1, options=options)
    assert run.data is not None
    assert run.data.valid is not None
    np.testing.assert_array_equal(run.data.valid.tensor.numpy(), valid.transpose(0, 3, 1, 2).astype(np.float32))


def test_examples_on_disk_must_be_first(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", turned(WANTED["NHWC"], "NHWC", "HWCN"))
    options = {"data.layout": "HWCN", "data.memory": "stream"}
    with pytest.raises(BadData, match=r"data.layout=HWCN puts .* 'x.npy' stays on disk.*save it with the axes NHWC"):
        it.fit("simple", tmp_path / "x.npy", epochs=1, options=options)


def test_rows_of_a_table_with_columns_are_first(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n3,5\n" * 9)
    with pytest.raises(BadData, match=r"data.layout=DN puts .* 'x.csv' has columns"):
        it.fit("simple", tmp_path / "x.csv", epochs=1, options={"data.layout": "DN"})


def test_streamed_sequences_have_the_codes_of_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", turned(WANTED["NTC"], "NTC", "NCT"))
    options = GAUSSIAN | {"data.layout": "NCT", "data.scale": "standard"}
    run = it.fit("simple", tmp_path / "x.npy", epochs=1, options=options | {"data.memory": "stream"})
    np.testing.assert_array_equal(run.encode(tmp_path / "x.npy"), run.encode(WANTED["NTC"]))


def test_traces_of_a_table_are_sequences_if_told(tmp_path: Path) -> None:
    frame = pd.DataFrame(R.normal(size=(30, 12)), columns=[f"t{i}" for i in range(12)])
    frame.to_csv(tmp_path / "x.csv", index=False)
    run = it.fit("simple", tmp_path / "x.csv", epochs=1, options=GAUSSIAN | {"data.layout": "NT"})
    run.save(tmp_path / "run")
    assert run.metadata.shape == (1, 12)
    again = it.load(tmp_path / "run")
    np.testing.assert_array_equal(again.encode(frame).to_numpy(), run.encode(tmp_path / "x.csv"))
    assert again.reconstruct(frame).columns.tolist() == frame.columns.tolist()
    found = describe(tmp_path / "x.csv", DataOptions(layout="NT"))
    assert found.content["layout"]["words"] == "sequences of 12 steps, 1 channel"

"""Objects of Python: tensors, sparse matrices, data sets, loaders and iterables are the numbers that they hold."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import isthmus as it
from isthmus.errors import BadData

Array = npt.NDArray[Any]
X = torch.rand(120, 8, generator=torch.Generator().manual_seed(0)).mul(64).round().div(64)
"""Numbers that are exact in 16 bits."""
LABELED = TensorDataset(X, torch.zeros(120))


@pytest.fixture(scope="module")
def on_tensor() -> it.Run:
    """A run on a tensor."""
    return it.fit("simple", X, epochs=1)


TENSORS: dict[str, Callable[[], Any]] = {
    "bfloat16": lambda: X.bfloat16(),
    "float16": lambda: X.half(),
    "float64": lambda: X.double(),
    "gradient": lambda: X.clone().requires_grad_(),
    "output of a layer": lambda: torch.nn.Identity()(X.clone().requires_grad_() * 1),
    "parameter": lambda: torch.nn.Parameter(X),
    "transposed": lambda: X.T.contiguous().T,
    "sparse": lambda: X.to_sparse(),
    "negated view": lambda: torch._neg_view(-X),
    "inference mode": lambda: torch.inference_mode()(lambda: X * 1)(),
}


@pytest.mark.parametrize("form", TENSORS)
def test_every_tensor_is_its_numbers(form: str, on_tensor: it.Run) -> None:
    found = on_tensor.encode(TENSORS[form]())
    assert isinstance(found, Tensor)
    assert not found.requires_grad
    torch.testing.assert_close(found, on_tensor.encode(X), atol=1e-6, rtol=0)
    trained = it.fit("simple", TENSORS[form](), epochs=1)
    torch.testing.assert_close(trained.encode(X), on_tensor.encode(X), atol=1e-6, rtol=0)


def test_activations_in_bfloat16_train_a_dictionary() -> None:
    x = torch.randn(100, 16, generator=torch.Generator().manual_seed(0))
    for given in (x.bfloat16(), x.half(), x.clone().requires_grad_(), torch.nn.Linear(16, 16)(x)):
        run = it.fit("top_k", given, epochs=1, options={"latent.size": 32})
        assert run.encode(given).shape == (100, 32)


def test_eight_bit_floats_are_taken() -> None:
    x = X.to(torch.float8_e4m3fn)
    assert it.fit("simple", x, epochs=1).encode(x).shape == it.fit("simple", X, epochs=1).encode(X).shape


@pytest.mark.parametrize(
    "value", [torch.empty(5, 8, device="meta"), torch.zeros(5, 8, dtype=torch.complex64), X[0], torch.tensor(3.0)]
)
def test_tensors_without_rows_of_numbers_are_refused(value: Tensor, on_tensor: it.Run) -> None:
    with pytest.raises(BadData):
        on_tensor.encode(value)


MATRICES: dict[str, Callable[[Array], Any]] = {
    "csr": scipy.sparse.csr_matrix,
    "csc": scipy.sparse.csc_matrix,
    "coo": scipy.sparse.coo_matrix,
    "lil": scipy.sparse.lil_matrix,
    "bsr": scipy.sparse.bsr_matrix,
    "array": scipy.sparse.csr_array,
    "masked": np.ma.array,
    "rows of tensors": lambda x: list(torch.tensor(x)),
    "rows with gradients": lambda x: list(torch.tensor(x).requires_grad_()),
    "objects": lambda x: x.astype(object),
    "Fortran order": np.asfortranarray,
    "big-endian": lambda x: x.astype(">f4"),
    "read-only": lambda x: np.lib.stride_tricks.as_strided(x, x.shape, x.strides, writeable=False),
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
}


@pytest.mark.parametrize("form", MATRICES)
def test_every_matrix_is_its_numbers(form: str, on_tensor: it.Run) -> None:
    given = MATRICES[form](X.numpy())
    np.testing.assert_allclose(on_tensor.encode(given), on_tensor.encode(X), atol=1e-6)
    np.testing.assert_allclose(it.fit("simple", given, epochs=1).encode(given), on_tensor.encode(X), atol=1e-6)


class Rows(IterableDataset[Any]):
    """Rows without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(X)


class LabeledRows(IterableDataset[Any]):
    """Rows with labels, without a length."""

    def __iter__(self) -> Iterator[Any]:
        return ((row, 1) for row in X)


class Mappings(Dataset[Any]):
    """Items that are mappings."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"label": index % 3, "pixel_values": X[index]}


class Columns:
    """What looks like a data set of Hugging Face: columns by name, and rows as mappings of lists."""

    column_names = ("image", "label")

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return X.tolist() if key == "image" else [0] * len(X)
        rows = X[key]
        return {"image": rows.tolist(), "label": 0 if rows.ndim == 1 else [0] * len(rows)}


def batches(labels: bool = True) -> Iterator[Any]:
    for x, y in DataLoader(LABELED, batch_size=25):
        yield (x, y) if labels else x


SETS: dict[str, Callable[[], Any]] = {
    "data set": lambda: LABELED,
    "subset": lambda: Subset(LABELED, range(120)),
    "concatenated": lambda: ConcatDataset([Subset(LABELED, range(50)), Subset(LABELED, range(50, 120))]),
    "mappings": Mappings,
    "columns": Columns,
    "loader": lambda: DataLoader(LABELED, batch_size=25),
    "shuffling loader": lambda: DataLoader(LABELED, batch_size=25, shuffle=True),
    "loader of mappings": lambda: DataLoader(Mappings(), batch_size=25),
    "iterable": Rows,
    "iterable of pairs": LabeledRows,
    "loader of an iterable": lambda: DataLoader(Rows(), batch_size=25),
    "iterator of a loader": lambda: iter(DataLoader(LABELED, batch_size=25)),
    "generator of pairs": batches,
    "generator of batches": lambda: batches(labels=False),
    "generator of arrays": lambda: (x.numpy() for x in batches(labels=False)),
    "generator of lists": lambda: (x.tolist() for x in batches(labels=False)),
    "generator of rows": lambda: iter(X),
    "generator of rows and labels": lambda: zip(X, range(120), strict=True),
    "list of items": lambda: list(LABELED),
    "list of mappings": lambda: [{"image": row, "label": 2} for row in X],
    "pair": lambda: (X, torch.zeros(120)),
    "X and y": lambda: {"X": X, "y": torch.zeros(120, dtype=torch.long)},
    "split": lambda: {"x_train": X},
}


@pytest.mark.parametrize("form", SETS)
def test_every_set_is_its_examples(form: str, on_tensor: it.Run) -> None:
    expected = on_tensor.encode(X)
    np.testing.assert_allclose(on_tensor.encode(SETS[form]()), expected, atol=1e-6)
    np.testing.assert_allclose(on_tensor.score(SETS[form]()), on_tensor.score(X), rtol=1e-5)
    trained = it.fit("simple", SETS[form](), epochs=1)
    np.testing.assert_allclose(trained.encode(X), expected, atol=1e-6)


@pytest.mark.parametrize("form", [name for name in SETS if name not in ("split",)])
def test_every_set_trains_for_a_number_of_steps(form: str) -> None:
    options = {"training.steps": 2, "training.batch_size": 30}
    run = it.fit("simple", SETS[form](), options=options)
    assert run.encode(X).shape[0] == 120


def test_a_loader_that_leaves_out_is_what_it_gives(on_tensor: it.Run) -> None:
    loader = DataLoader(LABELED, batch_size=25, drop_last=True)
    np.testing.assert_allclose(on_tensor.encode(loader), on_tensor.encode(X[:100]), atol=1e-6)


def test_a_generator_that_is_too_short_for_its_steps_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadData, match=r"leave training\.steps out"):
        it.fit("simple", batches(), options={"training.steps": 50, "training.batch_size": 50})
    it.fit("simple", batches(), epochs=1)


@pytest.mark.parametrize("value", [iter(()), object(), 3, {"a": X, "b": X}, [[1, 2], [3]], [X, X[:, :3]], {1, 2}])
def test_what_is_no_data_is_refused(value: Any) -> None:
    with pytest.raises(BadData):
        it.fit("simple", value, epochs=1)


def test_images_in_lists_with_labels_are_images() -> None:
    images = torch.rand(30, 6, 6)
    for given in ([(image, 3) for image in images], [{"image": image.numpy()} for image in images]):
        assert it.fit("simple", given, epochs=1).metadata.shape == (1, 6, 6)


@pytest.mark.parametrize("recipe", ["vae", "conv", "top_k", "denoising", "contractive", "vq_vae"])
def test_a_fresh_run_is_pickled(recipe: str) -> None:
    run = it.fit(recipe, torch.rand(40, 8, 8), epochs=1)
    again = pickle.loads(pickle.dumps(run))
    x = torch.rand(40, 8, 8)
    torch.testing.assert_close(again.encode(x), run.encode(x))

"""Files of tensors: safetensors by hand and by its library, and .pt files, from which no object is loaded."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from isthmus.data.opening import open_data
from isthmus.errors import BadData
from isthmus.options import DataOptions

X = np.random.default_rng(0).normal(size=(23, 4, 6)).astype(np.float32)
DIGITS = np.arange(23) % 5
PLAIN = DataOptions()


def tensors(header: object, values: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + values


def entry(dtype: str, shape: list[int], first: int, last: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_safetensors_written_by_hand_come_back(tmp_path: Path, memory: str):
    header = {"__metadata__": {"by": "hand"}, "x": entry("F32", [23, 4, 6], 0, X.nbytes)}
    header["label"] = entry("I64", [23], X.nbytes, X.nbytes + DIGITS.nbytes)
    (tmp_path / "a.safetensors").write_bytes(tensors(header, X.tobytes() + DIGITS.tobytes()))
    source = open_data(tmp_path / "a.safetensors", DataOptions(memory=memory)).train
    np.testing.assert_array_equal(source.read(0, 23).values, X)
    np.testing.assert_array_equal(source.read(5, 20).values, X[5:20])
    np.testing.assert_array_equal(source.at(np.array([1, 7])).values, X[[1, 7]])
    np.testing.assert_array_equal(source.labels_of(np.arange(23)), DIGITS)


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "uint8", "int16", "bool"])
@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
def test_tensors_of_all_types_come_back(tmp_path: Path, ending: str, kind: str, memory: str):
    tensor = (torch.from_numpy(X) * 30).to(getattr(torch, kind))
    path = tmp_path / f"a{ending}"
    if ending == ".safetensors":
        save_file({"x": tensor}, path)
    else:
        torch.save({"x": tensor}, path)
    source = open_data(path, DataOptions(memory=memory)).train
    expected = tensor.float().numpy() if kind == "bfloat16" else tensor.numpy()
    assert source.dtype == expected.dtype
    np.testing.assert_array_equal(source.read(3, 9).values, expected[3:9])
    np.testing.assert_array_equal(source.read(0, 23).values, expected)


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_views_of_tensors_come_back(tmp_path: Path, memory: str):
    whole = torch.from_numpy(X)
    views = {
        "turned": whole.transpose(1, 2),
        "last first": whole.permute(2, 0, 1),
        "part": whole[4:, 1:3, ::2],
        "broad": whole[:, :1].expand(23, 5, 6),
    }
    torch.save(views, tmp_path / "a.pt")
    for name, view in views.items():
        source = open_data(tmp_path / "a.pt", DataOptions(key=name, memory=memory)).train
        np.testing.assert_array_equal(source.read(0, len(source)).values, view.numpy())
        np.testing.assert_array_equal(source.read(2, 5).values, view.numpy()[2:5])


@pytest.mark.parametrize(
    "saved",
    [
        torch.from_numpy(X),
        [torch.from_numpy(X), torch.from_numpy(DIGITS)],
        {"data": {"x": torch.from_numpy(X), "y": torch.from_numpy(DIGITS)}, "epoch": 3},
        torch.nn.Parameter(torch.from_numpy(X)),
    ],
    ids=["tensor", "list", "nested", "parameter"],
)
def test_single_listed_and_nested_tensors_are_found(tmp_path: Path, saved: object):
    torch.save(saved, tmp_path / "a.pt")
    dataset = open_data(tmp_path / "a.pt", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, X)
    if isinstance(saved, dict):
        np.testing.assert_array_equal(dataset.train.labels, DIGITS)


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "declares a header of 0|cannot be read"),
    "header beyond the file": (tensors(b"{}", b"", 2**40), "declares a header of 1,099,511,627,776 bytes"),
    "no header": (tensors(b"not json", b""), "cannot be read as a safetensors file"),
    "a list": (tensors([1], b""), "cannot be read as a safetensors file"),
    "deep": (tensors(b"[" * 10**5, b""), "nested too deeply"),
    "huge": (tensors({"x": entry("F32", [2**40, 4], 0, 16)}, bytes(16)), "declares values up to byte"),
    "negative": (tensors({"x": entry("F32", [-1, -4], 0, 16)}, bytes(16)), "damaged header"),
    "before the file": (tensors({"x": entry("F32", [1, 4], -99, -83)}, bytes(16)), "declares values up to byte"),
    "other length": (tensors({"x": entry("F32", [1, 2], 0, 16)}, bytes(16)), "declares 16 bytes for the shape"),
    "eight bits": (tensors({"x": entry("F8_E4M3", [4, 4], 0, 16)}, bytes(16)), "values of type F8_E4M3"),
    "short entry": (tensors({"x": {"dtype": "F32"}}, bytes(16)), "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_safetensors_are_refused_in_one_line(tmp_path: Path, case: str):
    data, message = BAD[case]
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(BadData, match=message) as caught:
        open_data(tmp_path / "a.safetensors", PLAIN)
    assert "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (Path.touch, (Path("exploded"),))


def torch_file(saved: object, old: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(saved, out, _use_new_zipfile_serialization=not old)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch_file({"x": torch.ones(3, 3), "bomb": Bomb()}), "holds Python objects other than tensors"),
        (torch_file({"x": np.ones((3, 3))}), "holds Python objects other than tensors"),
        (pickle.dumps(Bomb()), "is no archive of torch.save"),
        (torch_file({"x": torch.ones(3, 3)}, old=True), "is no archive of torch.save"),
        (torch_file({"x": torch.ones(3, 3, dtype=torch.complex64)}), "tensor of type complex64"),
        (torch_file({"x": torch.ones(3, 3).to_sparse()}), "'x' in 'a.pt' is a tensor of|cannot be read"),
        (torch_file({"x": torch.ones(1, 1).expand(2**20, 2**20)}), "would expand|needs"),
        (torch_file({"x": 3}), "holds no array of numbers"),
    ],
    ids=["object", "numpy", "pickle", "old", "complex", "sparse", "broad", "number"],
)
def test_what_is_no_tensor_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(BadData, match=message) as caught:
        open_data(tmp_path / "a.pt", PLAIN)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def changed(data: bytes, last: str, new: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive with other bytes in one of its members."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", compression) as archive:
        for item in old.infolist():
            archive.writestr(item.filename, new if item.filename.endswith(last) else old.read(item))
    return out.getvalue()


def test_lying_and_compressed_archives_of_tensors_are_refused(tmp_path: Path):
    plain = torch_file({"x": torch.ones(3, 4)})
    structure = zipfile.ZipFile(io.BytesIO(plain)).read("archive/data.pkl")
    far = structure.replace(b"K\x03K\x04\x86", b"J\xff\xff\xff\x7fK\x04\x86")
    assert far != structure
    for data, message in (
        (changed(plain, "data.pkl", far), "declares values up to byte"),
        (changed(plain, "data.pkl", structure, zipfile.ZIP_DEFLATED), "is compressed"),
        (changed(plain, "data.pkl", bytes(2**24 + 1)), "takes 16,777,217 bytes"),
    ):
        (tmp_path / "a.pt").write_bytes(data)
        with pytest.raises(BadData, match=message):
            open_data(tmp_path / "a.pt", PLAIN)


def test_a_list_that_occurs_in_itself_many_times_over_is_not_followed_to_the_end(tmp_path: Path):
    lists: list[object] = []
    for _ in range(7):
        lists = [lists] * 1000
    torch.save(lists, tmp_path / "a.pt")
    with pytest.raises(BadData, match="holds more than 100,000 entries"):
        open_data(tmp_path / "a.pt", PLAIN)


def test_archives_of_the_other_byte_order_come_back(tmp_path: Path):
    plain = torch_file({"x": torch.from_numpy(X)})
    data = changed(changed(plain, "byteorder", b"big"), "data/0", X.astype(">f4").tobytes())
    (tmp_path / "a.pt").write_bytes(data)
    np.testing.assert_array_equal(open_data(tmp_path / "a.pt", PLAIN).train.x, X)


def test_every_cut_is_refused(tmp_path: Path):
    header = {"x": entry("F32", [2, 3], 0, 24)}
    for ending, data in ((".safetensors", tensors(header, bytes(24))), (".pt", torch_file(torch.ones(3, 3)))):
        for length in range(0, len(data), 1 if ending == ".safetensors" else 40):
            (tmp_path / f"a{ending}").write_bytes(data[:length])
            with pytest.raises(BadData, match=r"a\.(safetensors|pt)"):
                open_data(tmp_path / f"a{ending}", PLAIN)


def test_a_pair_of_tensors_is_examples_and_labels_or_targets(tmp_path: Path):
    x, y = torch.from_numpy(X), torch.from_numpy(DIGITS)
    torch.save((x, y), tmp_path / "a.pt")
    dataset = open_data(tmp_path / "a.pt", PLAIN)
    np.testing.assert_array_equal(dataset.train.read(0, 23).values, X)
    np.testing.assert_array_equal(dataset.train.labels_of(np.arange(23)), DIGITS)
    torch.save((x, x + 1), tmp_path / "b.pt")
    np.testing.assert_array_equal(open_data(tmp_path / "b.pt", PLAIN).train.inputs().read(0, 23).values, X)
    # of other lengths they are two tensors
    torch.save((x, y[:5]), tmp_path / "c.pt")
    dataset = open_data(tmp_path / "c.pt", PLAIN)
    assert dataset.train.labels_of(np.arange(23)) is None
    assert "Not used: '1'." in dataset.notes

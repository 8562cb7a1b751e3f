"""Files of ``torch.save`` (``.pt``, ``.pth``) that hold tensors: the structure is loaded with weights only, no object.

The tensors are loaded as fakes, without memory, and their values read from where they lie in the file.
"""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import MOST_ARRAYS
from isthmus.data.formats.stores.members import start_of_member
from isthmus.data.formats.stores.regions import BFLOAT16, Region, RegionStore, c_strides
from isthmus.data.storage.base import File
from isthmus.errors import BadData

LARGEST_STRUCTURE = 2**24
"""Largest description of the structure in bytes."""
COPIED = ("data.pkl", "version")
"""Members with the structure."""
DEEPEST, MOST_ENTRIES = 8, 10 * MOST_ARRAYS
"""Levels of mappings and lists in which tensors are searched, and entries: one list may occur in many others."""
KINDS = ("bool", "float16", "float32", "float64", *(f"{s}int{bits}" for s in ("", "u") for bits in (8, 16, 32, 64)))
"""Data types that NumPy has too."""


def named_pair(content: Any) -> Any:
    """A pair of tensors with as many examples as ``x`` and ``y``, which they are in Python; other objects unchanged."""
    import torch

    if not isinstance(content, tuple) or len(content) != 2 or not all(isinstance(own, torch.Tensor) for own in content):
        return content
    x, y = content
    return {"x": x, "y": y} if x.ndim > 1 and y.ndim and len(x) == len(y) else content


class TorchStore(RegionStore):
    """The tensors of a ``.pt`` file: of a mapping by name, of a list by number.

    Raises:
        BadData: the file is damaged, or holds other Python objects, which are not loaded.
    """

    kind = "a file of tensors"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        # where the bytes of a storage start and end, by its place in the archive that torch reads
        self._storages: dict[int, tuple[int, int]] = {}
        self._order, self._entries = "<", 0
        with reading(self.name, self.kind), file.open() as stream:
            if not zipfile.is_zipfile(stream):
                raise BadData(
                    f"{self.name!r} is no archive of torch.save, or of a version before 1.6. Save it again with it."
                )
            with zipfile.ZipFile(stream) as archive:
                content = self._loaded(self._skeleton(archive, stream))
        self._add("", named_pair(content), 0)

    def _skeleton(self, archive: zipfile.ZipFile, stream: BinaryIO) -> BytesIO:
        """The archive without values: torch does not check what the structure says of them.

        Raises:
            BadData: the archive is compressed, or its structure is absurd.
        """
        out, places = BytesIO(), {}
        with zipfile.ZipFile(out, "w") as skeleton:
            for item in archive.infolist():
                folder, _, last = item.filename.rpartition("/")
                if item.compress_type != zipfile.ZIP_STORED:
                    raise BadData(f"{self.name!r} is compressed, which torch.save does not do. Save it again with it.")
                if item.file_size > LARGEST_STRUCTURE and last in COPIED:
                    raise BadData(
                        f"The structure in {self.name!r} takes {item.file_size:,} bytes, but at most "
                        f"{LARGEST_STRUCTURE:,} are read. Save a tensor, or a dict of tensors."
                    )
                if last in COPIED:
                    skeleton.writestr(item.filename, archive.read(item))
                elif last == "byteorder" and archive.read(item)[:3] == b"big":
                    self._order = ">"
                elif folder.endswith("/data"):
                    skeleton.writestr(item.filename, b"")
                    start = start_of_member(stream, item)
                    places[item.filename] = start, start + item.file_size
        with zipfile.ZipFile(out) as skeleton:
            for item in skeleton.infolist():
                if item.filename in places:
                    self._storages[start_of_member(out, item)] = places[item.filename]
        out.seek(0)
        return out

    def _loaded(self, skeleton: BytesIO) -> Any:
        """What was saved, with tensors that have no memory."""
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        try:
            with FakeTensorMode():
                return torch.load(skeleton, weights_only=True)
        except Exception as error:
            # the text of torch advises to load the objects
            if type(error).__name__ != "UnpicklingError":
                raise
            raise BadData(
                f"{self.name!r} holds Python objects other than tensors, which are never loaded, as that can execute "
                "code. Save a tensor, or a dict of tensors, with torch.save."
            ) from error

    def _add(self, key: str, value: Any, depth: int) -> None:
        """List a tensor, or those in a mapping or a list."""
        import torch

        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise BadData(f"{self.name!r} holds more than {MOST_ENTRIES:,} entries. Save a dict of tensors only.")
        if isinstance(value, torch.Tensor):
            self._add_tensor(key or "tensor", value)
        elif isinstance(value, Mapping | list | tuple) and depth < DEEPEST:
            named = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, entry in named:
                inner = f"/{key.lstrip('/')}/{name}" if key else str(name)
                self._add(inner, entry, depth + 1)

    def _add_tensor(self, key: str, tensor: Any) -> None:
        import torch

        kind = str(tensor.dtype).removeprefix("torch.")
        truncated = tensor.dtype == torch.bfloat16
        if tensor.layout is not torch.strided or tensor.is_quantized or (kind not in KINDS and not truncated):
            self.left_out[key] = f"{self.where(key)} is a tensor of type {kind}, which is not read. Save it as float32."
            return
        dtype = BFLOAT16 if truncated else np.dtype(kind)
        dtype = dtype.newbyteorder(">" if self._order == ">" else "<")
        place = self._storages.get(getattr(tensor.untyped_storage(), "_checkpoint_offset", None) or -1)
        start, end = place or (0, 0)
        offset = start + tensor.storage_offset() * dtype.itemsize
        shape: tuple[int, ...] = tuple(map(int, tensor.shape))
        strides = tuple(map(int, tensor.stride()))
        if place is None and 0 not in shape:
            self.left_out[key] = f"{self.where(key)} has no values in the file. Save it again with torch.save."
            return
        region = Region(offset, dtype, None if strides == c_strides(shape) else strides, truncated)
        self.add_region(key, shape, region, end)

"""Files of ``torch.save`` (``.pt``, ``.pth``) that hold tensors: the structure is loaded with weights only, no object.

The tensors are loaded as fakes, without memory, and their values read from where they lie in the file.
"""

import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.regions import BFLOAT16, Region, RegionStore, c_strides
from isthmus.data.storage.base import File
from isthmus.errors import BadData

LARGEST_STRUCTURE = 2**24
"""Largest description of the structure in bytes."""
DEEPEST = 8
"""Levels of mappings and lists in which tensors are searched."""
KINDS = ("bool", "float16", "float32", "float64", *(f"{s}int{bits}" for s in ("", "u") for bits in (8, 16, 32, 64)))
"""Data types that NumPy has too."""


class TorchStore(RegionStore):
    """The tensors of a ``.pt`` file: of a mapping by name, of a list by number.

    Raises:
        BadData: the file is damaged, or holds other Python objects, which are not loaded.
    """

    kind = "a file of tensors"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        with reading(self.name, self.kind), file.open() as stream:
            order = self._check_archive(stream)
            stream.seek(0)
            content = self._loaded(stream)
        self._add("", content, order, 0)

    def _check_archive(self, stream: Any) -> str:
        """The byte order of the values, ``<`` or ``>``.

        Raises:
            BadData: the archive is of another format, is compressed, or has an absurd structure.
        """
        if not zipfile.is_zipfile(stream):
            raise BadData(
                f"{self.name!r} is no archive of torch.save, or of a version before 1.6. Save it again with torch.save."
            )
        order = "<"
        with zipfile.ZipFile(stream) as archive:
            for item in archive.infolist():
                if item.compress_type != zipfile.ZIP_STORED:
                    raise BadData(f"{self.name!r} is compressed, which torch.save does not do. Save it again with it.")
                last = item.filename.rpartition("/")[2]
                if last in ("data.pkl", "byteorder") and item.file_size > LARGEST_STRUCTURE:
                    raise BadData(
                        f"The structure in {self.name!r} takes {item.file_size:,} bytes, but at most "
                        f"{LARGEST_STRUCTURE:,} are read. Save a tensor, or a dict of tensors."
                    )
                if last == "byteorder" and archive.read(item) == b"big":
                    order = ">"
        return order

    def _loaded(self, stream: Any) -> Any:
        """What was saved, with tensors that have no memory."""
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        try:
            with FakeTensorMode():
                return torch.load(stream, weights_only=True)
        except Exception as error:
            # the text of torch advises to load the objects
            if type(error).__name__ != "UnpicklingError":
                raise
            raise BadData(
                f"{self.name!r} holds Python objects other than tensors, which are never loaded, as that can execute "
                "code. Save a tensor, or a dict of tensors, with torch.save."
            ) from error

    def _add(self, key: str, value: Any, order: str, depth: int) -> None:
        """List a tensor, or those in a mapping or a list."""
        import torch

        if isinstance(value, torch.Tensor):
            self._add_tensor(key or "tensor", value, order)
        elif isinstance(value, Mapping | list | tuple) and depth < DEEPEST:
            named = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, entry in named:
                inner = f"/{key.lstrip('/')}/{name}" if key else str(name)
                self._add(inner, entry, order, depth + 1)

    def _add_tensor(self, key: str, tensor: Any, order: str) -> None:
        import torch

        kind = str(tensor.dtype).removeprefix("torch.")
        truncated = tensor.dtype == torch.bfloat16
        if tensor.layout is not torch.strided or tensor.is_quantized or (kind not in KINDS and not truncated):
            self.left_out[key] = f"{self.where(key)} is a tensor of type {kind}, which is not read. Save it as float32."
            return
        dtype = BFLOAT16 if truncated else np.dtype(kind)
        dtype = dtype.newbyteorder(">" if order == ">" else "<")
        start = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
        offset = (0 if start is None else int(start)) + tensor.storage_offset() * dtype.itemsize
        shape: tuple[int, ...] = tuple(map(int, tensor.shape))
        strides = tuple(map(int, tensor.stride()))
        if start is None and 0 not in shape:
            self.left_out[key] = f"{self.where(key)} has no values in the file. Save it again with torch.save."
            return
        self.add_region(key, shape, Region(offset, dtype, None if strides == c_strides(shape) else strides, truncated))

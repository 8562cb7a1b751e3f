"""The data set of a file of named arrays, for all formats."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.sparse import is_sparse_archive
from isthmus.data.formats.stores.base import ArrayStore
from isthmus.data.formats.stores.fits import FitsStore
from isthmus.data.formats.stores.hdf5 import Hdf5Store
from isthmus.data.formats.stores.matlab import open_matlab
from isthmus.data.formats.stores.netcdf import open_netcdf
from isthmus.data.formats.stores.npz import NpzStore
from isthmus.data.formats.stores.safetensors import SafetensorsStore
from isthmus.data.formats.stores.torch_file import TorchStore
from isthmus.data.formats.stores.zarr_files import FolderFiles, FolderOfZarr, ZippedFiles
from isthmus.data.formats.stores.zarr_store import ZarrStore
from isthmus.data.memory import is_streamed, refuse_streaming
from isthmus.data.objects import columns
from isthmus.data.readers.choosing import Choice, Shaped, choose, is_aligned, labels_of, listed, with_class_names
from isthmus.data.readers.datasets import dataset_of_splits, provenance_of, shaped_like
from isthmus.data.readers.format import Format, Reader, refuse_labels
from isthmus.data.readers.sparse import dataset_of_archive
from isthmus.data.sources.stored_array import StoredArray
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.axes import examples_first
from isthmus.data.transforms.labels import encode_labels
from isthmus.data.transforms.layout import check_numbers
from isthmus.errors import BadData
from isthmus.options import DataOptions

GUESSED, CHOOSING = "which array holds the examples, and which the labels", ("key", "labels")


def reader_of(open_store: Callable[[File], ArrayStore]) -> Reader:
    """The reader of a format of named arrays."""

    def read(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
        return dataset_of_store(open_store(file), options)

    return read


def read_npz_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of a ``.npz`` file: named arrays, or one sparse matrix."""
    store = NpzStore(file)
    if not is_sparse_archive(store.arrays):
        return dataset_of_store(store, options)
    refuse_labels(file.name, options, schema)
    refuse_streaming(file.name, options)
    return dataset_of_archive({key: store.read(key) for key in store.arrays}, file, options)


def open_zarr_zip(file: File) -> ArrayStore:
    """The arrays of a Zarr store in a zip file."""
    return ZarrStore(file, ZippedFiles(file))


def read_zarr_folder(path: Path, options: DataOptions) -> Dataset:
    """The data set of a Zarr store in a folder."""
    return dataset_of_store(ZarrStore(FolderOfZarr(path), FolderFiles(path)), options)


def dataset_of_store(store: ArrayStore, options: DataOptions) -> Dataset:
    """The arrays of a file that the options name or that can be told from the others: read, or streamed.

    Raises:
        BadData: it cannot be told which array to use, or one cannot be read.
    """
    chosen = choose(store.arrays, options, repr(store.name), store.left_out)
    values = sum(math.prod(store.arrays[key].shape) for key in chosen.x.values())
    in_order = not chosen.last and (options.layout == "auto" or options.layout.startswith("N"))
    if not in_order or not all(map(store.can_stream, chosen.x.values())):
        refuse_streaming(store.name, options)
    elif is_streamed(values, options):
        return _streamed(store, chosen)
    used = [*chosen.x.values(), *chosen.y.values(), *([chosen.classes] if chosen.classes else [])]
    store.check_arrays(*used)
    arrays = {key: store.read(key) for key in used}
    return dataset_of_choice(arrays, chosen, store.name, provenance_of(store.file), options)


def dataset_of_arrays(arrays: Mapping[str, Array], name: str, provenance: Provenance, options: DataOptions) -> Dataset:
    """The data set of arrays in memory by name.

    Raises:
        BadData: it cannot be told which array to use, or the arrays do not match.
    """
    return dataset_of_choice(arrays, choose(arrays, options, repr(name)), name, provenance, options)


def dataset_of_choice(
    arrays: Mapping[str, Array], chosen: Choice, name: str, provenance: Provenance, options: DataOptions
) -> Dataset:
    """The data set of the chosen arrays, with what was chosen as its notes."""
    moved = [*chosen.x.values()] if chosen.last else []
    arrays = {
        key: np.moveaxis(values, -1, 0) if key in moved else examples_first(values, options.layout)
        for key, values in arrays.items()
    }
    x = {split: columns(arrays[key], options.window) for split, key in chosen.x.items()}
    y: dict[str, Array] = {}
    notes = list(chosen.notes)
    for split, key in chosen.y.items():
        check_numbers(x[split].dtype, f"The {split} split of {name!r}")
        if chosen.paired and arrays[key].ndim > 1 and shaped_like(x[split], arrays[key]).shape != x[split].shape:
            raise BadData(
                f"{name!r} has inputs {chosen.x[split]!r} of shape {x[split].shape}, but targets {key!r} of shape "
                f"{arrays[key].shape}. Pass one target of the same shape per input."
            )
        y |= _usable(split, arrays[key], x[split], chosen, name, notes)
    y = _named(y, chosen, arrays)
    return replace(dataset_of_splits(name, x, y, provenance), notes=tuple(notes))


def _usable(split: str, values: Array, x: Shaped, chosen: Choice, name: str, notes: list[str]) -> dict[str, Array]:
    """Labels or targets of a split that can be used; others that no option named are left out, with a note.

    Raises:
        BadData: an option names them.
    """
    key = chosen.y[split]
    found = labels_of(values, x) if x.shape and is_aligned(values, x.shape[0]) else None
    if found is None and chosen.named:
        raise BadData(
            f"{key!r} in {name!r} cannot be the labels of {x.shape[0]:,} examples: its shape is {values.shape}, its "
            f"type {values.dtype}. Set data.labels to an array with one whole number or text per example."
        )
    if found is None:
        notes.append(f"{key!r} is left out: its values are neither whole numbers nor texts.")
        return {}
    return {split: found}


def _named(y: dict[str, Array], chosen: Choice, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Numbered labels as the names of their classes, where an array beside them has a name for each."""
    if chosen.classes is None:
        return y
    return {split: with_class_names(labels, arrays[chosen.classes]) for split, labels in y.items()}


def _streamed(store: ArrayStore, chosen: Choice) -> Dataset:
    """The data set of arrays that stay in their file; labels are read, as they are small."""
    sources: dict[str, StoredArray] = {}
    y: dict[str, Array] = {}
    notes = list(chosen.notes)
    for split, key in chosen.x.items():
        check_numbers(store.arrays[key].dtype, f"The {split} split of {store.name!r}")
        sources[split] = StoredArray(store, key)
    for split, key in chosen.y.items():
        if store.arrays[key].shape == store.arrays[chosen.x[split]].shape:
            raise BadData(
                f"{store.name!r} holds pairs of inputs and targets ({listed(store.arrays, (chosen.x[split], key))}), "
                "which cannot be streamed. Set data.key to the one to use."
            )
        store.check_arrays(key)
        y |= _usable(split, store.read(key), sources[split].like, chosen, store.name, notes)
    if chosen.classes is not None:
        store.check_arrays(chosen.classes)
        y = _named(y, chosen, {chosen.classes: store.read(chosen.classes)})
    encoded, names = encode_labels(y, repr(store.name)) if y else ({}, ())
    labeled = {split: source.labeled(encoded.get(split)) for split, source in sources.items()}
    return Dataset(
        store.name,
        labeled["train"],
        labeled.get("valid"),
        labeled.get("test"),
        label_names=names,
        provenance=Provenance(store.file.origin, labeled["train"].files()),
        notes=tuple(notes),
        streamed=True,
    )


def _format(
    name: str, endings: tuple[str, ...], read: Callable[[File], ArrayStore], library: str, limits: str, extra: str = ""
) -> Format:
    return Format(name, endings, reader_of(read), "arrays", library, extra, GUESSED, CHOOSING, limits)


FORMATS = (
    Format(
        "NumPy archive",
        (".npz",),
        read_npz_file,
        "arrays",
        "numpy",
        guessed=GUESSED,
        options=CHOOSING,
        limits="Python objects",
    ),
    _format("MATLAB", (".mat",), open_matlab, "h5py", "cells, objects and sparse matrices", "arrays"),
    _format("HDF5", (".h5", ".hdf5", ".hdf", ".he5"), Hdf5Store, "h5py", "links, virtual data sets, records", "arrays"),
    _format("safetensors", (".safetensors",), SafetensorsStore, "numpy", "floats of 8 bits"),
    _format("PyTorch tensors", (".pt", ".pth"), TorchStore, "torch", "Python objects, complex numbers"),
    _format("Zarr", (".zarr.zip",), open_zarr_zip, "numcodecs", "codecs but gzip, zstd, blosc, lz4", "arrays"),
    _format("NetCDF", (".nc", ".nc4"), open_netcdf, "scipy, h5py", "texts", "arrays"),
    _format("FITS", (".fits", ".fit", ".fts"), FitsStore, "astropy", "cells of variable length", "arrays"),
)
"""Formats of named arrays. A folder with a Zarr store has no extension that must be known."""

"""Folders of tables, arrays or videos of one kind: parts of one data set, or recordings of different lengths."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import PurePosixPath

import numpy as np

from isthmus.data.base import Array, Provenance, SourceFile
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import EXTENSIONS
from isthmus.data.formats.video import ENDINGS as VIDEO_ENDINGS
from isthmus.data.memory import is_streamed, memorized
from isthmus.data.readers.datasets import named_labels
from isthmus.data.readers.format import refuse_labels
from isthmus.data.readers.known import format_of
from isthmus.data.sources.base import Source
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.parquet import ParquetFile
from isthmus.data.storage.base import COMPRESSED, File, Tree, plain_name
from isthmus.data.storage.compressed import plain
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.reading import TEXT_ENDINGS
from isthmus.data.tables.schema import Schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

LISTED = 3
"""Sizes that are listed."""
PARTS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Names of folders, and of files in an archive, that hold a split."""
FEWEST_GROUPS = 3
"""Videos of which a split can keep each in one set."""
FEWEST_FILES = 3
"""Arrays of one shape that may each be one example."""
COLORS = (3, 4)
"""Channels of colored pictures."""
LAZY = (".npy", ".parquet")
"""Endings of files whose rows are read when they are needed."""
RECORDED = (".txt", ".dat", ".asc", ".data")
"""Endings that other texts have too: recordings if ``data.window`` is set, and left out otherwise."""
KINDS: tuple[tuple[str, ...], ...] = (*((ending,) for ending in (*LAZY, ".feather", *TEXT_ENDINGS)), VIDEO_ENDINGS)
"""Endings of files that are joined; those of the first kind that there is are used."""


def read_shards(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset | None:
    """The files of one kind in a folder as one data set; ``None`` if there are none, or only beside pictures.

    The first folder (``data.label_level``) is the label of the files in it, unless a table has a column of labels;
    folders called train, valid and test hold these sets.

    Raises:
        BadData: files of different columns or shapes, or one that cannot be read.
    """
    rows, others = _chosen(tree, options)
    if not len(rows):
        return None
    files = [tree.file(int(row)) for row in rows]
    parts = _parts(files)
    known, notes, records = schema, tuple[str, ...](), list[SourceFile]()
    splits: dict[str, Source] = {}
    for part in sorted(set(parts), key=("train", "valid", "test").index):
        own = [file for file, its in zip(files, parts, strict=True) if its == part]
        sources: list[Source] = []
        for file in own:
            dataset = _read(file, options, known, training=schema is None)
            known, notes = known or dataset.schema, tuple(dict.fromkeys(notes + dataset.notes))
            sources.append(named_labels(dataset))
            records += [replace(record, name=file.name) for record in dataset.provenance.files]
        if options.window is None:
            notes += _one_each(tree.name, own, sources)
        splits[part] = _joined(tree.name, sources, own, options, parted=len(set(parts)) > 1)
    values = sum(len(source) * prod(source.shape) for source in splits.values())
    streamed = is_streamed(values, options)
    found = splits if streamed else {part: memorized(source) for part, source in splits.items()}
    return Dataset(
        tree.name,
        found["train"],
        found.get("valid"),
        found.get("test"),
        provenance=Provenance(tree.origin, tuple(records)),
        schema=known,
        notes=notes + others,
        streamed=streamed,
    )


def _one_each(name: str, files: Sequence[File], sources: Sequence[Source]) -> tuple[str, ...]:
    """A note if each array may be one example, as there are more files than rows in each, all of one shape.

    Raises:
        BadData: the arrays are colored pictures, whose rows are no examples.
    """
    shape, first = (len(sources[0]), *sources[0].shape), sources[0]
    alike = all((len(source), *source.shape) == shape for source in sources)
    if files[0].suffix != ".npy" or not alike or len(sources) < FEWEST_FILES:
        return ()
    colored = len(shape) == 3 and (shape[-1] in COLORS or shape[0] in COLORS) and sorted(shape)[1] > max(COLORS)
    if colored and first.dtype == np.uint8:
        raise BadData(
            f"Each .npy file in {name!r} holds one picture, of shape {shape}, but the first axis of a file counts "
            "examples. Save all pictures in one array with numpy.stack, or each as .png."
        )
    if len(sources) <= shape[0]:
        return ()
    return (
        f"The first axis of each .npy file, of shape {shape}, counts examples; if each file is one example, save all "
        "in one array with numpy.stack.",
    )


def _joined(
    name: str, sources: Sequence[Source], files: Sequence[File], options: DataOptions, *, parted: bool
) -> Joined:
    """The rows of some files; frames of one video are alike, so a split keeps them together.

    Raises:
        BadData: videos of several sizes.
    """
    videos = files[0].suffix in VIDEO_ENDINGS
    shapes = sorted({source.shape for source in sources})
    if videos and len(shapes) > 1:
        found = ", ".join(f"{height}x{width}" for height, width, *_ in shapes[:LISTED])
        raise BadData(
            f"The videos in {name!r} have frames of {len(shapes)} sizes or numbers of channels ({found} ...). Set "
            "data.size, such as data.size=64, and data.resize=pad, crop or stretch."
        )
    grouped = videos and len(files) >= FEWEST_GROUPS
    names, labels = [file.name for file in files], _labels(files, parted, options)
    return Joined(name, sources, names, labels, grouped=grouped, prefixed=videos)


def _chosen(tree: Tree, options: DataOptions) -> tuple[Array, tuple[str, ...]]:
    """The rows of the files to join, and a note on the others; beside pictures, only arrays in the folder itself."""
    found, table = _by_ending(tree), tree.table()
    pictures = any(ending in EXTENSIONS for ending in found)
    for kind in KINDS:
        rows = np.sort(np.concatenate([found.get(ending, np.zeros(0, np.int64)) for ending in kind]))
        if pictures:
            above = np.array([folder == "" and kind[0] in LAZY for folder in table.folders], bool)
            rows = rows[above[table.folder_of[rows]]]
        if not len(rows):
            continue
        if (kind[0] in RECORDED and options.window is None) or (kind[0] == ".npy" and options.labels is not None):
            continue
        left = len(tree) - len(rows)
        files = "file is" if left == 1 else "files are"
        return rows, (f"{left:,} other {files} left out beside those of {kind[0]}.",) if left else ()
    return np.zeros(0, np.int64), ()


def _by_ending(tree: Tree) -> dict[str, Array]:
    """The rows of the files of each extension, that of a compression left out."""
    table, found = tree.table(), dict[str, Array]()
    for number, ending in enumerate(table.endings):
        rows = np.flatnonzero(table.ending_of == number)
        endings = np.full(len(rows), ending)
        if ending in COMPRESSED:
            endings = np.array([PurePosixPath(plain_name(name)).suffix.lower() for name in tree.names(rows)])
        for own in np.unique(endings).tolist():
            found[own] = np.concatenate([found.get(own, np.zeros(0, np.int64)), rows[endings == own]])
    return found


def _parts(files: Sequence[File]) -> list[str]:
    """The split of each file, if all lie in folders named after splits and some are for training; else ``train``."""
    parts = [PARTS.get(file.name.partition("/")[0].lower(), "") if "/" in file.name else "" for file in files]
    return parts if "" not in parts and "train" in parts else ["train"] * len(files)


def _read(file: File, options: DataOptions, known: Schema | None, *, training: bool) -> Dataset:
    """One of the files; an array or a Parquet file is not read into memory yet."""
    path = file.path
    if file.name.lower().endswith(LAZY) and path is not None:
        source: Source
        if file.suffix == ".npy":
            refuse_labels(file.name, options, known)
            source = NumpyFile(path, recording=options.window is not None)
        else:
            known = known or schema_of_parquet(path, options)
            source = ParquetFile(path, known, options.missing, training=training)
        return Dataset(file.name, source, provenance=Provenance(str(path), source.files()), schema=known)
    kind = format_of(file.name)
    assert kind is not None
    return kind.read(plain(file), options, known)


def _labels(files: Sequence[File], parted: bool, options: DataOptions) -> tuple[str, ...]:
    """The folder of each file that is its label; none if some lie in no such folder, or another label is wanted."""
    level = options.label_level + parted
    folders = [file.name.split("/")[:-1] for file in files]
    if options.label_level == 0 or options.labels is not None or any(len(folder) < level for folder in folders):
        return ()
    return tuple(folder[level - 1] for folder in folders)

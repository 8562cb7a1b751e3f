"""Readers of archives and remote folders: one file of data, parts by name, or pictures."""

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import EXTENSIONS
from isthmus.data.readers.arrays import dataset_of_idx
from isthmus.data.readers.folders import image_tree
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.readers.known import format_of, is_archive, known_words
from isthmus.data.readers.shards import PARTS, read_shards
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source, sampled_file
from isthmus.data.storage.archives import ArchiveTree
from isthmus.data.storage.base import File, Tree, plain_name
from isthmus.data.storage.compressed import in_one_piece, plain, start_of
from isthmus.data.storage.names import is_about
from isthmus.data.storage.tar import START, TarTree
from isthmus.data.storage.zip import MARKS, ZipTree
from isthmus.data.tables.names import quote_names
from isthmus.data.tables.schema import Schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

MNIST = {"train-images-idx3-ubyte": "train", "t10k-images-idx3-ubyte": "test"}
WORKBOOK = "[Content_Types].xml"
LISTED = 5


def tree_of(file: File, known: Format | None) -> ArchiveTree | None:
    """The files in an archive, or ``None`` for another file.

    Formats that are zip archives themselves, such as ``.npz``, are other files.
    """
    name, head = plain_name(file.name).lower(), start_of(file, START + 5)
    if name.endswith(".tar") or (known is None and head[START:] == b"ustar"):
        return TarTree(file)
    # a table that was zipped but kept its name
    zipped_table = head.startswith(MARKS) and (known is None or known.name == "CSV")
    if zipped_table or (name.endswith(".zip") and not _is_own_zip(name, known)):
        return ZipTree(file)
    return None


def read_tree(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set in an archive or remote folder: the file that ``data.key`` names, the only one, parts, or pictures.

    Raises:
        BadData: it holds no data, or several files of which none is named.
    """
    found = _read(tree, options, schema)
    path = tree.archive.path if isinstance(tree, ArchiveTree) else None
    record = sampled_file(path) if found.streamed and path is not None else tree.record()
    return replace(found, name=tree.name, provenance=Provenance(tree.origin, (record,)))


def data_file(file: File, options: DataOptions) -> File | None:
    """What is read as the only file of data: the file itself, decompressed, or one of an archive; else ``None``.

    Raises:
        BadData: it is damaged, or expands like a decompression bomb.
    """
    file = plain(file)
    tree = tree_of(file, format_of(file.name))
    if tree is None:
        return file
    names = _all_names(tree)
    _check_workbook(tree, names)
    row = (_chosen(tree, names, options.key) or (None,))[0] if options.key is not None else _only(tree, names)
    return None if row is None or is_archive(names[row]) else in_one_piece(plain(tree.file(row)))


def _read(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset:
    names = _all_names(tree)
    if options.key is not None and (chosen := _chosen(tree, names, options.key)) is not None:
        row, rest = chosen
        return _read_member(tree, row, options.model_copy(update={"key": rest or None}), schema)
    known = format_of("x.xlsx")
    if WORKBOOK in names and known is not None and isinstance(tree, ArchiveTree):
        return known.read(tree.archive, options, schema)
    _check_workbook(tree, names)
    data = _data_rows(names)
    pictures = [row for row, name in enumerate(names) if name.lower().endswith(EXTENSIONS)]
    if len(pictures) == 1 and not data:
        return _read_member(tree, pictures[0], options, schema)
    if len(pictures) > 1:
        return _noted(image_tree(tree, options, schema), [names[row] for row in data])
    only = _only(tree, names)
    if only is not None:
        return _read_member(tree, only, options, schema)
    parts = _parts([names[row] for row in data], data)
    if parts:
        return _read_parts(tree, parts, options, schema)
    shards = None if options.window is None else read_shards(tree, options, schema)
    if shards is not None:
        return shards
    raise BadData(_several(tree, [names[row] for row in data], names))


def _all_names(tree: Tree) -> list[str]:
    return tree.names(np.arange(len(tree)))


def _only(tree: Tree, names: list[str]) -> int | None:
    """The row of the only file of data; if there is but one file, its format may be that of the archive's name."""
    data = _data_rows(names)
    if len(names) == 1 and not data and _format_in(tree, names[0]) is not None:
        return 0
    return data[0] if len(data) == 1 else None


def _format_in(tree: Tree, name: str) -> Format | None:
    """The format of a file of an archive: by its name, else by that of the archive, such as ``a.csv.zip``."""
    return format_of(name) or format_of(_without_zip(tree.name))


def _read_member(tree: Tree, row: int, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set in a file of an archive, which may be compressed itself."""
    file = in_one_piece(plain(tree.file(row)))
    if is_archive(file.name):
        return _read_nested(tree, file, options, schema)
    known = _format_in(tree, file.name)
    if known is None:
        raise BadData(f"{file.name!r} in {tree.name!r} has an unsupported extension. {known_words()}.")
    if not known.matches(file.name):
        file.ending = PurePosixPath(_without_zip(tree.name)).suffix
    return known.read(file, options, schema)


def _read_nested(tree: Tree, file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set in an archive in an archive.

    Raises:
        BadData: that archive is itself in another one.
    """
    inner = tree_of(file, None)
    if inner is None or tree.nested:
        why = "is none" if inner is None else "is in an archive in an archive, deeper than is read"
        raise BadData(f"The archive {file.name!r} in {tree.name!r} {why}. Extract it first.")
    inner.nested = True
    return _read(inner, options, schema)


def _without_zip(name: str) -> str:
    return name.lower().removesuffix(".zip")


def _is_own_zip(name: str, known: Format | None) -> bool:
    """Whether a format is a zip archive by its extension, such as ``.zarr.zip``."""
    return known is not None and name.endswith(tuple(ending for ending in known.endings if ending.endswith(".zip")))


def _data_rows(names: list[str]) -> list[int]:
    """The files that are read as data; a ``.json`` file beside others says something about them."""
    data = [row for row, name in enumerate(names) if _is_data(name)]
    others = [row for row in data if not plain_name(names[row]).lower().endswith(".json")]
    return others or data


def _is_data(name: str) -> bool:
    """Whether a file is read as data: by its extension, and neither a picture nor one such as README.txt."""
    if name.lower().endswith(EXTENSIONS):
        return False
    return (format_of(name) is not None or is_archive(name)) and not is_about(name)


def _chosen(tree: Tree, names: list[str], key: str) -> tuple[int, str] | None:
    """The row of the file that a key names, and the key of an array in it, if one follows after a ``/``."""
    for row, name in enumerate(names):
        for path in (name, f"{tree.common}{name}"):
            if key == path or key.startswith(f"{path}/"):
                return row, key[len(path) + 1 :]
    return None


def _noted(found: Dataset, others: list[str]) -> Dataset:
    """A data set of pictures, with a note of the files of data beside them."""
    if not others:
        return found
    note = f"The pictures are read, not {quote_names(others[:LISTED])} (data.key={others[0]} reads that instead)."
    return replace(found, notes=(*found.notes, note))


def _several(tree: Tree, data: list[str], names: list[str]) -> str:
    """The message for an archive without data, or with several files of data."""
    if not data:
        held = f"holds no file of a known format, but {quote_names(names[:LISTED])}" if names else "is empty"
        return f"{tree.name!r} {held}. {known_words()}."
    more = f" and {len(data) - LISTED:,} more" if len(data) > LISTED else ""
    example = next((name for name in data if "train" in name.lower()), data[0])
    return (
        f"{tree.name!r} holds {len(data)} files of data: {quote_names(data[:LISTED])}{more}. Set data.key to one of "
        f"them, such as data.key={example}."
    )


def _check_workbook(tree: Tree, names: list[str]) -> None:
    """Refuse a workbook of Excel, which is a zip archive too.

    Raises:
        BadData: it is one.
    """
    if WORKBOOK in names:
        raise BadData(f"{tree.name!r} is a workbook of Excel. Give it the extension .xlsx, or save it as a .csv file.")


def _parts(names: list[str], rows: list[int]) -> dict[str, int]:
    """The files that are parts of a data set by row, if all of them are and one is the training set."""
    parts: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        base = PurePosixPath(plain_name(name)).name.lower()
        part = MNIST.get(base) or PARTS.get(PurePosixPath(base).stem)
        if part is not None and part not in parts:
            parts[part] = row
        elif "-labels-idx1-" not in base:
            return {}
    return parts if "train" in parts else {}


def _read_parts(tree: Tree, parts: dict[str, int], options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of one file per part."""
    files = {part: tree.file(row) for part, row in parts.items()}
    if all("-images-idx3-" in file.name for file in files.values()):
        refuse_labels(tree.name, options, schema)
        return dataset_of_idx({part: plain(file) for part, file in files.items()}, tree.name, tree.origin, options)
    train = _read_member(tree, parts["train"], options, schema)
    others = {
        part: _read_member(tree, row, options, schema or train.schema) for part, row in parts.items() if part != "train"
    }
    names = tuple(sorted({name for found in (train, *others.values()) for name in found.label_names}))
    sources = {part: _with_labels(found.train, found.label_names, names) for part, found in others.items()}
    listed = quote_names([files[part].name for part in others])
    note = f"The validation or test set is {listed} in {tree.name!r} (data.key reads one file only)."
    return replace(
        train,
        train=_with_labels(train.train, train.label_names, names),
        valid=sources.get("valid"),
        test=sources.get("test"),
        label_names=names,
        notes=(*train.notes, note) if others else train.notes,
    )


def _with_labels(source: Source, before: tuple[str, ...], names: tuple[str, ...]) -> Source:
    """Examples whose labels count the names of all parts."""
    if before == names or not isinstance(source, Examples) or source.labels is None or not before:
        return source
    places: Array = np.array([names.index(name) for name in before])
    return replace(source, labels=places[source.labels])

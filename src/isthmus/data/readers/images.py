"""Readers of folders and archives of pictures: which files are pictures, training and test sets, labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import ENDINGS, EXTENSIONS, common_format, format_notes, read_header
from isthmus.data.memory import is_streamed, memorized
from isthmus.data.readers.known import advice_on, format_of, is_archive
from isthmus.data.readers.picture_pairs import pair_of, read_picture_pairs
from isthmus.data.readers.pictures import SINGLE
from isthmus.data.sources.base import Source
from isthmus.data.sources.image_folder import ImageFolder, Looked, evenly
from isthmus.data.storage.base import Tree
from isthmus.data.storage.names import is_about, natural
from isthmus.errors import BadData, one_line
from isthmus.options import DataOptions

LOOKED_AT = 1000
"""Headers that are read at first, spread evenly over the folder."""
TRIED = 3
"""Files of each unknown extension whose first bytes are tried, spread evenly."""
LISTED = 6
"""Extensions and folders that a sentence names."""
ONE_PAGE = frozenset(ending for name in SINGLE for ending in ENDINGS[name])
"""Extensions of formats with one page, which need not be opened to count pages."""
PARTS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}
"""Names of the folders of a training, a validation and a test set, in lower case."""
SETS = {"train": "training", "valid": "validation", "test": "test"}
WORDS = re.compile(r"[^\W\d_]+")
"""Words of the name of a folder: ``seg`` and ``train`` of seg_train, ``train`` of train2017."""
MASKS = frozenset({"mask", "masks", "groundtruth", "annotation", "annotations", "segmentation", "segmentations"})
"""Words of the names of folders of masks."""
PURPOSES = {"train": "training", "valid": "validation", "test": "testing"}


@dataclass
class _Found:
    """The pictures of a tree.

    Attributes:
        tree: the files.
        rows: rows of the pictures.
        folders: the folders of the tree, each as a list of names from the top.
        notes: what was guessed.
    """

    tree: Tree
    rows: Array
    folders: list[list[str]]
    notes: list[str]

    def used(self, rows: Array) -> list[int]:
        """Numbers of the folders of some pictures."""
        numbers: list[int] = np.unique(self.tree.table().folder_of[rows]).tolist()
        return numbers

    def in_folders(self, numbers: Sequence[int]) -> Array:
        """Rows of the pictures in some folders."""
        chosen = np.zeros(len(self.folders), bool)
        chosen[list(numbers)] = True
        rows: Array = self.rows[chosen[self.tree.table().folder_of[self.rows]]]
        return rows


def read_image_tree(tree: Tree, options: DataOptions, name: str, provenance: Provenance | None = None) -> Dataset:
    """The data set of the pictures in a folder or an archive, in any depth.

    Folders ``train``, ``valid`` and ``test`` are its sets, and the folder below them is the label.

    Args:
        tree: the files.
        options: options of the data.
        name: path or address, for the provenance.
        provenance: that of the archive; otherwise the pictures are recorded.

    Raises:
        BadData: no picture, or pictures that cannot be brought to one format.
    """
    found = _pictures(tree)
    tops = {"".join(found.folders[number][:1]) for number in found.used(found.rows)}
    if (pair := pair_of(tops)) is not None:
        return read_picture_pairs(tree, found.rows, pair, options, name, provenance)
    parts, depth = _parts(found)
    labels, label_names = _labels(found, parts, depth, options)
    rows = np.concatenate(list(parts.values()))
    found.notes += _masks(found, rows)
    looked, pages = _looked(found, rows, options)
    wanted = common_format(looked.headers, options, f"{tree.name!r}")
    found.notes += format_notes(looked.headers, wanted)
    sources: dict[str, Source] = {}
    start = 0
    for part, own in parts.items():
        known = labels.get(part)
        count = None if pages is None else pages[start : start + len(own)]
        title = tree.name if len(parts) == 1 else f"{tree.name} ({SETS[part]} set)"
        sources[part] = ImageFolder(tree, wanted, own, known, count, title)
        start += len(own)
    total = sum(map(len, sources.values())) * int(np.prod(wanted.shape, dtype=np.int64))
    streamed = is_streamed(total, options)
    if provenance is None:
        folders = [source for source in sources.values() if isinstance(source, ImageFolder)]
        records = [source.files()[0] if streamed else source.whole_record() for source in folders]
        provenance = Provenance(name, tuple(records))
    if not streamed:
        sources = {part: memorized(source) for part, source in sources.items()}
    return Dataset(
        tree.name,
        sources["train"],
        sources.get("valid"),
        sources.get("test"),
        label_names=label_names,
        provenance=provenance,
        notes=tuple(found.notes),
        streamed=streamed,
    )


def _pictures(tree: Tree) -> _Found:
    """The pictures of a tree: files of a known extension, or else those whose first bytes are a picture's.

    Raises:
        BadData: there is none.
    """
    table, notes, about = tree.table(), list[str](), 0
    known = np.array([ending in EXTENSIONS for ending in table.endings], bool)
    if not known.any():
        known = np.array([_is_tried(tree, number) for number in range(len(table.endings))], bool)
        if known.any():
            kinds = [table.endings[number] or "no extension" for number in np.flatnonzero(known)[:LISTED]]
            notes.append(f"Files of {_listed(kinds)} are pictures by their first bytes (rename them if not).")
    rows = np.flatnonzero(known[table.ending_of])
    if notes:
        kept = [not is_about(name) for name in tree.names(rows)]
        rows, about = rows[kept], len(rows) - sum(kept)
    counts = dict(zip(table.endings, np.bincount(table.ending_of, minlength=len(known)).tolist(), strict=True))
    others = {ending: counts[ending] for ending, taken in zip(table.endings, known, strict=True) if not taken}
    others |= {"": about} if about else {}
    if not known.any():
        raise BadData(_no_picture(tree, others))
    if others:
        notes.append(f"Left out: {files_in_words(others)} beside the pictures.")
    return _Found(tree, rows, [folder.split("/") if folder else [] for folder in table.folders], notes)


def _no_picture(tree: Tree, others: dict[str, int]) -> str:
    """The message for files of which none is a picture that is read."""
    held = f"{files_in_words(others)}, but no picture" if others else "no file"
    names = tree.names(np.arange(min(len(tree), LOOKED_AT)))
    data = next((name for name in names if format_of(name) or is_archive(name)), "")
    advice = next(filter(None, map(advice_on, names)), "")
    return (
        f"{tree.name!r} holds {held}; known are {', '.join(EXTENSIONS)}. Pass a folder or an archive of these"
        + (f", or one of its files, such as {data!r}." if data else ", or of MNIST-type IDX files.")
        + (" Archives in a folder are not read together: extract them first." if is_archive(data) else "")
        + (f" Each file that is not read: {advice[0].lower()}{advice[1:]}" if advice else "")
    )


def _is_tried(tree: Tree, number: int) -> bool:
    """Whether one of the first files of an extension is a picture."""
    rows = np.flatnonzero(tree.table().ending_of == number)
    for row in rows[evenly(len(rows), TRIED)].tolist():
        try:
            with tree.open(row) as stream:
                read_header(stream, tree.name)
        except BadData:
            continue
        return True
    return False


def files_in_words(counts: dict[str, int]) -> str:
    """Numbers of files by extension.

    >>> files_in_words({".txt": 3, ".mp3": 12, "": 1})
    '12 .mp3, 3 .txt and 1 other files'
    """
    named = sorted((ending for ending in counts if ending), key=lambda ending: (-counts[ending], ending))[:LISTED]
    rest = sum(counts.values()) - sum(counts[ending] for ending in named)
    words = [f"{counts[ending]:,} {ending}" for ending in named] + ([f"{rest:,} other"] if rest else [])
    return f"{_listed(words)} file{'s' * (sum(counts.values()) != 1)}" if words else ""


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _parts(found: _Found) -> tuple[dict[str, Array], int]:
    """The pictures of each set, and how deep below the top the labels are.

    A single folder that holds everything is looked through. ``train`` alone beside other folders is a label.
    """
    used, depth = found.used(found.rows), 0
    while True:
        tops: dict[str, list[int]] = {}
        for number in used:
            tops.setdefault("/".join(found.folders[number][depth : depth + 1]), []).append(number)
        parts = _sets_of(list(tops))
        if "train" in parts and (len(parts) > 1 or len(tops) == len(parts["train"])):
            break
        if len(tops) > 1 or "" in tops:
            if "train" in parts:
                found.notes.append("The folder 'train' is a label, as there is no folder 'valid' or 'test' beside it.")
            return {"train": found.rows}, 0
        depth += 1
    sets = {part: found.in_folders([number for top in own for number in tops[top]]) for part, own in parts.items()}
    outside = len(found.rows) - sum(map(len, sets.values()))
    titles = _listed([repr(top) for own in parts.values() for top in own])
    if len(parts) > 1:
        found.notes.append(f"The folders {titles} are the sets for {_listed([PURPOSES[part] for part in parts])}.")
    if outside:
        found.notes.append(f"{outside:,} pictures outside of the folders {titles} are left out.")
    return sets, depth + 1


def _sets_of(tops: Sequence[str]) -> dict[str, list[str]]:
    """The folders of each set: by their whole name, else by a word of it beside which all have the same words.

    >>> _sets_of(["train", "train station", "Test"]), _sets_of(["seg_test", "seg_train", "seg_pred"])
    ({'train': ['train'], 'test': ['Test']}, {'train': ['seg_train'], 'test': ['seg_test']})
    """
    exact = {part: [top for top in tops if top.casefold() in names] for part, names in PARTS.items()}
    exact = {part: own for part, own in exact.items() if own}
    if "train" in exact and len(exact) > 1:
        return exact
    worded: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for top in tops:
        words = WORDS.findall(top.casefold())
        for part, names in PARTS.items():
            rest = tuple(word for word in words if word not in names)
            if len(rest) == len(words) - 1:
                worded.setdefault(rest, {}).setdefault(part, []).append(top)
    whole = [parts for parts in worded.values() if "train" in parts and len(parts) > 1]
    if len(whole) != 1:
        return exact
    return {part: whole[0][part] for part in PARTS if part in whole[0]}


def _masks(found: _Found, rows: Array) -> list[str]:
    """A note if some pictures are probably masks of the others, by the words of their folders."""
    used = ["/".join(found.folders[number]) for number in found.used(rows)]
    masks = [folder for folder in used if not MASKS.isdisjoint(WORDS.findall(folder.casefold()))]
    if not masks or len(masks) == len(used):
        return []
    named = _listed([repr(folder) for folder in sorted(masks, key=natural)[:LISTED]])
    return [
        f"The pictures in {named} are examples too, though they may be masks; pass the folder of the others to leave "
        "them out."
    ]


def _labels(
    found: _Found, parts: dict[str, Array], depth: int, options: DataOptions
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The number of the label of each folder, for every set whose pictures all have one; and the names of the labels.

    If the first folder is the same for all pictures, the one below it is the label.
    """
    if options.label_level == 0:
        return {}, ()
    used = {part: found.used(rows) for part, rows in parts.items()}
    level = _level(found, used["train"], depth, options)
    named: dict[str, dict[int, str]] = {}
    for part, numbers in used.items():
        own = {n: found.folders[n][depth + level - 1] for n in numbers if len(found.folders[n]) >= depth + level}
        if len(own) == len(numbers):
            named[part] = own
        elif own or options.label_level > 1:
            without = len(parts[part]) - int(np.isin(found.tree.table().folder_of[parts[part]], list(own)).sum())
            found.notes.append(
                f"There are no labels, because {without:,} of {len(parts[part]):,} pictures are not in a folder at "
                f"level {level} (data.label_level)."
            )
    _without_strange(found, named)
    names = sorted({name for own in named.values() for name in own.values()}, key=natural)
    order = {name: number for number, name in enumerate(names)}
    labels = {}
    for part, own in named.items():
        labels[part] = np.full(len(found.folders), -1, np.int32)
        labels[part][list(own)] = [order[name] for name in own.values()]
    return labels, tuple(names)


def _without_strange(found: _Found, named: dict[str, dict[int, str]]) -> None:
    """Take no labels in a set with one folder that is none of the training set, such as ``test`` in test/test/1.jpg."""
    known = set(named.get("train", {}).values())
    for part, names in [(part, set(own.values())) for part, own in named.items()]:
        if len(known) > 1 and len(names) == 1 and not names & known:
            del named[part]
            found.notes.append(
                f"The {SETS[part]} set has no labels, as its only folder {names.pop()!r} is not a label in training."
            )


def _level(found: _Found, used: Sequence[int], depth: int, options: DataOptions) -> int:
    """Which folder below the set is the label."""
    level = options.label_level
    folders = [found.folders[number][depth:] for number in used]
    if level > 1:
        return level
    while all(len(folder) > level for folder in folders):
        if len({folder[level - 1] for folder in folders}) > 1:
            break
        level += 1
    if len({folder[level - 1] for folder in folders if len(folder) >= level}) < 2:
        return 1
    if level > 1:
        found.notes.append(
            f"All pictures are in {'/'.join(folders[0][: level - 1])!r}, so that the folders below it are the labels "
            "(data.label_level=0 takes none)."
        )
    return level


def _looked(found: _Found, rows: Array, options: DataOptions) -> tuple[Looked, Array | None]:
    """The headers of some pictures; and the number of pages of each, if all pages are examples.

    Raises:
        BadData: none of them can be read.
    """
    tree, pages = found.tree, None
    if options.pages == "all":
        looked, pages = _with_all_pages(tree, rows)
    else:
        looked = Looked(tree, rows[evenly(len(rows), LOOKED_AT)], stacked=options.pages == "channels")
    if options.pages == "auto" and bool((looked.pages > 1).any()):
        if options.window is None:
            found.notes.append(
                "Of files with several pages the first page is taken (data.pages=all takes all as pictures, "
                "data.pages=channels as channels)."
            )
        else:
            # the first pages of several files do not follow each other in time
            looked, pages = _with_all_pages(tree, rows)
            found.notes.append("All pages of each file are taken, as frames (data.pages=first takes the first).")
    if not looked.headers:
        raise BadData(
            f"None of the pictures tried in {tree.name!r} can be read; the first: {one_line(looked.faults[0])}. "
            "Check the files."
        )
    return looked, pages


def _with_all_pages(tree: Tree, rows: Array) -> tuple[Looked, Array]:
    """The headers of all pages of pictures that may have several, and of some others; and the number of pages."""
    table = tree.table()
    several = np.array([ending not in ONE_PAGE for ending in table.endings], bool)[table.ending_of[rows]]
    looked = Looked(tree, rows[several], whole=True)
    pages = np.ones(len(rows), np.int64)
    pages[several] = looked.pages
    rest = rows[~several]
    more = Looked(tree, rest[evenly(len(rest), LOOKED_AT)])
    looked.headers += more.headers
    looked.faults += more.faults
    return looked, pages

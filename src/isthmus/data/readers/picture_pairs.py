"""Pairs of pictures in two folders beside each other: the noisy ones and the clean ones, under the same names."""

from dataclasses import replace

import numpy as np

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import common_format
from isthmus.data.memory import memorized
from isthmus.data.objects import PAIR_KEYS
from isthmus.data.sources.image_folder import ImageFolder, Looked
from isthmus.data.storage.base import Tree
from isthmus.errors import BadData
from isthmus.options import DataOptions

LISTED = 3
"""Pictures without a partner that a message lists."""


def pair_of(tops: set[str]) -> tuple[str, str] | None:
    """The folders of inputs and of targets, if these are the only ones.

    >>> pair_of({"Noisy", "clean"}), pair_of({"noisy", "clean", "other"})
    (('Noisy', 'clean'), None)
    """
    by_name = {top.casefold(): top for top in tops}
    found = [(by_name[a], by_name[b]) for a, b in PAIR_KEYS if set(by_name) == {a, b}]
    return found[0] if found else None


def read_picture_pairs(
    tree: Tree, rows: Array, pair: tuple[str, str], options: DataOptions, name: str, provenance: Provenance | None
) -> Dataset:
    """The data set of pairs: the encoder sees the pictures of the first folder, those of the second are the targets.

    Raises:
        BadData: a picture without a partner, or pictures that cannot be brought to one format.
    """
    noisy, clean = _matched(tree, rows, pair)
    looked = Looked(tree, np.concatenate([noisy, clean]))
    if not looked.headers:
        raise looked.faults[0]
    wanted = common_format(looked.headers, options, f"{tree.name!r}")
    sources = [
        ImageFolder(tree, wanted, own, name=f"{tree.name}/{top}") for top, own in zip(pair, (noisy, clean), strict=True)
    ]
    inputs, targets = (memorized(source) for source in sources)
    if inputs.faults or targets.faults:
        bad = next(source for source in (inputs, targets) if source.faults)
        row, why = next(iter(bad.faults.items()))
        raise BadData(f"{bad.locate(row)}: {why}. A pair needs both of its pictures: repair the file, or remove both.")
    if provenance is None:
        provenance = Provenance(name, tuple(source.whole_record() for source in sources))
    note = f"Each picture in {pair[0]!r} is the input for the one of the same name in {pair[1]!r}."
    return Dataset(tree.name, replace(targets, noisy=inputs.x), provenance=provenance, notes=(note,))


def _matched(tree: Tree, rows: Array, pair: tuple[str, str]) -> tuple[Array, Array]:
    """Rows of the pictures of both folders, in the order of their names without extension."""
    found: list[dict[str, int]] = [{}, {}]
    for row, path in zip(rows.tolist(), tree.names(rows), strict=True):
        top, _, rest = path.partition("/")
        found[pair.index(top)][rest.rpartition(".")[0]] = row
    alone = sorted(set(found[0]) ^ set(found[1]))
    if alone:
        named = ", ".join(map(repr, alone[:LISTED])) + (", ..." if len(alone) > LISTED else "")
        raise BadData(
            f"{tree.name!r} has pairs in {pair[0]!r} and {pair[1]!r}, but without a partner: "
            f"{named}. Give both pictures of a pair the same name, or remove these."
        )
    order = sorted(found[0])
    return np.array([found[0][key] for key in order]), np.array([found[1][key] for key in order])

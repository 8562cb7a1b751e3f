"""The named data sets: description, files, terms and credit of each.

Files are searched in ``$ISTHMUS_DATA/<folder>``, then in the cache, then downloaded if the terms allow it. Any other
name is a path.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from isthmus.data.base import Provenance, SourceFile
from isthmus.data.catalogue import loaders, mnist_variations
from isthmus.data.catalogue.checksums import CHECKSUMS
from isthmus.data.catalogue.download import address, fetch
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import source_file
from isthmus.data.memory import refuse_streaming
from isthmus.data.readers.paths import read_path
from isthmus.data.sources.arrays import Examples
from isthmus.errors import BadData, UnknownName, unknown
from isthmus.files.cache import cache_folder
from isthmus.options import DataOptions

Loader = Callable[[Path, DataOptions, int], Dataset]
ENCODER = "encoder:<N>"


@dataclass(frozen=True)
class NamedDataset:
    """A named data set: description, terms, credit, loader, the files in its folder, and labels to choose from."""

    summary: str
    shape: str
    sizes: str
    terms: str
    credit: str
    loader: Loader
    folder: str = ""
    files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def _all(folder: str) -> tuple[str, ...]:
    return tuple(CHECKSUMS[folder])


LAROCHELLE = "after Larochelle, Erhan, Courville, Bergstra and Bengio (ICML 2007)"


def _variation(summary: str, make: loaders.Variation) -> NamedDataset:
    return NamedDataset(
        summary,
        "28x28",
        "10,000 + 2,000 validation + 50,000 test",
        "derived from MNIST (CC BY-SA 3.0)",
        f"Yann LeCun and Corinna Cortes; {LAROCHELLE}",
        partial(loaders.mnist_variation, make),
        "mnist",
        _all("mnist"),
    )


ANOMALIES = {
    "4_breastw.npz": (683, 9, 239),
    "6_cardio.npz": (1831, 21, 176),
    "18_Ionosphere.npz": (351, 32, 126),
    "23_mammography.npz": (11183, 6, 260),
    "24_mnist.npz": (7603, 100, 700),
    "28_pendigits.npz": (6870, 16, 156),
    "30_satellite.npz": (6435, 36, 2036),
    "31_satimage-2.npz": (5803, 36, 71),
    "32_shuttle.npz": (49097, 9, 3511),
    "38_thyroid.npz": (3772, 6, 93),
}
"""Files of ADBench with their numbers of rows, columns and anomalies."""


def _anomalies(file: str) -> NamedDataset:
    rows, columns, anomalies = ANOMALIES[file]
    return NamedDataset(
        "table with known anomalies",
        str(columns),
        f"{rows:,} ({anomalies:,} anomalies)",
        "BSD-2-Clause (ADBench); the sets come from UCI (CC BY 4.0), ODDS and DAMI",
        "ADBench (Han et al., NeurIPS 2022) and the original set",
        partial(loaders.adbench, file),
        "adbench",
        (file,),
    )


CATALOGUE: dict[str, NamedDataset] = {
    "digits": NamedDataset(
        "handwritten digits, bundled with scikit-learn",
        "8x8",
        "1,797",
        "CC BY 4.0 (UCI)",
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998)",
        loaders.digits,
    ),
    "mnist": NamedDataset(
        "handwritten digits",
        "28x28",
        "60,000 + 10,000 test",
        "CC BY-SA 3.0",
        "Yann LeCun and Corinna Cortes; derived from NIST data",
        loaders.mnist,
        "mnist",
        _all("mnist"),
    ),
    "mnist_basic": _variation("MNIST digits with a small training set", mnist_variations.kept),
    "mnist_rot": _variation("digits rotated by random angles", mnist_variations.rotated),
    "mnist_bg_rand": _variation("digits on a background of uniform noise", mnist_variations.before_noise),
    "fashion_mnist": NamedDataset(
        "images of clothes",
        "28x28",
        "60,000 + 10,000 test",
        "MIT",
        "Zalando SE",
        loaders.fashion_mnist,
        "fashion_mnist",
        _all("fashion_mnist"),
    ),
    "binarized_mnist": NamedDataset(
        "a fixed binary sample of MNIST",
        "28x28",
        "50,000 + 10,000 validation + 10,000 test",
        "derived from MNIST (CC BY-SA 3.0)",
        "Hugo Larochelle; Yann LeCun and Corinna Cortes",
        loaders.binarized_mnist,
        "binarized_mnist",
        _all("binarized_mnist"),
    ),
    "olivetti": NamedDataset(
        "faces of 40 persons, ten each",
        "64x64",
        "400",
        "free for research, with credit",
        "AT&T Laboratories Cambridge",
        loaders.olivetti,
        "olivetti",
        _all("olivetti"),
    ),
    "olivetti_patches": NamedDataset(
        "faces rotated, scaled, cropped and standardized; splits by person",
        "25x25",
        "103,500 + 20,700 validation + 41,400 test",
        "free for research, with credit",
        "AT&T Laboratories Cambridge; after Hinton and Salakhutdinov, Science 313 (2006)",
        loaders.olivetti_patches,
        "olivetti",
        _all("olivetti"),
    ),
    "cmu_faces": NamedDataset(
        "20 persons with known pose, expression and eyes",
        "120x128",
        "624",
        "CC BY 4.0 (UCI); free of charge for education, with credit",
        "Tom Mitchell, CMU Face Images (UCI, 1999)",
        loaders.cmu_faces,
        "cmu_faces",
        _all("cmu_faces"),
        labels=("person", "pose", "expression", "eyes"),
    ),
    "coil20": NamedDataset(
        "20 objects seen from 72 angles",
        "32x32",
        "1,440",
        "research use only",
        "Nene, Nayar, Murase: COIL-20, CUCS-005-96 (Columbia University, 1996)",
        loaders.coil20,
        "coil20",
        _all("coil20"),
    ),
    "kodak": NamedDataset(
        "random patches of 24 photographs",
        "patch x patch x 3",
        "24 x patches",
        "unrestricted use",
        "Eastman Kodak",
        loaders.kodak,
        "kodak",
        _all("kodak"),
    ),
    "bsds500": NamedDataset(
        "random patches of the Berkeley images",
        "patch x patch x 3",
        "200 x patches + 100 x patches test",
        "non-commercial research and education only",
        "Arbelaez et al. (PAMI 2011); Martin et al. (ICCV 2001)",
        loaders.bsds500,
        "bsds500",
        _all("bsds500"),
    ),
    **{f"adbench/{file[:-4].split('_', 1)[1].lower()}": _anomalies(file) for file in ANOMALIES},
    "curves": NamedDataset(
        "smooth curves through three random points",
        "28x28",
        "20,000 + 10,000 test",
        "none: generated",
        "after Hinton and Salakhutdinov, Science 313 (2006)",
        loaders.curves,
    ),
    "movers": NamedDataset(
        "frames of 192 sequences of three squares and an arm that move over a table, with known positions",
        "60x60x3",
        "3,200 + 640 test frames",
        "none: generated",
        "after the tasks of Finn et al. (2016)",
        loaders.movers,
    ),
    "glyphs": NamedDataset(
        "digits and capital letters in 21 faces, rotated, slanted, scaled and thickened; other faces in the test set",
        "28x28",
        "20,000 + 2,000 test",
        "none: generated from the fonts of matplotlib (DejaVu: Bitstream Vera license; STIX: SIL Open Font License; "
        "Computer Modern: BaKoMa Fonts Licence)",
        "Bitstream and the DejaVu project; the STI Pub Companies; Donald Knuth, Basil Malyshev (BaKoMa)",
        loaders.glyphs,
    ),
    "rectangles": NamedDataset(
        "outlines of rectangles, tall or wide",
        "28x28",
        "1,000 + 200 validation + 50,000 test",
        "none: generated",
        LAROCHELLE,
        loaders.rectangles,
    ),
    "convex": NamedDataset(
        "white regions, convex or not",
        "28x28",
        "6,500 + 1,500 validation + 50,000 test",
        "none: generated",
        LAROCHELLE,
        loaders.convex,
    ),
    ENCODER: NamedDataset(
        "one-hot rows, the N-log2(N)-N problem",
        "N",
        "N, the same in all splits",
        "none: generated",
        "Rumelhart, Hinton, Williams (1986)",
        partial(loaders.encoder, 8),
    ),
}


def load_dataset(name: str | Path, options: DataOptions = DataOptions(), *, seed: int = 0) -> Dataset:  # noqa: B008
    """The data set of a name in the catalogue, or of a path.

    Args:
        name: a name, or a path; a ``Path`` is never a name.
        options: options of the data.
        seed: seed with which the patches of photographs are sampled; no other data depends on it.

    Raises:
        UnknownName: a string without separator or extension that is neither a name nor a path.
        BadData: files that are missing, damaged or altered; the message states which files are needed, and where.
    """
    found = None if isinstance(name, Path) else _entry(name)
    if found is None:
        if isinstance(name, str) and _looks_like_a_name(name) and not Path(name).expanduser().exists():
            raise UnknownName(f"{unknown('data set', name, CATALOGUE)} A path to a file or folder is also allowed.")
        return read_path(name, options)
    key, entry = found
    if options.labels is not None and options.labels not in entry.labels:
        allowed = f"Set one of {', '.join(entry.labels)}." if entry.labels else "Leave it out."
        raise BadData(f"{key!r} is a named data set without labels {options.labels!r} (data.labels). {allowed}")
    refuse_streaming(key, options)
    folder = _located(key, entry) if entry.files else Path()
    records = tuple(_verified(folder / file, entry.folder) for file in entry.files)
    dataset = entry.loader(folder, options, seed)
    provenance = Provenance(str(name), records, entry.terms, entry.credit)
    train, valid, test = (
        replace(s, name=key, file=key) if isinstance(s, Examples) else s
        for s in (dataset.train, dataset.valid, dataset.test)
    )
    assert train is not None
    return replace(dataset, name=key, provenance=provenance, train=train, valid=valid, test=test)


def ensure_available(name: str) -> None:
    """Make sure that the files of a named data set are available; download them if needed and allowed.

    Raises:
        BadData: they are not available; the message states which files are needed, and where.
    """
    found = _entry(name)
    if found is not None and found[1].files:
        _located(*found)


def is_named(name: str) -> bool:
    """Whether ``name`` is in the catalogue; if not, it is a path."""
    return _entry(name) is not None


def _entry(name: str) -> tuple[str, NamedDataset] | None:
    """The canonical name and the entry of a name such as ``adbench/6_cardio`` or ``encoder:8``."""
    if name.startswith("encoder:") and name != ENCODER:
        size = name.removeprefix("encoder:")
        if not (size.isascii() and size.isdigit() and len(size) < 6 and 2 <= int(size) <= 4096):
            raise BadData(
                f"encoder:<N> requires an integer N from 2 to 4096, but has {size!r}. Use one such as encoder:8."
            )
        key = f"encoder:{int(size)}"
        return key, replace(CATALOGUE[ENCODER], loader=partial(loaders.encoder, int(size)))
    if name.startswith("adbench/"):
        word = name.removeprefix("adbench/").lower()
        numbered = {file[:-4].lower(): file for file in ANOMALIES}
        name = f"adbench/{word.split('_', 1)[1] if word in numbered else word}"
    return (name, CATALOGUE[name]) if name in CATALOGUE and name != ENCODER else None


def _looks_like_a_name(name: str) -> bool:
    """Whether a string looks like a name: without separator (except ``adbench/``) and extension."""
    word = name.removeprefix("adbench/")
    return not (set(word) & {"/", os.sep, "~"}) and not Path(word).suffix


def _folders(entry: NamedDataset) -> list[Path]:
    """The folders that are searched for an entry's files, in order."""
    own = os.environ.get("ISTHMUS_DATA")
    first = [Path(own).expanduser() / entry.folder] if own else []
    return [*first, cache_folder() / entry.folder]


def _local_folder(entry: NamedDataset) -> Path | None:
    """The first folder that has all files of an entry."""
    return next((p for p in _folders(entry) if all((p / file).is_file() for file in entry.files)), None)


def _located(key: str, entry: NamedDataset) -> Path:
    """The folder with all files of an entry, downloaded if needed and allowed."""
    folder = _local_folder(entry)
    if folder is not None:
        return folder
    if address(entry.folder) is not None:
        return fetch(entry.folder, entry.files)
    folders = " or ".join(repr(str(folder)) for folder in _folders(entry))
    raise BadData(
        f"The data set {key!r} is not on this machine and cannot be downloaded automatically. Put "
        f"{', '.join(entry.files)} into {folders} (or into the folder {entry.folder!r} of $ISTHMUS_DATA). "
        f"Terms: {entry.terms}; credit: {entry.credit}."
    )


def _verified(path: Path, folder: str) -> SourceFile:
    """The record of a named file, whose SHA-256 must be the known one."""
    record = source_file(path)
    known = CHECKSUMS[folder][path.name]
    if record.sha256 != known:
        raise BadData(
            f"{str(path)!r} is not the known file: its SHA-256 is {record.sha256[:12]}..., not {known[:12]}... "
            "Delete it and get it again, or rename it and pass it as a path."
        )
    return record


@dataclass(frozen=True)
class DatasetSummary:
    """A row of the list of named sets; ``present`` states whether its files are on this machine."""

    name: str
    summary: str
    shape: str
    sizes: str
    terms: str
    credit: str
    present: bool


def rows() -> list[DatasetSummary]:
    """All named sets; no file is read.

    >>> rows()[0].name, rows()[0].present
    ('digits', True)
    """
    return [
        DatasetSummary(name, e.summary, e.shape, e.sizes, e.terms, e.credit, _local_folder(e) is not None)
        for name, e in CATALOGUE.items()
    ]

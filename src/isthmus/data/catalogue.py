"""The named data sets: what each is, where its files are looked for, and under which terms.

Files are looked for in ``$ISTHMUS_DATA/<folder>``, then in the cache, then downloaded where the terms allow it.
A name that is none of them is a path.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from isthmus.data import named, variations
from isthmus.data.arrays import arranged
from isthmus.data.base import Dataset, Examples, Provenance, SourceFile
from isthmus.data.checksums import CHECKSUMS
from isthmus.data.download import address, cache_folder, fetch
from isthmus.data.files import source_file
from isthmus.data.readers import read_path
from isthmus.errors import BadData, UnknownName, unknown
from isthmus.options import DataOptions

Loader = Callable[[Path, DataOptions, int], Dataset]
ENCODER = "encoder:<N>"


@dataclass(frozen=True)
class Entry:
    """A named data set: what it holds in words, its terms and credit, its loader, and its files by folder."""

    summary: str
    shape: str
    sizes: str
    terms: str
    credit: str
    loader: Loader
    folder: str = ""
    files: tuple[str, ...] = ()


def _all(folder: str) -> tuple[str, ...]:
    return tuple(CHECKSUMS[folder])


LAROCHELLE = "after Larochelle, Erhan, Courville, Bergstra and Bengio (ICML 2007)"


def _varied(summary: str, make: named.Variation) -> Entry:
    return Entry(
        summary,
        "28x28",
        "10,000 + 2,000 validation + 50,000 test",
        "derived from MNIST (CC BY-SA 3.0)",
        f"Yann LeCun and Corinna Cortes; {LAROCHELLE}",
        partial(named.mnist_variation, make),
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
"""ADBench's files with their rows, columns and anomalies."""


def _anomalies(file: str) -> Entry:
    rows, columns, odd = ANOMALIES[file]
    return Entry(
        "table with known anomalies",
        str(columns),
        f"{rows:,} ({odd:,} anomalies)",
        "BSD-2-Clause (ADBench); the sets come from UCI (CC BY 4.0), ODDS and DAMI",
        "ADBench (Han et al., NeurIPS 2022) and the original set",
        partial(named.adbench, file),
        "adbench",
        (file,),
    )


CATALOGUE: dict[str, Entry] = {
    "digits": Entry(
        "handwritten digits, bundled with scikit-learn",
        "8x8",
        "1,797",
        "CC BY 4.0 (UCI)",
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998)",
        named.digits,
    ),
    "mnist": Entry(
        "handwritten digits",
        "28x28",
        "60,000 + 10,000 test",
        "CC BY-SA 3.0",
        "Yann LeCun and Corinna Cortes; derived from NIST data",
        named.mnist,
        "mnist",
        _all("mnist"),
    ),
    "mnist_basic": _varied("few of MNIST's digits to train on", variations.kept),
    "mnist_rot": _varied("digits turned by any angle", variations.rotated),
    "mnist_bg_rand": _varied("digits before a background of noise", variations.before_noise),
    "fashion_mnist": Entry(
        "pictures of clothes",
        "28x28",
        "60,000 + 10,000 test",
        "MIT",
        "Zalando SE",
        named.fashion_mnist,
        "fashion_mnist",
        _all("fashion_mnist"),
    ),
    "binarized_mnist": Entry(
        "MNIST as one fixed draw of 0 and 1",
        "28x28",
        "50,000 + 10,000 validation + 10,000 test",
        "derived from MNIST (CC BY-SA 3.0)",
        "Hugo Larochelle; Yann LeCun and Corinna Cortes",
        named.binarized_mnist,
        "binarized_mnist",
        _all("binarized_mnist"),
    ),
    "olivetti": Entry(
        "faces of 40 persons, ten each",
        "64x64",
        "400",
        "free for research, with credit",
        "AT&T Laboratories Cambridge",
        named.olivetti,
        "olivetti",
        _all("olivetti"),
    ),
    "olivetti_patches": Entry(
        "faces turned, scaled, cropped and standardised; each part shows other persons",
        "25x25",
        "103,500 + 20,700 validation + 41,400 test",
        "free for research, with credit",
        "AT&T Laboratories Cambridge; after Hinton and Salakhutdinov, Science 313 (2006)",
        named.olivetti_patches,
        "olivetti",
        _all("olivetti"),
    ),
    "cmu_faces": Entry(
        "20 persons with known pose, expression and eyes",
        "120x128",
        "624",
        "CC BY 4.0 (UCI); free of charge for education, with credit",
        "Tom Mitchell, CMU Face Images (UCI, 1999)",
        named.cmu_faces,
        "cmu_faces",
        _all("cmu_faces"),
    ),
    "coil20": Entry(
        "20 objects seen from 72 angles",
        "32x32",
        "1,440",
        "research use only",
        "Nene, Nayar, Murase: COIL-20, CUCS-005-96 (Columbia University, 1996)",
        named.coil20,
        "coil20",
        _all("coil20"),
    ),
    "kodak": Entry(
        "random patches of 24 photographs",
        "patch x patch x 3",
        "24 x patches",
        "unrestricted use",
        "Eastman Kodak",
        named.kodak,
        "kodak",
        _all("kodak"),
    ),
    "bsds500": Entry(
        "random patches of the Berkeley pictures",
        "patch x patch x 3",
        "200 x patches + 100 x patches test",
        "non-commercial research and education only",
        "Arbelaez et al. (PAMI 2011); Martin et al. (ICCV 2001)",
        named.bsds500,
        "bsds500",
        _all("bsds500"),
    ),
    **{f"adbench/{file[:-4].split('_', 1)[1].lower()}": _anomalies(file) for file in ANOMALIES},
    "curves": Entry(
        "smooth curves through three random points",
        "28x28",
        "20,000 + 10,000 test",
        "none: made by code",
        "after Hinton and Salakhutdinov, Science 313 (2006)",
        named.curves,
    ),
    "rectangles": Entry(
        "outlines of rectangles, tall or wide",
        "28x28",
        "1,000 + 200 validation + 50,000 test",
        "none: made by code",
        LAROCHELLE,
        named.rectangles,
    ),
    "convex": Entry(
        "white regions, convex or not",
        "28x28",
        "6,500 + 1,500 validation + 50,000 test",
        "none: made by code",
        LAROCHELLE,
        named.convex,
    ),
    ENCODER: Entry(
        "one-hot rows, the N-log2(N)-N problem",
        "N",
        "N, the same in all parts",
        "none: made by code",
        "Rumelhart, Hinton, Williams (1986)",
        partial(named.encoder, 8),
    ),
}


def load(name: str | Path, options: DataOptions = DataOptions(), *, seed: int = 0) -> Dataset:  # noqa: B008
    """The data set of a catalogue name, or of a path (a ``Path`` is never taken as a name).

    ``seed`` draws the patches of photographs and nothing else.

    Raises:
        UnknownName: a plain word that is neither a name nor a path.
        BadData: files that are missing, damaged or altered; the message says what to put where.
    """
    found = None if isinstance(name, Path) else _entry(name)
    if found is None:
        path = Path(name).expanduser()
        if isinstance(name, str) and _wordlike(name) and not path.exists():
            raise UnknownName(f"{unknown('data set', name, CATALOGUE)} A path to a file or folder is also allowed.")
        return read_path(path, options)
    key, entry = found
    if options.labels is not None:
        raise BadData(
            f"data.labels names a column of a .csv or .parquet table, but {name!r} is a named set. Leave it out."
        )
    folder = _located(key, entry) if entry.files else Path()
    records = tuple(_verified(folder / file, entry.folder) for file in entry.files)
    dataset = entry.loader(folder, options, seed)
    provenance = Provenance(str(name), records, entry.terms, entry.credit)
    return _shaped(replace(dataset, name=key, provenance=provenance), options)


def bring(name: str) -> None:
    """Make sure that the files of a named data set are here, downloaded where they are not and may be.

    Raises:
        BadData: they cannot be had; the message says what to put where.
    """
    found = _entry(name)
    if found is not None and found[1].files:
        _located(*found)


def is_named(name: str) -> bool:
    """Whether ``name`` is one of the catalogue's; if not it is taken as a path."""
    return _entry(name) is not None


def _entry(name: str) -> tuple[str, Entry] | None:
    """The canonical name and entry behind a name, such as ``adbench/6_cardio`` or ``encoder:8``."""
    if name.startswith("encoder:") and name != ENCODER:
        size = name.removeprefix("encoder:")
        if not (size.isascii() and size.isdigit() and len(size) < 6 and 2 <= int(size) <= 4096):
            raise BadData(f"encoder:<N> needs a whole number N of 2 to 4096, but has {size!r}. Try encoder:8.")
        key = f"encoder:{int(size)}"
        return key, replace(CATALOGUE[ENCODER], loader=partial(named.encoder, int(size)))
    if name.startswith("adbench/"):
        word = name.removeprefix("adbench/").lower()
        numbered = {file[:-4].lower(): file for file in ANOMALIES}
        name = f"adbench/{word.split('_', 1)[1] if word in numbered else word}"
    return (name, CATALOGUE[name]) if name in CATALOGUE and name != ENCODER else None


def _wordlike(name: str) -> bool:
    """Whether a text looks like a name: no separator (but for ``adbench/``) and no ending."""
    word = name.removeprefix("adbench/")
    return not (set(word) & {"/", os.sep, "~"}) and not Path(word).suffix


def _shaped(dataset: Dataset, options: DataOptions) -> Dataset:
    """The data set with the rows of a table reshaped where ``options.shape`` asks for it."""
    if options.shape is None:
        return dataset

    def shaped(part: Examples | None) -> Examples | None:
        return part and Examples(arranged(part.x, options.shape, repr(dataset.name)), part.labels, part.groups)

    train = shaped(dataset.train) or dataset.train
    return replace(
        dataset, train=train, valid=shaped(dataset.valid), test=shaped(dataset.test), images=train.x.ndim > 2
    )


def _places(entry: Entry) -> list[Path]:
    """The folders where an entry's files are looked for, in order."""
    own = os.environ.get("ISTHMUS_DATA")
    first = [Path(own).expanduser() / entry.folder] if own else []
    return [*first, cache_folder() / entry.folder]


def _here(entry: Entry) -> Path | None:
    """The first folder that holds all files of an entry."""
    return next((p for p in _places(entry) if all((p / file).is_file() for file in entry.files)), None)


def _located(key: str, entry: Entry) -> Path:
    """The folder with all files of an entry, downloaded where they are not here and may be."""
    folder = _here(entry)
    if folder is not None:
        return folder
    if address(entry.folder) is not None:
        return fetch(entry.folder, entry.files)
    places = " or ".join(repr(str(place)) for place in _places(entry))
    raise BadData(
        f"The data set {key!r} is not here and cannot be downloaded for you. Put {', '.join(entry.files)} into "
        f"{places} (or into the folder {entry.folder!r} of $ISTHMUS_DATA). Terms: {entry.terms}; "
        f"credit {entry.credit}."
    )


def _verified(path: Path, folder: str) -> SourceFile:
    """The record of a named file, whose bytes must be the known ones."""
    record = source_file(path)
    known = CHECKSUMS[folder][path.name]
    if record.sha256 != known:
        raise BadData(
            f"{str(path)!r} is not the known file: its SHA-256 is {record.sha256[:12]}..., not {known[:12]}... "
            "Take it away and get it again, or give it as a path under another name."
        )
    return record


@dataclass(frozen=True)
class Row:
    """One line of the listing of named sets; ``present`` says that its files are on this machine."""

    name: str
    summary: str
    shape: str
    sizes: str
    terms: str
    credit: str
    present: bool


def rows() -> list[Row]:
    """All named sets, without reading any file.

    >>> rows()[0].name, rows()[0].present
    ('digits', True)
    """
    return [
        Row(name, e.summary, e.shape, e.sizes, e.terms, e.credit, _here(e) is not None) for name, e in CATALOGUE.items()
    ]

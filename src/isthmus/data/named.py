"""Loaders of the named data sets: from files that were found and checked to a ``Dataset``.

Each takes the folder of its files, the options and a seed (used where patches are drawn). Name, terms and
checksums are added by ``catalogue.load``. A set that code draws is one set: its own seed draws it, not the run's.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.data import shapes
from isthmus.data.base import Array, Dataset, Examples
from isthmus.data.binary import read_idx, read_npz
from isthmus.data.curves import inked, points
from isthmus.data.faces import patches, standardise
from isthmus.data.files import check_size
from isthmus.data.images import read_image
from isthmus.errors import BadData
from isthmus.options import DataOptions

Variation = Callable[[Array, np.random.Generator], Array]

CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def digits(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """scikit-learn's 1,797 digits of 8x8 pixels, in [0, 1]."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    x = (bundle.images / 16).astype(np.float32)
    return Dataset("digits", Examples(x, bundle.target.astype(np.int64)), images=True)


def mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """MNIST, from its four IDX files."""
    parts = [
        Examples(
            read_idx(folder / f"{part}-images-idx3-ubyte.gz"),
            read_idx(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64),
        )
        for part in ("train", "t10k")
    ]
    return Dataset("mnist", parts[0], test=parts[1], images=True, pixels=True)


def mnist_variation(make: Variation, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """A variation of 62,000 of MNIST's 70,000 digits, the same ones for each: 10,000, 2,000 and 50,000."""
    digits = mnist(folder, options, seed)
    images, labels = (
        np.concatenate([getattr(part, field) for part in (digits.train, digits.test)]) for field in ("x", "labels")
    )
    rng = np.random.default_rng(2007)
    rows = rng.permutation(len(images))[:62_000]
    return _parts(make(images[rows], rng), labels[rows], 10_000, 2_000)


def _parts(x: Array, labels: Array, train: int, valid: int) -> Dataset:
    """Pixels of 8 bits and labels, cut into a training, a validation and a test part."""
    cuts = [train, train + valid]
    parts = [Examples(*pair) for pair in zip(np.split(x, cuts), np.split(labels, cuts), strict=True)]
    return Dataset("drawn", parts[0], parts[1], parts[2], images=True, pixels=True)


def rectangles(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Outlines of rectangles, tall or wide; few to train on."""
    masks, wide = shapes.rectangles(51_200, np.random.default_rng(2007))
    return replace(_parts(_white(masks), wide, 1_000, 200), label_names=("tall", "wide"))


def convex(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """White regions, convex or not."""
    masks, labels = shapes.regions(58_000, np.random.default_rng(2007))
    return replace(_parts(_white(masks), labels, 6_500, 1_500), label_names=("not convex", "convex"))


def _white(masks: Array) -> Array:
    return masks.astype(np.uint8) * 255


def fashion_mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Fashion-MNIST: MNIST's layout, with words behind the labels."""
    pictures = mnist(folder, options, seed)
    return Dataset(
        "fashion_mnist",
        pictures.train,
        test=pictures.test,
        images=True,
        pixels=True,
        label_names=CLOTHES,
    )


def binarized_mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Larochelle's fixed binary draw of MNIST, with its own validation part."""
    arrays = read_npz(folder / "binarized_mnist.npz")
    train, valid, test = (
        Examples(arrays[part].reshape(-1, 28, 28), arrays[f"{part}_labels"].astype(np.int64))
        for part in ("train", "valid", "test")
    )
    return Dataset("binarized_mnist", train, valid, test, images=True)


def olivetti(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Faces of 40 persons."""
    return _grouped("olivetti", read_npz(folder / "olivetti_faces.npz"), "person")


def olivetti_patches(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Patches of the faces, standardised; persons to train on (25), to validate on (5) and to test on (10)."""
    faces = olivetti(folder, options, seed).train
    assert faces.groups is not None
    x = patches(faces.x.astype(np.float32))
    each = x.shape[1]
    x = x.reshape(-1, *x.shape[2:])
    who = np.repeat(faces.groups, each)
    first = int((who < 30).sum())
    standardise(x, first)
    cut = int((who < 25).sum())
    places = (slice(cut), slice(cut, first), slice(first, None))
    train, valid, test = (Examples(x[place], who[place], who[place]) for place in places)
    return Dataset("olivetti_patches", train, valid, test, images=True)


def coil20(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Twenty objects on a turntable."""
    return _grouped("coil20", read_npz(folder / "coil20_32x32.npz"), "object")


def cmu_faces(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Twenty persons, each in several poses, expressions and with sunglasses."""
    return _grouped("cmu_faces", read_npz(folder / "cmu_faces.npz"), "person")


def _grouped(name: str, arrays: dict[str, Array], key: str) -> Dataset:
    """Grey images whose labels and groups are the array ``key``."""
    who = arrays[key].astype(np.int64)
    words = tuple(str(word) for word in arrays.get(f"{key}_names", ()))
    return Dataset(name, Examples(arrays["images"], who, who), images=True, pixels=True, label_names=words)


def kodak(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Random square patches of the 24 Kodak photographs, grouped by photograph."""
    names = [f"kodim{number:02d}.png" for number in range(1, 25)]
    photos = [read_image(folder / name, "RGB") for name in names]
    train = _patches(photos, options, np.random.default_rng(seed))
    return Dataset("kodak", train, images=True, pixels=True)


def bsds500(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Random square patches of the Berkeley pictures, grouped by picture; its ``val`` part is the test part."""
    if options.patch > 128:
        raise BadData(
            f"The pictures of 'bsds500' are 128x128 pixels, but data.patch is {options.patch}. Give at most 128."
        )
    arrays = read_npz(folder / "bsds500_trainval_center128.npz")
    rng = np.random.default_rng(seed)
    train, test = (_patches(list(arrays[part]), options, rng, arrays[f"{part}_ids"]) for part in ("train", "val"))
    return Dataset("bsds500", train, test=test, images=True, pixels=True)


def _patches(photos: list[Array], options: DataOptions, rng: np.random.Generator, ids: Array | None = None) -> Examples:
    """``options.patches`` squares of side ``options.patch`` from each photograph, at places drawn evenly."""
    side, each = options.patch, options.patches
    check_size(len(photos) * each * side * side * 3, f"{len(photos)} x {each} patches of side {side}")
    x = np.empty((len(photos) * each, side, side, 3), dtype=np.uint8)
    for number, photo in enumerate(photos):
        tops = rng.integers(0, photo.shape[0] - side, size=each, endpoint=True)
        lefts = rng.integers(0, photo.shape[1] - side, size=each, endpoint=True)
        for draw, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            x[number * each + draw] = photo[top : top + side, left : left + side]
    names = np.arange(len(photos)) if ids is None else ids
    return Examples(x, groups=np.repeat(names.astype(np.int64), each))


def adbench(file: str, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """One of ADBench's anomaly sets: a table with labels 1 = anomaly. Its 8-bit values are no pixels."""
    arrays = read_npz(folder / file)
    train = Examples(arrays["X"], arrays["y"].astype(np.int64))
    return Dataset(file, train, label_names=("normal", "anomaly"))


def curves(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Curves through three random points; 20,000 to train on and 10,000 to test."""
    pictures = inked(points(30_000, np.random.default_rng(2006)))
    return Dataset("curves", Examples(pictures[:20_000]), test=Examples(pictures[20_000:]), images=True)


def encoder(size: int, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """The N-log2(N)-N problem: the N one-hot rows are train, validation and test part at once."""
    rows = Examples(np.eye(size, dtype=np.float32), np.arange(size))
    return Dataset(f"encoder:{size}", rows, rows, rows)

"""Loaders of the named data sets: from files that were found and verified to a ``Dataset``.

Each takes the folder of its files, the options and a seed, which is used where patches are sampled. ``load_dataset``
adds name, terms and checksums. Generated sets do not depend on the seed of the run; each has a fixed seed.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.data.base import Array
from isthmus.data.catalogue import glyphs as drawn_glyphs
from isthmus.data.catalogue import larochelle2007
from isthmus.data.catalogue import movers as drawn_movers
from isthmus.data.catalogue.curves import inked, points
from isthmus.data.catalogue.face_patches import patches, standardize
from isthmus.data.dataset import Dataset
from isthmus.data.formats.binary import read_idx, read_npz
from isthmus.data.formats.files import check_size
from isthmus.data.formats.pictures import PictureFormat, read_header, read_picture
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.unrolled import Unrolled
from isthmus.data.storage.compressed import on_disk
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
    """The 1,797 digits of scikit-learn, 8x8 pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    x = (bundle.images / 16).astype(np.float32)
    return Dataset("digits", Examples(x, bundle.target.astype(np.int64)))


def mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """MNIST, from its four IDX files."""
    train, test = (
        Examples(
            read_idx(on_disk(folder / f"{prefix}-images-idx3-ubyte.gz")),
            read_idx(on_disk(folder / f"{prefix}-labels-idx1-ubyte.gz")).astype(np.int64),
        )
        for prefix in ("train", "t10k")
    )
    return Dataset("mnist", train, test=test, pixels=True)


def mnist_variation(make: Variation, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """A variation of 62,000 of the 70,000 MNIST digits, the same for all variations: 10,000, 2,000 and 50,000."""
    digits = mnist(folder, options, seed)
    images, labels = (
        np.concatenate([getattr(split, field) for split in (digits.train, digits.test)]) for field in ("x", "labels")
    )
    rng = np.random.default_rng(2007)
    rows = rng.permutation(len(images))[:62_000]
    return _splits(make(images[rows], rng), labels[rows], 10_000, 2_000)


def _splits(x: Array, labels: Array, train: int, valid: int) -> Dataset:
    """8-bit images and labels, split into a training, a validation and a test set."""
    cuts = [train, train + valid]
    splits = [Examples(*pair) for pair in zip(np.split(x, cuts), np.split(labels, cuts), strict=True)]
    return Dataset("drawn", splits[0], splits[1], splits[2], pixels=True)


def rectangles(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Outlines of rectangles, tall or wide; a small training set."""
    masks, wide = larochelle2007.rectangles(51_200, np.random.default_rng(2007))
    return replace(_splits(_white(masks), wide, 1_000, 200), label_names=("tall", "wide"))


def convex(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """White regions, convex or not."""
    masks, labels = larochelle2007.regions(58_000, np.random.default_rng(2007))
    return replace(_splits(_white(masks), labels, 6_500, 1_500), label_names=("not convex", "convex"))


def _white(masks: Array) -> Array:
    return masks.astype(np.uint8) * 255


def fashion_mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Fashion-MNIST, in the layout of MNIST, with label names."""
    images = mnist(folder, options, seed)
    return Dataset(
        "fashion_mnist",
        images.train,
        test=images.test,
        pixels=True,
        label_names=CLOTHES,
    )


def binarized_mnist(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Larochelle's fixed binary sample of MNIST, with a validation set."""
    arrays = read_npz(on_disk(folder / "binarized_mnist.npz"))
    train, valid, test = (
        Examples(arrays[split].reshape(-1, 28, 28), arrays[f"{split}_labels"].astype(np.int64))
        for split in ("train", "valid", "test")
    )
    return Dataset("binarized_mnist", train, valid, test)


def olivetti(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Faces of 40 persons."""
    return _grouped("olivetti", read_npz(on_disk(folder / "olivetti_faces.npz")), "person")


def olivetti_patches(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Standardized patches of the faces of 25 persons for training, 5 for validation and 10 for testing."""
    faces = olivetti(folder, options, seed).train
    assert isinstance(faces, Examples)
    assert faces.group is not None
    x = patches(faces.x.astype(np.float32))
    each = x.shape[1]
    x = x.reshape(-1, *x.shape[2:])
    who = np.repeat(faces.group, each)
    first = int((who < 30).sum())
    standardize(x, first)
    cut = int((who < 25).sum())
    slices = (slice(cut), slice(cut, first), slice(first, None))
    train, valid, test = (Examples(x[rows], who[rows], who[rows]) for rows in slices)
    return Dataset("olivetti_patches", train, valid, test)


def coil20(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Twenty objects on a turntable."""
    return _grouped("coil20", read_npz(on_disk(folder / "coil20_32x32.npz")), "object")


def cmu_faces(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Twenty persons, each in several poses, expressions and with sunglasses."""
    arrays = read_npz(on_disk(folder / "cmu_faces.npz"))
    return _grouped("cmu_faces", arrays, "person", options.labels)


def _grouped(name: str, arrays: dict[str, Array], key: str, labels: str | None = None) -> Dataset:
    """Gray images with the array ``key`` as groups, and as labels unless others are chosen."""
    who, shown = arrays[key].astype(np.int64), labels or key
    names = tuple(str(name) for name in arrays.get(f"{shown}_names", ()))
    examples = Examples(arrays["images"], arrays[shown].astype(np.int64), who)
    return Dataset(name, examples, pixels=True, label_names=names)


def kodak(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Random square patches of the 24 Kodak photographs, grouped by photograph."""
    names = [f"kodim{number:02d}.png" for number in range(1, 25)]
    photos = [_photo(folder / name) for name in names]
    train = _patches(photos, options, np.random.default_rng(seed))
    return Dataset("kodak", train, pixels=True)


def _photo(path: Path) -> Array:
    """A photograph in color."""
    with path.open("rb") as stream:
        found = read_header(stream, path.name)
        return read_picture(stream, path.name, PictureFormat(found.height, found.width, 3))


def bsds500(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Random square patches of the Berkeley images, grouped by image; the ``val`` set is the test set."""
    if options.patch_size > 128:
        raise BadData(
            f"The images of 'bsds500' are 128x128 pixels, but data.patch_size is {options.patch_size}. Set at most 128."
        )
    arrays = read_npz(on_disk(folder / "bsds500_trainval_center128.npz"))
    rng = np.random.default_rng(seed)
    train, test = (_patches(list(arrays[key]), options, rng, arrays[f"{key}_ids"]) for key in ("train", "val"))
    return Dataset("bsds500", train, test=test, pixels=True)


def _patches(photos: list[Array], options: DataOptions, rng: np.random.Generator, ids: Array | None = None) -> Examples:
    """``options.patches_per_image`` patches of side ``options.patch_size`` per photograph, at random positions."""
    side, each = options.patch_size, options.patches_per_image
    check_size(len(photos) * each * side * side * 3, f"{len(photos)} x {each} patches of side {side}")
    x = np.empty((len(photos) * each, side, side, 3), dtype=np.uint8)
    for number, photo in enumerate(photos):
        tops = rng.integers(0, photo.shape[0] - side, size=each, endpoint=True)
        lefts = rng.integers(0, photo.shape[1] - side, size=each, endpoint=True)
        for index, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            x[number * each + index] = photo[top : top + side, left : left + side]
    names = np.arange(len(photos)) if ids is None else ids
    return Examples(x, group=np.repeat(names.astype(np.int64), each))


def adbench(file: str, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """An anomaly set of ADBench: a table with label 1 for anomalies. Its 8-bit values are not pixels."""
    arrays = read_npz(on_disk(folder / file))
    train = Examples(arrays["X"], arrays["y"].astype(np.int64))
    return Dataset(file, train, pixels=False, label_names=("normal", "anomaly"))


def curves(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Curves through three random points, 20,000 for training and 10,000 for testing."""
    images = inked(points(30_000, np.random.default_rng(2006)))
    return Dataset("curves", Examples(images[:20_000]), test=Examples(images[20_000:]))


def movers(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Frames of sequences of moving things, 160 sequences for training and 32 for testing."""
    frames = drawn_movers.movers(192, 2016).frames
    return Dataset("movers", _frames_of(frames[:160]), test=_frames_of(frames[160:]), pixels=True)


def _frames_of(sequences: Array) -> Examples:
    """The frames of sequences of equal length, (N, T, H, W, C), each sequence a recording and a group."""
    of, time = np.indices(sequences.shape[:2]).reshape(2, -1)
    names = np.array([f"{n}:{t}" for n, t in zip(of, time, strict=True)])
    frames = sequences.reshape(-1, *sequences.shape[2:])
    return Examples(
        frames, names=names, group=of, row_title="sequence:frame", axes="HWC", located=Unrolled(Examples(sequences))
    )


def glyphs(folder: Path, options: DataOptions, seed: int) -> Dataset:
    """Digits and capital letters in many faces, 20,000 for training and 2,000, of other faces, for testing.

    The groups are the faces, so a validation set has faces of its own, too.
    """
    rng = np.random.default_rng(2026)
    known, unknown = drawn_glyphs.FACES, drawn_glyphs.TEST_FACES
    train = drawn_glyphs.glyphs(20_000, known, rng)
    images, labels, faces = drawn_glyphs.glyphs(2_000, unknown, rng)
    test = Examples(images, labels, faces + len(known))
    names = tuple(drawn_glyphs.CHARACTERS)
    return Dataset("glyphs", Examples(*train), test=test, pixels=True, label_names=names)


def encoder(size: int, folder: Path, options: DataOptions, seed: int) -> Dataset:
    """The N-log2(N)-N problem: the N one-hot rows are training, validation and test set at once."""
    rows = Examples(np.eye(size, dtype=np.float32), np.arange(size))
    return Dataset(f"encoder:{size}", rows, rows, rows)

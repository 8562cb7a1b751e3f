"""Which of several arrays are the examples, and which their labels or targets: by options, else by name and shape."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from isthmus.data.base import Array
from isthmus.data.objects import INPUT_KEYS, LABEL_KEYS, PAIR_KEYS
from isthmus.data.tables.names import quote_names, short
from isthmus.errors import BadData
from isthmus.options import DataOptions

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "te"), "test"),
}
"""Words that name a split."""
X_NAMES = {*INPUT_KEYS, "imgs", "feature", "feat", "sample", "samples", "examples"}
Y_NAMES = {*LABEL_KEYS, "classes", "gt", "gnd"}
NOISY = {"noisy", "corrupted", "noised"}
"""Words that name the noisy version of examples."""
LISTED = 12
"""Arrays that a message lists."""
Splits = dict[str, str]
"""Names of arrays by split."""


class Shaped(Protocol):
    """An array, or what is known of it before it is read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its data type."""


@dataclass(frozen=True)
class Choice:
    """The arrays that are used.

    Args:
        x: examples, by split.
        y: labels or targets, by split.
        named: whether ``y`` was named by an option, so that it must be usable.
        paired: whether ``x`` and ``y`` have names of inputs and their targets, such as ``noisy`` and ``clean``.
        last: whether the examples lie along the last axis of ``x``, as is usual in MATLAB.
        notes: what was chosen, one sentence each.
        classes: the array with the names of the classes 0, 1, ... of named labels, if there is one.
    """

    x: Splits
    y: Splits
    named: bool
    paired: bool
    last: bool
    notes: tuple[str, ...]
    classes: str | None = None


def choose(
    arrays: Mapping[str, Shaped], options: DataOptions, where: str, left_out: Mapping[str, str] | None = None
) -> Choice:
    """The arrays that ``data.key`` and ``data.labels`` name, else those whose names or shapes say what they are.

    Args:
        arrays: all arrays by name; paths such as ``/scans/raw`` have groups.
        options: options of the data.
        where: the file in messages.
        left_out: names of what cannot be used, and the sentence that says why.

    Raises:
        BadData: no array has that name, or several could be the examples.
    """
    left_out = left_out or {}
    named = None if options.labels is None else find(options.labels, arrays, "data.labels", where, left_out)
    only = _only_array(arrays) if options.key is not None and not _ends(options.key, (*arrays, *left_out)) else None
    if only is not None:
        # new data of a run need not be stored under the same name
        x: Splits = {"train": only}
        targets: Splits = {}
    elif options.key is not None:
        x, targets = {"train": find(options.key, arrays, "data.key", where, left_out)}, {}
    else:
        x, targets = _examples({key: info for key, info in arrays.items() if key != named}, where, left_out)
    y = targets or _labels(arrays, x, options.layout)
    moved = () if options.layout != "auto" or y else _last_axis(arrays, x["train"], named, where, options)
    y = y or (_labels(arrays, x, "last") if moved else {})
    if options.key is None:
        _check_lengths(arrays, x, y, where)
    if named is not None:
        y = {"train": named} | {split: key for split, key in y.items() if split != "train"}
    classes = f"{named}_names" if f"{named}_names" in arrays else None
    notes = (*_notes(arrays, options, x, y, classes), *moved)
    return Choice(x, y, named is not None, bool(targets), bool(moved), notes, classes)


def find(
    name: str, arrays: Mapping[str, Shaped], option: str, where: str, left_out: Mapping[str, str] | None = None
) -> str:
    """The array that ``name`` is, or of whose path it is the end.

    Raises:
        BadData: none is, or several are.

    >>> find("raw", {"/scans/raw": np.zeros(1), "/scans/old": np.zeros(1)}, "data.key", "'a.h5'")
    '/scans/raw'
    """
    left_out = left_out or {}
    ends = _ends(name, (*arrays, *left_out))
    if len(ends) > 1:
        raise BadData(
            f"{option}={short(name)} is the end of {quote_names(ends)} in {where}. Set {option} to one of them."
        )
    if ends and ends[0] in left_out:
        raise BadData(left_out[ends[0]])
    if ends:
        return ends[0]
    near = difflib.get_close_matches(name, {*arrays, *(key.rsplit("/", 1)[-1] for key in arrays)}, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise BadData(f"{where} has no array {short(name)!r} ({option}){hint} It holds {listed(arrays)}.")


def _ends(name: str, keys: Iterable[str]) -> list[str]:
    """The keys that are a name, or else that end in it, in any case of letters if need be."""
    known = list(keys)
    for same in (str, str.lower):
        wanted = same(name.strip("/"))
        plain = [key for key in known if same(key.strip("/")) == wanted]
        found = plain or [key for key in known if same(key).endswith(f"/{wanted}")]
        if found:
            return found
    return []


def _only_array(arrays: Mapping[str, Shaped]) -> str | None:
    """The only array of numbers with several axes, if there is one."""
    wide = [key for key, info in arrays.items() if info.dtype.kind in "buif" and len(info.shape) > 1]
    return wide[0] if len(wide) == 1 else None


def listed(arrays: Mapping[str, Shaped], keys: Iterable[str] | None = None) -> str:
    """Arrays with their shapes, for messages.

    >>> listed({"a": np.zeros((2, 3))})
    "'a' (2, 3)"
    """
    chosen = list(arrays if keys is None else keys)
    shown = [f"{short(key)!r} {_shape(arrays[key])}" for key in chosen[:LISTED]]
    more = [f"{len(chosen) - LISTED} more"] if len(chosen) > LISTED else []
    return ", ".join(shown + more) or "no array of numbers"


def role(key: str) -> tuple[str, str]:
    """The split and the part (``x`` or ``y``) that the name of an array says; empty where it does not.

    >>> role("X_train"), role("/test/labels"), role("trainImages"), role("images"), role("/scans/raw")
    (('train', 'x'), ('test', 'y'), ('train', 'x'), ('', 'x'), ('', ''))
    """
    *parents, last = [part for part in key.split("/") if part] or [""]
    words = [word for part in _words(last) for word in _divided(part)]
    splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    rest = "_".join(word for word in words if word not in SPLIT_NAMES)
    if len(splits) > 1:
        return "", ""
    if not rest and splits:
        return splits[0], "x"
    part = "x" if rest in X_NAMES else "y" if rest in Y_NAMES else ""
    group = parents[-1].lower() if parents else ""
    split = splits[0] if splits else SPLIT_NAMES.get(group, "")
    return (split, part) if part else ("", "")


def _words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word]


def _divided(word: str) -> tuple[str, ...]:
    """The two words of a name such as ``xtrain``."""
    if word in SPLIT_NAMES or word in X_NAMES or word in Y_NAMES:
        return (word,)
    for split in sorted(SPLIT_NAMES, key=len, reverse=True):
        for rest in (word.removeprefix(split), word.removesuffix(split)):
            if rest != word and (rest in X_NAMES or rest in Y_NAMES):
                return split, rest
    return (word,)


def _examples(arrays: Mapping[str, Shaped], where: str, left_out: Mapping[str, str]) -> tuple[Splits, Splits]:
    """The examples by split, and their targets if these are named as such."""
    numbers = [key for key, info in arrays.items() if info.dtype.kind in "buif"]
    if len(arrays) == 1 and not numbers:
        # the refusal of its type says more
        return {"train": next(iter(arrays))}, {}
    last = {key.rsplit("/", 1)[-1].lower(): key for key in numbers}
    for first, second in PAIR_KEYS:
        if first in last and second in last:
            return {"train": last[first]}, {"train": last[second]}
    wide = [key for key in numbers if len(arrays[key].shape) > 1]
    if pairs := _noisy_pairs(wide):
        return pairs
    roles = {key: role(key) for key in wide}
    by_split = {split: [key for key in wide if roles[key] == (split, "x")] for split in ("train", "valid", "test")}
    if by_split["train"] and all(len(keys) < 2 for keys in by_split.values()):
        return {split: keys[0] for split, keys in by_split.items() if keys}, {}
    for fits in ([k for k in wide if roles[k][1] == "x"], [k for k in wide if roles[k][1] != "y"], wide, numbers):
        if len(fits) == 1:
            return {"train": fits[0]}, {}
        if fits:
            raise BadData(
                f"{where} holds several arrays that could be the examples: {listed(arrays, fits)}. Set data.key to the "
                "one to use."
            )
    for why in left_out.values():
        raise BadData(why)
    raise BadData(f"{where} holds {listed(arrays)}, but an array of numbers with one row per example is required.")


def _last_axis(
    arrays: Mapping[str, Shaped], x: str, named: str | None, where: str, options: DataOptions
) -> tuple[str, ...]:
    """A note if the labels say that the examples lie along the last axis, as is usual in MATLAB.

    Raises:
        BadData: they do so in a table, whose columns may have names, or before windows are cut.
    """
    shape = arrays[x].shape
    for key, info in arrays.items():
        count = max(info.shape, default=0)
        labels = key == named if named is not None else role(key)[1] == "y"
        if key == x or not labels or not np.prod(info.shape) == count == shape[-1] != shape[0]:
            continue
        letters = {2: "DN", 3: "HWN", 4: "HWCN"}.get(len(shape), "FHWCN")
        what = f"one label for each entry of the last axis of {short(x)!r} {_shape(arrays[x])}"
        if len(shape) < 3 or options.window is not None:
            raise BadData(
                f"{short(key)!r} in {where} has {what}, so the examples are not along the first. Set data.layout, such "
                f"as {letters}."
            )
        return (f"{short(key)!r} has {what}, so the examples lie along it (data.layout={letters} says so too).",)
    return ()


def _check_lengths(arrays: Mapping[str, Shaped], x: Splits, y: Splits, where: str) -> None:
    """Refuse labels of a split, by their name, that are not as many as its examples.

    Raises:
        BadData: there are some.
    """
    for split in x.keys() - y.keys():
        for key, info in arrays.items():
            if role(key) == (split, "y") and len(info.shape) == 1:
                raise BadData(
                    f"{where} has examples {short(x[split])!r} {_shape(arrays[x[split]])}, but {short(key)!r} "
                    f"{_shape(info)}. Save one label per example, or set data.key to use the examples alone."
                )


def _labels(arrays: Mapping[str, Shaped], x: Splits, layout: str) -> Splits:
    """Arrays with the name and the length of labels or targets, by split; none where several are."""
    found = {}
    roles = {key: role(key) for key in arrays if key not in x.values()}
    for split, examples in x.items():
        shape = arrays[examples].shape
        axis = -1 if layout == "last" else layout.index("N") if "N" in layout and len(layout) == len(shape) else 0
        count = shape[axis] if shape else 0
        fits = [key for key, (_, part) in roles.items() if part == "y" and is_aligned(arrays[key], count)]
        fits = [key for key in fits if roles[key][0] in (split, "")]
        for better in (
            [key for key in fits if roles[key][0] == split],
            [key for key in fits if _group(key) == _group(examples)],
            fits,
        ):
            if len(better) == 1:
                found[split] = better[0]
                break
    return found


def is_aligned(labels: Shaped, count: int) -> bool:
    """Whether an array has one entry or one row for each of ``count`` examples, or is a row of as many entries."""
    return labels.shape[:1] == (count,) or labels.shape == (1, count)


def _noisy_pairs(keys: Sequence[str]) -> tuple[Splits, Splits] | None:
    """Noisy examples and their clean targets by split, such as ``x_train_noisy`` and ``x_train``.

    >>> _noisy_pairs(["x_noisy", "x_clean", "mask"]), _noisy_pairs(["x_train_noisy", "x_train", "x_test"])
    (({'train': 'x_noisy'}, {'train': 'x_clean'}), ({'train': 'x_train_noisy'}, {'train': 'x_train'}))
    """
    words = {key: tuple(word for part in _words(key.rpartition("/")[2]) for word in _divided(part)) for key in keys}
    noisy: dict[str, str] = {}
    clean: dict[str, str] = {}
    for key, own in words.items():
        if NOISY.isdisjoint(own):
            continue
        rest = tuple(word for word in own if word not in NOISY)
        partners = [rest, (*rest, "clean"), ("clean", *rest), *([(*rest, "train")] if rest in (("x",), ()) else [])]
        found = [other for partner in partners for other, theirs in words.items() if theirs == partner]
        split = role(found[0])[0] or "train" if found else ""
        if found and split not in noisy:
            noisy[split], clean[split] = key, found[0]
    return (noisy, clean) if "train" in noisy else None


def _group(key: str) -> str:
    return key.rpartition("/")[0]


def labels_of(values: Array, x: Shaped) -> Array | None:
    """Labels (N,) of an array that holds them as a column, as a row or one-hot; targets unchanged; else ``None``.

    >>> labels_of(np.array([[0, 1], [1, 0]]), np.zeros((2, 5))).tolist()
    [1, 0]
    """
    count = x.shape[0]
    if values.shape in ((count, 1), (1, count)) and values.shape != x.shape:
        values = values.reshape(-1)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim == 1:
        whole = values.dtype.kind in "biuUS" or (
            values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.floor(values))).all())
        )
        return values if whole else None
    if values.size == np.prod(x.shape) and values.dtype.kind in "buif":
        return values
    if values.ndim != 2 or values.dtype.kind not in "buif" or not ((values == 0) | (values == 1)).all():
        return None
    return values.argmax(axis=1) if (values.sum(axis=1) == 1).all() else None


def with_class_names(labels: Array, classes: Array) -> Array:
    """Labels that number the entries of ``classes``, texts, as these texts; other labels unchanged.

    >>> with_class_names(np.array([1, 0]), np.array(["left", "right"])).tolist()
    ['right', 'left']
    """
    numbers = labels.ndim == 1 and labels.dtype.kind in "iu" and len(labels) > 0
    names = classes.ndim == 1 and classes.dtype.kind in "US"
    if not numbers or not names or not 0 <= labels.min() <= labels.max() < len(classes):
        return labels
    texts = np.char.decode(classes, "utf-8", "replace") if classes.dtype.kind == "S" else classes
    named: Array = texts[labels]
    return named


def _notes(
    arrays: Mapping[str, Shaped], options: DataOptions, x: Splits, y: Splits, classes: str | None
) -> Iterable[str]:
    """What was chosen, one sentence each, with the option that overrides it."""
    if options.key is None or options.key not in arrays:
        if len(x) == 1:
            other = "; data.key sets another array" if len(arrays) > 1 else ""
            yield f"x is {short(x['train'])!r} {_shape(arrays[x['train']])}{other}."
        else:
            yield f"x is {quote_names(list(x.values()))}; data.key sets another array."
    axes = getattr(arrays[x["train"]], "axes", ())
    if axes and options.layout == "auto":
        yield f"The axes of x are named {quote_names(list(axes))}; data.layout says what they mean."
    if y and options.labels not in arrays:
        yield f"The labels or targets are {quote_names(list(y.values()))}; data.labels sets another array."
    rest = [key for key in arrays if key not in (*x.values(), *y.values(), classes)]
    if rest and options.key is None:
        yield f"Not used: {quote_names(rest)}."


def _shape(info: Shaped) -> str:
    return f"({', '.join(map(str, info.shape))})"

"""Makers of odd inputs: a valid one, spoiled at places that matter to its format.

A maker takes ``choose``, where ``choose(n)`` is a number from 0 to n - 1, and gives the bytes of one file. Who
chooses is another's business: hypothesis in the tests, a generator of random numbers in the benchmark.
"""

import copy
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

Choose = Callable[[int], int]
Maker = Callable[[Choose], bytes]
T = TypeVar("T")

INTEGERS = (0, 1, 2, 3, 5, 8, -1, -2, 64, 127, 255, 256, 1000, 65536, 10**6, 2**28, 2**31 - 1, 2**32 - 1, 2**40, 2**63)
NUMBERS = (0.0, -0.0, 0.5, 1.5, -3.0, 1e-320, 1e30, 1e308, float("inf"), float("-inf"), float("nan"))
WORDS = (
    "",
    "a",
    "none",
    "NaN",
    "../../secret",
    "/etc/passwd",
    "a\nb",
    "\0",
    "\ud800",
    "é" * 300,
    "x" * 5000,
    "__class__",
)
ABSURD: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], [1, 2], [8] * 3, [1] * 3000, ["a"], {"a": 1}, {"kind": "x"}, {"value": 1e999},
    10**30, 10**400, -(10**400),
    {"value": 2.0, "shape": "linear", "start": 0.0, "fraction": 0.5, "steps": None},
    {"value": 2.0, "shape": "cosine", "start": 0.0, "fraction": None, "steps": 10**400},
)  # fmt: skip


def pick(choose: Choose, values: Sequence[T]) -> T:
    """One of the values."""
    return values[choose(len(values))]


def damaged(data: bytes, choose: Choose) -> bytes:
    """Bytes flipped, cut, doubled, extended, or overwritten by an absurd number, at one to four places."""
    out = bytearray(data)
    for _ in range(1 + choose(4)):
        place, how = choose(len(out) + 1), choose(7)
        if how == 0 and place < len(out):
            out[place] ^= 1 << choose(8)
        elif how == 1:
            del out[place:]
        elif how == 2:
            out[place:place] = bytes([choose(256)]) * (1 + choose(64))
        elif how == 3:
            number = pick(choose, INTEGERS) % 2**64
            code = pick(choose, ("<Q", ">Q", "<I", ">I", "<H", "B"))
            out[place : place + struct.calcsize(code)] = struct.pack(code, number % 2 ** (8 * struct.calcsize(code)))
        elif how == 4:
            del out[place : place + 1 + choose(32)]
        elif how == 5:
            out[place:place] = out[choose(len(out) + 1) :][: 1 + choose(256)]
        else:
            out += bytes(choose(2000))
    return bytes(out)


def value(choose: Choose, near: Sequence[Any] = ()) -> Any:
    """A value of JSON: odd, or one of ``near``, which are likely to pass the first door."""
    how = choose(6 if near else 4)
    if how == 3:
        deep: Any = 1
        for _ in range(pick(choose, (2, 50, 400))):
            deep = [deep] if choose(2) else {"a": deep}
        return deep
    # a copy, for what is put into a tree may be edited there
    return copy.deepcopy(pick(choose, (INTEGERS, NUMBERS, (*WORDS, *ABSURD), (), near, near)[how]))


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values inside plain data."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, inner in items for found in ((*path, key), *places(inner, (*path, key)))]


def edited(tree: Any, choose: Choose, near: Sequence[Any] = (), most: int = 3) -> Any:
    """Plain data with one to ``most`` values changed, taken out, renamed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(1 + choose(most)):
        paths = places(tree)[:3000]
        if not paths:
            return value(choose, near)
        *groups, last = pick(choose, paths)
        node = tree
        for key in groups:
            node = node[key]
        how = choose(8)
        if how == 0:
            del node[last]
        elif how == 1 and isinstance(node, dict):
            node[str(value(choose, near))[:6000]] = node[last]
        else:
            node[last] = like(node[last], choose, near) if how > 3 else value(choose, near)
    return tree


def like(old: Any, choose: Choose, near: Sequence[Any]) -> Any:
    """Another value of the same type, so that the door is passed and what lies behind it is met."""
    if isinstance(old, bool):
        return not old
    kinds: tuple[type, ...] = (int, float) if isinstance(old, int | float) else (type(old),)
    known = [v for v in (*INTEGERS, *NUMBERS, *near) if isinstance(v, kinds) and not isinstance(v, bool)]
    return copy.deepcopy(pick(choose, known)) if known else value(choose, near)


def json_text(tree: Any) -> bytes:
    """JSON as Python writes it, NaN and lone surrogates included."""
    return json.dumps(tree).encode()


def json_maker(seeds: Sequence[Any], near: Sequence[Any] = ()) -> Maker:
    """Objects with edits; now and then damaged text, or nothing like the object."""

    def make(choose: Choose) -> bytes:
        how = choose(12)
        if how == 0:
            return damaged(json_text(pick(choose, seeds)), choose)
        if how == 1:
            return pick(
                choose,
                (b"", b"null", b"[]", b"NaN", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"\xff\xfe{\0}\0", b"{}"),
            )
        if how == 2:
            return (
                b"[" + pick(choose, (b"[],", b"{},", b"1,", b'"",')) * pick(choose, (100, 100_000, 2_000_000)) + b"1]"
            )
        return json_text(edited(pick(choose, seeds), choose, near))

    return make


def lines_maker(seed: list[dict[str, Any]], near: Sequence[Any] = ()) -> Maker:
    """Lines of JSON, some edited."""

    def make(choose: Choose) -> bytes:
        rows = edited(seed, choose, near)
        text = b"\n".join(map(json_text, rows if isinstance(rows, list) else [rows]))
        return damaged(text, choose) if choose(6) == 0 else text

    return make


TYPES = (
    "|u1",
    "<f4",
    "<f8",
    ">f8",
    "<f2",
    "<i8",
    "<u4",
    "|b1",
    "<U3",
    "|S2",
    "|O",
    "<c8",
    "<M8[s]",
    "|V7",
    "<f16",
    "x" * 50,
)
LENGTHS = (0, 1, 2, 3, 4, 5, 60, -1, 1000, 65536, 2**20, 2**31, 2**40, 2**62, 10**30)


def npy(choose: Choose) -> bytes:
    """An array of .npy: a header that may lie, and some values."""
    kind = pick(choose, TYPES) if choose(3) == 0 else pick(choose, TYPES[:8])
    shape = tuple(pick(choose, LENGTHS[:6] if choose(3) else LENGTHS) for _ in range(choose(5) if choose(20) else 70))
    if choose(12) == 0:
        header = pick(
            choose,
            (
                "(" * 3000, "-" * 3000 + "1", "__import__('os').system('touch exploded')",
                "{'descr': [('a', '<f4')] * 9}",
                "{'descr': ('<f4', (1000000000,)), 'fortran_order': False, 'shape': (1, 1), }", "{" * 90, "1" * 9000,
                "{'descr': [('a', '|O')], 'fortran_order': 1, 'shape': (True, 2), }", "\0", " " * 300_000,
                "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "2," * 3000 + "), }",
            ),
        )  # fmt: skip
    else:
        header = repr({"descr": kind, "fortran_order": bool(choose(4) == 0), "shape": shape})
    text = header.encode("latin1", "replace") + b"\n"
    version = 1 if choose(4) and len(text) < 65536 else pick(choose, (1, 2, 3, 9))
    length = len(text) if choose(8) else pick(choose, INTEGERS)
    packed = struct.pack("<H", length % 2**16) if version == 1 else struct.pack("<I", length % 2**32)
    return b"\x93NUMPY" + bytes([version, 0]) + packed + text + _values(choose, kind, shape)


def _values(choose: Choose, kind: str, shape: tuple[int, ...]) -> bytes:
    """As many bytes as the header asks for where that is little, or some other number of them."""
    try:
        size = np.dtype(kind).itemsize * int(np.prod(shape, dtype=object))
    except TypeError:
        size = 8
    if not 0 <= size <= 10_000 or choose(8) == 0:
        size = choose(300)
    return bytes([pick(choose, (0, 1, 63, 127, 200, 255))]) * size


NAMES = (
    "x_train.npy",
    "y_train.npy",
    "x_test.npy",
    "X.npy",
    "y.npy",
    "z.npy",
    "../z.npy",
    "/etc/x.npy",
    "z",
    "z.pkl",
    "é.npy",
)


def npz(choose: Choose) -> bytes:
    """A zip archive of such arrays, under right and wrong names; also bombs and copies of one name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", pick(choose, (0, 8, 8, 12, 14)), compresslevel=1) as archive:
        for _ in range(choose(4)):
            name = pick(choose, NAMES[:6] if choose(4) else NAMES)
            bomb = choose(12) == 0
            data = npy(choose) + (bytes(pick(choose, (10**6, 3 * 10**7))) if bomb else b"")
            if name not in archive.namelist():
                archive.writestr(name, data)
    data = out.getvalue()
    return damaged(data, choose) if choose(5) == 0 else data


def idx(choose: Choose) -> bytes:
    """An IDX file whose header may lie."""
    axes = choose(4) if choose(8) else pick(choose, (4, 65, 255))
    shape = [pick(choose, (1, 2, 3, 5) if choose(4) else LENGTHS) % 2**32 for _ in range(axes)]
    kind = pick(choose, (8, 8, 8, 9, 11, 12, 13, 14, 0, 255))
    head = bytes([0, 0 if choose(20) else 1, kind, axes if choose(12) else choose(256)])
    size = int(np.prod(shape, dtype=object)) * {11: 2, 12: 4, 13: 4, 14: 8}.get(kind, 1)
    size = size if size <= 10_000 and choose(6) else choose(400)
    return head + struct.pack(f">{axes}I", *shape) + bytes([pick(choose, (0, 1, 127, 255))]) * size


def zipped(inner: Maker) -> Maker:
    """What another maker makes, gzipped: whole, damaged, several streams, or a bomb behind it."""

    def make(choose: Choose) -> bytes:
        how, data = choose(8), inner(choose)
        if how == 0:
            return damaged(gzip.compress(data, 1, mtime=0), choose)
        if how == 1:
            return gzip.compress(data, 1, mtime=0) + gzip.compress(bytes(pick(choose, (10, 3 * 10**7))), 1, mtime=0)
        if how == 2:
            lie = struct.pack(">BBBB2I", 0, 0, 8, 2, *pick(choose, ((10**4, 5000), (2, 3 * 10**8), (2**16, 2**15))))
            return gzip.compress(lie + bytes(pick(choose, (10**6, 10**7))), 1, mtime=0)
        return gzip.compress(data, 1, mtime=0)

    return make


CELLS = ("1", "0.5", "-3e5", "", "nan", "inf", "1e999", "a", '"a"', '"', '""', '"a\nb"', "1,2", "0x1f", "1_000", " 1 ",
         "9" * 400, "x" * 200_000, "é", "\0", "=cmd()", "True", "2020-01-01",
         "1;2", "\t", "-0", "日本", "1.2.3")  # fmt: skip
HEADS = ("a", "b", "c", "label", "", "1", "a.1", "0", '"x,y"', "y" * 300, "\ufeff")


def csv(choose: Choose) -> bytes:
    """A table of cells, most of them numbers, in some encoding and with some line ends."""
    width = 1 + choose(4)
    rows = [[pick(choose, HEADS) for _ in range(width)]] if choose(4) else []
    for _ in range(choose(6)):
        odd = choose(5) == 0
        cells = [pick(choose, CELLS if odd else CELLS[:3]) for _ in range(width if choose(10) else choose(8))]
        rows.append(cells)
    if choose(15) == 0:
        rows.append(["1"] * pick(choose, (1000, 100_000, 1_000_000)))
    end = pick(choose, ("\n", "\n", "\r\n", "\r"))
    text = end.join(",".join(row) for row in rows) + end * choose(3)
    data = text.encode(pick(choose, ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp500")), "replace")
    return damaged(data, choose) if choose(6) == 0 else data

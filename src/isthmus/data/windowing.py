"""Windows of the rows of a data set, by the options ``data.window`` and ``data.stride``.

Which axis is time follows from ``data.layout``, or from the rows: those of a table and single numbers are time steps,
pictures are frames. Windows of training data that share rows are cut within blocks of time, so that no row is in two
splits.
"""

from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import check_size
from isthmus.data.memory import is_streamed
from isthmus.data.samplers.streams import Stream
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.backward import Backward
from isthmus.data.sources.base import Source
from isthmus.data.sources.recordings import Recordings, Sections
from isthmus.data.sources.unrolled import Unrolled
from isthmus.data.sources.windows import Windows
from isthmus.data.transforms.times import Breaks, breaks_in
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

LISTED = 3
"""Recordings that are listed by name."""
ORDERS = "TC, NTC, NHWC or NFHWC"


class Rows(NamedTuple):
    """Rows that follow each other, and the letters of their axes: C of a time step, HWC of a frame."""

    source: Source
    axes: str


def cut(options: DataOptions) -> DataOptions:
    """The options for windows and for single rows, whose axes are not those that ``data.layout`` says of recordings."""
    return options if options.window is None else options.model_copy(update={"layout": "auto"})


def windowed(opened: Dataset | Stream, options: DataOptions) -> Dataset | Stream:
    """The windows of a data set; all windows of each recording, also those that share rows.

    Raises:
        BadData: a stream, an array whose time axis is not known, or recordings that are all too short.
        BadOption: ``data.stride`` without ``data.window``.
    """
    if options.window is None:
        if options.stride is not None:
            raise BadOption("data.stride is the distance between windows. Set data.window, their number of rows, too.")
        return opened
    if isinstance(opened, Stream):
        raise BadData(
            "data.window cuts recordings, but a stream does not say where they start and end. Pass a file or an array."
        )
    if options.shape is not None:
        raise BadOption("data.shape reshapes single rows, not windows. Save the pictures as an array (N, H, W) first.")
    splits: dict[str, Any] = {}
    notes = opened.notes
    for name, source in opened.splits.items():
        splits[name], own = _windows(source, options, options.window)
        notes += own if name == "train" else ()
    streamed = opened.streamed
    if isinstance(opened.train, Examples):
        values = sum(len(source) * prod(source.shape) for source in splits.values())
        streamed = is_streamed(values, options)
        if not streamed:
            check_size(4 * values, f"All windows of {opened.name!r} (data.memory=stream cuts them when needed)")
    return replace(opened, **splits, notes=notes, streamed=streamed)


def _windows(source: Source, options: DataOptions, length: int) -> tuple[Windows, tuple[str, ...]]:
    """The windows of a source, and what was decided.

    Raises:
        BadData: there are none.
    """
    rows, axes = rows_of(source, options.layout)
    known = rows.recordings() or Recordings(np.zeros(1, np.int64), [rows.name])
    breaks = breaks_in(rows.names_of(np.arange(len(rows))), rows.row_title, known.starts)
    if breaks.backward:
        rows, said = Backward(rows, known.starts), breaks.notes
        breaks = breaks_in(rows.names_of(np.arange(len(rows))), rows.row_title, known.starts)
        breaks = breaks._replace(notes=said + breaks.notes)
    recordings = _split(known, breaks)
    sections = Sections.cut(len(rows), recordings, np.union1d(breaks.restarts, breaks.gaps))
    stride = options.stride or length
    found = Windows(rows, sections, length, stride, ("F" if "H" in axes else "T") + axes)
    if not len(found):
        turned = options.layout == "auto" and axes == "C" and rows.shape[0] >= length > len(rows)
        remedy = "Pass longer recordings, or train a run with a smaller data.window."
        if turned:
            remedy = f"Set data.layout=CT if its {rows.shape[0]:,} columns are the time steps."
        raise _too_short(source, sections, length, breaks, remedy)
    return found, (*breaks.notes, *_left_out(sections, found))


def _too_short(source: Source, sections: Sections, length: int, breaks: Breaks, remedy: str) -> BadData:
    """The error that no recording is long enough for a window."""
    where = "the array" if source.name == "array" else repr(source.name)
    longest = int(sections.lengths.max())
    gaps = f" ({breaks.notes[0].rstrip('.')})" if breaks.notes else ""
    return BadData(
        f"No {length} rows of {where} follow each other (data.window={length}): the longest recording has "
        f"{longest:,}{gaps}. {remedy}"
    )


def _split(known: Recordings, breaks: Breaks) -> Recordings:
    """The recordings, each divided where its time starts again, and numbered then."""
    if not len(breaks.restarts):
        return known
    starts = np.union1d(known.starts, breaks.restarts)
    of = np.searchsorted(known.starts, starts, side="right") - 1
    number = np.arange(len(starts)) - np.searchsorted(of, of)
    names = [f"{known.names[n]}:{k}" if len(known.names) > 1 else str(k) for n, k in zip(of, number, strict=True)]
    return Recordings(starts, names)


def _left_out(sections: Sections, found: Windows) -> tuple[str, ...]:
    """The notes on recordings that are too short, and on rows after the last complete window."""
    notes = []
    short = np.flatnonzero(sections.lengths < found.length)
    if len(short):
        names = [sections.recordings.names[n] for n in sections.of[short[:LISTED]]]
        few = ", ".join(map(repr, names)) + (" ..." if len(short) > LISTED else "")
        notes.append(
            f"{len(short):,} recording{'s' if len(short) > 1 else ''} of fewer than {found.length} rows (data.window) "
            f"{'are' if len(short) > 1 else 'is'} left out: {few}."
        )
    counts = np.diff(found.before)
    ends = found.sections.starts + (counts - 1) * found.stride + found.length
    left = int((found.sections.stops - ends).sum())
    if left:
        notes.append(f"{left:,} rows after the last complete window of a recording are left out.")
    return tuple(notes)


def divided(dataset: Dataset, options: DataOptions) -> Dataset:
    """Training data whose windows share no row between the sets that are drawn from it.

    A split keeps each block of time in one set, and leaves out the windows that span two sets. New data is not divided.
    """
    source = dataset.train
    needed = 1 + (dataset.test is None and options.test > 0) + (dataset.valid is None and options.validation > 0)
    if not isinstance(source, Windows) or needed == 1:
        return dataset
    train = source.in_blocks(needed)
    if train is source:
        return dataset
    assert train.blocks is not None
    note = (
        f"Windows share rows (data.stride), so each of {len(train.blocks):,} blocks of time is in one split, and "
        "windows that span two splits are left out."
    )
    return replace(dataset, train=train, notes=(*dataset.notes, note))


def rows_of(source: Source, layout: str = "auto") -> Rows:
    """The rows of a source in the order of time, by the letters of the option ``data.layout``, or by their shape.

    Raises:
        BadData: letters that do not fit, or a shape with several readings.
    """
    where = "The array" if source.name == "array" else repr(source.name)
    count = len(source.shape)
    order = layout if layout != "auto" else _guessed(source, where)
    if len(order) == count + 2 and order[0] == "N":
        order = order[1:]
    if len(order) != count + 1 and not (source.shape == (1,) and order in ("T", "NT")):
        raise BadData(
            f"{where} has shape {(len(source), *source.shape)}, but data.layout={order} has {len(order)} "
            f"letter{'s' if len(order) > 1 else ''}. Set one letter per axis, such as {ORDERS}."
        )
    outer = "N" if "N" in order and ("T" in order or "F" in order) else next((c for c in "TFN" if c in order), "")
    inner = next((letter for letter in "TF" if letter in order and letter != outer), "")
    kind = "".join(letter for letter in order if letter not in (outer, inner)).replace("D", "C")
    if not outer or sorted(kind) not in ([], ["C"], ["H", "W"], ["C", "H", "W"]):
        raise BadData(f"data.layout={order} names no axis of time before data.window cuts it. Use {ORDERS}.")
    if source.shape == (1,) and order in ("T", "NT"):
        return Rows(source, "C")
    source = _outer_first(source, order.index(outer), where)
    if inner:
        source = Unrolled(source, order.replace(outer, "").index(inner))
    return Rows(source, kind or "C")


def _outer_first(source: Source, axis: int, where: str) -> Source:
    """The source with the axis of rows first, which only an array in memory can be turned to."""
    if axis == 0:
        return source
    if not isinstance(source, Examples) or not isinstance(source.x, np.ndarray) or source.labels is not None:
        raise BadData(f"{where} cannot be read along its axis {axis}. Save it with the axis of rows first.")
    return replace(source, x=np.moveaxis(source.x, axis, 0))


def _guessed(source: Source, where: str) -> str:
    """The letters of an array or of files whose rows are time steps, pictures or clips, by their shape.

    Raises:
        BadData: rows of two axes may be recordings or pictures.
    """
    shape = source.shape
    if source.axes and len(source.axes) == len(shape):
        return "N" + source.axes
    if len(shape) == 1:
        return "NC"
    if len(shape) == 2:
        if source.dtype == np.uint8 or source.brightest is not None:
            return "NHW"
        raise BadData(
            f"{where} has shape {(len(source), *shape)}. Set data.layout=NTC if it holds {len(source):,} recordings of "
            f"{shape[0]:,} time steps, or data.layout=NHW if it is a video of {len(source):,} frames."
        )
    clip = "F" if len(shape) == 4 else ""
    if len(shape) > 4:
        raise BadData(f"{where} has {len(shape) + 1} axes. Use one whose axes are {ORDERS}.")
    first = shape[-1] not in (1, 3, 4) and shape[-3] in (1, 3, 4) and source.brightest is None
    return f"N{clip}CHW" if first else f"N{clip}HWC"

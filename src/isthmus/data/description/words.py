"""Layout, scaling and skipped examples in words, for ``isthmus data`` and the first lines of a training."""

from collections.abc import Sequence

from isthmus.data.base import Array
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.axes import kind_of, unit_axis
from isthmus.data.transforms.contract import DataContract

LISTED = 5
"""Names that are listed one by one."""


def layout_words(shape: tuple[int, ...], schema: Schema | None = None) -> str:
    """The meaning of the axes in words, such as ``gray images, 28 x 28 pixels``.

    Args:
        shape: shape of an example as model input, (D,), (C, T), (C, H, W) or (F, C, H, W).
        schema: columns of a table, if they have names.
    """
    kind = kind_of(shape)
    if kind == "sequences":
        return f"sequences of {counted(shape[1], 'step')}, {counted(shape[0], 'channel')}"
    if kind == "images":
        channels, *size = shape
        named = {1: "gray images", 3: "color images"}.get(channels, f"images with {channels} channels")
        return f"{named}, {' x '.join(map(str, size))} pixels"
    if kind == "frames":
        frames, channels, height, width = shape
        return f"{counted(frames, 'frame')} of {height} x {width} pixels, {counted(channels, 'channel')}"
    if schema is None:
        return f"table, {counted(shape[0], 'column')}"
    kinds = {"number": 0, "boolean": 0, "category": 0}
    for column in schema.columns:
        kinds[column.kind] += 1
    plural = {"number": "numbers", "boolean": "booleans", "category": "categories"}
    listed = [f"{count:,} {kind if count == 1 else plural[kind]}" for kind, count in kinds.items() if count]
    inputs = "" if schema.width == len(schema.columns) else f", {schema.width:,} model inputs"
    return f"table, {counted(len(schema.columns), 'column')} ({', '.join(listed)}){inputs}"


def contract_words(contract: DataContract) -> str:
    """What a data contract does to the values, such as ``8-bit pixels divided by 255``."""
    scaling, one = contract.scaling, unit_axis(contract.shape) is None
    unit = "column" if contract.kind == "table" else "channel"
    what = "all pixels together" if one else f"each {unit}"
    words = {
        "minmax": f"{what} scaled to [0, 1] (data.scale=minmax)",
        "standard": f"{what} scaled to mean 0 and variance 1 (data.scale=standard)",
        "pixels": f"divided by {scaling.scale[0]:,g} (data.scale=pixels)",
    }
    if contract.on_pixels:
        return contract.pixel_words
    if scaling.kind in words:
        return words[scaling.kind]
    return f"not scaled, but large means of {unit}s are subtracted" if any(scaling.offset) else "not scaled"


def skipped_words(listed: Sequence[str], count: int, total: int) -> str:
    """Which examples were skipped, at most five by name, such as ``2 of 60 examples were skipped: ...``."""
    few = ", ".join(listed[:LISTED]) + (f" and {count - LISTED:,} more" if count > LISTED else "")
    return f"{count:,} of {counted(total, 'example')} {'was' if count == 1 else 'were'} skipped as invalid: {few}"


def counted(count: int, what: str, several: str = "") -> str:
    """A number with its noun, such as ``1 column`` or ``2 columns``."""
    return f"{count:,} {what if count == 1 else several or f'{what}s'}"


def class_names(labels: Array, names: Sequence[str]) -> list[str]:
    """Labels as text; integers by the names of the classes where these are known."""
    if not names or labels.dtype.kind not in "iu":
        return [str(label) for label in labels.tolist()]
    return [names[label] if 0 <= label < len(names) else str(label) for label in labels.tolist()]

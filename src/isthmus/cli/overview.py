"""The screen of ``isthmus data``: a description of a data set as aligned text."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.cli.characters import side_by_side
from isthmus.data.description.overview import NAMES, Description
from isthmus.data.description.words import counted

WIDEST, MARGIN = 100, 12
"""Most columns of the screen, and columns for the name of a topic."""
SHOWN, UNNAMED, CLASSES, GUESSES, CELL = 20, 8, 12, 10, 30
"""Columns of a table with names and without, classes, guesses, and characters of a name that are shown."""
Content = Mapping[str, Any]


def lines(found: Description) -> Iterator[str]:
    """The lines of the screen, without trailing spaces."""
    content = found.content
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    yield from textwrap.wrap(_title(content), width, break_on_hyphens=False)
    for name, text in _topics(content):
        if text:
            yield from wrapped(name, text, width)
    for number, guess in enumerate(content["guessed"][:GUESSES]):
        yield from wrapped("" if number else "guessed", guess, width)
    if len(content["guessed"]) > GUESSES:
        yield from wrapped("", f"... and {len(content['guessed']) - GUESSES} more (--json lists all)", width)
    if "columns" in content:
        yield ""
        yield from _columns(content, width)
    if "first_rows" in content:
        yield ""
        yield from _first_rows(content, width)
    for title, images in (("first inputs", found.inputs), ("first targets", found.images)):
        if images is None:
            continue
        yield ""
        yield title if found.inputs is not None else "first examples"
        yield from side_by_side(images, width)


def wrapped(name: str, text: str, width: int) -> list[str]:
    """A topic: its name at the margin, its text beside it, wrapped."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=name.ljust(MARGIN),
        subsequent_indent=" " * MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _title(content: Content) -> str:
    """Name, kind and size."""
    source = content["source"]
    size = sum(file["bytes"] for file in source["files"])
    held = "read block by block in training (streamed)" if source["streamed"] else "held in memory"
    known = [source["kind"], counted(content["examples"], "example")]
    known += [*([_bytes(size)] if size else []), held]
    name = Path(content["name"]).name or content["name"]
    return f"{name}: {', '.join(known)}"


def _topics(content: Content) -> Iterator[tuple[str, str]]:
    """Names and texts of the topics; an empty text is not shown."""
    layout, values, looked = content["layout"], content["values"], content["looked_at"]
    named = content["source"]["named_columns"]
    kind = f", {layout['type']}" if named else ""
    yield "layout", layout["words"] + kind + (", as pairs of input and target" if content["inputs"] else "")
    if looked["examples"] < looked["of"]:
        yield "looked at", looked["how"]
    bits = f" ({layout['bits']} bits per value)" if layout["kind"] in ("images", "frames") else ""
    if not named:
        yield "values", f"{layout['type']}{bits}, {_bounds(values)}"
    if content["inputs"]:
        yield "inputs", f"{_bounds(content['inputs'])}; the values above are those of the targets"
    plain = content["scaling"].startswith("not scaled")
    yield "scaling", content["scaling"] + (" (data.scale=standard or minmax scales them)" if plain else "")
    yield "splits", _splits(content)
    yield "labels", _labels(content["labels"])
    yield "row names", _rows(content["rows"])
    yield "missing", _missing(content)
    yield "invalid", _invalid(content)
    yield "refused", "a training would stop with the message below" if content["refused"] else ""
    yield "terms", content["source"]["terms"]
    yield "credit", content["source"]["credit"]
    yield "files", _files(content["source"]["files"])


def _bounds(values: Content) -> str:
    """Smallest, largest and mean value."""
    if values["min"] is None:
        return "no finite value"
    return f"{number(values['min'])} to {number(values['max'])}, mean {number(values['mean'])}"


def _splits(content: Content) -> str:
    """The number of examples of each split and where it comes from."""
    parts = []
    for name, split in content["splits"].items():
        option = {"valid": "data.validation", "test": "data.test"}.get(name)
        origin = f" (held out: {option})" if split["origin"] == "held out" else ""
        parts.append(f"{split['examples']:,} {NAMES[name]}{origin or (' (provided)' if option else '')}")
    groups = (content["rows"] or {}).get("groups")
    return ", ".join(parts) + (f"; each of {groups:,} groups is in one split only" if groups else "")


def _labels(labels: Content | None) -> str:
    if labels is None:
        return ""
    classes = list(labels["classes"].items())
    listed = "; ".join(f"{cut(name)}: {count:,}" for name, count in classes[:CLASSES])
    more = f"; and {len(classes) - CLASSES:,} more" if len(classes) > CLASSES else ""
    column = f" in column {labels['column']!r}" if labels["column"] else ""
    return f"{counted(len(classes), 'class', 'classes')}{column}: {listed}{more}"


def _rows(rows: Content | None) -> str:
    if rows is None or rows["named_by"] is None:
        return ""
    where = rows["named_by"] if rows["named_by"] in ("file", "index") else repr(rows["named_by"])
    return f"{where}: {', '.join(cut(name) for name in rows['first'][:3])}, ..."


def _missing(content: Content) -> str:
    missing = content["missing"]
    if not missing["cells"]:
        return "none"
    where = f" and {counted(missing['columns'], 'column')}" if content["layout"]["kind"] == "table" else ""
    text = f"{counted(missing['cells'], 'value')} in {missing['examples']:,} of {counted(missing['of'], 'example')}"
    if "policy" in content:
        return f"{text}{where}; such examples are invalid"
    return f"{text}{where}; left out of the loss, or refused by recipes that cannot"


def _invalid(content: Content) -> str:
    invalid = content["invalid"]
    if not invalid["examples"]:
        return ""
    first = invalid["listed"][0]
    where = first["name"] if content["source"]["kind"] == "folder of images" else f"row {first['row']}"
    skipped = "; skipped" if "policy" in content else "; data.on_bad_data=skip leaves such examples out"
    text = f"{invalid['examples']:,} of {counted(invalid['of'], 'example')}, the first {cut(where)}: "
    return f"{text}{first['why'].partition('. ')[0]}{skipped}"


def _files(files: Sequence[Content]) -> str:
    """The names of files, if there are several; checksums are in the JSON."""
    few = [file["name"] for file in files[:4]] if len(files) > 1 else []
    return ", ".join(few) + (f", and {len(files) - 4:,} more" if len(files) > 4 else "")


def _columns(content: Content, width: int) -> Iterator[str]:
    """One line per column of a table, at most twenty of x and all that are not; or per channel of others."""
    columns: Sequence[Content] = content["columns"]
    title = "column" if content["layout"]["kind"] == "table" else "channel"
    inside = [column for column in columns if column["kind"] in ("number", "boolean", "category")]
    others = [column for column in columns if column not in inside] if len(inside) < len(columns) else []
    most = SHOWN if content["source"]["named_columns"] else UNNAMED
    rows = [_column(column) for column in [*inside[:most], *others[:SHOWN]]]
    yield from aligned((title, "kind", "values", "mean", "missing"), rows, "lllrr", width)
    hidden = len(columns) - len(rows)
    if hidden:
        yield f"... and {hidden:,} more (--json lists all)"


def _column(column: Content) -> tuple[str, ...]:
    kind = column["kind"]
    missing = str(column.get("missing") or "")
    if kind == "category":
        listed = [f"{cut(name)}: {count:,}" for name, count in column["categories"].items()]
        more = f"; and {len(listed) - 4} more" if len(listed) > 4 else ""
        return column["name"], kind, "; ".join(listed[:4]) + more, "", missing
    if kind == "boolean":
        return column["name"], kind, "false (0), true (1)", number(column["mean"]), missing
    if kind == "number":
        bounds = f"{number(column['min'])} to {number(column['max'])}"
        return column["name"], kind, bounds, number(column["mean"]), missing
    return column["name"], kind, column.get("why", ""), "", ""


def _first_rows(content: Content, width: int) -> Iterator[str]:
    """The first rows of a table as text, with as many columns as fit."""
    first, names = content["first_rows"], (content["rows"] or {}).get("first") or []
    rows = [[_cell(value) for value in row] for row in first["rows"]]
    heads = [cut(name, 14) for name in first["columns"]]
    left = [names[k] if k < len(names) else str(k) for k in range(len(rows))]
    sizes = [max(map(len, (head, *(row[k] for row in rows)))) for k, head in enumerate(heads[:WIDEST])]
    room, shown = width - 6 - max(map(len, (*map(cut, left), "row"))), 0
    while shown < len(sizes) and room >= sizes[shown] + 2:
        room -= sizes[shown] + 2
        shown += 1
    more = shown < len(heads)
    table = [(cut(name), *row[:shown], *(["..."] if more else [])) for name, row in zip(left, rows, strict=True)]
    yield "first rows"
    yield from aligned(("row", *heads[:shown], *(["..."] if more else [])), table, "l" + "r" * (shown + more), width)


def _cell(value: object) -> str:
    if value is None or value != value:
        return "missing"
    return number(value) if isinstance(value, float) else cut(str(value), 14)


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str, width: int) -> Iterator[str]:
    """A table of text; columns are left- or right-aligned (``l``, ``r``), two spaces apart, and cut to the width."""
    cells = [[cut(cell, CELL) if place == 0 else cell for place, cell in enumerate(row)] for row in (heads, *rows)]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    over = sum(sizes) + 2 * (len(sizes) - 1) - width
    if over > 0:
        longest = sizes.index(max(sizes))
        sizes[longest] = max(10, sizes[longest] - over)
    for row in cells:
        texts = [cut(cell, size) for cell, size in zip(row, sizes, strict=True)]
        pairs = zip(texts, sizes, sides, strict=True)
        yield "  ".join(text.rjust(size) if side == "r" else text.ljust(size) for text, size, side in pairs).rstrip()


def cut(text: str, size: int = CELL) -> str:
    """A text in one line, cut to ``size`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= size else f"{text[: size - 3]}..."


def number(value: float | None) -> str:
    """A number with at most four significant digits, whole numbers with separators."""
    if value is None or value != value:
        return "none"
    if value == int(value) and abs(value) < 1e9 if abs(value) != float("inf") else False:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 or abs(value) >= 1e9 else f"{value:,.0f}"


def _bytes(size: int) -> str:
    """A number of bytes with its unit."""
    amount, units = float(size), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000:
        amount, unit = amount / 1000, next(units, unit)
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.3g} {unit}"

"""What a text table looks like: its delimiter, its numbers, and the lines before its first row.

All is decided by the first rows and said in notes, each with the option that overrides it.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from isthmus.data.formats.files import reading
from isthmus.data.storage.base import File
from isthmus.data.tables.cells import MARKERS, Numerals
from isthmus.data.tables.content import LONGEST_LINE, Content, kind_of, load
from isthmus.data.tables.guessing import DATE
from isthmus.data.tables.heading import Heading, Row, find_heading, is_filled
from isthmus.data.tables.numerals import FRACTION, LIKE, Evidence, decide
from isthmus.errors import BadData
from isthmus.options import DataOptions

SAMPLE_LINES, SAMPLE_SIZE, FEWEST_LINES = 1000, 2**18, 20
"""Lines of a sample at most; characters beyond which it ends; and lines that it has anyway."""
MOST_COLUMNS = 2**16
"""Largest number of columns of a text table, each a separate array while it is read."""
WHITE = r"\s+"
NAMED = {"tab": "\t", "\\t": "\t", "space": WHITE, "whitespace": WHITE, " ": WHITE, "comma": ",", "semicolon": ";"}
WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", WHITE: "white space"}
COMMENTS = ("#", "%", "//", "!")
NOT_TABLES = {
    "<": "HTML or XML",
    "{": "JSON",
    "[{": "JSON",
    "version https://git-lfs": "Git LFS, which stands for another",
}
SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line by which Excel is told the delimiter."""


@dataclass(frozen=True)
class Dialect:
    """What a text table looks like.

    Args:
        content: its characters.
        delimiter: what separates its cells, as a regular expression of white space or one character.
        numerals: how it writes numbers.
        comment: what a line that is not part of the table starts with, or an empty string.
        quote: quotation mark.
        heading: lines before the first row, and the names of the columns.
        notes: what was decided, one sentence each.
        told: what the options say of its numbers, and the decimal mark where the sample showed it.
    """

    content: Content
    delimiter: str
    numerals: Numerals
    comment: str
    quote: str
    heading: Heading
    notes: tuple[str, ...] = ()
    told: DataOptions = field(default_factory=DataOptions)

    @property
    def encoding(self) -> str:
        """Name of the encoding."""
        return self.content.encoding


@dataclass
class _Lines:
    """The first lines of a file, without comments."""

    kept: list[tuple[int, str]] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    comment: str = ""
    separator: str = ""
    whole: bool = True


def sniff(file: File, options: DataOptions, prefer: str = "") -> Dialect:
    """What a text table looks like.

    Args:
        file: the file, which may be compressed.
        options: ``delimiter``, ``decimal``, ``thousands``, ``encoding``, ``comment`` and ``header`` take precedence.
        prefer: decimal mark of the training table, for a table that could be read with either.

    Raises:
        BadData: it is not a table; the message says what it looks like.
    """
    name = file.name
    with reading(name, kind_of(name)), _short_cells(name):
        content = load(file, options.encoding)
        lines = _sampled(content, options)
        if not lines.kept:
            raise BadData(f"{name!r} cannot be read as {kind_of(name)}: it is empty. Pass one row per example.")
        _check_start(lines.kept[0][1].lstrip(), name)
        quote = _quote(lines)
        delimiter = NAMED.get(options.delimiter, options.delimiter)
        texts = [line for _, line in lines.kept]
        if delimiter == "auto":
            delimiter = lines.separator or _delimiter(texts, quote)
        rows = split(lines.kept, delimiter, quote)
        widths = {len(row.cells) for row in rows}
        if options.delimiter != "auto" and (len(widths) > 1 or widths == {1}):
            _check_delimiter(delimiter, _delimiter(texts, quote), name)
        _check_width(rows, name)
        numerals, note, told = _numerals(rows, delimiter, options, prefer)
        last = lines.comments[-1][1].lstrip()[len(lines.comment) :] if lines.comments else ""
        spoken = split([(lines.comments[-1][0], last)], delimiter, quote) if last.strip() else []
        heading = find_heading(rows, spoken[-1].cells if spoken else [], numerals, options.header, repr(name))
    notes = [*_notes(content, delimiter, lines, options), *([note] if note else []), *heading.notes]
    return Dialect(content, delimiter, numerals, lines.comment, quote, heading, tuple(notes), told)


@contextmanager
def _short_cells(name: str) -> Iterator[None]:
    """Convert the error of a cell without an end to one that says so.

    Raises:
        BadData: a cell is too long.
    """
    try:
        yield
    except csv.Error as fault:
        raise BadData(
            f"{name!r} cannot be read as {kind_of(name)}: it has a cell of over {csv.field_size_limit():,} "
            "characters, perhaps after a quotation mark that is never closed. Correct it."
        ) from fault


def _sampled(content: Content, options: DataOptions) -> _Lines:
    """The first lines, comments apart."""
    found, size, number = _Lines(comment="" if options.comment in ("auto", "none") else options.comment), 0, 0
    with content.open() as stream:
        while size < LONGEST_LINE and number < SAMPLE_LINES and (size < SAMPLE_SIZE or number < FEWEST_LINES):
            line = stream.readline(LONGEST_LINE)
            if not line:
                break
            size, number = size + len(line), number + 1
            text = line.strip()
            if not found.kept and options.comment == "auto" and not found.comment:
                found.comment = next((mark for mark in COMMENTS if text.startswith(mark)), "")
            if not found.kept and (separator := SEPARATOR.fullmatch(text)):
                found.separator = NAMED.get(separator[1], separator[1])
            elif found.comment and text.startswith(found.comment):
                found.comments.append((number, line))
            else:
                # blank lines before the table are no rows, those inside quotes are needed
                found.kept += [(number, line)] if found.kept or text else []
        else:
            found.whole = False
    return _without_false_comment(found, options)


def _without_false_comment(found: _Lines, options: DataOptions) -> _Lines:
    """The lines, where a first line such as ``#,a,b`` or ``--`` is a row after all."""
    if options.comment != "auto" or len(found.comments) != 1 or not found.kept:
        return found
    first = found.comments[0][1].strip()
    rest = first[len(found.comment) :]
    if found.comment == "#" and rest[:1] in (",", ";", "\t", "|"):
        return _Lines([found.comments[0], *found.kept], [], "", found.separator, found.whole)
    return found


def _quote(lines: _Lines) -> str:
    """The quotation mark: single ones only where there are no double ones."""
    text = "".join(line for _, line in lines.kept[:50])
    single = re.findall(r"(?:^|[,;\t| ])'[^'\n]*'(?=[,;\t| ]|\r|\n|$)", text, re.MULTILINE)
    return "'" if '"' not in text and len(single) > 1 else '"'


def split(lines: Sequence[tuple[int, str]], delimiter: str, quote: str = '"') -> list[Row]:
    """The rows of numbered lines, blank ones left out; a row of several lines has the number of its last one."""
    if delimiter == WHITE:
        texts = [" ".join(line.split()) for _, line in lines]
        reader = csv.reader(texts, delimiter=" ", quotechar=quote, skipinitialspace=True)
    else:
        texts = [line for _, line in lines]
        reader = csv.reader(texts, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
    rows, before = [], 0
    for cells in reader:
        if len(cells) > 1 or "".join(cells).strip():
            first = lines[before][0]
            rows.append(Row(first, lines[reader.line_num - 1][0], [cell.strip() for cell in cells]))
        before = reader.line_num
    return rows


def _delimiter(lines: list[str], quote: str) -> str:
    """The delimiter that splits most lines into equally many cells, most of them numbers."""
    scores: dict[str, float] = {}
    for delimiter in (",", ";", "\t", "|", WHITE):
        if scores if delimiter == WHITE else not any(delimiter in line for line in lines):
            continue
        try:
            rows = split(list(enumerate(lines)), delimiter, quote)
        except csv.Error:
            # a cell without an end, by this delimiter
            continue
        widths = Counter(len(row.cells) for row in rows)
        width = max(widths, key=lambda width: (widths[width], width))
        if width < 2:
            continue
        body = [cell for row in rows[len(rows) // 2 :] if len(row.cells) == width for cell in row.cells][:20_000]
        numbers = sum(1 for cell in body if LIKE.fullmatch(cell) or cell.lower() in MARKERS or DATE.fullmatch(cell))
        share, numbers_share = widths[width] / len(rows), numbers / max(1, len(body))
        # the names may be one too few
        below = [len(row.cells) for row in rows[1:]] or [width]
        if delimiter == WHITE and (below.count(width) < 0.9 * len(below) or numbers_share < 0.5):
            continue
        scores[delimiter] = share * (0.25 + numbers_share)
    best = max(scores, key=lambda delimiter: scores[delimiter]) if scores else ","
    return ";" if best == "," and _is_one_column(lines) else best


def _is_one_column(lines: list[str]) -> bool:
    """Whether the lines are one name and numbers with a decimal comma: ``1,5`` below a name without a comma."""
    name, *cells = [line.strip() for line in lines if line.strip()]
    if "," in name or not cells or not all(FRACTION.fullmatch(cell) for cell in cells):
        return False
    counts = [str(number) for number in range(1, len(cells) + 1)]
    return any("," in cell for cell in cells) and [cell.partition(",")[0] for cell in cells] != counts


def _check_start(text: str, name: str) -> None:
    """Refuse a text that is not a table by its first characters."""
    for start, kind in NOT_TABLES.items():
        if text.startswith(start):
            raise BadData(f"{name!r} cannot be read as {kind_of(name)}: it is a file of {kind}. Convert it to a table.")


def _check_delimiter(chosen: str, best: str, name: str) -> None:
    """Refuse a delimiter that does not split all rows alike where another one does better."""
    if chosen != best:
        named = "tab" if best == "\t" else "space" if best == WHITE else best
        raise BadData(
            f"{name!r} looks separated by {WORDS[best]}, not by {WORDS.get(chosen, repr(chosen))}. Set "
            f"data.delimiter={named}, or leave it out."
        )


def _check_width(rows: list[Row], name: str) -> None:
    width = max((len(row.cells) for row in rows), default=0)
    if width > MOST_COLUMNS:
        raise BadData(f"{name!r} has {width:,} columns, but at most {MOST_COLUMNS:,} are read. Use a .npy file.")


def _numerals(rows: list[Row], delimiter: str, options: DataOptions, prefer: str) -> tuple[Numerals, str, DataOptions]:
    """How the table writes numbers, a note, and what of it is certain."""
    evidence = evidence_of(rows)
    numerals, note = decide(evidence, delimiter, options, prefer)
    known = options.decimal != "auto" or evidence.decimals or evidence.thousands
    decimal = "auto" if not known else "," if numerals.decimal == "," else "."
    return numerals, note, DataOptions(decimal=decimal, thousands=options.thousands)


def evidence_of(rows: Sequence[Row]) -> Evidence:
    """What the cells of the rows show about numbers, column by column."""
    evidence = Evidence()
    width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
    body = [row.cells for row in rows if len(row.cells) == width]
    for column in zip(*body, strict=True):
        evidence.add(column)
    return evidence


def _notes(content: Content, delimiter: str, lines: _Lines, options: DataOptions) -> list[str]:
    """What was decided about the file as a whole, except what is usual."""
    notes = []
    if content.compression:
        notes.append(f"The file is compressed with {content.compression}.")
    if content.encoding not in ("utf-8", "utf-8-sig") and options.encoding == "auto":
        notes.append(f"The encoding is {content.encoding} (data.encoding).")
    wide = any(is_filled(row.cells) and len(row.cells) > 1 for row in split(lines.kept[:5], delimiter))
    if delimiter != "," and options.delimiter == "auto" and wide:
        notes.append(f"Cells are separated by {WORDS.get(delimiter, repr(delimiter))} (data.delimiter).")
    if lines.comments and options.comment == "auto":
        notes.append(f"Lines that start with {lines.comment!r} are comments and left out (data.comment).")
    return notes

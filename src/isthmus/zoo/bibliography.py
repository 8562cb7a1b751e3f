"""The bibliography: papers read from ``papers.bib``, and the formats in which they are cited.

References in docstrings, the table of recipes and ``isthmus cite`` all use that file.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from isthmus.errors import BadData, unknown

VENUES = ("shortjournal", "journal", "booktitle", "howpublished", "publisher", "note")
"""Fields with the venue of a paper; the first one that an entry has is used."""
FIELDS = frozenset({"title", "author", "year", "volume", "number", "pages", "organization", *VENUES})
"""Fields that an entry may have."""

_HEAD = re.compile(r"(?:\s|%.*\n)*(@(?:article|book|inproceedings|misc)\{([a-z]+(\d{4})[a-z]?),)")
_FIELD = re.compile(r"\s*([a-z]+)\s*=\s*\{")
_NEXT = re.compile(r"(,?)\s*(\}?)")
_ACCENT = re.compile(r"""\{\\(['"`^~]|[cv](?![a-z]))\s*\{?([A-Za-z])\}?\}""")
_MARKS = {"'": "\u0301", '"': "\u0308", "`": "\u0300", "^": "\u0302", "~": "\u0303", "c": "\u0327", "v": "\u030c"}


@dataclass(frozen=True)
class Paper:
    """A paper of the bibliography, in plain characters except for ``bibtex``.

    Attributes:
        key: surname of the first author and year, then a letter if several papers have both.
        bibtex: its entry in the file.
        title: title in sentence case.
        authors: surnames, with their prefixes.
        venue: journal with volume and first page, conference, publisher, web site or arXiv number.
        year: year of publication.
    """

    key: str
    bibtex: str
    title: str
    authors: tuple[str, ...]
    venue: str
    year: int

    @property
    def names(self) -> str:
        """The names of up to two authors, or the first one and "et al."."""
        return " & ".join(self.authors) if len(self.authors) < 3 else f"{self.authors[0]} et al."


@cache
def papers() -> dict[str, Paper]:
    """All papers by key, in the order of ``papers.bib``."""
    return parse(files("isthmus.zoo").joinpath("papers.bib").read_text("utf-8"))


def short(key: str) -> str:
    """Authors, venue and year of a paper, for tables.

    Raises:
        UnknownName: no paper has this key.

    >>> short("hinton2006")
    'Hinton & Salakhutdinov, Science 313:504 (2006)'
    """
    paper = _paper(key)
    return f"{paper.names}, {paper.venue} ({paper.year})"


def reference(key: str) -> str:
    """Title, authors and year of a paper, as in docstrings.

    Raises:
        UnknownName: no paper has this key.

    >>> reference("kingma2014")
    'Auto-encoding variational Bayes (Kingma & Welling, 2014)'
    """
    paper = _paper(key)
    return f"{paper.title} ({paper.names}, {paper.year})"


def parse(text: str) -> dict[str, Paper]:
    """The papers in the text of a BibTeX file, by key.

    Only a strict subset of BibTeX is supported: values in braces, known fields, each one once, ``Surname, First name``
    for every author, and the year in the key. Everything else is an error.

    Raises:
        BadData: the text is not in this format; the message names the line.
    """
    text = text.rstrip()
    found: dict[str, Paper] = {}
    place = 0
    while place < len(text):
        head = _HEAD.match(text, place)
        if head is None or head[2] in found:
            raise _malformed(text, place, "no entry with a key of its own, such as '@article{surname2014,', follows")
        fields, place = _fields(text, head.end())
        lacking = {"title", "author", "year"} - fields.keys()
        if lacking or fields.keys().isdisjoint(VENUES) or fields["year"] != head[3]:
            raise _malformed(text, head.start(1), "the entry lacks a title, authors, a venue or the year of its key")
        found[head[2]] = Paper(
            key=head[2],
            bibtex=text[head.start(1) : place],
            title=_sentence_case(fields["title"]),
            authors=_surnames(fields["author"]),
            venue=_venue(fields),
            year=int(head[3]),
        )
    return found


def _paper(key: str) -> Paper:
    if key not in papers():
        raise unknown("paper", key, papers())
    return papers()[key]


def _fields(text: str, place: int) -> tuple[dict[str, str], int]:
    """The fields of the entry whose key ends at ``place``, and the end of the entry."""
    fields: dict[str, str] = {}
    closed = False
    while not closed:
        field = _FIELD.match(text, place)
        if field is None or field[1] not in FIELDS or field[1] in fields:
            raise _malformed(text, place, "no new field such as 'title = {' follows")
        place = _closing(text, field.end())
        fields[field[1]] = " ".join(text[field.end() : place - 1].split())
        after = _NEXT.match(text, place)
        if after is None or not after[0].strip():
            raise _malformed(text, place, "neither a comma nor the end of the entry follows")
        place, closed = after.end(), bool(after[2])
    return fields, place


def _closing(text: str, start: int) -> int:
    """The position after the brace that closes the one before ``start``."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    raise _malformed(text, start, "a brace opens that never closes")


def _malformed(text: str, place: int, what: str) -> BadData:
    line = text.count("\n", 0, len(text) - len(text[place:].lstrip())) + 1
    return BadData(f"The bibliography cannot be read: {what} at line {line}. Write the entry as its neighbors are.")


def _surnames(authors: str) -> tuple[str, ...]:
    names = authors.split(" and ")
    if not all(re.fullmatch(r"[^,]+, [^,]+", name) for name in names):
        raise BadData(f"The authors {authors[:200]!r} are not all written as 'Surname, First name'. Write them so.")
    return tuple(_plain(name.partition(",")[0]) for name in names)


def _venue(fields: dict[str, str]) -> str:
    """The venue of a paper, with volume and first page if known."""
    venue = _plain(next(fields[name] for name in VENUES if name in fields))
    if "volume" not in fields:
        return venue
    first = fields.get("pages", "").partition("--")[0]
    return f"{venue} {fields['volume']}:{first}" if first else f"{venue} {fields['volume']}"


def _sentence_case(title: str) -> str:
    """A title in lowercase, except for its first letter and text in braces."""
    # accents first: their braces do not protect capitals
    parts = re.split(r"\{(.*?)\}", _accented(title))
    text = "".join(part if inside % 2 else part.lower() for inside, part in enumerate(parts))
    return _plain(title)[0] + _plain(text)[1:]


def _accented(text: str) -> str:
    return _ACCENT.sub(lambda found: unicodedata.normalize("NFC", found[2] + _MARKS[found[1]]), text)


def _plain(text: str) -> str:
    """Text without LaTeX: accents and dashes as characters, no braces."""
    text = re.sub(r"[{}]", "", _accented(text).replace("--", "–"))
    if "\\" in text:
        raise BadData(
            f"The bibliography has an unknown LaTeX command in {text[:200]!r}. Known: accents such as {{\\'e}}."
        )
    return text

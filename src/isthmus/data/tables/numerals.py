"""How a text table writes numbers: its decimal mark and its separator of thousands, by the evidence of its cells.

``1,5`` and ``1.234,5`` can be read in one way only, and decide for the whole table. ``1,234`` can be 1.234 or 1234:
without any other evidence it is decided by the delimiter and by the other numbers of its column, and a note says so.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.data.tables.cells import GROUPS, Numerals
from isthmus.options import DataOptions

MARKS = ".,"
ENOUGH = 20
"""Ambiguous cells from which the lack of any other number of decimals is evidence of thousands."""
SPACE = "".join(re.escape(mark) for mark in GROUPS if mark != "_")
FRACTION = re.compile(r"[+-]?(?:\d+(?P<a>[.,])\d*|(?P<b>[.,])\d+)(?:[eE][+-]?\d+)?", re.ASCII)
TWICE = re.compile(r"[+-]?\d{1,3}(?P<t>[.,])\d{3}(?:(?P=t)\d{3})+", re.ASCII)
ONCE = re.compile(r"[+-]?[1-9]\d{0,2}(?P<t>[.,])\d{3}", re.ASCII)
BOTH = re.compile(r"[+-]?\d{1,3}(?P<t>[.,])\d{3}(?:(?P=t)\d{3})*(?!(?P=t))(?P<d>[.,])\d*(?:[eE][+-]?\d+)?", re.ASCII)
SPACED = re.compile(rf"[+-]?\d{{1,3}}(?P<t>[{SPACE}])\d{{3}}(?:(?P=t)\d{{3}})*(?:(?P<d>[.,])\d*)?", re.ASCII)
LIKE = re.compile(rf"[+-]?\.?,?\d[\d.,{SPACE}]*(?:[eE][+-]?\d+)?", re.ASCII)
"""Anything that may be a number in some country."""


@dataclass
class Evidence:
    """What the cells of a table show: counts by mark.

    Args:
        decimals: cells in which the mark can only be a decimal mark.
        thousands: cells in which it can only separate thousands.
        either: cells in which it can be both.
        grouped: whether the columns of these look like thousands: short whole numbers have no mark, long ones all do.
    """

    decimals: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    either: Counter[str] = field(default_factory=Counter)
    grouped: bool = True

    def add(self, cells: Sequence[str]) -> None:
        """Take in the cells of one column."""
        ambiguous, plain = Counter[str](), Counter[bool]()
        for cell in cells:
            text = cell.strip().replace("\u2212", "-")
            if text.isdecimal():
                plain[len(text) > 3] += 1
            elif found := BOTH.fullmatch(text) or SPACED.fullmatch(text):
                self.thousands[found["t"]] += 1
                self.decimals.update([found["d"]] if found["d"] else [])
            elif found := TWICE.fullmatch(text):
                self.thousands[found["t"]] += 1
            elif found := ONCE.fullmatch(text):
                ambiguous[found["t"]] += 1
            elif found := FRACTION.fullmatch(text):
                self.decimals[found["a"] or found["b"]] += 1
        if ambiguous:
            self.either += ambiguous
            self.grouped = self.grouped and not plain[True] and bool(plain[False])


def decide(evidence: Evidence, delimiter: str, options: DataOptions, prefer: str = "") -> tuple[Numerals, str]:
    """How a table writes numbers, and a note on what was decided, which is empty for the ordinary ``1.5``.

    Args:
        evidence: what its cells show.
        delimiter: what separates them.
        options: ``decimal`` and ``thousands`` take precedence.
        prefer: decimal mark of the training table, taken where the cells leave both ways open.
    """
    decimal, sure = _decimal(evidence, delimiter, prefer)
    decimal = decimal if options.decimal == "auto" else options.decimal
    other = "," if decimal == "." else "."
    seen = {mark: count for mark, count in (evidence.thousands + evidence.either).items() if mark != decimal}
    if options.thousands != "auto":
        named = {"none": "", "space": " ", "dot": ".", "comma": ","}
        thousands = named.get(options.thousands, options.thousands)
        if options.decimal == "auto" and thousands == decimal:
            decimal = "," if thousands == "." else "."
    else:
        thousands = max(seen, key=lambda mark: (seen[mark], mark == other)) if seen else ""
    thousands = "" if thousands == decimal else thousands
    numerals = Numerals(decimal, thousands)
    told = options.decimal != "auto" and (not thousands or options.thousands != "auto")
    if told or (decimal == "." and not thousands and (sure or not evidence.either)):
        return numerals, ""
    return numerals, _note(numerals, sure)


def _decimal(evidence: Evidence, delimiter: str, prefer: str) -> tuple[str, bool]:
    """The decimal mark, and whether there was evidence for it."""
    shown = evidence.decimals
    if shown["."] or shown[","]:
        return ("," if shown[","] > shown["."] else "."), True
    if evidence.thousands["."] or evidence.thousands[","]:
        return ("," if evidence.thousands["."] > evidence.thousands[","] else "."), True
    either = [mark for mark in MARKS if evidence.either[mark]]
    if len(either) != 1:
        return prefer or ".", not either
    (mark,) = either
    if prefer:
        return prefer, False
    other = "," if mark == "." else "."
    grouped = evidence.grouped and evidence.either[mark] >= ENOUGH
    if mark == ",":
        return ("," if delimiter == ";" and not grouped else other), False
    return (other if delimiter != "," and grouped else mark), delimiter == ","


def _note(numerals: Numerals, sure: bool) -> str:
    """What was taken, in one sentence."""
    names = {" ": "a space", "'": "an apostrophe", ",": "a comma", ".": "a point"}
    decimal = f"The decimal mark is {names[numerals.decimal]}"
    thousands = f", and {names.get(numerals.thousands, repr(numerals.thousands))} separates thousands"
    example = Numerals(numerals.decimal, numerals.thousands).number(f"1{numerals.thousands or numerals.decimal}234")
    doubt = (
        "" if sure else f", decided without clear evidence: 1{numerals.thousands or numerals.decimal}234 is {example:g}"
    )
    return f"{decimal}{thousands if numerals.thousands else ''}{doubt} (data.decimal, data.thousands)."

"""Reproductions in words: the cells of one row, and the page of all results that are kept.

``python -m isthmus.papers.page RESULTS OUT`` writes the page from the results of reproductions in a folder.
A picture is shown only where its bytes are those that the results name.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from isthmus.errors import BadData
from isthmus.files import write_text
from isthmus.papers import PAPERS, paper

Results = Mapping[str, Any]
VERDICTS = {None: "not asked of this form", True: "met", False: "not met"}
"""What is said of a bar."""
SPECIAL = "\\`*_|<["
"""Characters that Markdown would take for its own."""


class Cells(NamedTuple):
    """A row of a table as text; ``verdict`` is empty where no bar is set."""

    figure: str
    published: str
    ours: str
    known: str
    bar: str
    verdict: str


def cells(row: Results) -> Cells:
    """What a table shows of a row of results.

    >>> cells({"what": "error", "unit": "%", "published": 1.14, "ours": 1.2, "spread": 0.05, "known": "0.81",
    ...        "bar": "at most 1.14", "met": False})[1:]
    ('1.14', '1.2 ± 0.05', '0.81', 'at most 1.14', 'not met')
    """
    ours = _number(row["ours"]) + ("" if row["spread"] is None else f" ± {row['spread']:.2g}")
    return Cells(
        f"{row['what']}, {row['unit']}" if row["unit"] else str(row["what"]),
        _number(row["published"]),
        ours,
        _number(row["known"]),
        row["bar"],
        VERDICTS[row["met"]] if row["bar"] else "",
    )


def page(results: Sequence[Results], pictures: Mapping[str, str] = MappingProxyType({})) -> str:
    """Markdown of all results: a summary, then for each paper its claim, its cost, its table and its pictures.

    Args:
        results: contents of ``results.json``, of papers in :data:`isthmus.papers.PAPERS`; shown in that order.
        pictures: those that can be shown, as addresses from the page by the SHA-256 of their bytes; others are named.
    """
    ordered = sorted(results, key=lambda found: (PAPERS.index(found["paper"]), found["command"]))
    head = [
        "# Reproductions",
        "What papers published, and what `isthmus reproduce PAPER` makes of it. *Ours* is the mean over seeds with "
        "their standard deviation; a *bar* is what is asked of ours, and one that was missed is said to be. This page "
        "is made by `make reproductions` from the results in `benchmarks/results/`.",
        "\n".join(
            [
                *_heading("paper", "figures", "bars met", "time"),
                *(_line(f"[{_title(found)}](#{_anchor(found)})", *_summary(found)) for found in ordered),
            ]
        ),
    ]
    return "\n\n".join([*head, *(part for found in ordered for part in _section(found, pictures))]) + "\n"


def gathered(folder: Path) -> list[Results]:
    """The results of reproductions among the JSON files of a folder; others, such as speeds, are left out.

    Raises:
        BadData: a file that is no JSON.
    """
    found: list[Results] = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadData(f"{str(path)!r} is no JSON: {error}. Make it again.") from error
        if isinstance(content, dict) and content.get("paper") in PAPERS and "rows" in content:
            found.append(content)
    return found


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(42), duration(863), duration(6947)
    ('42 s', '14 min', '1 h 56 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _summary(found: Results) -> tuple[str, str, str]:
    """Figures, bars met of bars set, and the time of one paper."""
    met = [row["met"] for row in found["rows"] if row["bar"]]
    count = f"{met.count(True)} of {len(met)}" if met else "none asked"
    return str(len(found["rows"])), count, duration(sum(found["seconds"].values()))


def _section(found: Results, shown: Mapping[str, str]) -> list[str]:
    """The paragraphs of one paper."""
    machine = found["machine"]
    where = (
        f"{machine['system']}, {machine['cpus']} cores, {_counted(machine['threads'], 'thread')}, torch "
        f"{machine['torch']}, isthmus {machine['isthmus']}"
    )
    time = f"{duration(sum(found['seconds'].values()))} in {_counted(len(found['seconds']), 'piece')}"
    pictures, known = ", ".join(f"`{name}`" for name in found["pictures"]), paper(found["paper"])
    return [
        f'<a id="{_anchor(found)}"></a>\n\n## {_title(found)}',
        *([f"Claim: {_plain(found['claim'])}."] if "claim" in found else []),
        f"- command: `{found['command']}`\n- budget: {_plain(found['budget'])}\n"
        f"- time: {time}, {_plain(where)}\n- pictures: {pictures or 'none'}\n"
        f"- published figures: {_plain(known.source)}" + "".join(f"\n- note: {_plain(note)}" for note in known.notes),
        "\n".join(
            [
                *_heading("figure", "published", "ours", "best known", "bar", "met"),
                *(_line(*map(_plain, row[:-1]), _marked(row.verdict)) for row in map(cells, found["rows"])),
            ]
        ),
        *(f"![{name}]({shown[digest]})" for name, digest in found["pictures"].items() if digest in shown),
    ]


def _title(found: Results) -> str:
    flags = " ".join(found["command"].split()[3:])
    return _plain(found["title"]) + f" (`{flags}`)" * bool(flags)


def _anchor(found: Results) -> str:
    """A paper and the form of it: one may be kept in several."""
    return "-".join(word.strip("-") for word in found["command"].split()[2:])


def _marked(verdict: str) -> str:
    """A bar that was missed is not overlooked."""
    return f"**{verdict}**" if verdict == VERDICTS[False] else verdict


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _heading(*names: str) -> tuple[str, str]:
    return _line(*names), "|" + "---|" * len(names)


def _line(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{character}" if character in SPECIAL else character for character in text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m isthmus.papers.page", description=main.__doc__)
    parser.add_argument("results", type=Path, help="folder with the results of reproductions")
    parser.add_argument("out", type=Path, help="the page, in Markdown")
    parser.add_argument(
        "--pictures",
        type=Path,
        help="folder beside the page whose pictures are shown, where they are of these very results",
    )
    given = parser.parse_args(arguments)
    there = sorted(given.pictures.glob("*.png")) if given.pictures else []
    shown = {sha256(path.read_bytes()).hexdigest(): f"{given.pictures.name}/{path.name}" for path in there}
    write_text(given.out, page(gathered(given.results), shown))


if __name__ == "__main__":
    main()

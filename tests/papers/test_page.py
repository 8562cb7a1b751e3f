"""The page of reproductions: what it says of a row, and that the one in docs is made from the results that are kept."""

import hashlib
import json
from pathlib import Path

import pytest

from isthmus.errors import BadData
from isthmus.papers import PAPERS
from isthmus.papers.page import cells, gathered, main, page

ROOT = Path(__file__).parents[2]
MACHINE = {"isthmus": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "system": "Linux x", "threads": 1, "cpus": 2}


def row(**changes) -> dict:
    plain = {"what": "-log p(x|z)", "ours": 87.094, "published": 86.76, "known": "78.01 (NVAE)", "unit": "nats"}
    return plain | {"target": "within 0.5", "met": True, "spread": None} | changes


def results(name: str, *rows: dict, **changes) -> dict:
    plain = {"paper": name, "title": "A title", "command": f"isthmus reproduce {name}", "budget": "5 epochs", "seed": 0}
    plain |= {"seconds": {"a": 61.0, "b": 60.0}, "machine": MACHINE, "rows": list(rows), "pictures": {"a.png": "0f"}}
    return plain | changes


def test_a_row_becomes_text():
    assert cells(row(spread=0.0321)) == (
        *("-log p(x|z), nats", "86.76", "87.09 ± 0.032", "78.01 (NVAE)", "within 0.5", "met"),
    )
    assert cells(row(unit="", published="falls", met=False))[:2] == ("-log p(x|z)", "falls")
    assert [cells(row(met=met)).verdict for met in (False, None)] == ["not met", "does not apply"]
    assert cells(row(target="", met=None)).verdict == ""


def test_the_page_counts_bars_and_adds_up_seconds():
    made = page([results("burda2016", row(), row(met=False), row(target="", met=None))])
    assert "| 3 | 1 of 2 | 2 min |" in made
    assert "- time: 2 min in 2 pieces, Linux x, 2 cores, 1 thread, torch 2.13.0, isthmus 0.1.0" in made
    assert "- command: `isthmus reproduce burda2016`" in made
    assert "- figures: `a.png`" in made


def test_where_no_bar_is_asked_the_page_says_so():
    assert "| 1 | no targets | 2 min |" in page([results("labels", row(target="", met=None))])


def test_a_bar_that_was_missed_is_said_plainly_and_no_text_breaks_the_table():
    lines = page([results("burda2016", row(met=False))]).splitlines()
    told = next(line for line in lines if line.startswith("| -log"))
    assert told == r"| -log p(x\|z), nats | 86.76 | 87.09 | 78.01 (NVAE) | within 0.5 | **not met** |"


def test_papers_stand_in_the_order_of_the_list_and_are_linked():
    made = page([results("higgins2017", row()), results("vincent2008", row())])
    assert made.index('<a id="vincent2008">') < made.index('<a id="higgins2017">')
    assert made.index("](#vincent2008)") < made.index("](#higgins2017)")


def test_two_forms_of_one_paper_are_told_apart():
    form = {"command": "isthmus reproduce hinton2006 --no-pretrain"}
    made = page([results("hinton2006", row(), **form), results("hinton2006", row())])
    links = ["| [A title](#hinton2006) |", "| [A title (`--no-pretrain`)](#hinton2006-no-pretrain) |"]
    assert [made.index(link) for link in links] == sorted(made.index(link) for link in links)
    for anchor in ("hinton2006", "hinton2006-no-pretrain"):
        assert made.count(f'<a id="{anchor}">') == 1


def test_only_results_of_reproductions_are_gathered(tmp_path):
    for name, content in {
        "a": results("burda2016", row()),
        "b": {"speed": 3},
        "c": [1],
        "d": {"paper": "other"},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert [found["paper"] for found in gathered(tmp_path)] == ["burda2016"]
    (tmp_path / "e.json").write_text("{")
    with pytest.raises(BadData, match=r"e\.json' is not valid JSON: .*\. Run the reproduction again\.$"):
        gathered(tmp_path)


def test_the_page_in_docs_is_what_the_command_makes(tmp_path):
    pictures = ["--pictures", str(ROOT / "docs" / "pictures")]
    main([str(ROOT / "benchmarks" / "results"), str(tmp_path / "page.md"), *pictures])
    there = (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8")
    assert there == (tmp_path / "page.md").read_text(encoding="utf-8"), "make reproductions"


def test_a_picture_is_shown_where_its_bytes_are_those_of_the_results(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "kept.png").write_bytes(b"ours")
    digests = {"a.png": hashlib.sha256(b"ours").hexdigest(), "b.png": hashlib.sha256(b"another").hexdigest()}
    (tmp_path / "a.json").write_text(json.dumps(results("burda2016", row(), pictures=digests)))
    main([str(tmp_path), str(tmp_path / "page.md"), "--pictures", str(folder)])
    made = (tmp_path / "page.md").read_text()
    assert made.count("![") == 1
    assert "![a.png](pictures/kept.png)" in made


def test_every_picture_of_a_reproduction_that_is_kept_is_shown():
    text = (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8")
    keys = tuple(f"{key}-" for key in PAPERS)
    stale = [
        p.name for p in (ROOT / "docs" / "pictures").glob("*.png") if p.name.startswith(keys) and p.name not in text
    ]
    assert not stale, "these are not of the results that are kept; copy them anew"


def test_no_reproduction_is_kept_twice():
    commands = [found["command"] for found in gathered(ROOT / "benchmarks" / "results")]
    assert len(commands) == len(set(commands)) > 5

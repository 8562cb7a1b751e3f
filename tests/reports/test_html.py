"""What a report holds: everything it was given, escaped, and nothing from outside."""

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from isthmus.errors import BadData, BadOption
from isthmus.reports.html import FigureEntry, Report, write_report

EVIL = "<script>alert('x')</script> & \"so\""


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for shade, path in enumerate(paths):
        Image.new("L", (1300, 130), shade).save(path, dpi=(130, 130))
    return paths


@pytest.fixture
def report(pictures: list[Path]) -> Report:
    return Report(
        title="vae on digits",
        summary=[("Data", "digits"), ("Parameters", 438336)],
        metrics={"elbo": (-18.22341, "nats per example"), "psnr": (19.5, "decibels")},
        recipe={"name": "vae", "latent": {"size": 16}},
        command="isthmus fit vae --data digits",
        figures=[FigureEntry(path, f"Figure {path.stem}", "A caption.", "isthmus plot RUN") for path in pictures],
    )


class Reader(HTMLParser):
    """Collects the tags and refuses a page whose tags do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(report: Report, folder: Path) -> str:
    return write_report(folder / "report.html", report).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_says_all_it_was_given(report: Report, tmp_path: Path):
    page = page_of(report, tmp_path)
    names = {tag for tag, _ in Reader(page).tags}
    assert {"header", "main", "footer", "table", "figure", "figcaption", "details", "h1"} <= names
    for text in ("vae on digits", "438,336", "isthmus fit vae --data digits", "isthmus plot RUN", "A caption."):
        assert text in page
    assert "&quot;size&quot;: 16" in page


def test_metrics_are_printed_with_their_units(report: Report, tmp_path: Path):
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td.*?>(.*?)</td><td.*?>(.*?)</td>", page_of(report, tmp_path))
    assert rows == [("elbo", "-18.223", "nats per example"), ("psnr", "19.5", "decibels")]


def test_every_picture_is_inside_with_an_alternative_text(report: Report, pictures: list[Path], tmp_path: Path):
    images = [attrs for tag, attrs in Reader(page_of(report, tmp_path)).tags if tag == "img"]
    inside = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in images]
    assert inside == [path.read_bytes() for path in pictures]
    assert [image["alt"] for image in images] == ["Figure a. A caption.", "Figure b. A caption."]


def test_pictures_are_shown_in_their_own_inches(report: Report, tmp_path: Path):
    image = next(attrs for tag, attrs in Reader(page_of(report, tmp_path)).tags if tag == "img")
    assert (image["width"], image["height"], image["class"]) == ("960", "96", "wide")


def test_the_page_loads_and_runs_nothing(report: Report, tmp_path: Path):
    page = page_of(report, tmp_path)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    tags = Reader(page).tags
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert not [attrs for _, attrs in tags if any(name.startswith("on") for name in attrs)]
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_text_is_escaped(pictures: list[Path], tmp_path: Path):
    page = page_of(
        Report(
            title=EVIL,
            summary=[(EVIL, EVIL)],
            metrics={EVIL: (1.0, EVIL)},
            recipe={EVIL: EVIL},
            command=EVIL,
            figures=[FigureEntry(pictures[0], EVIL, EVIL, EVIL)],
            description=EVIL,
        ),
        tmp_path,
    )
    assert "<script" not in page
    assert "alert('x')" not in page
    # title and heading, lead, summary 2, metrics 2, figure 3 and twice in its alt, command, recipe 2
    assert page.count("&lt;script&gt;") == 15
    Reader(page)


def test_empty_parts_are_left_out(tmp_path: Path):
    page = page_of(Report("bare", [], {}, {}, ""), tmp_path)
    tags = [tag for tag, _ in Reader(page).tags]
    assert not {"table", "figure", "dl"} & set(tags)
    assert tags.count("pre") == 1


def test_equal_reports_give_equal_bytes(report: Report, tmp_path: Path):
    first, second = (write_report(tmp_path / name, report).read_bytes() for name in ("1.html", "2.html"))
    assert first == second


def test_a_write_that_fails_leaves_the_old_page_and_nothing_else(
    report: Report, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_report(tmp_path / "out" / "report.html", report)
    before = path.read_bytes()

    def full(self: Path, content: str, encoding: str) -> None:
        with self.open("w", encoding=encoding) as file:
            file.write(content[:10])
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "write_text", full)
    with pytest.raises(BadOption, match="cannot be written: disk full"):
        write_report(path, dataclasses.replace(report, title="new"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"not a picture", b"\x89PNG\r\n\x1a\n cut"])
def test_a_picture_that_cannot_be_read_is_refused_before_anything_is_written(
    content: bytes | None, report: Report, tmp_path: Path
):
    bad = tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(BadData, match=r"bad\.png.* cannot be embedded in the report .* a readable PNG is required"):
        write_report(tmp_path / "report.html", dataclasses.replace(report, figures=[FigureEntry(bad, "Bad")]))
    assert not (tmp_path / "report.html").exists()

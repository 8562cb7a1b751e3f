"""A self-contained HTML page about a run: description, metrics, figures, and the commands that reproduce them.

The page is plain HTML with embedded style and PNGs, so it can be mailed, archived, printed and read offline; a content
security policy forbids it to load or run anything. All text is escaped. Nothing is computed here: metrics and figures
are passed in.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from isthmus.errors import BadData, printable
from isthmus.files.atomic import write_text

# A CSS pixel is 1/96 inch; figures are shown in their physical size, so that their text has the same size.
CSS_DPI = 96
# Wider figures scroll horizontally on a narrow screen, because they would be unreadable if shrunk.
WIDE = 800

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --card: #f5f6f7; --ink: #1c1e21; --quiet: #5c6370;
  --line: #dcdfe4; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --card: #202327; --ink: #e6e7e9; --quiet: #a2a8b3;
  --line: #363a41; --accent: #6cb8e6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; padding-bottom: .35rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 .8rem; max-width: 46rem; }
.lead { color: var(--quiet); font-size: 1.05rem; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1.2rem 0 0; }
.summary div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--quiet); font-size: .82rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--quiet); font-size: .82rem; font-weight: 500; }
tbody th { font-weight: 600; }
td.value, th.value { text-align: right; padding-right: 1.6rem;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
td.meaning { color: var(--quiet); }
div.wide { overflow-x: auto; }
figure { margin: 0 0 2rem; }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: .6rem 0;
  overflow-x: auto; }
img { display: block; margin: 0 auto; max-width: 100%; height: auto; image-rendering: auto; }
figcaption p { margin: .15rem 0 .5rem; color: var(--quiet); }
pre { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; margin: .4rem 0; overflow-x: auto;
  font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
summary { cursor: pointer; color: var(--accent); }
footer { color: var(--quiet); font-size: .85rem; padding-bottom: 2.5rem; margin-top: 2.5rem; }
@media (max-width: 45rem) { h1 { font-size: 1.5rem; } pre { white-space: pre-wrap; }
  img.wide { max-width: none; width: 42rem; } table { font-size: .92rem; }
  td.value, th.value { padding-right: .9rem; }
  .summary { grid-template-columns: 1fr 1fr; } }
@media print { :root { --paper: #ffffff; --card: #f5f6f7; --ink: #000000; --quiet: #444444; --line: #cccccc; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } pre { white-space: pre-wrap; }
  img.wide { max-width: 100%; width: auto; } }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class FigureEntry:
    """A figure of the page.

    Args:
        path: path of the PNG.
        title: title.
        caption: a sentence that describes the figure.
        command: the command that draws it again.
    """

    path: str | Path
    title: str
    caption: str = ""
    command: str = ""


@dataclass(frozen=True)
class Report:
    """The content of a page.

    Args:
        title: title of the run.
        summary: (label, value) pairs: data, examples, parameters, duration, ...
        metrics: name -> (value, meaning with unit), in display order.
        recipe: the recipe as plain data.
        command: the command that trains the run again.
        figures: the figures, in display order.
        description: a sentence that describes the run.
        left_out: (file, row, reason) of invalid examples that were skipped, and their total number.
    """

    title: str
    summary: Sequence[tuple[str, object]]
    metrics: Mapping[str, tuple[float, str]]
    recipe: Mapping[str, object]
    command: str
    figures: Sequence[FigureEntry] = ()
    description: str = ""
    left_out: tuple[Sequence[tuple[str, int, str]], int] = ((), 0)


def write_report(path: str | Path, report: Report) -> Path:
    """Write ``report`` as one HTML page, atomically; equal reports give equal bytes.

    Args:
        path: path of the page; missing folders are created.
        report: the content.

    Returns:
        ``path``, as a ``Path``.
    """
    write_text(Path(path), page_of(report))
    return Path(path)


def page_of(report: Report) -> str:
    """The HTML of the page."""
    sections = [_metrics(report.metrics), figures(report.figures), _left_out(*report.left_out), _provenance(report)]
    return document(report.title, _header(report), [section for section in sections if section])


def document(title: str, header: str, sections: Sequence[str]) -> str:
    """A page from the HTML of its header and sections."""
    body = "\n".join(sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{header}
<main>
{body}
</main>
<footer>Written by Isthmus{_version()}. This page is self-contained.</footer>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(printable(str(value)), quote=True)


def _version() -> str:
    try:
        return f" {_text(version('isthmus'))}"
    except PackageNotFoundError:
        return ""


def _header(report: Report) -> str:
    return header(report.title, report.description, report.summary)


def header(title: str, description: str = "", summary: Sequence[tuple[str, object]] = ()) -> str:
    """The title of a page, a sentence, and facts in boxes."""
    lead = f'<p class="lead">{_text(description)}</p>\n' if description else ""
    metadata = "\n".join(f"<div><dt>{_text(k)}</dt><dd>{_text(_number(v))}</dd></div>" for k, v in summary)
    listed = f'<dl class="summary">\n{metadata}\n</dl>\n' if metadata else ""
    return f"<header>\n<h1>{_text(title)}</h1>\n{lead}{listed}</header>"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> str:
    """A section with a table, whose first column names the rows and whose others are numbers, or text."""
    head = "".join(f'<th scope="col"{_class(k)}>{_text(name)}</th>' for k, name in enumerate(columns))
    lines = []
    for first, *others in rows:
        cells = "".join(f'<td class="value">{_text(_number(value))}</td>' for value in others)
        lines.append(f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>')
    below = f"\n<p>{_text(note)}</p>" if note else ""
    body = "\n".join(lines)
    return f"""<section>
<h2>{_text(title)}</h2>
<div class="wide"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>{below}
</section>"""


def _class(column: int) -> str:
    return ' class="value"' if column else ""


def _number(value: object) -> str:
    """A value for display: a float with five significant digits, an integer with thousands separators.

    >>> _number(1234567), _number(86.32149), _number("digits")
    ('1,234,567', '86.321', 'digits')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _metrics(metrics: Mapping[str, tuple[float, str]]) -> str:
    if not metrics:
        return ""
    rows = "\n".join(
        f'<tr><th scope="row">{_text(name)}</th><td class="value">{_text(_number(value))}</td>'
        f'<td class="meaning">{_text(meaning)}</td></tr>'
        for name, (value, meaning) in metrics.items()
    )
    return f"""<section>
<h2>Metrics</h2>
<table>
<thead><tr><th scope="col">Metric</th><th scope="col" class="value">Value</th><th scope="col">Meaning</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</section>"""


def _left_out(listed: Sequence[tuple[str, int, str]], count: int) -> str:
    """The invalid examples that were skipped."""
    if not count:
        return ""
    rows = "\n".join(
        f'<tr><th scope="row">{_text(file)}</th><td class="value">{_text(_number(row))}</td>'
        f'<td class="meaning">{_text(reason)}</td></tr>'
        for file, row, reason in listed
    )
    more = f" The first {len(listed)}:" if count > len(listed) else ""
    return f"""<section>
<h2>Invalid examples</h2>
<p>Training skipped {_number(count)} invalid example{"s" if count > 1 else ""}.{more}</p>
<table>
<thead>
<tr><th scope="col">File</th><th scope="col" class="value">Row, from 0</th><th scope="col">Reason</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</section>"""


def figures(entries: Sequence[FigureEntry]) -> str:
    """A section with figures; empty without any."""
    if not entries:
        return ""
    return "<section>\n<h2>Figures</h2>\n" + "\n".join(_figure(entry) for entry in entries) + "\n</section>"


def _figure(entry: FigureEntry) -> str:
    png, (width, height) = _png(entry.path)
    alt = f"{entry.title}. {entry.caption}".strip()
    wide = ' class="wide"' if width > WIDE else ""
    caption = f"\n<p>{_text(entry.caption)}</p>" if entry.caption else ""
    return f"""<figure>
<figcaption><h3>{_text(entry.title)}</h3>{caption}</figcaption>
<div class="picture"><img{wide} src="data:image/png;base64,{png}" width="{width}" height="{height}" \
alt="{_text(alt)}"></div>
{_command(entry.command)}</figure>"""


def _command(command: str) -> str:
    return f"<pre><code>{_text(command)}</code></pre>\n" if command else ""


def _png(path: str | Path) -> tuple[str, tuple[int, int]]:
    """A PNG in base64, and its width and height in CSS pixels."""
    try:
        content = Path(path).read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            (width, height), dpi = image.size, image.info.get("dpi", (CSS_DPI, CSS_DPI))[0]
    except (OSError, UnidentifiedImageError) as error:
        raise BadData(
            f"The figure {str(path)!r} cannot be embedded in the report ({error}): a readable PNG is required. Draw it "
            "again, or leave it out."
        ) from error
    scale = CSS_DPI / dpi if dpi > CSS_DPI else 1
    return base64.b64encode(content).decode(), (round(width * scale), round(height * scale))


def _provenance(report: Report) -> str:
    recipe = _text(json.dumps(report.recipe, indent=2, ensure_ascii=False, default=str))
    command = f"<p>Command that trains this run again:</p>\n{_command(report.command)}" if report.command else ""
    return f"""<section>
<h2>Provenance</h2>
{command}<details>
<summary>Complete recipe</summary>
<pre><code>{recipe}</code></pre>
</details>
</section>"""

"""Docstrings as MyST Markdown: their sections, their arguments, their mathematics."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|References):$")
ENTRY = re.compile(r"^ {4}(\*{0,2}[\w.]+)(?: \([^)]*\))?: ?(.*)$")
MATH = re.compile(r"^\.\. math::(.*)$")
ROLE = re.compile(r"(``.+?``|:[\w:]+:`[^`]+`|`[^`]+`)", re.DOTALL)
FLAG = re.compile(r"(?<![\w`-])(--[a-z][\w-]*)")
SPECIAL = re.compile(r"([\\*<>$])")


def sections(document: object) -> dict[str, str]:
    """The sections of an object's docstring by name; the text before them is ``""``, its examples ``Examples``."""
    found: dict[str, list[str]] = {"": []}
    current = ""
    for line in (inspect.getdoc(document) or "").splitlines():
        head = SECTION.match(line)
        if head:
            current = head[1]
            found[current] = []
            continue
        if line.startswith(">>>"):
            current = "Examples"
        elif current not in ("", "Examples") and line and not line.startswith(" "):
            current = ""
        found.setdefault(current, []).append(line)
    return {name: "\n".join(lines).strip("\n") for name, lines in found.items()}


def entries(section: str) -> dict[str, str]:
    """The entries of a section such as ``Args``: the text of each name, on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        head = ENTRY.match(line)
        if head:
            name = head[1]
            found[name] = head[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def references(section: str) -> list[str]:
    """The entries of a section of references, each on one line."""
    found: list[str] = []
    for line in section.splitlines():
        if line.startswith(" " * 8) and found:
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line.strip())
    return found


def myst(text: str, links: Mapping[str, str] | None = None) -> str:
    """Docstring text as MyST: display mathematics as directives, roles as roles, other special characters escaped.

    Args:
        text: paragraphs of a docstring.
        links: pages by name; a reference to one of these names becomes a link.
    """
    blocks = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        first, *rest = paragraph.splitlines() or [""]
        head = MATH.match(first)
        if head:
            lines = [line.strip() for line in (head[1], *rest) if line.strip()]
            blocks.append("```{math}\n" + "\n".join(lines) + "\n```")
        elif paragraph.lstrip().startswith(("- ", "* ")):
            blocks.append("\n".join(inline(line, links, bullet=True) for line in paragraph.splitlines()))
        else:
            blocks.append(inline(paragraph, links))
    return "\n\n".join(blocks)


def inline(text: str, links: Mapping[str, str] | None = None, *, bullet: bool = False) -> str:
    """One paragraph of a docstring as MyST; flags of the command become code."""
    pieces = ROLE.split(text)
    plain = [FLAG.sub(r"`\1`", SPECIAL.sub(r"\\\1", piece)) for piece in pieces[::2]]
    if bullet:
        plain[0] = re.sub(r"^(\s*)\\\*", r"\1*", plain[0])
    roles = [_role(" ".join(piece.split()), links or {}) for piece in pieces[1::2]]
    return "".join(part for pair in zip(plain, [*roles, ""], strict=True) for part in pair)


def _role(piece: str, links: Mapping[str, str]) -> str:
    """A role or literal as MyST: mathematics, a link to a known page, or code."""
    if piece.startswith("``"):
        return f"`{piece[2:-2]}`"
    name, _, target = piece.rpartition(":`") if piece.startswith(":") else ("", "", piece.strip("`"))
    target = target.rstrip("`")
    if name == ":math":
        return f"{{math}}`{target}`"
    shown = target.lstrip("~").rpartition(".")[2] if target.startswith("~") else target
    return f"[`{shown}`]({links[shown]})" if shown in links else f"`{shown}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a vertical bar inside a cell is escaped, as it would end the cell."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(text: str, language: str) -> str:
    """A fenced block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def sentence(text: str) -> str:
    """A text with a capital letter and a period."""
    text = text.strip()
    if not text:
        return text
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")

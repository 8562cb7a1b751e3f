"""Words: no banned phrase, former name or unknown argument in help texts, errors, docstrings and documents."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from house import ROOT, modules, room

from isthmus.cli.app import app
from isthmus.models.former_names import FORMER_KINDS, FORMER_OPTIONS

BANNED = (
    "trains, measures and draws",
    "one row or image to each",
    "to each example",
    "for each way to be certain",
    "level by level",
    "then labels",
    "stop and go on",
    "goes on to the same",
    "goes on where",
    "go on from",
    "go on where",
    "is to go on",
    "to the same bits",
    "so other bits",
    "more than fits",
    "files from strangers",
    "images moved by",
    "what codes stand for",
    "codes stand for",
    "behind the code",
    "how unusual",
    "accept another torch",
    "machines that do so",
    "a copy each",
    "a part each",
    "stopped and called again",
    "to be had",
    "is in the way",
    "lacks or spoils",
    "ends in none of",
    "known ways",
    "mend it",
    "take it out",
    "a code of real numbers",
    "offers a code",
    "a code that is a smooth function",
    "classes are counted",
    "no whole number",
    "hang together",
    "where optimizers look",
    "where its codes are",
    "is said to be",
    "is no run",
    "is no number",
    "is no whole",
    "is no option",
    "is no file of",
    "what came",
    "as its inventors did",
)
"""Phrases that are not used; CONTRIBUTING.md states the rule behind them."""
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "VISION.md", "docs/scale.md", "docs/reproductions.md")
DOCUMENTS += tuple(
    path.relative_to(ROOT).as_posix()
    for pattern in ("index.md", "choose.md", "results.md", "speed.md", "guide/*.md", "notes/*.md")
    for path in sorted((ROOT / "docs").glob(pattern))
)
FORMER = ROOT / "src" / "isthmus" / "models" / "former_names.py"
COMMAND = {"cli", "papers"}
"""Rooms whose text is read by users of the command."""
PAGES = {"reports.html", "reports.report"}
"""The report, which shows the command that made it, and has style properties of that form."""
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def plain(text: str) -> str:
    """A text in lower case on one line, as phrases are looked for in it."""
    return " ".join(text.lower().split())


def found_in(text: str) -> list[str]:
    """The banned phrases of a text."""
    return [phrase for phrase in BANNED if phrase in plain(text)]


def strings(source: str) -> Iterator[str]:
    """The strings of a module, docstrings among them; the parts of a formatted one joined by ``{}``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def comments(source: str) -> str:
    """The comments of a module as one text."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)


def docstrings(source: str) -> set[str]:
    """The docstrings of a module, of its classes and functions, and of its attributes."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    return {n.value.value for n in nodes if isinstance(n.value, ast.Constant) and isinstance(n.value.value, str)}


def arguments(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """The names that a call of a function or class takes."""
    if isinstance(node, ast.FunctionDef):
        spec = node.args
        return {a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg) if a}
    fields = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    return fields.union(*(arguments(n) for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"))


def documented(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """The names under ``Args:`` of a docstring."""
    section = re.search(r"^Args:\n((?: {4}.*\n?|\n)*)", ast.get_docstring(node) or "", re.MULTILINE)
    heads = re.findall(r"^ {4}([\w`*][\w`*, ]*)(?: \([^)]*\))?:", section[1], re.MULTILINE) if section else []
    return {name.strip("`* ") for head in heads for name in head.split(",")}


def commands(command: Any, name: str = "isthmus") -> Iterator[tuple[str, Any]]:
    """A command and all commands in it, by name."""
    yield name, command
    for inner, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {inner}")


@pytest.mark.parametrize("phrase", BANNED)
def test_a_banned_phrase_is_found_across_lines(phrase: str) -> None:
    first, _, rest = phrase.capitalize().partition(" ")
    assert phrase in found_in(f"Before it: {first}\n    {rest}.")


@pytest.mark.parametrize("name", modules())
def test_no_module_uses_a_banned_phrase(name: str) -> None:
    source = modules()[name].read_text()
    for text in (*strings(source), comments(source)):
        assert not found_in(text), f"{name}: {found_in(text)} in {text!r}"


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(app))))
def test_no_help_text_uses_a_banned_phrase(name: str, command: Any) -> None:
    texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
    assert texts[0], f"{name} has no help text"
    for text in texts:
        assert not found_in(text), f"{name} --help: {found_in(text)} in {text!r}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_uses_a_banned_phrase(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not found_in(text), f"{name}: {found_in(text)}"


@pytest.mark.parametrize("name", sorted(m for m in modules() if room(m) not in COMMAND and m not in PAGES))
def test_the_library_speaks_of_arguments_not_of_flags(name: str) -> None:
    source = modules()[name].read_text()
    for text in set(strings(source)) - docstrings(source):
        assert not FLAG.findall(text), f"{name}: {FLAG.findall(text)} in {text!r}; cli/wording.py makes flags"


@pytest.mark.parametrize("name", modules())
def test_documented_arguments_exist(name: str) -> None:
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            unknown = documented(node) - arguments(node)
            assert not unknown, f"{name}: {node.name} documents {unknown}, but takes {sorted(arguments(node))}"


def test_former_names_occur_only_where_they_are_answered() -> None:
    former = re.compile("|".join(rf"(?<![\w.]){re.escape(old)}(?![\w.])" for old in FORMER_OPTIONS))
    kinds = re.compile("|".join(rf"\b{kind.rpartition('.')[2]}\b" for kind in FORMER_KINDS))
    paths = [*modules().values(), *(ROOT / name for name in DOCUMENTS), *(ROOT / "benchmarks").rglob("*.py")]
    for path in set(paths) - {FORMER}:
        text = path.read_text()
        assert not former.findall(text), f"{path.name} uses {former.findall(text)}"
        assert not kinds.findall(text), f"{path.name} uses {kinds.findall(text)}"

"""The plan of the package: its floors, who imports whom, and the tables of the documents that are generated from code.

python tests/house.py --write      # write them again (make map)
"""

import ast
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "isthmus"

FLOORS = [
    ("errors", "options", "files", "functional", "distributions"),
    ("parts",),
    ("models", "zoo"),
    ("data", "training", "pretraining", "boltzmann", "densities", "metrics", "plots"),
    ("runs",),
    ("reports", "comparison", "estimators", "papers"),
    ("cli", "__main__"),
]
"""Rooms from the ground up: a file imports from lower floors, or from its own floor where that makes no circle."""
MEANINGS = (
    "mathematics, errors, options, files",
    "parts of the objective; no kind of part imports another",
    "models composed of parts",
    "data, training, evaluation, plots",
    "runs: trained models and their folders",
    "built on runs",
    "the command",
)

SYMBOLS = {r" \mid ": " | ", r"\tilde x": "corrupt(x)", r"\lambda": "lambda"}
"""Mathematics in a summary, as plain text."""


def modules() -> dict[str, Path]:
    """Modules by dotted name without the package's own."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
    }


def room(module: str) -> str:
    """The room of a module: the first word of its name."""
    return module.split(".")[0]


def floor(module: str) -> int:
    """The floor of a module, from 0."""
    found = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert found, f"{module} stands on no floor: give its room one in tests/house.py"
    return found[0]


DEFERRED = {"runs.run"}
"""Modules whose methods import what they call: a run has the verbs of the command, which are functions above it."""


def without_deferred(tree: ast.Module) -> ast.Module:
    """A module without the imports inside its methods, and without those for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    method.body = [line for line in method.body if not isinstance(line, ast.ImportFrom)]
    tree.body = [
        line for line in tree.body if not (isinstance(line, ast.If) and "TYPE_CHECKING" in ast.dump(line.test))
    ]
    return tree


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that a reader sees the floor"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("isthmus.") for name in names if name.startswith("isthmus.")}
    known = modules()
    return {resolved for name in ours if (resolved := _module(name, known)) is not None}


def _module(name: str, known: dict[str, Path]) -> str | None:
    for candidate in (name, name.rpartition(".")[0]):
        for module in (candidate, f"{candidate}.__init__"):
            if module in known:
                return module
    return None


def graph() -> dict[str, set[str]]:
    """The modules that each module imports."""
    trees = {name: ast.parse(path.read_text()) for name, path in modules().items()}
    return {
        name: imported(without_deferred(tree) if name in DEFERRED else tree) - {name} for name, tree in trees.items()
    }


def closure(module: str, edges: dict[str, set[str]]) -> set[str]:
    """All that a module imports, through others too."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        for other in edges[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return seen


def house_map() -> str:
    """The map of rooms: floor, room, what it is for, and its files."""
    lines = []
    for number, rooms in enumerate(FLOORS):
        lines.append(f"{number}  {MEANINGS[number]}")
        for name in rooms:
            lines += _of_room(PACKAGE / name, 1) if (PACKAGE / name).is_dir() else _of_file(PACKAGE / f"{name}.py")
    return "\n".join(lines)


def _of_room(folder: Path, depth: int) -> list[str]:
    files = [path.stem for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    head = f"{'    ' * depth}{folder.name}/".ljust(24)
    lines = textwrap.wrap(_summary(folder / "__init__.py"), 118, initial_indent=head, subsequent_indent=" " * 24)
    if files:
        lines += textwrap.wrap(", ".join(files), 118, initial_indent=" " * 26, subsequent_indent=" " * 26)
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file()):
        lines += _of_room(inner, depth + 1)
    return lines


def _of_file(path: Path) -> list[str]:
    return textwrap.wrap(_summary(path), 118, initial_indent=f"    {path.name}".ljust(24), subsequent_indent=" " * 24)


def _summary(path: Path) -> str:
    """The first sentence of a module, without the name that it repeats."""
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0].rstrip(".")
    text = re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")
    for symbol, plain in SYMBOLS.items():
        text = text.replace(symbol, plain)
    head, colon, rest = text.partition(": ")
    found = rest if colon and len(head.split()) < 3 else text
    return found[:1].upper() + found[1:]


HOLDS = {"table": "tables", "arrays": "arrays", "images": "pictures", "frames": "videos"}
MOST_ENDINGS = 6
"""Extensions of a format that the table of formats shows."""


def formats_table() -> str:
    """The formats of files: extensions, library, guesses with the options that override them, and limits."""
    from isthmus.data.readers.known import FORMATS

    lines = ["| | format | extensions | read with | guessed, and the options that override it | not read |"]
    lines.append("|---|---|---|---|---|---|")
    for holds, what in HOLDS.items():
        first = what
        for known in (known for known in FORMATS if known.holds == holds):
            more = " ..." if len(known.endings) > MOST_ENDINGS else ""
            endings = " ".join(f"`{ending}`" for ending in known.endings[:MOST_ENDINGS]) + more
            library = known.library + (f" (`isthmus[{known.extra}]`)" if known.extra else "")
            options = ", ".join(f"`data.{option}`" for option in known.options)
            guessed = f"{known.guessed} ({options})" if known.guessed and options else known.guessed or options
            lines.append(f"| {first} | {known.name} | {endings} | {library} | {guessed} | {known.limits} |")
            first = ""
    return "\n".join(lines)


GENERATED = {
    "docs/guide/data.md": {"formats": formats_table},
    "CONTRIBUTING.md": {"map": lambda: f"```\n{house_map()}\n```"},
}
"""Documents, and what is generated in each between ``<!-- NAME: make map -->`` and ``<!-- end of NAME -->``."""


def document(name: str) -> str:
    """A document with its generated blocks as the code has them."""
    text = (ROOT / name).read_text()
    for block, content in GENERATED[name].items():
        begin, end = f"<!-- {block}: make map -->", f"<!-- end of {block} -->"
        assert text.count(begin) == text.count(end) == 1, f"{name} has no block {block}"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{content()}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    if "--write" in sys.argv:
        for name in GENERATED:
            (ROOT / name).write_text(document(name))
    else:
        sys.stdout.write(house_map() + "\n")

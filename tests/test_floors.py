"""The house keeps its plan: imports point down, no circles, files and functions stay small, README's tree is true."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "isthmus"

FLOORS = [
    ("functional", "distributions", "schedules", "trace", "errors", "files", "strangers"),
    ("nets", "latents", "likelihoods", "corruptions", "priors", "penalties", "fidelities"),
    ("model", "objective", "sizes"),
    ("zoo", "exact", "recipe", "options", "overrides", "citations"),
    (
        "data", "training", "metrics", "plots", "report", "run", "unfinished", "fitting", "meeting", "gallery",
        "reporting", "output", "using", "diagnosis", "supervised", "boltzmann",
    ),
    ("cli", "estimators", "papers", "__main__"),
]  # fmt: skip
KINDS = {"nets", "latents", "likelihoods", "corruptions", "priors", "penalties", "fidelities"}
MOST_LINES, MOST_FUNCTION_LINES = 400, 40


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
    }


def room(module: str) -> str:
    return module.split(".")[0]


def floor(module: str) -> int:
    found = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert found, f"{module} stands on no floor: give it one in tests/test_floors.py and in the README's tree"
    return found[0]


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours that a file imports, anywhere in it, as dotted names without the package."""
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


GRAPH = {name: imported(ast.parse(path.read_text())) - {name} for name, path in modules().items()}


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_imports_point_down_or_sideways(module: str) -> None:
    upward = {other for other in GRAPH[module] if floor(other) > floor(module)}
    assert not upward, f"{module} (floor {floor(module)}) imports {upward} from above"


@pytest.mark.parametrize("module", sorted(name for name in GRAPH if room(name) in KINDS))
def test_no_kind_of_part_sees_another(module: str) -> None:
    seen = {room(other) for other in GRAPH[module]} & KINDS - {room(module)}
    assert not seen, f"{module} imports {seen}: what a part needs from another kind is handed to it"


def test_there_are_no_circles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"circle: {' -> '.join([*path, module])}"
        if module not in done:
            for other in sorted(GRAPH[module]):
                # a package's own __init__ gathers its modules; it is no step on the way
                if not other.endswith("__init__") or room(other) != room(module):
                    visit(other, (*path, module))
            done.add(module)

    for name in sorted(GRAPH):
        visit(name, ())


def test_the_graph_is_read_and_not_empty() -> None:
    assert "trace" in GRAPH["objective"]
    assert "penalties.__init__" in GRAPH["recipe"]


@pytest.mark.parametrize("path", modules().values(), ids=modules())
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            assert lines < MOST_FUNCTION_LINES, f"{path.name}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", modules().values(), ids=modules())
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name} says nothing about itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} says nothing"


def test_the_tree_in_the_readme_is_the_tree_on_disk() -> None:
    block = re.search(r"```\nsrc/isthmus/\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block, "README.md has no file tree that starts with src/isthmus/"
    told: set[str] = set()
    folder = ""
    for line in block[1].splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        if name.endswith("/"):
            folder = name if indent == 2 else folder
        told.add(name if indent == 2 else folder + name)
    told = {name for name in told if not name.endswith("/")}
    there = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    } | {"__init__.py"}
    assert told == there


def test_nothing_that_executes_data_is_used() -> None:
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in {"eval", "exec", "torch.load", "torch.save"}, f"{path.name}:{node.lineno} {name}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in ast.unparse(node), f"{path.name}:{node.lineno}"

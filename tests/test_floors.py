"""The package keeps its plan: imports point down, no circles, files stay small, generated tables are up to date."""

import ast
import re
import statistics
from pathlib import Path

import pytest
from house import DEFERRED, FLOORS, GENERATED, PACKAGE, ROOT, closure, document, floor, graph, modules, room

KINDS = {"nets", "latents", "likelihoods", "corruptions", "priors", "penalties", "fidelities"}
SHARED = {"protocols", "hooks", "schedules", "__init__"}
"""Files of ``parts`` that all kinds may import."""
MOST_LINES, MOST_FUNCTION_LINES, MEDIAN_LINES = 400, 40, 200
MOST_ENTRIES = 24
TRAINS = {"runs.setup", "runs.fit", "runs.resume", "runs.progress", "runs.feature_training"}
"""The files of a run's life that train it."""
USES = {"metrics", "plots", "runs", "reports"}
"""Rooms that use a trained run."""

GRAPH = graph()


def part_of(module: str) -> str:
    """The kind of part that a module of ``parts`` belongs to, or the shared file that it is."""
    return module.split(".")[1]


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_imports_point_down_or_sideways(module: str) -> None:
    upward = {other for other in GRAPH[module] if floor(other) > floor(module)}
    assert not upward, f"{module} (floor {floor(module)}) imports {upward} from above"


@pytest.mark.parametrize("module", sorted(name for name in GRAPH if room(name) == "parts"))
def test_no_kind_of_part_sees_another(module: str) -> None:
    others = {part_of(other) for other in GRAPH[module] if room(other) == "parts"} - SHARED - {part_of(module)}
    assert not others, f"{module} imports {others}: what it needs from another kind is supplied where parts are joined"
    assert part_of(module) in KINDS | SHARED, f"{module} is of no known kind of part"


def test_methods_of_a_run_that_import_what_they_call_do_nothing_else() -> None:
    assert {"runs.run"} == DEFERRED
    (run,) = [n for n in ast.parse(modules()["runs.run"].read_text()).body if getattr(n, "name", "") == "Run"]
    methods = [node for node in ast.walk(run) if isinstance(node, ast.FunctionDef)]
    verbs = {m.name: m.body for m in methods if any(isinstance(line, ast.ImportFrom) for line in m.body)}
    assert {"encode", "score", "plot", "report"} <= verbs.keys()
    for name, body in verbs.items():
        _docstring, *imports, last = body
        assert all(isinstance(line, ast.ImportFrom) for line in imports), name
        assert isinstance(last, ast.Return), name


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


@pytest.mark.parametrize("module", sorted(m for m in GRAPH if room(m) in USES and m not in TRAINS))
def test_nothing_that_uses_a_trained_run_imports_what_trains_it(module: str) -> None:
    trains = {name for name in closure(module, GRAPH) if room(name) in ("training", "pretraining") or name in TRAINS}
    assert not trains, f"{module} imports {sorted(trains)}"


def test_the_graph_is_read_and_not_empty() -> None:
    assert "parts.protocols" in GRAPH["models.objective"]
    assert "parts.penalties.__init__" in GRAPH["models.recipe"]
    assert "training.engine" in closure("cli.fit", GRAPH)


def test_the_package_has_few_entries_and_every_one_has_a_floor() -> None:
    entries = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len(entries) <= MOST_ENTRIES
    assert entries - {"__init__", "py.typed"} == {name for rooms in FLOORS for name in rooms}


@pytest.mark.parametrize("path", modules().values(), ids=modules())
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            assert lines < MOST_FUNCTION_LINES, f"{path.name}:{node.lineno} {node.name} has {lines} lines"


def test_the_median_file_is_short() -> None:
    assert statistics.median(len(path.read_text().splitlines()) for path in modules().values()) < MEDIAN_LINES


@pytest.mark.parametrize("path", modules().values(), ids=modules())
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name} says nothing about itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} says nothing"


@pytest.mark.parametrize("name", GENERATED)
def test_generated_tables_are_those_of_the_code(name: str) -> None:
    assert (ROOT / name).read_text() == document(name), f"{name} is out of date: run make map"


def test_the_tests_mirror_the_rooms() -> None:
    rooms = {name for names in FLOORS for name in names}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"fuzz"} <= rooms


def test_files_that_the_documents_name_exist() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/scale.md"):
        text = (ROOT / name).read_text()
        for path in re.findall(r"`((?:src|tests|benchmarks|docs)/[\w./-]+\.(?:py|md|json))`", text):
            assert (ROOT / path).exists(), f"{name} names {path}"


def test_nothing_that_executes_data_is_used() -> None:
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                safe = name == "torch.load" and "weights_only=True" in [ast.unparse(word) for word in node.keywords]
                forbidden = {"eval", "exec", "torch.load", "torch.save"}
                assert safe or name not in forbidden, f"{path.name}:{node.lineno} {name}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in ast.unparse(node), f"{path.name}:{node.lineno}"

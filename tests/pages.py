"""Reading of the documents' Python: its blocks and notebook cells, run in order in one namespace."""

import ast
import re
from collections.abc import Mapping
from typing import Any


def python_blocks(text: str) -> list[str]:
    """The fenced blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def code_cells(text: str) -> list[str]:
    """The code cells of a text notebook of MyST-NB, without their options."""
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\A(?::[\w-]+:[^\n]*\n)+\n?", "", cell) for cell in cells]


def replaced(code: str, changes: Mapping[str, str]) -> str:
    """Code with patterns of ``changes`` replaced, for fewer epochs or other files."""
    for pattern, new in changes.items():
        code = re.sub(pattern, new, code)
    return code


def run(code: str, names: dict[str, Any]) -> object:
    """Execute a block in ``names``; returns the value of its last line as a notebook does, ``None`` for a statement."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "page", "exec"), names)  # the documents are our own
    return eval(compile(ast.Expression(last.value), "page", "eval"), names) if last is not None else None

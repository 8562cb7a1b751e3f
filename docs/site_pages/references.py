"""Repairs of docstrings and cross-references for Sphinx, as plain functions."""

import re
from collections.abc import Iterable

LITERAL = re.compile(r"(``.+?``|:[\w:]+:`[^`]*`|`[^`]+`)")
STAR = re.compile(r"(?<![\w*\\])\*(?=[\w(])")

INNER = r"[^\[\]]*"
for _ in range(4):
    # brackets inside brackets
    INNER = rf"(?:[^\[\]]|\[{INNER}\])*"
ARRAY = re.compile(rf"(ndarray)\[{INNER}\]")
SUPPLIED = re.compile(rf"[~\w.]*Annotated\[({INNER}), 'supplied where parts are joined'\]")
"""Arguments that a recipe fills in when it joins parts."""


def escape_stars(lines: list[str]) -> list[str]:
    r"""Docstring lines in which a star before a name, as in shapes ``(N, *D)``, does not begin emphasis.

    Literals, mathematics and examples stay as they are.

    >>> escape_stars(["codes of shape (*N, d)", "``*D``", ">>> f(*x)"])
    ['codes of shape (\\*N, d)', '``*D``', '>>> f(*x)']
    """
    found = []
    verbatim = False
    for line in lines:
        bare = line.lstrip()
        indented = line[:1] == " "
        verbatim = bare.startswith((".. math::", ">>>")) or (verbatim and (indented or not bare))
        pieces = LITERAL.split(line)
        if not verbatim and not bare.startswith("..."):
            pieces[::2] = [STAR.sub(r"\\*", piece) for piece in pieces[::2]]
        found.append("".join(pieces))
    return found


def list_references(lines: list[str]) -> list[str]:
    """Docstring lines whose section of references is a list, each entry on one line.

    >>> list_references(["References:", "    A paper with a long title (Author,", "        2020)"])
    ['References:', '    - A paper with a long title (Author, 2020)']
    """
    found: list[str] = []
    inside = False
    for line in lines:
        if line.strip() and not line.startswith(" "):
            inside = line == "References:"
        if inside and line.startswith(" " * 8):
            found[-1] += f" {line.strip()}"
        elif inside and line.startswith(" " * 4) and line.strip():
            found.append(f"    - {line.strip()}")
        else:
            found.append(line)
    return found


def short_annotations(annotation: str) -> str:
    """Annotations in which an array has no parameters, and a supplied argument no mark.

    >>> short_annotations("(x: ~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~typing.Any]] | None)")
    '(x: ~numpy.ndarray | None)'
    >>> short_annotations("(size: ~typing.Annotated[int | None, 'supplied where parts are joined'], k: int)")
    '(size: int | None, k: int)'
    """
    return SUPPLIED.sub(r"\1", ARRAY.sub(r"\1", annotation))


def home(target: str, module: str, known: Iterable[str]) -> str | None:
    """The documented object that a reference means by another name, if there is exactly one.

    A package re-exports names of its modules, and a docstring may use the short name of its own package.

    >>> home("isthmus.functional.ACTIVATIONS", "", ["isthmus.functional.basics.ACTIVATIONS"])
    'isthmus.functional.basics.ACTIVATIONS'
    >>> home("vae", "isthmus.zoo.classic", ["isthmus.zoo.variational.vae"])
    'isthmus.zoo.variational.vae'
    """
    path = target if target.startswith("isthmus.") else f"{module.rpartition('.')[0]}.{target}"
    names, known = path.split("."), list(known)
    if names[0] != "isthmus":
        return None
    for place in range(len(names) - 1, 1, -1):
        package, name = ".".join(names[:place]), ".".join(names[place:])
        found = {full for full in known if full.startswith(f"{package}.") and full.endswith(f".{name}")}
        # a function or class before a module of the same name
        longest = {full for full in found if full.count(".") == max(f.count(".") for f in found)}
        if longest:
            return longest.pop() if len(longest) == 1 else None
    return None

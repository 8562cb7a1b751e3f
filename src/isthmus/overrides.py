"""Changing plain data by path, as ``--set latent.size=2`` does: the path must exist, the value is read as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from isthmus.errors import BadOption, unknown

Tree = dict[str, Any]
WEIGHT = ("value", "shape", "start", "fraction", "steps")
"""What a penalty's weight unfolds into when a path goes inside it."""


def parse_pairs(pairs: list[str]) -> dict[str, str]:
    """``["a.b=1"]`` as ``{"a.b": "1"}``.

    Raises:
        BadOption: a pair without an equals sign, or without a path.

    >>> parse_pairs(["latent.size=2"])
    {'latent.size': '2'}
    """
    changes = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path.strip():
            raise BadOption(f"--set takes part.option=value, but was given {pair[:60]!r}. Try --set latent.size=2.")
        changes[path.strip()] = value.strip()
    return changes


def read_value(text: object, old: object) -> object:
    """Text as JSON where it is JSON, a comma-separated list as a list, else the text itself; words stay words.

    >>> read_value("512,256", [64]), read_value("256", [64]), read_value("tanh", "relu"), read_value("null", 3)
    ([512, 256], [256], 'tanh', None)
    """
    value: object = text
    if isinstance(text, str) and isinstance(old, str) and text != "null":
        return text
    if isinstance(text, str):
        for candidate in (text, f"[{text}]" if "," in text else text):
            try:
                value = json.loads(candidate)
                break
            except (ValueError, RecursionError):
                continue
    if isinstance(old, list) and not isinstance(value, list) and value is not None:
        return [] if value == "" else [value]
    return value


def override(
    tree: Tree,
    path: str,
    value: object,
    fresh: Callable[[str, str], Tree],
    families: frozenset[str],
    free: Sequence[str] = (),
) -> None:
    """Change ``tree`` at ``path`` in place.

    ``families`` are the fields that hold parts; ``fresh(family, kind)`` gives a part with its default options. A
    change of kind keeps the options that both kinds have; a penalty that is named but not there is added. ``free`` are
    paths of mappings whose keys are paths themselves, of something that is not here.

    Raises:
        UnknownName: the path, or the kind, does not exist.
        BadOption: the path goes inside a plain value.
    """
    *groups, last = (f"{path}.kind" if path in families - {"penalties"} else path).split(".")
    node: Any = tree
    inner = next((f"{name}." for name in free if path.startswith(f"{name}.")), "")
    if inner:
        groups, last = inner.removesuffix(".").split("."), path.removeprefix(inner)
    for depth, key in enumerate(groups):
        inside = [*groups, last][depth + 1]
        number = isinstance(node.get(key), int | float) and not isinstance(node[key], bool)
        if number and (key == "weight" or inside in WEIGHT):
            # a plain number into which a path goes becomes a schedule
            node[key] = dict.fromkeys(WEIGHT) | {"shape": "constant", "start": 0.0, "value": node[key]}
        if groups[:depth] == ["penalties"] and key not in node:
            node[key] = fresh("penalties", str(value) if last == "kind" else key)
        if key not in node:
            raise unknown("option", ".".join(groups[: depth + 1]), _beside(groups[:depth], node))
        node = node[key]
        if not isinstance(node, dict):
            raise BadOption(
                f"{'.'.join(groups[: depth + 1])} is {repr(node)[:60]}, with no option {last[:60]!r} inside."
            )
    if last not in node and not inner:
        raise unknown("option", path, _beside(groups, node))
    if groups == ["penalties"] and value in (None, "null", "none"):
        del node[last]
    elif last == "kind" and groups[0] in families:
        new = fresh(groups[0], str(value))
        node_before = dict(node)
        node.clear()
        node.update(new | {k: v for k, v in node_before.items() if k in new and k != "kind"})
    else:
        node[last] = read_value(value, node.get(last))


def _beside(groups: list[str], node: Tree) -> list[str]:
    """The paths that exist beside an unknown one."""
    return [".".join([*groups, key]) for key in node]

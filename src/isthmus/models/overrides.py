"""Changes to plain data by path, such as ``latent.size=2``: the path must exist, the value is parsed as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from isthmus.errors import BadOption, UnknownName, unknown
from isthmus.models.former_names import new_option
from isthmus.models.near_options import near_option

Tree = dict[str, Any]
SCHEDULE_FIELDS = ("value", "shape", "start", "fraction", "steps")
"""Fields of a schedule, which replaces a number if a path goes inside it."""


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
            raise BadOption(
                f"An option must have the form part.option=value, but is {pair[:60]!r}. Use latent.size=2, for example."
            )
        changes[path.strip()] = value.strip()
    return changes


def read_value(text: object, old: object) -> object:
    """Parse text as JSON or a comma-separated list if possible; other text, and values of text options, stay text.

    >>> read_value("512,256", [64]), read_value("256", [64]), read_value("tanh", "relu"), read_value("null", 3)
    ([512, 256], [256], 'tanh', None)
    """
    value: object = list(text) if isinstance(text, tuple) else text
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

    ``families`` are the fields that hold parts; ``fresh(family, kind)`` returns a part with its default options. A
    change of kind keeps the options that were set and that the new kind has too; a penalty that does not exist yet is
    added. ``free`` are paths of mappings whose keys are paths into another recipe, which are not checked here.

    Raises:
        UnknownName: the path or the kind does not exist.
        BadOption: the path goes inside a plain value.
    """
    if path in families and _is_number(value):
        raise BadOption(f"{path} is a part, not a number. {_number_for(path, value)}")
    *groups, last = (f"{path}.kind" if path in families - {"penalties"} else path).split(".")
    node: Any = tree
    inner = next((f"{name}." for name in free if path.startswith(f"{name}.")), "")
    if inner:
        groups, last = inner.removesuffix(".").split("."), path.removeprefix(inner)
    for depth, key in enumerate(groups):
        inside = [*groups, last][depth + 1]
        number = isinstance(node.get(key), int | float) and not isinstance(node[key], bool)
        if number and (key == "weight" or inside in SCHEDULE_FIELDS):
            # a path into a number turns the number into a schedule
            node[key] = dict.fromkeys(SCHEDULE_FIELDS) | {"shape": "constant", "start": 0.0, "value": node[key]}
        if groups[:depth] == ["penalties"] and key not in node:
            node[key] = fresh("penalties", str(value) if last == "kind" else key)
        if key not in node:
            near = new_option(path) or near_option(path, tree)
            raise unknown("option", ".".join(groups[: depth + 1]), _siblings(groups[:depth], node), near)
        node = node[key]
        if not isinstance(node, dict):
            raise BadOption(f"{'.'.join(groups[: depth + 1])} is {repr(node)[:60]} and has no option {last[:60]!r}.")
    if groups == ["penalties"] and value not in (None, "null", "none"):
        _refuse_value_of_penalty(last, value, fresh, known=last in node)
    if last not in node and not inner:
        raise unknown("option", path, _siblings(groups, node), new_option(path) or near_option(path, tree))
    if groups == ["penalties"] and value in (None, "null", "none"):
        del node[last]
    elif last == "kind" and groups[0] in families:
        new, usual = fresh(groups[0], str(value)), fresh(groups[0], str(node["kind"]))
        # what was not set is the default of the new kind, which may have another one
        kept = {k: v for k, v in node.items() if k in new and k != "kind" and v != usual.get(k)}
        node.clear()
        node.update(new | kept)
    else:
        node[last] = read_value(value, node.get(last))


def _refuse_value_of_penalty(name: str, value: object, fresh: Callable[[str, str], Tree], *, known: bool) -> None:
    """Refuse a value for a penalty that the recipe has, or that could be added by one of its options.

    Raises:
        BadOption: ``name`` is a penalty of the recipe, or a kind of penalty.
    """
    try:
        if not known:
            fresh("penalties", name)
    except UnknownName:
        return
    added = "" if known else " to add a penalty of that kind"
    raise BadOption(
        f"penalties.{name} is a penalty, not a value. Set penalties.{name}.weight={str(value)[:60]}{added}, or one of "
        "its other options."
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _number_for(family: str, value: object) -> str:
    """What to set to a number instead of a part."""
    if family == "latent":
        return f"Set latent.size={value} for the size of the code, or latent.kind for the kind of latent."
    return f"Set one of its options, or {family}.kind."


def _siblings(groups: list[str], node: Tree) -> list[str]:
    """The existing paths in the group of an unknown one."""
    return [".".join([*groups, key]) for key in node]

"""Plain data that JSON can hold."""

import math
from collections.abc import Mapping


def finite(content: object) -> object:
    """The same plain data with null for NaN and infinity, which JSON does not have.

    >>> finite({"a": [float("nan"), 1.0]})
    {'a': [None, 1.0]}
    """
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content

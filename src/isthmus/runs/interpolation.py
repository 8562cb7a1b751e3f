"""Interpolation in latent space: decoded points on lines between the codes of examples."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.data.prepared import PreparedSplit
from isthmus.errors import IncompatibleParts
from isthmus.parts.protocols import Capability
from isthmus.runs.run import Run


def has_real_code(run: Run) -> bool:
    """Whether codes are real-valued, so that a point between two codes is a code."""
    return Capability.REAL in run.model.latent.provides


def check_real_code(run: Run, what: str) -> None:
    """Refuse a run whose code is discrete, for ``what`` needs a point between two codes.

    Raises:
        IncompatibleParts: it is.
    """
    if not has_real_code(run):
        raise IncompatibleParts(
            f"{what} needs a real-valued code, but latent.kind={run.recipe.latent.kind} has a discrete one. Use a run "
            "with a deterministic, Gaussian or sparse latent."
        )


PATHS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"linear": torch.lerp, "spherical": F.slerp}
"""Paths between two codes by name, as functions of the two and of the fraction of the way."""


def lines_between(run: Run, start: Tensor, end: Tensor, steps: int, path: str = "linear") -> Tensor:
    """Decoded points on the lines between pairs of codes, both ends included, (rows, steps, *shape)."""
    rows = min(len(start), len(end))
    a, b = run.model.encode(start[:rows]), run.model.encode(end[:rows])
    lines = [run.model.decode(PATHS[path](a, b, float(t))) for t in torch.linspace(0, 1, steps)]
    return torch.stack(lines, 1)


def bilinear(run: Run, corners: Tensor, side: int) -> Tensor:
    r"""Decoded bilinear interpolation of the codes of four examples, row by row, (side * side, \*shape).

    .. math:: z(u, v) = (1 - v)\,[(1 - u)\,z_1 + u\,z_2] + v\,[(1 - u)\,z_3 + u\,z_4]

    u increases from left to right and v from top to bottom, both from 0 to 1.
    """
    z = run.model.encode(corners)
    weights = torch.linspace(0, 1, side, device=z.device)
    left, right = (torch.stack([torch.lerp(a, b, float(v)) for v in weights]) for a, b in ((z[0], z[2]), (z[1], z[3])))
    codes = torch.stack([torch.lerp(left, right, float(u)) for u in weights], 1)
    return run.model.decode(codes.flatten(0, 1))


def end_points(split: PreparedSplit, rows: int) -> tuple[Tensor, Tensor]:
    """Examples at the two ends of ``rows`` interpolations, of different classes if labels are known."""
    picked = _by_class(split)[0][: 2 * rows]
    half = max(1, len(picked) // 2)
    return split.tensor[picked[:half]], split.tensor[picked[half:] or picked[:half]]


def corner_points(split: PreparedSplit) -> Tensor:
    """Four examples: the first ones of four classes, evenly spaced over the classes, if at least four are known."""
    order, classes = _by_class(split)
    if classes >= 4:
        order = [order[i] for i in np.linspace(0, classes - 1, 4).round().astype(int)]
    return split.tensor[np.resize(order[:4], 4).tolist()]


def _by_class(split: PreparedSplit) -> tuple[list[int], int]:
    """All examples, beginning with the first one of each class; and the number of classes, 0 without labels."""
    rows = list(range(len(split)))
    if split.labels is None:
        return rows, 0
    firsts = np.unique(split.labels, return_index=True)[1].tolist()
    return firsts + [i for i in rows if i not in set(firsts)], len(firsts)

"""Interpolation in latent space: decoded points on straight lines between the codes of examples."""

import numpy as np
import torch
from torch import Tensor

from isthmus.data.preparing.prepared import PreparedSplit
from isthmus.parts.protocols import Capability
from isthmus.runs.run import Run


def has_real_code(run: Run) -> bool:
    """Whether codes are real-valued, so that a point between two codes is a code."""
    return Capability.REAL in run.model.latent.provides


def lines_between(run: Run, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Decoded points on the straight lines between pairs of codes, both ends included, (rows, steps, *shape)."""
    rows = min(len(start), len(end))
    a, b = run.model.encode(start[:rows]), run.model.encode(end[:rows])
    lines = [run.model.decode(torch.lerp(a, b, float(t))) for t in torch.linspace(0, 1, steps)]
    return torch.stack(lines, 1)


def end_points(split: PreparedSplit, rows: int) -> tuple[Tensor, Tensor]:
    """Examples at the two ends of ``rows`` interpolations, of different classes if labels are known."""
    first = list(range(len(split)))
    if split.labels is not None:
        firsts = np.unique(split.labels, return_index=True)[1].tolist()
        first = firsts + [i for i in first if i not in set(firsts)]
    picked = first[: 2 * rows]
    half = max(1, len(picked) // 2)
    return split.tensor[picked[:half]], split.tensor[picked[half:] or picked[:half]]

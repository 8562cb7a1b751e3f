r"""Nearest neighbors of two sets of points: precision and recall of samples, and how close they are to examples."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.errors import BadData

ROWS = 2048
"""Points whose distances to all others are computed at once."""


class PrecisionRecall(NamedTuple):
    """Fraction of samples among the data, and of the data among the samples, both from 0 to 1."""

    precision: float
    recall: float


def precision_recall(data: Float[Tensor, "N d"], samples: Float[Tensor, "M d"], k: int = 3) -> PrecisionRecall:
    r"""Precision and recall of samples of a generative model, by balls around points.

    A point is among a set if it is no farther from some point p of it than p from its k-th nearest neighbor in the set.
    Precision is the fraction of samples that are among the data: how many look like data. Recall is the fraction of the
    data that are among the samples: how much of the data the samples cover.

    Args:
        data: features of examples, (N, d), N > k.
        samples: features of samples, (M, d), M > k.
        k: which neighbor is the radius of a ball.

    Raises:
        BadData: too few points.

    References:
        Improved precision and recall metric for assessing generative models (Kynkäänniemi et al., 2019)

    >>> points = torch.arange(8.0)[:, None]
    >>> precision_recall(points, points[:5])
    PrecisionRecall(precision=1.0, recall=1.0)
    >>> precision_recall(points, 100 + points)
    PrecisionRecall(precision=0.0, recall=0.0)
    """
    if min(len(data), len(samples)) <= k:
        raise BadData(
            f"Precision and recall with k={k} require more than {k} points, but there are {len(data)} and "
            f"{len(samples)}. Pass more, or set a smaller k."
        )
    return PrecisionRecall(
        _among(samples, data, k).double().mean().item(), _among(data, samples, k).double().mean().item()
    )


def _among(points: Tensor, others: Tensor, k: int) -> Bool[Tensor, " N"]:
    """Whether each point lies in the ball of one of the others."""
    # the nearest neighbor of a point in its own set is itself
    radius = torch.cat([_distances(some, others).kthvalue(k + 1, 1).values for some in torch.split(others, ROWS)])
    return torch.cat([(_distances(some, others) <= radius).any(1) for some in torch.split(points, ROWS)])


def nearest_distance(points: Float[Tensor, "N d"], others: Float[Tensor, "M d"]) -> Float[Tensor, " N"]:
    """Distance of each point to the nearest of the others, shape (N,).

    >>> nearest_distance(torch.tensor([[0.0]]), torch.tensor([[3.0], [-2.0]])).tolist()
    [2.0]
    """
    return torch.cat([_distances(some, others).min(1).values for some in torch.split(points, ROWS)])


def _distances(a: Tensor, b: Tensor) -> Float[Tensor, "N M"]:
    """Distances of all pairs; of a point from itself exactly 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")

r"""Directions in latent space: the step between two groups of codes, and codes near a given one.

A direction v is scaled so that z + v lies, on average, where the second group lies along v: a strength of 1 is the
whole way from one group to the other.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.errors import BadData, check_range

REGULARIZATION = 1.0
"""Inverse strength of the L2 penalty of the logistic regression on standardized codes."""


def mean_direction(z: Float[Tensor, "N d"], target: Bool[Tensor, " N"]) -> Float[Tensor, " d"]:
    r"""The difference of the mean codes of two groups, :math:`v = \bar z_1 - \bar z_0`.

    Args:
        z: codes, (N, d).
        target: which of them are in the group that v leads to, (N,).

    Raises:
        BadData: a group is empty.

    References:
        Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016), section 4.1

    >>> mean_direction(torch.tensor([[0.0, 0.0], [1.0, 3.0]]), torch.tensor([False, True])).tolist()
    [1.0, 3.0]
    """
    inside = int(target.sum())
    if not 0 < inside < len(target):
        raise BadData(
            f"A direction leads from one group of examples to another, but {inside:,} of {len(target):,} are in the "
            "group to move to. Use classes that both have examples."
        )
    return z[target].mean(0) - z[~target].mean(0)


def logistic_direction(z: Float[Tensor, "N d"], target: Bool[Tensor, " N"]) -> Float[Tensor, " d"]:
    r"""The normal w of a logistic regression's boundary, as long as the step between the groups along it.

    .. math:: v = \frac{w^\top (\bar z_1 - \bar z_0)}{\lVert w \rVert^2}\, w, \quad p(1 \mid z) = \sigma(w^\top z + b)

    It ignores what the groups differ in by chance, where the difference of means follows it: the mean codes of people
    with and without glasses also differ in other things that go with glasses in the data. The regression has an L2
    penalty on codes with standardized dimensions.

    Args:
        z: codes, (N, d).
        target: which of them are in the group that v leads to, (N,).

    Raises:
        BadData: a group is empty.

    References:
        Interpreting the latent space of GANs for semantic face editing (Shen et al., 2020), section 3
    """
    from sklearn.linear_model import LogisticRegression

    step = mean_direction(z, target)
    scale = z.std(0).clamp(min=torch.finfo(z.dtype).tiny)
    fitted = LogisticRegression(C=REGULARIZATION, max_iter=1000)
    fitted.fit((z / scale).double().cpu().numpy(), target.cpu().numpy())
    w = torch.from_numpy(fitted.coef_[0]).to(z) / scale
    length = w.square().sum()
    if not length > 0:
        raise BadData("The two groups have the same codes, so no direction leads from one to the other. Use others.")
    return (w @ step) / length * w


DIRECTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"means": mean_direction, "logistic": logistic_direction}
"""Directions between two groups of codes by name."""


def neighboring_codes(
    z: Float[Tensor, "N d"],
    mean: Float[Tensor, " d"],
    factor: Float[Tensor, "d d"],
    distance: float,
    number: int,
) -> Float[Tensor, "N k d"]:
    r"""``number`` random codes around each code, which keep the Gaussian that all codes follow.

    .. math:: z' = m + \sqrt{1 - r^2}\,(z - m) + r L \varepsilon, \quad \varepsilon \sim \mathcal N(0, I)

    With :math:`r = 0` it is z itself, with :math:`r = 1` a sample of :math:`\mathcal N(m, L L^\top)` that has forgotten
    z. If z follows this Gaussian, so does z' for every r: unlike with added noise, codes do not leave the region where
    the decoder has seen codes.

    Args:
        z: codes, (N, d).
        mean: the mean m of all codes, (d,).
        factor: the Cholesky factor L of their covariance, (d, d).
        distance: r, from 0 to 1.
        number: neighbors of each code, k.

    Raises:
        BadOption: a distance out of range, or fewer than one neighbor.
    """
    check_range("The distance", distance, 0, 1)
    check_range("The number of neighbors", number, 1)
    noise = torch.randn(len(z), number, z.shape[1], dtype=z.dtype, device=z.device) @ factor.T
    kept = mean + math.sqrt(1 - distance**2) * (z - mean)
    return kept[:, None] + distance * noise

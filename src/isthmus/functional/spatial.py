r"""Feature points: the spatial softmax of feature maps, and how much of its attention lies near a point.

Coordinates are those of :func:`torch.nn.functional.grid_sample` with ``align_corners=False``: x from -1 at the left
edge of the image to 1 at the right one, y from -1 at the top to 1 at the bottom. The center of the first of W cells is
at :math:`-1 + 1/W`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import check_range

WINDOW = 3.0
"""Side of the window of :func:`presence`, in cells."""


def cell_centers(cells: int, like: Tensor) -> Float[Tensor, " cells"]:
    """Coordinates of the centers of so many cells along an axis.

    >>> cell_centers(4, torch.zeros(1)).tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    return (2 * torch.arange(cells, dtype=like.dtype, device=like.device) + 1) / cells - 1


def spatial_softmax(maps: Float[Tensor, "*B K H W"], temperature: Tensor | float = 1.0) -> Float[Tensor, "*B K H W"]:
    r"""The attention of each feature map: a softmax over its positions, which sums to 1.

    .. math:: s_{kij} = \frac{\exp(a_{kij} / \alpha)}{\sum_{i'j'} \exp(a_{ki'j'} / \alpha)}

    Args:
        maps: feature maps a, (..., K, H, W).
        temperature: :math:`\alpha > 0`.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016), section V-A
    """
    flat = (maps / temperature).flatten(-2)
    return flat.softmax(-1).view_as(maps)


def expected_points(attention: Float[Tensor, "*B K H W"]) -> Float[Tensor, "*B K 2"]:
    r"""The expected position (x, y) of each attention map, :math:`f_k = \sum_{ij} s_{kij}\,(x_j, y_i)`.

    A single peak gives its position, equal attention the center of the image.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016), section V-A

    >>> expected_points(torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]])).tolist()
    [[[0.5, -0.5]]]
    """
    x = attention.sum(-2) @ cell_centers(attention.shape[-1], attention)
    y = attention.sum(-1) @ cell_centers(attention.shape[-2], attention)
    return torch.stack([x, y], -1)


def presence(
    attention: Float[Tensor, "*B K H W"], points: Float[Tensor, "*B K 2"], window: float = WINDOW
) -> Float[Tensor, "*B K"]:
    r"""The fraction of the attention in a window around each point, from 0 to 1.

    A feature that is seen has one peak, and nearly all of its attention is near it. Where it is hidden the attention is
    spread, and its expected position means little. Cells on the window's edge count by the part that is inside.

    Args:
        attention: attention maps, (..., K, H, W).
        points: their points, (..., K, 2).
        window: side of the window, in cells.

    Raises:
        BadOption: a window that is not above 0.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016), section V-C

    >>> attention = torch.full((1, 1, 6, 6), 1 / 36)
    >>> presence(attention, torch.zeros(1, 1, 2), 3.0).item()
    0.25
    """
    check_range("The window", window, 0, open_low=True)
    inside_x = _overlap(points[..., 0], attention.shape[-1], window)
    inside_y = _overlap(points[..., 1], attention.shape[-2], window)
    return torch.einsum("...hw,...h,...w->...", attention, inside_y, inside_x)


def _overlap(center: Float[Tensor, "*B K"], cells: int, window: float) -> Float[Tensor, "*B K cells"]:
    """The part of each cell along an axis that is in the window around a coordinate, from 0 to 1."""
    place = (center[..., None] + 1) * cells / 2
    left = torch.arange(cells, dtype=center.dtype, device=center.device)
    right = torch.minimum(left + 1, place + window / 2)
    return (right - torch.maximum(left, place - window / 2)).clamp(0, 1)

r"""Separation: points of a spatial autoencoder move differently from each other."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts, check_range
from isthmus.parts.protocols import Capability, Model, Trace


class Separation(nn.Module):
    r"""The similarity of the movements of pairs of points, over the frames of a batch.

    .. math:: \Omega = \sum_{k < l} \exp\left(-\frac{1}{2 \sigma^2 N} \sum_n
        \lVert (f_{nk} - \bar f_k) - (f_{nl} - \bar f_l) \rVert^2\right)

    Without it many points follow the thing of highest contrast, and none the others. For codes of positions
    (``net.kind=spatial``): pairs of x and y, of images or of windows of frames.

    Args:
        scale: root mean square difference :math:`\sigma` of two movements below which they count as the same, in half
            sides of the image.

    References:
        Unsupervised learning of object structure and dynamics from videos (Minderer et al., 2019)

    Raises:
        BadOption: the scale is not positive.
    """

    name = "separation"
    requires = frozenset({Capability.REAL})

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        check_range("penalties.separation.scale", scale, 0, open_low=True)
        self.scale = scale

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The sum over pairs of points, for the batch."""
        z = trace.gather(trace.q.mean)
        if z.ndim not in (2, 3) or z.shape[1] % 2:
            raise IncompatibleParts(
                "The penalty separation compares points, pairs of x and y, but one code has shape "
                f"{tuple(z.shape[1:])}. Set net.kind=spatial, or leave the penalty out."
            )
        frames = z if z.ndim == 2 else z.movedim(1, -1).flatten(0, 1)
        points = (frames - frames.mean(0)).reshape(len(frames), -1, 2)
        # mean squared difference of two movements, by their second moments
        product = torch.einsum("nkc,nlc->kl", points, points) / len(points)
        own = product.diagonal()
        distance = own[:, None] + own[None] - 2 * product
        similar = torch.exp(-distance / (2 * self.scale**2))
        return similar.triu(1).sum()

r"""Slowness: codes of consecutive frames move with constant velocity."""

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts
from isthmus.functional import per_example
from isthmus.parts.protocols import Capability, Model, Trace

FEWEST = 3
"""Frames that have an acceleration."""


class Slowness(nn.Module):
    r"""The squared acceleration of the code over a window of frames, in squared units of the code.

    .. math:: \Omega = \sum_{t=1}^{F-2} \lVert (z_{t+2} - z_{t+1}) - (z_{t+1} - z_t) \rVert^2

    Things that are filmed keep their velocity for a short time, while noise does not. The mean of q(z | x) is used. For
    examples with time as the last axis of the code, such as windows of at least three frames with ``net.kind=spatial``.
    It can also be made small by a smaller code, so judge it by the jitter relative to the movement.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016), section V-B
    """

    name = "slowness"
    requires = frozenset({Capability.REAL})

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The squared acceleration of each window, shape (B,).

        Raises:
            IncompatibleParts: a code without a time axis, or with fewer than three steps.
        """
        z = trace.q.mean
        if z.ndim != 3 or z.shape[-1] < FEWEST:
            raise IncompatibleParts(
                f"The penalty slowness compares {FEWEST} or more consecutive frames, but one code has shape "
                f"{tuple(z.shape[1:])}. Set data.window=3 for a video, with net.kind=spatial, or leave the penalty out."
            )
        return per_example(z.diff(n=2).square())

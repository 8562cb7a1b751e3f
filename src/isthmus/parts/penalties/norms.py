r"""Squared norms of the code and of the decoder's weights, which keep codes near each other and the decoder smooth."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.functional import per_example
from isthmus.parts.protocols import Capability, Model, Trace


class CodeNorm(nn.Module):
    r"""Half the squared norm of the code, :math:`\frac12 \lVert z \rVert^2`, in squared units of the code.

    It is the cross-entropy of the code with a standard normal, up to a constant. A deterministic code with this penalty
    and a decoder that is kept smooth is a regularized autoencoder (RAE). Requires a real-valued code.

    References:
        From variational to deterministic autoencoders (Ghosh et al., 2020), equation 9
    """

    name = "code_norm"
    requires = frozenset({Capability.REAL})

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """Half the squared norm of each code, shape (B,)."""
        return 0.5 * per_example(trace.z.square())


class DecoderNorm(nn.Module):
    r"""Half the squared norm of the decoder's weights, :math:`\frac12 \sum_l \lVert W_l \rVert_F^2`, without biases.

    Unlike ``training.weight_decay`` it leaves the encoder alone. One value for the batch.

    References:
        From variational to deterministic autoencoders (Ghosh et al., 2020), section 3.2
    """

    name = "decoder_norm"
    requires: frozenset[Capability] = frozenset()

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """Half the squared norm of all weights of more than one axis, shape ()."""
        squares = [p.square().sum() for p in model.decoder.parameters() if p.ndim > 1]
        return 0.5 * torch.stack(squares).sum() if squares else trace.z.new_zeros(())

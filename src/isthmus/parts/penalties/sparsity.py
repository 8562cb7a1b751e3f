r"""Penalties that make a code sparse: few active units per example, or few examples per unit.

:class:`L1` is computed per example; :class:`KLSparsity` from the mean activation of each unit over the batch (of all
processes).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_range
from isthmus.functional import per_example
from isthmus.parts.protocols import Capability, Model, Trace


class L1(nn.Module):
    r"""L1 norm of the code, :math:`\sum_j \lvert z_j \rvert`, per example, in units of the code.

    A model can lower the penalty by scaling down the code and scaling up the decoder weights; ``net.unit_norm=true``
    prevents it. Requires a real-valued code.
    """

    name = "l1"
    requires = frozenset({Capability.REAL})

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The L1 norm of each code, shape (B,)."""
        return per_example(trace.z.abs())


class KLSparsity(nn.Module):
    r"""KL divergence of the mean activation of each unit from a target, summed over units, in nats.

    .. math:: \sum_j \mathrm{KL}\left(\mathrm{Bernoulli}(\rho) \,\|\, \mathrm{Bernoulli}(\hat\rho_j)\right),
        \quad \hat\rho_j = \mathrm{mean}_{x}\, z_j(x)

    The mean is over the batch (of all processes), and over the positions of a feature map; the penalty is one value for
    the batch. Means are clamped to the machine epsilon from 0 and 1, so it is finite. Requires a code in [0, 1].

    Args:
        target: target mean activation :math:`\rho`, in [0, 1].

    References:
        Sparse autoencoder (Ng, 2011)

    Raises:
        BadOption: the target is not in [0, 1].
    """

    name = "kl_sparsity"
    requires = frozenset({Capability.UNIT_INTERVAL})

    def __init__(self, target: float = 0.05) -> None:
        super().__init__()
        check_range("penalties.kl_sparsity.target", target, 0, 1)
        self.target = target

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The divergence summed over units, in nats, shape ()."""
        code = trace.gather(trace.q.mean)
        mean = code.transpose(0, 1).flatten(1).mean(1)
        eps = torch.finfo(mean.dtype).eps
        mean = mean.clamp(eps, 1 - eps)
        rho = mean.new_tensor(self.target)
        return (torch.xlogy(rho, rho / mean) + torch.xlogy(1 - rho, (1 - rho) / (1 - mean))).sum()

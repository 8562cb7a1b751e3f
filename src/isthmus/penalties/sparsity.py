r"""Penalties that make a code sparse: each example uses few units, or each unit few examples.

L1 asks it of the single example. The sparsity of Ng's notes asks it of a unit over the examples, and so is a function
of the whole batch, on all processes together.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_range
from isthmus.functional import per_example
from isthmus.trace import Model, Offer, Trace


class L1(nn.Module):
    r"""The absolute values of the code, :math:`\sum_j \lvert z_j \rvert`, one sum for each example.

    In units of the code: a decoder with larger weights lowers it at no cost, where it is not kept from it
    (``net.unit_norm``).
    """

    name = "l1"
    needs = frozenset({Offer.REAL})

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The sum of absolute values of each code."""
        return per_example(trace.z.abs())


class KLSparsity(nn.Module):
    r"""How far the mean use of each unit is from a target, in nats, summed over units: one value for the batch.

    .. math:: \sum_j \mathrm{KL}\left(\mathrm{Bernoulli}(\rho) \,\|\, \mathrm{Bernoulli}(\hat\rho_j)\right),
        \quad \hat\rho_j = \mathrm{mean}_{x}\, z_j(x)

    The mean is over the batch of all processes, and over the further axes of a code map. It is 0 where every unit is
    at the target. Means within a rounding of 0 or 1 are taken as a rounding away, so it stays finite.

    Args:
        target: :math:`\rho`, the share of use that each unit should have, in [0, 1].

    References:
        Sparse autoencoder, CS294A lecture notes (Ng, 2011)

    Raises:
        BadOption: the target is not in [0, 1].
    """

    name = "kl_sparsity"
    needs = frozenset({Offer.UNIT_INTERVAL})

    def __init__(self, target: float = 0.05) -> None:
        super().__init__()
        check_range("penalties.kl_sparsity.target", target, 0, 1)
        self.target = target

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The divergence summed over units."""
        code = trace.gather(trace.q.mean)
        use = code.transpose(0, 1).flatten(1).mean(1)
        least = torch.finfo(use.dtype).eps
        use = use.clamp(least, 1 - least)
        rho = use.new_tensor(self.target)
        return (torch.xlogy(rho, rho / use) + torch.xlogy(1 - rho, (1 - rho) / (1 - use))).sum()

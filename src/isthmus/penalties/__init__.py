r"""Penalties :math:`\Omega`: functions of the model and the trace of one pass, weighted by :math:`\lambda`.

A penalty declares what it needs of the latent (``needs``); the objective refuses a misfit before the first step.
"""

from torch import nn

from isthmus.penalties.adversarial import Adversarial, FactorVAE
from isthmus.penalties.aggregate import MMD, Sliced, Wasserstein2
from isthmus.penalties.dependence import DIP, TotalCorrelation
from isthmus.penalties.divergence import KL, Capacity
from isthmus.penalties.geometry import Contractive, ContractiveHessian
from isthmus.penalties.sparsity import L1, KLSparsity

PENALTIES: dict[str, type[nn.Module]] = {
    "kl": KL,
    "capacity": Capacity,
    "l1": L1,
    "kl_sparsity": KLSparsity,
    "mmd": MMD,
    "sliced": Sliced,
    "wasserstein2": Wasserstein2,
    "total_correlation": TotalCorrelation,
    "dip": DIP,
    "adversarial": Adversarial,
    "factor": FactorVAE,
    "contractive": Contractive,
    "contractive_h": ContractiveHessian,
}
"""Penalties by their name in a recipe."""

__all__ = [
    "DIP",
    "KL",
    "L1",
    "MMD",
    "PENALTIES",
    "Adversarial",
    "Capacity",
    "Contractive",
    "ContractiveHessian",
    "FactorVAE",
    "KLSparsity",
    "Sliced",
    "TotalCorrelation",
    "Wasserstein2",
]

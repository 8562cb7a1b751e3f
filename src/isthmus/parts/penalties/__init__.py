r"""Penalties :math:`\Omega`: functions of the model and the trace of one forward pass, weighted by :math:`\lambda`.

A penalty declares what it requires of the latent (``requires``), which the objective checks before training.
"""

from torch import nn

from isthmus.parts.penalties.adversarial import Adversarial, FactorVAE
from isthmus.parts.penalties.aggregate import MMD, Sliced, Wasserstein2
from isthmus.parts.penalties.dependence import DIP, TotalCorrelation
from isthmus.parts.penalties.discriminator import Discriminator
from isthmus.parts.penalties.features import Features
from isthmus.parts.penalties.geometry import Contractive, ContractiveHessian
from isthmus.parts.penalties.kl import KL, Capacity
from isthmus.parts.penalties.norms import CodeNorm, DecoderNorm
from isthmus.parts.penalties.separation import Separation
from isthmus.parts.penalties.slowness import Slowness
from isthmus.parts.penalties.sparsity import L1, KLSparsity

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
    "discriminator": Discriminator,
    "features": Features,
    "code_norm": CodeNorm,
    "decoder_norm": DecoderNorm,
    "slowness": Slowness,
    "separation": Separation,
    "contractive": Contractive,
    "contractive_h": ContractiveHessian,
}
"""Penalties by name in a recipe."""

__all__ = [
    "DIP",
    "KL",
    "L1",
    "MMD",
    "PENALTIES",
    "Adversarial",
    "Capacity",
    "CodeNorm",
    "Contractive",
    "ContractiveHessian",
    "DecoderNorm",
    "Discriminator",
    "FactorVAE",
    "Features",
    "KLSparsity",
    "Separation",
    "Sliced",
    "Slowness",
    "TotalCorrelation",
    "Wasserstein2",
]

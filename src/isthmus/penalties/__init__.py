r"""Penalties :math:`\Omega`: functions of the model and the trace of one pass, weighted by :math:`\lambda`.

A penalty declares what it needs of the latent (``needs``); the objective refuses a misfit before the first step.
"""

from torch import nn

from isthmus.penalties.divergence import KL

PENALTIES: dict[str, type[nn.Module]] = {"kl": KL}
"""Penalties by their name in a recipe."""

__all__ = ["KL", "PENALTIES"]

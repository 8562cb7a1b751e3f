r"""The bound of a variational model and its parts, in nats per example, with codes drawn from q by a fixed seed."""

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.distributions import DiagonalGaussian
from isthmus.model import CHUNK, Autoencoder, inference


def variational(model: Autoencoder, x: Tensor, *, seed: int = 0) -> dict[str, float]:
    r"""The evidence lower bound :math:`\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q\,\|\,\mathcal N(0,I))` and its parts.

    ``elbo`` takes one draw from q for each example, ``kl`` is exact, ``active_units`` counts the latent dimensions
    whose posterior mean has a variance above 0.01 over the examples.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Importance weighted autoencoders (Burda et al., 2016), section 5.2
    """
    loc, log_scale = moments(model, x)
    scale = log_scale.exp()
    kl = F.kl_standard_normal(loc, scale, log_scale)
    generator = torch.Generator().manual_seed(seed)
    log_p = 0.0
    with inference(model):
        for start in range(0, len(x), CHUNK):
            part = slice(start, start + CHUNK)
            noise = torch.randn(loc[part].shape, generator=generator).to(loc)
            log_p += model.output(loc[part] + scale[part] * noise).log_prob(x[part].to(loc)).sum().item()
    return {
        "elbo": log_p / len(x) - kl.mean().item(),
        "kl": kl.mean().item(),
        "active_units": int(F.active_units(loc).sum().item()),
    }


def moments(model: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log standard deviation of the Gaussian q(z | x) of each example, (N, *code) each."""
    pairs = []
    with inference(model):
        for chunk in torch.split(x, CHUNK):
            q = model.posterior(chunk.to(model.like.device, model.like.dtype))
            assert isinstance(q, DiagonalGaussian)
            pairs.append((q.loc, q.log_scale))
    return torch.cat([loc for loc, _ in pairs]), torch.cat([log_scale for _, log_scale in pairs])

r"""Variational autoencoders whose code is to fall into factors: coordinates that tell nothing of each other."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, NetPart, PenaltyPart, Recipe
from isthmus.schedules import Schedule
from isthmus.zoo.entries import Entry, part


def beta_tc_vae(latent: int = 10, beta: float = 6.0, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Beta-TC VAE: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL} + (\beta - 1)\,\mathrm{TC}(q(z))`.

    The KL holds the total correlation TC once already, so this weighs it :math:`\beta` times in all, and the two
    other terms of the KL once.

    References:
        Isolating sources of disentanglement in VAEs (Chen et al., 2018)
    """
    return Recipe(
        name="beta_tc_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        penalties={"kl": _kl(), "total_correlation": PenaltyPart(kind="total_correlation", weight=Schedule(beta - 1))},
        training=TrainingOptions(batch=128, rate=2e-3, schedule="cosine"),
    )


def factor_vae(latent: int = 10, gamma: float = 10.0, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Factor VAE: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL} + \gamma\,\mathrm{TC}(q(z))`, TC by a critic.

    References:
        Disentangling by factorising (Kim & Mnih, 2018)
    """
    # the last weights are kept: against a critic that learns too, a low loss is not a better code
    factor = part(PenaltyPart, "factor", weight=gamma, critic_share=0.25)
    return Recipe(
        name="factor_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        penalties={"kl": _kl(), "factor": factor},
        training=TrainingOptions(batch=128, rate=2e-3, schedule="cosine", keep="last"),
    )


def dip_vae(latent: int = 10, off_diagonal: float = 10.0, on: str = "mean", hidden: Sequence[int] = (512,)) -> Recipe:
    r"""DIP-VAE: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL} +` the distance of the codes' covariance from I.

    ``on="mean"`` is DIP-VAE-I, ``on="code"`` DIP-VAE-II.

    References:
        Variational inference of disentangled latent concepts from unlabeled observations (Kumar et al., 2018)
    """
    return Recipe(
        name="dip_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        penalties={"kl": _kl(), "dip": part(PenaltyPart, "dip", on=on, off_diagonal=off_diagonal)},
        training=TrainingOptions(batch=128, rate=2e-3, schedule="cosine"),
    )


def _kl() -> PenaltyPart:
    return PenaltyPart(kind="kl")


ENTRIES: dict[str, Entry] = {
    "beta_tc_vae": Entry(
        beta_tc_vae,
        "a VAE whose coordinates share little: total correlation weighed more",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + (beta - 1) KL(q(z) || prod_k q(z_k))",
        "Chen et al., NeurIPS (2018)",
        cites=("chen2018", "kingma2014"),
    ),
    "factor_vae": Entry(
        factor_vae,
        "the same by a critic that tells codes from shuffled ones",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + gamma E[log D(z) / (1 - D(z))]",
        "Kim & Mnih, ICML (2018)",
        cites=("kim2018", "kingma2014"),
    ),
    "dip_vae": Entry(
        dip_vae,
        "a VAE whose codes have the identity for covariance",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + l1 sum_ij C_ij^2 + l2 sum_i (C_ii - 1)^2",
        "Kumar et al., ICLR (2018)",
        cites=("kumar2018", "kingma2014"),
    ),
}
"""Rows of the table of recipes."""

r"""Variational autoencoders for disentanglement: penalties on the dependence between latent dimensions."""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.parts.schedules import Schedule
from isthmus.zoo.entries import RecipeEntry, code


def beta_tc_vae(latent: int | None = None, beta: float = 6.0, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Beta-TC VAE: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL} + (\beta - 1)\,\mathrm{TC}(q(z))`.

    The KL contains the total correlation TC with weight 1 already, so its total weight is :math:`\beta`; the other two
    terms of the KL have weight 1.

    Use it for latent dimensions that are independent of each other. The total correlation is estimated from a batch, so
    use batches of 100 examples or more. Independence does not ensure that a dimension is a factor of variation: without
    labels that cannot be verified.

    References:
        Isolating sources of disentanglement in variational autoencoders (Chen et al., 2018)
    """
    return Recipe(
        name="beta_tc_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **code(latent, 10)),
        penalties={"kl": _kl(), "total_correlation": PenaltyPart(kind="total_correlation", weight=Schedule(beta - 1))},
        training=TrainingOptions(batch_size=128, learning_rate=2e-3, schedule="cosine"),
    )


def factor_vae(latent: int | None = None, gamma: float = 10.0, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""FactorVAE: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL} + \gamma\,\mathrm{TC}(q(z))`, TC from a critic.

    Use it like :func:`beta_tc_vae`, when the total correlation is not to be estimated from a batch. The critic is a
    second network with its own learning rate, and short runs end before it is useful; :func:`beta_tc_vae` is easier to
    train.

    References:
        Disentangling by factorising (Kim & Mnih, 2018)
    """
    # the last weights are kept: while the critic is trained too, a lower loss does not mean a better code
    factor = part(PenaltyPart, "factor", weight=gamma, critic_lr_ratio=0.25)
    return Recipe(
        name="factor_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **code(latent, 10)),
        penalties={"kl": _kl(), "factor": factor},
        training=TrainingOptions(batch_size=128, learning_rate=2e-3, schedule="cosine", keep="last"),
    )


def dip_vae(
    latent: int | None = None, off_diagonal: float = 10.0, on: str = "mean", hidden: Sequence[int] = (512,)
) -> Recipe:
    r"""DIP-VAE: a penalty on the squared distance of the covariance C of the codes from I.

    .. math:: \mathbb E_q[-\log p(x|z)] + \mathrm{KL} + \lambda_1 \sum_{i \ne j} C_{ij}^2
              + \lambda_2 \sum_i (C_{ii} - 1)^2

    ``on="mean"`` is DIP-VAE-I, ``on="code"`` DIP-VAE-II.

    Use it for uncorrelated latent dimensions: the penalty is cheap, and no network is added. It removes correlation
    only; for dependence of higher order use :func:`beta_tc_vae`.

    References:
        Variational inference of disentangled latent concepts from unlabeled observations (Kumar et al., 2018)
    """
    return Recipe(
        name="dip_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **code(latent, 10)),
        penalties={"kl": _kl(), "dip": part(PenaltyPart, "dip", on=on, off_diagonal=off_diagonal)},
        training=TrainingOptions(batch_size=128, learning_rate=2e-3, schedule="cosine"),
    )


def _kl() -> PenaltyPart:
    return PenaltyPart(kind="kl")


ENTRIES: dict[str, RecipeEntry] = {
    "beta_tc_vae": RecipeEntry(
        beta_tc_vae,
        "VAE with a larger weight of the total correlation",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + (beta - 1) KL(q(z) || prod_k q(z_k))",
        cites=("chen2018", "kingma2014"),
    ),
    "factor_vae": RecipeEntry(
        factor_vae,
        "VAE with a total correlation estimated by a critic",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + gamma E[log D(z) / (1 - D(z))]",
        cites=("kim2018", "kingma2014"),
    ),
    "dip_vae": RecipeEntry(
        dip_vae,
        "VAE with a penalty on the covariance of the codes",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)) + l1 sum_ij C_ij^2 + l2 sum_i (C_ii - 1)^2",
        cites=("kumar2018", "kingma2014"),
    ),
}
"""Entries of the table of recipes."""

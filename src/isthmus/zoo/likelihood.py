r"""Autoencoders characterized by their likelihood."""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code


def sigma_vae(latent: int | None = None, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""VAE with a learned noise scale: :math:`|x - g(z)|^2/2\sigma^2 + D\log\sigma + \mathrm{KL}`.

    The scale adapts to the reconstruction error, so a KL weight of 1 is right for any units of the data.
    ``likelihood.kind=optimal_gaussian`` uses the optimal scale of each batch instead of a learned one; it converges
    faster at first, but overfits small data sets.

    Use it for real-valued data, such as standardized tables, and whenever the weight of the KL divergence is not to be
    tuned. For binary data use :func:`vae`. If some features are predicted much better than others, one scale for all is
    wrong: use ``likelihood.kind=pixel_gaussian``.

    References:
        Simple and effective VAE training with calibrated decoders (Rybkin et al., 2021)
    """
    return Recipe(
        name="sigma_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **code(latent, 16)),
        likelihood=part(LikelihoodPart, "shared_gaussian"),
        penalties={"kl": PenaltyPart(kind="kl")},
        training=TrainingOptions(batch_size=100, learning_rate=2e-3, schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "sigma_vae": RecipeEntry(
        sigma_vae,
        "VAE with a learned scale of its Gaussian output",
        "E_q[-log N(x; g(z), s^2 I)] + KL(q(z|x) || N(0, I)), s learned",
        cites=("rybkin2021",),
    ),
}
"""Entries of the table of recipes."""

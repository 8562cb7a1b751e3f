r"""Autoencoders whose idea is their output distribution."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe
from isthmus.zoo.entries import Entry, part


def sigma_vae(latent: int = 16, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Variational autoencoder that learns its noise: :math:`|x - g(z)|^2/2\sigma^2 + D\log\sigma + \mathrm{KL}`.

    The scale fits the error that is left, so the KL keeps its weight of 1 whatever the units of the data.
    ``--set likelihood.kind=optimal_gaussian`` takes the best scale of each batch instead of learning it; it starts
    faster, and on few examples fits them more closely than is good for new ones.

    References:
        Simple and effective VAE training with calibrated decoders (Rybkin et al., 2021)
    """
    return Recipe(
        name="sigma_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        likelihood=part(LikelihoodPart, "shared_gaussian"),
        penalties={"kl": PenaltyPart(kind="kl")},
        training=TrainingOptions(batch=100, rate=2e-3, schedule="cosine"),
    )


ENTRIES: dict[str, Entry] = {
    "sigma_vae": Entry(
        sigma_vae,
        "a Gaussian output that learns its own scale",
        "E_q[-log N(x; g(z), s^2 I)] + KL(q(z|x) || N(0, I)), s learned",
        "Rybkin et al., ICML (2021)",
        cites=("rybkin2021",),
    ),
}
"""Rows of the table of recipes."""

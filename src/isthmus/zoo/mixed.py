r"""Mixtures that no paper has: parts of several ideas in one line each, to show that they combine."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import CorruptionPart, LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe
from isthmus.zoo.entries import Entry, part


def sparse_denoising_vae(latent: int = 16, hidden: Sequence[int] = (512,), *, fraction: float = 0.25) -> Recipe:
    r"""Denoising, sparse and variational at once: the posterior sees an input with holes and prefers few latents.

    .. math:: \mathbb E_{q(z|\tilde x)}[-\log p(x|z)] + \mathrm{KL}(q(z|\tilde x)\,\|\,\mathcal N(0, I))
              + \lambda \lVert z \rVert_1

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="sparse_denoising_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        corruption=part(CorruptionPart, "masking", fraction=fraction),
        penalties={"kl": part(PenaltyPart, "kl"), "l1": part(PenaltyPart, "l1", weight=0.1)},
        training=TrainingOptions(batch=100, rate=2e-3, schedule="cosine"),
    )


def robust_wae(latent: int = 8, hidden: Sequence[int] = (512, 512), *, fraction: float = 0.1) -> Recipe:
    r"""A Wasserstein autoencoder for data with outliers: Student-t errors, grains of salt and pepper in the input.

    .. math:: -\log t_\nu(x;\, g(f(\tilde x)),\, b) + \lambda\,\mathrm{MMD}^2(q(z), \mathcal N(0, I))

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
        Stacked denoising autoencoders (Vincent et al., 2010)
    """
    return Recipe(
        name="robust_wae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", size=latent),
        likelihood=part(LikelihoodPart, "student_t", df=4.0, scale=0.2),
        corruption=part(CorruptionPart, "salt_and_pepper", fraction=fraction),
        penalties={"mmd": part(PenaltyPart, "mmd", weight=1000.0)},
        training=TrainingOptions(batch=100, rate=1e-3, schedule="cosine"),
    )


def top_k_inpainting(latent: int = 512, k: int = 16, *, fraction: float = 0.3) -> Recipe:
    r"""A few of many learnt parts fill the holes: the k largest units of an input with missing blocks.

    .. math:: -\log p\bigl(x \mid W\,\mathrm{top}_k(\mathrm{relu}(V \tilde x + b)) + b'\bigr)

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="top_k_inpainting",
        net=part(NetPart, "linear", unit_norm=True),
        latent=part(LatentPart, "top_k", size=latent, k=k),
        corruption=part(CorruptionPart, "blocks", fraction=fraction, block=4),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


_OURS = "no paper: a mixture of parts"

ENTRIES: dict[str, Entry] = {
    "sparse_denoising_vae": Entry(
        sparse_denoising_vae,
        "denoising, sparse and variational at once",
        "E_q[-log p(x|z)] + KL(q(z|~x) || N(0, I)) + lambda |z|_1",
        _OURS,
        cites=("kingma2014", "vincent2008"),
    ),
    "robust_wae": Entry(
        robust_wae,
        "point codes that follow N(0, I), learnt from data with outliers",
        "-log t(x; g(f(~x)), b) + lambda MMD^2(q(z), N(0, I))",
        _OURS,
        cites=("tolstikhin2018", "vincent2010"),
    ),
    "top_k_inpainting": Entry(
        top_k_inpainting,
        "a few of many parts fill the holes of the input",
        "-log p(x | W top_k(relu(V ~x + b)) + b')",
        _OURS,
        cites=("gao2025", "vincent2008"),
    ),
}
"""Rows of the table of recipes."""

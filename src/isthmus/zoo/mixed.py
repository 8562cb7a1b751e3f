r"""Combinations of parts that are not from a single paper."""

from collections.abc import Sequence

from isthmus.models.recipe import CorruptionPart, LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code


def sparse_denoising_vae(
    latent: int | None = None, hidden: Sequence[int] = (512,), *, fraction: float = 0.25
) -> Recipe:
    r"""Denoising variational autoencoder with an L1 penalty: masking noise on the input of the encoder.

    .. math:: \mathbb E_{q(z|\tilde x)}[-\log p(x|z)] + \mathrm{KL}(q(z|\tilde x)\,\|\,\mathcal N(0, I))
              + \lambda \lVert z \rVert_1

    Use it for data with missing values, when samples are wanted too. Codes are sampled from a Gaussian, so the L1
    penalty makes them small and not exactly zero; for exact zeros use :func:`top_k_inpainting`.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="sparse_denoising_vae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **code(latent, 16)),
        corruption=part(CorruptionPart, "masking", fraction=fraction),
        penalties={"kl": part(PenaltyPart, "kl"), "l1": part(PenaltyPart, "l1", weight=0.1)},
        training=TrainingOptions(batch_size=100, learning_rate=2e-3, schedule="cosine"),
    )


def robust_wae(latent: int | None = None, hidden: Sequence[int] = (512, 512), *, fraction: float = 0.1) -> Recipe:
    r"""Wasserstein autoencoder for data with outliers: Student-t likelihood, salt-and-pepper noise on the input.

    .. math:: -\log t_\nu(x;\, g(f(\tilde x)),\, b) + \lambda\,\mathrm{MMD}^2(q(z), \mathcal N(0, I))

    Use it for data with outliers, which would dominate a squared error. The scale 0.2 of the Student-t distribution is
    for data in [0, 1]: set ``likelihood.scale`` to the noise of other data. Without outliers :func:`wae_mmd` has one
    option less.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010)
    """
    return Recipe(
        name="robust_wae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", **code(latent, 8)),
        likelihood=part(LikelihoodPart, "student_t", df=4.0, scale=0.2),
        corruption=part(CorruptionPart, "salt_and_pepper", fraction=fraction),
        penalties={"mmd": part(PenaltyPart, "mmd", weight=1000.0)},
        training=TrainingOptions(batch_size=100, learning_rate=1e-3, schedule="cosine"),
    )


def top_k_inpainting(latent: int = 512, k: int = 16, *, fraction: float = 0.3) -> Recipe:
    r"""TopK autoencoder for inpainting: the k largest units of inputs with missing blocks.

    .. math:: -\log p\bigl(x \mid W\,\mathrm{top}_k(\mathrm{relu}(V \tilde x + b)) + b'\bigr)

    Use it to fill missing blocks of images by few features, or for a dictionary that is robust to occlusion. It is
    trained with blocks of 4x4 pixels; larger gaps need a larger ``corruption.block_size``. For sharper images use
    :func:`conv_denoising` with ``corruption.kind=blocks``.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="top_k_inpainting",
        net=part(NetPart, "linear", unit_norm=True),
        latent=part(LatentPart, "top_k", size=latent, k=k),
        corruption=part(CorruptionPart, "blocks", fraction=fraction, block_size=4),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "sparse_denoising_vae": RecipeEntry(
        sparse_denoising_vae,
        "denoising VAE with an L1 penalty on the code",
        "E_q[-log p(x|z)] + KL(q(z|~x) || N(0, I)) + lambda |z|_1",
        cites=("kingma2014", "vincent2008"),
        own_paper=False,
    ),
    "robust_wae": RecipeEntry(
        robust_wae,
        "WAE for data with outliers: Student-t likelihood",
        "-log t(x; g(f(~x)), b) + lambda MMD^2(q(z), N(0, I))",
        cites=("tolstikhin2018", "vincent2010"),
        own_paper=False,
    ),
    "top_k_inpainting": RecipeEntry(
        top_k_inpainting,
        "TopK code of inputs with missing blocks",
        "-log p(x | W top_k(relu(V ~x + b)) + b')",
        cites=("gao2025", "vincent2008"),
        own_paper=False,
    ),
}
"""Entries of the table of recipes."""

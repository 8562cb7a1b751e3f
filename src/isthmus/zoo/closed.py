r"""Linear autoencoders with closed-form weights: baselines for trained models."""

from isthmus.models.recipe import CorruptionPart, LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code

EXACT = TrainingOptions(optimizer="exact")


def pca(latent: int | None = None) -> Recipe:
    r"""Principal component analysis: :math:`z = V^\top (x - \bar x),\ \hat x = Vz + \bar x`.

    The optimum of ``linear``, with orthonormal directions ordered by explained variance.

    Use it as the first baseline: it has no option but the number of components, and takes seconds. Any autoencoder with
    squared error should reach a lower error at the same size of the code. Features with a large variance dominate, so
    standardize a table whose columns have different units (``data.scale=standard``).

    References:
        Neural networks and principal component analysis: learning from examples without local minima (Baldi & Hornik,
            1989)
    """
    return Recipe(
        name="pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", **code(latent, 30)),
        likelihood=part(LikelihoodPart, "gaussian"),
        training=EXACT,
    )


def probabilistic_pca(latent: int | None = None) -> Recipe:
    r"""Probabilistic PCA, the optimal linear variational autoencoder: :math:`x = Wz + \bar x + \sigma\epsilon`.

    The posterior is exact, so the bound equals the log-likelihood.

    Use it when a linear model needs a likelihood: for anomaly scores in nats, for samples, or as the exact reference of
    a linear VAE. All features share one noise variance, so standardize columns with different units.

    References:
        Probabilistic principal component analysis (Tipping & Bishop, 1999)
    """
    return Recipe(
        name="probabilistic_pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "gaussian", **code(latent, 30)),
        likelihood=part(LikelihoodPart, "shared_gaussian"),
        penalties={"kl": PenaltyPart(kind="kl")},
        training=EXACT,
    )


def wiener(ratio: float = 1.0, *, scale: float = 0.2) -> Recipe:
    r"""Wiener filter, the best linear denoiser: :math:`\hat x = \bar x + C (C + \sigma^2 I)^{-1}(\tilde x - \bar x)`.

    With a code narrower than the data (``latent.ratio``, ``latent.size``) it is the best filter of that rank. There is
    also a best linear denoiser for masking and salt-and-pepper noise: ``corruption.kind=masking``.

    Use it as the baseline of every denoising autoencoder: only what it cannot restore requires a nonlinear model.
    ``corruption.scale`` must be the noise level of the data to be restored. It uses the D x D covariance matrix of the
    data, so it is for tables and small images; for large images use :func:`conv_denoising`.

    References:
        Extrapolation, interpolation, and smoothing of stationary time series (Wiener, 1949)
        Reduced-rank regression for the multivariate linear model (Izenman, 1975)
    """
    return Recipe(
        name="wiener",
        net=part(NetPart, "linear"),
        latent=LatentPart(kind="deterministic", ratio=ratio),
        likelihood=part(LikelihoodPart, "gaussian"),
        corruption=part(CorruptionPart, "gaussian", scale=scale),
        training=EXACT,
    )


ENTRIES: dict[str, RecipeEntry] = {
    "pca": RecipeEntry(
        pca,
        "principal component analysis, in closed form",
        "1/2 |x - V V^T (x - m) - m|^2, V^T V = I",
        cites=("baldi1989",),
    ),
    "probabilistic_pca": RecipeEntry(
        probabilistic_pca,
        "optimal linear VAE, in closed form",
        "-log N(x; m, W W^T + s^2 I)",
        cites=("tipping1999",),
    ),
    "wiener": RecipeEntry(
        wiener,
        "optimal linear denoiser, in closed form",
        "1/2 |x - m - C (C + s^2 I)^-1 (x + s e - m)|^2",
        cites=("izenman1975",),
    ),
}
"""Entries of the table of recipes."""

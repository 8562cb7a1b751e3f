r"""Linear autoencoders whose weights are known in closed form: the baselines that training has to beat."""

from isthmus.options import TrainingOptions
from isthmus.recipe import CorruptionPart, LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe
from isthmus.zoo.entries import Entry, part

EXACT = TrainingOptions(optimiser="exact")


def pca(latent: int = 30) -> Recipe:
    r"""Principal component analysis: :math:`z = V^\top (x - \bar x)`, :math:`\hat x = Vz + \bar x`.

    The optimum of ``linear``, with orthonormal directions in the order of the variance they explain.

    References:
        Neural networks and principal component analysis (Baldi & Hornik, 1989)
    """
    return Recipe(
        name="pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", size=latent),
        likelihood=part(LikelihoodPart, "gaussian"),
        training=EXACT,
    )


def probabilistic_pca(latent: int = 30) -> Recipe:
    r"""Probabilistic PCA, the linear variational autoencoder at its optimum: :math:`x = Wz + \bar x + \sigma\epsilon`.

    Its posterior is exact, so the bound is the log density itself.

    References:
        Probabilistic principal component analysis (Tipping & Bishop, 1999)
    """
    return Recipe(
        name="probabilistic_pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "gaussian", size=latent),
        likelihood=part(LikelihoodPart, "shared_gaussian"),
        penalties={"kl": PenaltyPart(kind="kl")},
        training=EXACT,
    )


def wiener(ratio: float = 1.0, *, scale: float = 0.2) -> Recipe:
    r"""Wiener filter, the best linear denoiser: :math:`\hat x = \bar x + C (C + \sigma^2 I)^{-1}(\tilde x - \bar x)`.

    With a code of fewer values than the data (``latent.ratio``, ``latent.size``) it is the best of that rank. Masking
    and salt and pepper have a best linear restorer too: ``--set corruption.kind=masking``.

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


ENTRIES: dict[str, Entry] = {
    "pca": Entry(
        pca,
        "principal components, in closed form",
        "1/2 |x - V V^T (x - m) - m|^2, V^T V = I",
        "Baldi & Hornik, Neural Networks 2:53 (1989)",
        cites=("baldi1989",),
    ),
    "probabilistic_pca": Entry(
        probabilistic_pca,
        "the linear variational autoencoder, in closed form",
        "-log N(x; m, W W^T + s^2 I)",
        "Tipping & Bishop, J. R. Stat. Soc. B 61:611 (1999)",
        cites=("tipping1999",),
    ),
    "wiener": Entry(
        wiener,
        "the best linear denoiser, in closed form",
        "1/2 |x - m - C (C + s^2 I)^-1 (x + s e - m)|^2",
        "Izenman, J. Multivariate Analysis 5:248 (1975)",
        cites=("izenman1975",),
    ),
}
"""Rows of the table of recipes."""

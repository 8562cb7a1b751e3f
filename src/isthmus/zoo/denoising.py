r"""Denoising autoencoders: the encoder sees a corrupted input, and the decoder must give the clean one."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import CorruptionPart, LatentPart, NetPart, Recipe
from isthmus.zoo.entries import Entry, part


def denoising(latent: int = 512, hidden: Sequence[int] = (), *, fraction: float = 0.25) -> Recipe:
    r"""Denoising autoencoder, :math:`-\log p(x \mid f(\tilde x))` with holes in :math:`\tilde x`: tied sigmoid layers.

    The classic has one hidden layer, the code; ``hidden`` layers make it deep.

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="denoising",
        net=part(NetPart, "mlp", widths=list(hidden), activation="sigmoid", tied=True),
        latent=part(LatentPart, "deterministic", size=latent, activation="sigmoid"),
        corruption=part(CorruptionPart, "masking", fraction=fraction),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def dropout(latent: int = 64, hidden: Sequence[int] = (512,), *, share: float = 0.2) -> Recipe:
    r"""Deep autoencoder whose hidden values are noisy: in training a share of them is 0, :math:`h \odot m / (1 - v)`.

    The input stays whole; it is the features that learn not to rely on each other.

    References:
        Dropout: a simple way to prevent neural networks from overfitting (Srivastava et al., 2014)
    """
    return Recipe(
        name="dropout",
        net=part(NetPart, "mlp", widths=list(hidden), dropout=share),
        latent=part(LatentPart, "deterministic", size=latent),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def conv_denoising(channels: Sequence[int] = (32,), *, scale: float = 0.2) -> Recipe:
    r"""Convolutional denoiser with residual blocks: :math:`-\log p(x \mid f(x + \sigma\epsilon))`, cross-entropy.

    The code is a map of half the image's sides, four residual blocks before and behind it. Every weight serves all
    places of the image, so a few hundred images are enough. ``--set corruption.kind=masking`` asks for other damage.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
        criterion (Vincent et al., 2010)
        Identity mappings in deep residual networks (He et al., 2016)
    """
    return _restoring("conv_denoising", channels, blocks=4, scale=scale)


def conv_denoising_overcomplete(channels: Sequence[int] = (64,), *, scale: float = 0.2) -> Recipe:
    r"""Convolutional denoiser whose code has many times the image's values: noise, not width, keeps it from copying.

    On a grey image the code is sixteen times as large.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
        criterion (Vincent et al., 2010)
        Identity mappings in deep residual networks (He et al., 2016)
    """
    return _restoring("conv_denoising_overcomplete", channels, blocks=2, scale=scale)


def _restoring(name: str, channels: Sequence[int], *, blocks: int, scale: float) -> Recipe:
    """Strided levels with residual blocks under Gaussian noise, as a picture file would keep it."""
    return Recipe(
        name=name,
        net=part(NetPart, "conv", channels=list(channels), kernel=4, weights="he", blocks=blocks),
        latent=part(LatentPart, "deterministic"),
        corruption=part(CorruptionPart, "gaussian", scale=scale, clip=True),
        training=TrainingOptions(
            steps=4000, batch=8, optimiser="adamw", rate=4e-3, schedule="cosine", weight_decay=0.1
        ),
    )


ENTRIES: dict[str, Entry] = {
    "denoising": Entry(
        denoising,
        "holes in the input, one tied sigmoid layer",
        "-log Bernoulli(x; g(f(m * x))), m 0 at 25 %",
        "Vincent et al., ICML (2008)",
        cites=("vincent2008",),
    ),
    "dropout": Entry(
        dropout,
        "noise on hidden layers instead of the input",
        "-log Bernoulli(x; g(f(x))), hidden h * m / (1 - v)",
        "Srivastava et al., JMLR 15:1929 (2014)",
        cites=("srivastava2014",),
    ),
    "conv_denoising": Entry(
        conv_denoising,
        "restores noisy images: residual convolutions, a code map",
        "-log Bernoulli(x; g(f(x + sigma e)))",
        "Vincent et al., JMLR 11:3371 (2010)",
        cites=("vincent2010", "he2016"),
    ),
    "conv_denoising_overcomplete": Entry(
        conv_denoising_overcomplete,
        "a code map many times the image's size",
        "-log Bernoulli(x; g(f(x + sigma e))), d > D",
        "Vincent et al., JMLR 11:3371 (2010)",
        cites=("vincent2010", "he2016"),
    ),
}
"""Rows of the table of recipes."""

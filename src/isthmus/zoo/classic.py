r"""The classic autoencoders: one layer or many, tied, narrower or wider than the data, convolutional."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, Recipe
from isthmus.zoo.entries import Entry, part


def linear(latent: int = 30, *, tied: bool = False) -> Recipe:
    r"""Linear autoencoder, :math:`\min \frac12\lVert x - W'(Wx + b) - b'\rVert^2`: PCA by gradient descent.

    At the optimum the code spans the space of the first ``latent`` principal components.

    References:
        Neural networks and principal component analysis (Baldi & Hornik, 1989)
    """
    return Recipe(
        name="linear",
        net=part(NetPart, "linear", tied=tied),
        latent=part(LatentPart, "deterministic", size=latent),
        likelihood=part(LikelihoodPart, "gaussian"),
        training=TrainingOptions(rate=2e-3, schedule="cosine", precision="32"),
    )


def logistic_pca(latent: int = 30) -> Recipe:
    r"""Logistic PCA: a linear code wired straight to logistic outputs, :math:`p = \mathrm{Bernoulli}(W'(Wx+b)+b')`.

    References:
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
    """
    return Recipe(
        name="logistic_pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", size=latent),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def simple(latent: int = 32) -> Recipe:
    r"""One hidden layer that is the code, D-32-D: :math:`z = \mathrm{relu}(Wx + b)`, cross-entropy.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="simple",
        net=part(NetPart, "linear"),
        latent=_relu(latent),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def deep(latent: int = 32, hidden: Sequence[int] = (128, 64)) -> Recipe:
    r"""Deep autoencoder, D-128-64-32-64-128-D with ReLU and a linear code: :math:`z = f_3(f_2(f_1(x)))`, cross-entropy.

    A ReLU code loses units that no gradient brings back; ``--set latent.activation=relu`` asks for it all the same.

    References:
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="deep",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", size=latent),
        training=TrainingOptions(rate=5e-3, schedule="cosine"),
    )


def tied(latent: int = 32, hidden: Sequence[int] = (256,)) -> Recipe:
    r"""Deep autoencoder with tied weights: each decoder matrix is an encoder matrix transposed, :math:`W' = W^\top`.

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="tied",
        net=part(NetPart, "mlp", widths=list(hidden), tied=True),
        latent=part(LatentPart, "deterministic", size=latent),
        training=TrainingOptions(schedule="cosine"),
    )


def overcomplete(ratio: float = 2.0) -> Recipe:
    r"""A code wider than the data, :math:`d = 2D`: it can copy its input, so judge it by what the code shows.

    Give it a reason not to copy (sparsity, noise) for features worth having.

    References:
        Deep learning (Goodfellow et al., 2016), section 14.2
    """
    return Recipe(
        name="overcomplete",
        net=part(NetPart, "linear"),
        latent=LatentPart(kind="deterministic", ratio=ratio, activation="relu"),
        training=TrainingOptions(schedule="cosine"),
    )


def conv(channels: Sequence[int] = (16, 8, 8)) -> Recipe:
    r"""Convolutional autoencoder, 3x3 kernels with 16-8-8 maps, max-pooling down and upsampling back.

    On 28x28 images the code is a map of 8x4x4.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="conv",
        net=part(NetPart, "conv", channels=list(channels), down="maxpool", up="upsample"),
        latent=LatentPart(kind="deterministic", activation="relu"),
        training=TrainingOptions(rate=3e-3, schedule="cosine"),
    )


def transposed_conv(latent: int = 64, channels: Sequence[int] = (32, 64, 128, 128)) -> Recipe:
    r"""Four strided convolutions, a dense code, four transposed convolutions back.

    References:
        Unsupervised representation learning with deep convolutional GANs (Radford et al., 2016)
        A guide to convolution arithmetic for deep learning (Dumoulin & Visin, 2016)
    """
    return Recipe(
        name="transposed_conv",
        net=part(NetPart, "conv", channels=list(channels), down="stride", up="transposed"),
        latent=part(LatentPart, "deterministic", size=latent),
        training=TrainingOptions(schedule="cosine"),
    )


def _relu(latent: int) -> LatentPart:
    return part(LatentPart, "deterministic", size=latent, activation="relu")


_KERAS = "Chollet, Building autoencoders in Keras (2016)"
_SCIENCE = "Hinton & Salakhutdinov, Science 313:504 (2006)"

ENTRIES: dict[str, Entry] = {
    "linear": Entry(
        linear,
        "one matrix in, one out: finds the space of PCA",
        "1/2 |x - W'(Wx+b) - b'|^2",
        "Baldi & Hornik, Neural Networks 2:53 (1989)",
        ("baldi1989",),
    ),
    "logistic_pca": Entry(
        logistic_pca,
        "a linear code wired to logistic outputs",
        "-log Bernoulli(x; W'(Wx+b) + b')",
        _SCIENCE,
        ("hinton2006",),
    ),
    "simple": Entry(
        simple,
        "one hidden layer that is the code (784-32-784)",
        "-log Bernoulli(x; W' relu(Wx+b) + b')",
        _KERAS,
        ("chollet2016",),
    ),
    "deep": Entry(
        deep,
        "784-128-64-32 and back",
        "-log Bernoulli(x; g(f(x))), three layers each",
        _SCIENCE,
        ("hinton2006", "chollet2016"),
    ),
    "tied": Entry(
        tied,
        "decoder matrices are the encoder's, transposed",
        "-log Bernoulli(x; g(f(x))), W' = W^T",
        "Vincent et al., ICML (2008)",
        ("vincent2008",),
    ),
    "overcomplete": Entry(
        overcomplete,
        "a code twice as wide as the data",
        "-log Bernoulli(x; g(f(x))), d = 2D",
        "Goodfellow et al., Deep Learning, 14.2 (2016)",
        ("goodfellow2016",),
    ),
    "conv": Entry(
        conv,
        "16-8-8 maps, max-pooling and upsampling",
        "-log Bernoulli(x; g(f(x))), convolutions",
        _KERAS,
        ("chollet2016",),
    ),
    "transposed_conv": Entry(
        transposed_conv,
        "four strided convolutions, four transposed",
        "-log Bernoulli(x; g(f(x))), transposed convolutions",
        "Radford et al., ICLR (2016)",
        ("radford2016",),
    ),
}
"""Rows of the table of recipes."""

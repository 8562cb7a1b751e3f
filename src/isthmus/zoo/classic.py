r"""Classic autoencoders: linear, shallow, deep, tied, overcomplete and convolutional."""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code


def linear(latent: int | None = None, *, tied: bool = False) -> Recipe:
    r"""Linear autoencoder, :math:`\min \frac12\lVert x - W'(Wx + b) - b'\rVert^2`: PCA by gradient descent.

    At the optimum the decoder spans the subspace of the first ``latent`` principal components.

    Use it to compare gradient descent with the closed form, and as the starting point of a linear model with other
    parts. For the principal components themselves use :func:`pca`: the units of this code are neither orthogonal nor
    ordered by variance.

    References:
        Neural networks and principal component analysis: learning from examples without local minima (Baldi & Hornik,
            1989)
    """
    return Recipe(
        name="linear",
        net=part(NetPart, "linear", tied=tied),
        latent=part(LatentPart, "deterministic", **code(latent, 30)),
        likelihood=part(LikelihoodPart, "gaussian"),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine", precision="32"),
    )


def logistic_pca(latent: int | None = None) -> Recipe:
    r"""Logistic PCA: a linear code with logistic outputs, :math:`p = \mathrm{Bernoulli}(W'(Wx+b)+b')`.

    Use it as the linear baseline for data in [0, 1], such as binary or grayscale pixels: its outputs stay in that
    interval, those of :func:`pca` do not. It cannot be used for other data, such as standardized tables.

    References:
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
    """
    return Recipe(
        name="logistic_pca",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", **code(latent, 30)),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def simple(latent: int | None = None) -> Recipe:
    r"""Shallow autoencoder with a ReLU code, D-32-D: :math:`z = \mathrm{relu}(Wx + b)`, cross-entropy.

    Use it to see the smallest nonlinear autoencoder, on data in [0, 1]. Units of the ReLU code may become inactive for
    all examples, and :func:`deep` has a lower error at the same size of the code.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="simple",
        net=part(NetPart, "linear"),
        latent=_relu(latent, 32),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def deep(latent: int | None = None, hidden: Sequence[int] = (128, 64)) -> Recipe:
    r"""Deep autoencoder, D-128-64-32-64-128-D with ReLU and a linear code: :math:`z = f_3(f_2(f_1(x)))`, cross-entropy.

    In a ReLU code (``latent.activation=relu``) some units die and receive no gradient any more. Trained by Muon, whose
    learning rate suits wide and narrow layers alike; Adam needs a lower one for wide layers.

    Use it as the general autoencoder for vectors and small images: to reduce dimensions, to extract features, to
    reconstruct. Bernoulli outputs need data in [0, 1]; use ``likelihood.kind=gaussian`` for other data. The code has no
    prior, so there are no samples (:func:`vae`), and large images need convolutions (:func:`transposed_conv`).

    References:
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="deep",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", **code(latent, 32)),
        training=TrainingOptions(optimizer="muon", learning_rate=5e-3, schedule="cosine"),
    )


def tied(latent: int | None = None, hidden: Sequence[int] = (256,)) -> Recipe:
    r"""Deep autoencoder with tied weights: each decoder matrix is a transposed encoder matrix, :math:`W' = W^\top`.

    Use it on small data sets, since it has half as many weights to overfit with, and as the architecture of stacked
    denoising autoencoders. With enough data, untied weights (:func:`deep`) reach a lower error.

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="tied",
        net=part(NetPart, "mlp", widths=list(hidden), tied=True),
        latent=part(LatentPart, "deterministic", **code(latent, 32)),
        training=TrainingOptions(schedule="cosine"),
    )


def overcomplete(ratio: float = 2.0) -> Recipe:
    r"""Overcomplete autoencoder, :math:`d = 2D`: the code is wider than the data, so the model can copy its input.

    Useful features require a regularizer, such as sparsity or noise.

    Use it to see why a wide code needs a regularizer, and as a model to add one to: ``penalties.l1.weight``,
    ``corruption.kind=masking``. A low reconstruction error alone says nothing about its features.

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
    r"""Convolutional autoencoder: 3x3 kernels, 16-8-8 feature maps, max-pooling and upsampling.

    .. math:: -\log p(x \mid g(f(x)))

    For 28x28 images the code has shape (8, 4, 4).

    Use it for images whose code should remain a feature map, with a position for each value. The map has more values
    than a dense code (128 for 28x28 images), so compare errors at equal sizes. For a code that is a vector use
    :func:`transposed_conv`.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="conv",
        net=part(NetPart, "conv", channels=list(channels), downsampling="maxpool", upsampling="upsample"),
        latent=LatentPart(kind="deterministic", activation="relu"),
        training=TrainingOptions(batch_size=50, learning_rate=3e-3, schedule="cosine"),
    )


def transposed_conv(latent: int | None = None, channels: Sequence[int] = (32, 64, 128, 128)) -> Recipe:
    r"""Convolutional autoencoder: four strided convolutions, a dense code, four transposed convolutions.

    .. math:: -\log p(x \mid g(f(x)))

    Use it for images when the code should be a short vector: to reduce dimensions, to search, to cluster. An epoch
    takes longer than with fully connected layers, which suffice for images of up to about 28x28 pixels. The code has no
    prior, so there are no samples.

    References:
        Unsupervised representation learning with deep convolutional generative adversarial networks (Radford et al.,
            2016)
        A guide to convolution arithmetic for deep learning (Dumoulin & Visin, 2016)
    """
    return Recipe(
        name="transposed_conv",
        net=part(NetPart, "conv", channels=list(channels), downsampling="stride", upsampling="transposed"),
        latent=part(LatentPart, "deterministic", **code(latent, 64)),
        training=TrainingOptions(schedule="cosine"),
    )


def _relu(latent: int | None, default: int) -> LatentPart:
    return part(LatentPart, "deterministic", **code(latent, default), activation="relu")


ENTRIES: dict[str, RecipeEntry] = {
    "linear": RecipeEntry(
        linear,
        "linear encoder and decoder: finds the PCA subspace",
        "1/2 |x - W'(Wx+b) - b'|^2",
        cites=("baldi1989",),
    ),
    "logistic_pca": RecipeEntry(
        logistic_pca,
        "linear code with logistic outputs",
        "-log Bernoulli(x; W'(Wx+b) + b')",
        cites=("hinton2006",),
    ),
    "simple": RecipeEntry(
        simple,
        "one hidden ReLU layer, the code (784-32-784)",
        "-log Bernoulli(x; W' relu(Wx+b) + b')",
        cites=("chollet2016",),
    ),
    "deep": RecipeEntry(
        deep,
        "fully connected, 784-128-64-32 and back",
        "-log Bernoulli(x; g(f(x))), three layers each",
        cites=("hinton2006", "chollet2016"),
    ),
    "tied": RecipeEntry(
        tied,
        "decoder matrices are transposed encoder matrices",
        "-log Bernoulli(x; g(f(x))), W' = W^T",
        cites=("vincent2008",),
    ),
    "overcomplete": RecipeEntry(
        overcomplete,
        "code twice as wide as the data",
        "-log Bernoulli(x; g(f(x))), d = 2D",
        cites=("goodfellow2016",),
    ),
    "conv": RecipeEntry(
        conv,
        "convolutions with max-pooling and upsampling",
        "-log Bernoulli(x; g(f(x))), convolutions",
        cites=("chollet2016",),
    ),
    "transposed_conv": RecipeEntry(
        transposed_conv,
        "strided and transposed convolutions, dense code",
        "-log Bernoulli(x; g(f(x))), transposed convolutions",
        cites=("radford2016",),
    ),
}
"""Entries of the table of recipes."""

r"""Denoising autoencoders: the input of the encoder is corrupted, the target of the decoder is clean."""

from collections.abc import Sequence

from isthmus.models.recipe import CorruptionPart, FidelityPart, LatentPart, LikelihoodPart, NetPart, Recipe, part
from isthmus.options import DataOptions, TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code

_NOISE_KEPT = DataOptions(random_shift=5, shift_edges="wrap", random_flip=True)
"""Random changes that keep every pixel once: interpolated or mirrored ones would tell the noise of others."""


def denoising(latent: int = 512, hidden: Sequence[int] = (), *, fraction: float = 0.25) -> Recipe:
    r"""Denoising autoencoder with masking noise and tied sigmoid layers: :math:`-\log p(x \mid g(f(\tilde x)))`.

    By default the code is the only hidden layer; ``hidden`` adds layers.

    Use it for features, for layer-wise pretraining, and for data with missing values that are set to 0. Choose a
    corruption like the damage of the data: masking for missing values, ``corruption.kind=gaussian`` for noise of a
    sensor, ``corruption.kind=salt_and_pepper`` for outliers. To restore images use :func:`conv_denoising`.

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008)
    """
    return Recipe(
        name="denoising",
        net=part(NetPart, "mlp", widths=list(hidden), activation="sigmoid", tied=True),
        latent=part(LatentPart, "deterministic", size=latent, activation="sigmoid"),
        corruption=part(CorruptionPart, "masking", fraction=fraction),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def dropout(latent: int | None = None, hidden: Sequence[int] = (512,), *, p: float = 0.2) -> Recipe:
    r"""Deep autoencoder with dropout of hidden units during training, :math:`h \odot m / (1 - p)`.

    The input is not corrupted. Dropout with probability ``p`` reduces the co-adaptation of features.

    Use it to regularize a deep autoencoder on a small data set. With many examples dropout only increases the error,
    and since it does not corrupt the input, it does not learn to restore one: for that use :func:`denoising`.

    References:
        Dropout: a simple way to prevent neural networks from overfitting (Srivastava et al., 2014)
    """
    return Recipe(
        name="dropout",
        net=part(NetPart, "mlp", widths=list(hidden), dropout=p),
        latent=part(LatentPart, "deterministic", **code(latent, 64)),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def conv_denoising(channels: Sequence[int] = (32,), *, scale: float = 0.2) -> Recipe:
    r"""Convolutional denoiser with residual blocks: :math:`-\log p(x \mid f(x + \sigma\epsilon))`, cross-entropy.

    The code is a feature map of half the image's height and width, with four residual blocks before and after it. All
    weights are shared over locations, so a few hundred images are enough. Another corruption is set by
    ``corruption.kind=masking``.

    Use it to remove noise from images. It is trained on clean images, with the noise that it is to remove: set
    ``corruption.kind`` and ``corruption.scale``, since a network trained at one noise level restores another one worse.
    The code is a large feature map, so it is not for reducing dimensions.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010)
        Identity mappings in deep residual networks (He et al., 2016)
    """
    return _restoring("conv_denoising", channels, blocks=4, scale=scale)


def conv_denoising_overcomplete(channels: Sequence[int] = (64,), *, scale: float = 0.2) -> Recipe:
    r"""Convolutional denoiser with an overcomplete code: the noise, not the width, prevents copying of the input.

    .. math:: -\log p(x \mid g(f(x + \sigma\epsilon))), \quad d > D

    For grayscale images the code has sixteen times as many values.

    Use it to study a wide code that is regularized by noise alone, or when :func:`conv_denoising` loses fine detail;
    compare both by ``psnr_restored``. With little noise it may copy its input.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010)
        Identity mappings in deep residual networks (He et al., 2016)
    """
    return _restoring("conv_denoising_overcomplete", channels, blocks=2, scale=scale)


def denoiser(channels: Sequence[int] = (32, 64, 80), *, scale: float = 0.3, fraction: float = 0.8) -> Recipe:
    r"""Residual U-Net that restores images from noise and from missing pixels of any strength.

    .. math:: -\log p(x \mid \tilde x + g(\tilde x)), \quad p = \mathcal N(\cdot, I)

    The network predicts what to add to its input. Every training image has Gaussian noise of its own strength up to
    ``scale``, or a share up to ``fraction`` of missing pixels, which are first interpolated by a thin-plate spline and
    then refined; pixels that are known are kept. Training images are shifted and mirrored at random.

    Use it to restore images and sequences of any size. It is trained on clean examples, or on pairs of noisy and clean
    ones, to which no noise is added. For a single kind of damage at a known strength train on that alone:
    ``corruption.kind=gaussian``, ``corruption.scale=0.1``, or ``corruption.kind=masking`` with
    ``corruption.as_missing=true``. The code holds the features of all resolutions and is larger than the image, so it
    is not for reducing dimensions.

    References:
        U-Net: convolutional networks for biomedical image segmentation (Ronneberger et al., 2015)
        Learning deep CNN denoiser prior for image restoration (Zhang et al., 2017)
        Plug-and-play image restoration with deep denoiser prior (Zhang et al., 2022)
    """
    return Recipe(
        name="denoiser",
        net=part(NetPart, "unet", channels=list(channels), noise_input=True),
        latent=part(LatentPart, "deterministic"),
        likelihood=part(LikelihoodPart, "gaussian"),
        corruption=part(CorruptionPart, "degradation", scale=scale, fraction=fraction),
        training=TrainingOptions(
            steps=5000,
            batch_size=8,
            optimizer="adamw",
            learning_rate=2e-3,
            schedule="cosine",
            warmup=0.03,
            weight_decay=0.1,
            # the loss is a sum over pixels, so every gradient is longer: its direction counts, not its length
            gradient_clip=1.0,
        ),
        data=DataOptions(
            random_shift=5, shift_edges="reflect", random_flip=True, random_rotation=8.0, random_scale=0.12
        ),
    )


def blind_spot_denoiser(channels: Sequence[int] = (32, 64, 80), *, fraction: float = 0.1) -> Recipe:
    r"""Residual U-Net that is trained on noisy images alone: it predicts hidden pixels from all others.

    .. math:: -\sum_{j \in J} \log p(y_j \mid f(y_{\setminus J})), \quad p = \mathcal N(\cdot, I)

    In every step a random share ``fraction`` of the pixels J is hidden, and only these are targets. Their noise cannot
    be predicted from the others, so the best prediction is the clean value. To denoise, every pixel is predicted with
    itself hidden, and combined with its noisy value according to the variance of the noise.

    Use it where no clean image exists and the noise is not Gaussian, or of a level that cannot be told; for Gaussian
    noise :func:`recorrupted_denoiser` is better. The noise must have mean 0 and be independent between pixels: noise
    that was clipped at black and white, and compression, violate that. Where clean images exist, use :func:`denoiser`.

    References:
        Noise2Void: learning denoising from single noisy images (Krull et al., 2019)
        Noise2Self: blind denoising by self-supervision (Batson & Royer, 2019)
        High-quality self-supervised deep image denoising (Laine et al., 2019)
    """
    corruption = part(CorruptionPart, "masking", fraction=fraction, whole_pixels=True, as_missing=True)
    fidelity = part(FidelityPart, "emphasized", corrupted=1.0, intact=0.0)
    clean = denoiser(channels)
    return clean.model_copy(
        update={
            "name": "blind_spot_denoiser",
            "net": part(NetPart, "unet", channels=list(channels)),
            "data": _NOISE_KEPT,
            "corruption": corruption,
            "fidelity": fidelity,
            # the noise of targets is that of losses, too, which do not tell the best epoch
            "training": clean.training.model_copy(update={"keep": "last"}),
        }
    )


def recorrupted_denoiser(
    channels: Sequence[int] = (24, 40, 48), *, strength: float = 0.5, scale: float | None = None
) -> Recipe:
    r"""Residual U-Net that is trained on images with Gaussian noise alone: more noise in, other noise in the target.

    .. math:: -\log p(y - n / \alpha \mid f(y + \alpha n)), \quad n \sim \mathcal N(0, \sigma^2 I),
        \quad p = \mathcal N(\cdot, I)

    The noise of an input and that of its target are independent: the network cannot learn it, and the expected
    gradient is that of training on clean images. The noise level :math:`\sigma` is estimated from each image, unless
    ``scale`` gives it. To denoise, an image is passed through the network as it is.

    Use it where no clean image exists: it comes closer to training on clean images than
    :func:`blind_spot_denoiser`, which hides each pixel from its own prediction. The noise must be Gaussian and
    independent between pixels, and not be clipped. Where clean images exist, use :func:`denoiser`. The network is
    smaller than the one of that recipe, since noisy targets allow fewer weights to be learned; with many more images
    than a few hundred, try ``net.channels=32,64,80`` and ``net.residual_blocks=2``.

    References:
        Recorrupted-to-recorrupted: unsupervised deep learning for image denoising (Pang et al., 2021)
        U-Net: convolutional networks for biomedical image segmentation (Ronneberger et al., 2015)
    """
    clean = denoiser(channels)
    return clean.model_copy(
        update={
            "name": "recorrupted_denoiser",
            "net": part(NetPart, "unet", channels=list(channels), residual_blocks=1, noise_input=True),
            "data": _NOISE_KEPT,
            "corruption": part(CorruptionPart, "recorruption", strength=strength, scale=scale),
            # the noise of targets is that of gradients, which more examples average out, and that of losses
            "training": clean.training.model_copy(update={"steps": 4000, "batch_size": 32, "keep": "last"}),
        }
    )


def _restoring(name: str, channels: Sequence[int], *, blocks: int, scale: float) -> Recipe:
    """Strided convolutions with residual blocks, and Gaussian noise clipped to [0, 1] as in an image file."""
    return Recipe(
        name=name,
        net=part(
            NetPart,
            "conv",
            channels=list(channels),
            kernel_size=4,
            upsampling="transposed",
            init="he",
            residual_blocks=blocks,
        ),
        latent=part(LatentPart, "deterministic"),
        corruption=part(CorruptionPart, "gaussian", scale=scale, clip=True),
        training=TrainingOptions(
            steps=4000, batch_size=8, optimizer="adamw", learning_rate=4e-3, schedule="cosine", weight_decay=0.1
        ),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "denoising": RecipeEntry(
        denoising,
        "masking noise, one tied sigmoid layer",
        "-log Bernoulli(x; g(f(m * x))), m 0 at 25 %",
        cites=("vincent2008",),
    ),
    "dropout": RecipeEntry(
        dropout,
        "dropout in the hidden layers instead of input noise",
        "-log Bernoulli(x; g(f(x))), hidden h * m / (1 - p)",
        cites=("srivastava2014",),
    ),
    "conv_denoising": RecipeEntry(
        conv_denoising,
        "image denoising with residual convolutions",
        "-log Bernoulli(x; g(f(x + sigma e)))",
        cites=("vincent2010", "he2016b", "he2016"),
    ),
    "denoiser": RecipeEntry(
        denoiser,
        "image restoration by a residual U-Net, for noise and missing pixels of any strength",
        "-log N(x; c(x) + g(c(x)), I)",
        cites=("ronneberger2015", "zhang2017", "zhang2022"),
    ),
    "blind_spot_denoiser": RecipeEntry(
        blind_spot_denoiser,
        "image denoising learned from noisy images alone",
        "-log N(y_J; f(y without J), I), J 10 % of the pixels",
        cites=("krull2019", "batson2019", "laine2019"),
    ),
    "recorrupted_denoiser": RecipeEntry(
        recorrupted_denoiser,
        "image denoising learned from images with Gaussian noise alone",
        "-log N(y - n / a; f(y + a n), I), n ~ N(0, sigma^2 I)",
        cites=("pang2021", "ronneberger2015"),
    ),
    "conv_denoising_overcomplete": RecipeEntry(
        conv_denoising_overcomplete,
        "image denoising with a code larger than the image",
        "-log Bernoulli(x; g(f(x + sigma e))), d > D",
        cites=("vincent2010", "he2016b", "he2016"),
    ),
}
"""Entries of the table of recipes."""

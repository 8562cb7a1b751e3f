r"""Autoencoders with a discrete code: one-hot, quantized with a codebook, or rounded."""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, NetPart, PenaltyPart, PriorPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.parts.schedules import Schedule
from isthmus.zoo.entries import RecipeEntry


def categorical_vae(variables: int = 20, classes: int = 10, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Categorical variational autoencoder: one-hot codes sampled by Gumbel-softmax, uniform prior, exact KL.

    .. math:: \mathbb E_q[-\log p(x \mid z)] + \mathrm{KL}(q(z \mid x) \,\|\, \mathrm{uniform})

    The decoder is trained on relaxed samples and evaluated on one-hot samples. The weight of the KL increases over the
    first half of the run: with full weight from the start most variables stay unused.

    Use it when the code should consist of categories, and samples are wanted. Continuous variation, such as slant or
    thickness, is described better by :func:`vae`. Keep the schedules of temperature and KL weight: their fast start is
    the usual cause of unused variables.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017)
        The concrete distribution: a continuous relaxation of discrete random variables (Maddison et al., 2017)
    """
    return Recipe(
        name="categorical_vae",
        net=part(NetPart, "mlp", widths=list(hidden), norm="batch"),
        latent=part(LatentPart, "categorical", size=variables * classes, classes=classes, straight_through=False),
        prior=PriorPart(kind="uniform"),
        penalties={"kl": PenaltyPart(kind="kl", weight=Schedule(1.0, "linear", fraction=0.5))},
        training=TrainingOptions(batch_size=100, learning_rate=4e-3, schedule="cosine"),
    )


def vq_vae(codebook_size: int = 512, channels: Sequence[int] = (32, 16)) -> Recipe:
    r"""VQ-VAE: each vector of a convolutional feature map is replaced by the nearest codeword of a codebook.

    .. math:: -\log p(x \mid z) + \beta \lVert h - \mathrm{sg}[z] \rVert^2, \quad z_i = e_{k_i}

    Codewords are running means of the features. There is no prior over the indices, so the model cannot be sampled.

    Use it for compact discrete codes of images, for example as the input of a second model that learns their
    distribution. Watch ``codebook_perplexity``: a low value means that few codewords are used. For vectors, or if
    codewords stay unused, use :func:`fsq`.

    References:
        Neural discrete representation learning (van den Oord et al., 2017)
    """
    return Recipe(
        name="vq_vae",
        net=part(NetPart, "conv", channels=list(channels), kernel_size=4, upsampling="transposed"),
        latent=LatentPart(kind="quantized", codebook_size=codebook_size, codebook_dim=channels[-1]),
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def fsq(latent: int = 32, levels: Sequence[int] = (8, 5, 5, 5), hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Finite scalar quantization: each value of the code is rounded to a few levels, without codebook or extra loss.

    .. math:: -\log p(x \mid z), \quad z = \mathrm{round}(a \tanh h)

    Batch normalization keeps the features in the range where tanh is not saturated. Without it they saturate on MNIST,
    and the code is the same for all examples.

    Use it for a discrete code that is trained like that of an ordinary autoencoder: there is no codebook whose entries
    may stay unused. A group of values has as many codewords as the product of its levels, 1,000 by default. There is no
    prior over the codes, so the model cannot be sampled.

    References:
        Finite scalar quantization: VQ-VAE made simple (Mentzer et al., 2024)
    """
    return Recipe(
        name="fsq",
        net=part(NetPart, "mlp", widths=list(hidden), norm="batch"),
        latent=part(LatentPart, "finite_scalar", size=latent, levels=list(levels)),
        training=TrainingOptions(learning_rate=4e-3, schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "categorical_vae": RecipeEntry(
        categorical_vae,
        "VAE with one-hot codes by Gumbel-softmax",
        "E_q[-log p(x|z)] + KL(q(z|x) || uniform)",
        cites=("jang2017", "maddison2017"),
    ),
    "vq_vae": RecipeEntry(
        vq_vae,
        "feature map quantized with 512 codewords",
        "-log p(x|e) + beta |h - sg[e]|^2, e = nearest codeword",
        cites=("oord2017",),
    ),
    "fsq": RecipeEntry(
        fsq,
        "each value rounded to a few levels, no codebook",
        "-log p(x|z), z = round(a tanh h)",
        cites=("mentzer2024",),
    ),
}
"""Entries of the table of recipes."""

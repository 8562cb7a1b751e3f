r"""Autoencoders with a discrete code: one-hot, from a learned codebook, or rounded."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, NetPart, PenaltyPart, PriorPart, Recipe
from isthmus.schedules import Schedule
from isthmus.zoo.entries import Entry, part


def categorical_vae(variables: int = 20, classes: int = 10, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Categorical variational autoencoder: one-hot codes drawn by Gumbel-softmax, uniform prior, exact KL.

    .. math:: \mathbb E_q[-\log p(x \mid z)] + \mathrm{KL}(q(z \mid x) \,\|\, \mathrm{uniform})

    The decoder is trained on relaxed draws and judged on one-hot ones. The KL rises over the first half of the run:
    at full weight from the start most variables are never used.

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
        training=TrainingOptions(batch=100, rate=4e-3, schedule="cosine"),
    )


def vq_vae(codes: int = 512, channels: Sequence[int] = (32, 16)) -> Recipe:
    r"""VQ-VAE: each position of a convolutional map becomes its nearest codeword of a learned codebook.

    .. math:: -\log p(x \mid z) + \beta \lVert h - \mathrm{sg}[z] \rVert^2, \quad z_i = e_{k_i}

    The codebook is a running mean of the features. A prior over the indices, which samples need, is no part of it.

    References:
        Neural discrete representation learning (van den Oord et al., 2017)
    """
    return Recipe(
        name="vq_vae",
        net=part(NetPart, "conv", channels=list(channels), kernel=4),
        latent=LatentPart(kind="quantised", codes=codes, dimension=channels[-1]),
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def fsq(latent: int = 32, levels: Sequence[int] = (8, 5, 5, 5), hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Finite scalar quantisation: a code rounded to a few levels in each value, with no codebook and no extra term.

    .. math:: -\log p(x \mid z), \quad z = \mathrm{round}(a \tanh h)

    Batch normalisation keeps the features where tanh has a slope; without it they run off to its ends on MNIST, and
    the code is the same for all examples.

    References:
        Finite scalar quantization: VQ-VAE made simple (Mentzer et al., 2024)
    """
    return Recipe(
        name="fsq",
        net=part(NetPart, "mlp", widths=list(hidden), norm="batch"),
        latent=part(LatentPart, "finite_scalar", size=latent, levels=list(levels)),
        training=TrainingOptions(rate=4e-3, schedule="cosine"),
    )


ENTRIES: dict[str, Entry] = {
    "categorical_vae": Entry(
        categorical_vae,
        "one-hot codes by Gumbel-softmax: one can sample",
        "E_q[-log p(x|z)] + KL(q(z|x) || uniform)",
        "Jang et al., ICLR (2017)",
        ("jang2017", "maddison2017"),
    ),
    "vq_vae": Entry(
        vq_vae,
        "each position of a map is one of 512 codewords",
        "-log p(x|e) + beta |h - sg[e]|^2, e = nearest codeword",
        "van den Oord et al., NeurIPS (2017)",
        ("oord2017",),
    ),
    "fsq": Entry(
        fsq,
        "each value rounded to a few levels: no codebook",
        "-log p(x|z), z = round(a tanh h)",
        "Mentzer et al., ICLR (2024)",
        ("mentzer2024",),
    ),
}
"""Rows of the table of recipes."""

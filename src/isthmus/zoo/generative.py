r"""Generative models beside the variational ones: implicit ones, adversarial and perceptual losses, smooth decoders.

A likelihood of independent pixels is highest for the mean of all images that a code could stand for, which is blurred.
A critic of outputs, or the features of a comparator, ask for images like those of the data instead; all of them can be
added to any recipe as penalties.
"""

from collections.abc import Sequence

from isthmus.models.recipe import FidelityPart, LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code

AVERAGED = 0.995
"""Decay of the average of the weights where a game between two networks does not come to rest."""


def rae(latent: int | None = None, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Regularized autoencoder: :math:`-\log p(x|z) + \frac\beta2 |z|^2 + \frac\lambda2 \sum_l \lVert W_l \rVert_F^2`.

    Use it to sample from a deterministic autoencoder: codes are kept close to each other and the weights W of the
    decoder small, and new codes are drawn from a density that is fitted to the codes after training (``isthmus sample
    --density auto``, which is the default here). Samples are often better than those of a :func:`vae` from its prior.

    References:
        From variational to deterministic autoencoders (Ghosh et al., 2020)
    """
    return Recipe(
        name="rae",
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", **code(latent, 16)),
        penalties={
            "code_norm": part(PenaltyPart, "code_norm", weight=0.1),
            "decoder_norm": part(PenaltyPart, "decoder_norm", weight=1e-3),
        },
        training=TrainingOptions(batch_size=100, learning_rate=2e-3, schedule="cosine"),
    )


def vae_perceptual(latent: int | None = None, channels: Sequence[int] = (32, 64)) -> Recipe:
    r"""VAE with a perceptual loss: :math:`-\log p(x|z) + \mathrm{KL} + \lambda \lVert \phi(x) - \phi(\hat x) \rVert^2`.

    The features :math:`\phi` are those of a small network that is trained first, on the examples alone
    (``penalties.features.learns``); one of your own is passed in Python.

    Use it for images whose texture matters more than their pixels. The bound on the likelihood is lower than that of a
    :func:`conv_vae`, and details are sharper.

    References:
        Deep feature consistent variational autoencoder (Hou et al., 2017)
        Generating images with perceptual similarity metrics based on deep networks (Dosovitskiy & Brox, 2016)
    """
    return _variational("vae_perceptual", latent, channels, {"features": _features()})


def vae_gan(latent: int | None = None, channels: Sequence[int] = (32, 64)) -> Recipe:
    r"""VAE with a critic: :math:`-\log p(x|z) + \mathrm{KL} - \log D(\hat x) + \lVert D_l(x) - D_l(\hat x) \rVert^2`.

    The critic D is trained to tell reconstructions from images; the decoder to raise its score and to match the
    features :math:`D_l` of its layers. The paper replaces the likelihood by these features; here it stays, since it is
    what the other terms are balanced against, and the encoder has no gradient from D, as in the paper.

    Use it for sharp reconstructions and samples of images. Judge it by its pictures and by ``isthmus compare``: the
    loss of a game does not fall. To sharpen a model that is trained already, continue it with
    ``isthmus fit vae_gan --from RUN --set training.stage=decoder``, which keeps its codes.

    References:
        Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016)
    """
    return _variational("vae_gan", latent, channels, {"discriminator": _discriminator()}, AVERAGED)


def deepsim(latent: int | None = None, channels: Sequence[int] = (32, 64)) -> Recipe:
    r"""Everything put together: likelihood, KL divergence, features of a comparator, and a critic (DeePSiM).

    .. math:: -\log p(x|z) + \mathrm{KL}(q\,\|\,p) + \lambda \lVert \phi(x) - \phi(\hat x) \rVert^2 - \log D(\hat x)

    Use it as :func:`vae_gan`, where the critic alone leaves artifacts: the comparator is fixed, so it pulls
    steadily, and the critic removes what the comparator cannot see.

    References:
        Generating images with perceptual similarity metrics based on deep networks (Dosovitskiy & Brox, 2016)
    """
    added = {"features": _features(), "discriminator": _discriminator(matching=0.0)}
    return _variational("deepsim", latent, channels, added, AVERAGED)


def gan(latent: int | None = None, channels: Sequence[int] = (32, 64, 128)) -> Recipe:
    r"""Generative adversarial network (DCGAN), with an encoder: :math:`-\log D(g(z)),\ z \sim \mathcal N(0, I)`.

    An implicit model: it has no likelihood, only samples :math:`\hat x = g(z)`, which a critic D compares with the
    data. The encoder is trained on the samples alone, to find their codes, and shares no gradient with the game.

    Use it to compare samples with those of explicit models. Reconstructions are the nearest thing that the generator
    makes, not the input; a game may leave out kinds of examples (``recall`` in ``isthmus compare``).

    References:
        Generative adversarial nets (Goodfellow et al., 2014)
        Unsupervised representation learning with deep convolutional generative adversarial networks (Radford et al.,
            2016)
    """
    return Recipe(
        name="gan",
        net=part(NetPart, "dcgan", channels=list(channels)),
        latent=part(LatentPart, "gaussian", **code(latent, 32)),
        fidelity=part(FidelityPart, "inversion"),
        penalties={"discriminator": _discriminator(ratio=None, matching=0.0)},
        training=TrainingOptions(batch_size=64, learning_rate=5e-4, keep="last", ema_decay=AVERAGED),
    )


def _variational(
    name: str, latent: int | None, channels: Sequence[int], added: dict[str, PenaltyPart], ema_decay: float = 0.0
) -> Recipe:
    """A convolutional VAE with further penalties; it upsamples before it convolves, which leaves no checkerboard."""
    return Recipe(
        name=name,
        net=part(NetPart, "conv", channels=list(channels), norm="group"),
        latent=part(LatentPart, "gaussian", **code(latent, 16)),
        likelihood=part(LikelihoodPart, "optimal_gaussian"),
        penalties={"kl": part(PenaltyPart, "kl")} | added,
        training=TrainingOptions(
            batch_size=64, learning_rate=1.5e-3, schedule="cosine", keep="last", ema_decay=ema_decay
        ),
    )


def _features() -> PenaltyPart:
    return part(PenaltyPart, "features", weight=1.0)


def _discriminator(ratio: float | None = 1.0, matching: float = 1.0) -> PenaltyPart:
    return part(PenaltyPart, "discriminator", ratio=ratio, matching=matching)


ENTRIES: dict[str, RecipeEntry] = {
    "rae": RecipeEntry(
        rae,
        "regularized autoencoder, sampled from a density of its codes",
        "-log p(x|z) + beta/2 |z|^2 + lambda/2 |W|^2 of the decoder",
        cites=("ghosh2020",),
    ),
    "vae_perceptual": RecipeEntry(
        vae_perceptual,
        "VAE with a loss of features (perceptual loss)",
        "-log p(x|z) + KL(q || N(0, I)) + lambda |phi(x) - phi(x')|^2",
        cites=("hou2017", "dosovitskiy2016"),
    ),
    "vae_gan": RecipeEntry(
        vae_gan,
        "VAE with a critic of its outputs and the critic's features",
        "-log p(x|z) + KL(q || N(0, I)) - log D(x') + |D_l(x) - D_l(x')|^2",
        cites=("larsen2016",),
    ),
    "deepsim": RecipeEntry(
        deepsim,
        "everything put together: VAE, features and a critic",
        "-log p(x|z) + KL(q || N(0, I)) + lambda |phi(x) - phi(x')|^2 - log D(x')",
        cites=("dosovitskiy2016",),
    ),
    "gan": RecipeEntry(
        gan,
        "generative adversarial network (DCGAN) with an encoder",
        "-log D(g(z)), z ~ N(0, I)",
        cites=("goodfellow2014", "radford2016"),
    ),
}
"""Entries of the table of recipes."""

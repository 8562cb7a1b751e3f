r"""Variational autoencoders: a Gaussian posterior, and a prior of the code."""

from collections.abc import Sequence

from isthmus.models.recipe import FidelityPart, LatentPart, NetPart, PenaltyPart, PriorPart, Recipe
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import Code, RecipeEntry, code, part


def vae(latent: int | None = None, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Variational autoencoder: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
    """
    return _gaussian("vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl"))


def conv_vae(latent: int | None = None, channels: Sequence[int] = (32, 64, 128)) -> Recipe:
    r"""Convolutional VAE: strided and transposed convolutions with batch normalization around a Gaussian code.

    The objective is that of the VAE, :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Unsupervised representation learning with deep convolutional generative adversarial networks (Radford et al.,
            2016)
    """
    return Recipe(
        name="conv_vae",
        net=part(NetPart, "conv", channels=list(channels), norm="batch"),
        latent=part(LatentPart, "gaussian", **code(latent, 8)),
        penalties={"kl": part(PenaltyPart, "kl")},
        training=TrainingOptions(learning_rate=4e-3, schedule="cosine"),
    )


def beta_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, beta: float = 4.0) -> Recipe:
    r"""Beta-VAE: :math:`\mathbb E_q[-\log p(x|z)] + \beta\,\mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    A nat of information is encoded only if it reduces the reconstruction loss by more than :math:`\beta` nats. On small
    grayscale images (the 8x8 digits) that does not happen for 4, and the code collapses to the prior: use ``beta=2``.

    References:
        beta-VAE: learning basic visual concepts with a constrained variational framework (Higgins et al., 2017)
    """
    return _gaussian("beta_vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl", weight=beta))


def capacity_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, gamma: float = 4.0) -> Recipe:
    r"""VAE with controlled capacity: :math:`\mathbb E_q[-\log p(x|z)] + \gamma\,|\mathrm{KL}(q\,\|\,p) - C|`.

    C increases to 25 nats over the first half of the run. The paper's :math:`\gamma = 1000` is for runs of 100,000
    steps and more: the gradient depends only on the sign of the difference, and in a short run a large :math:`\gamma`
    dominates the reconstruction.

    References:
        Understanding disentangling in beta-VAE (Burgess et al., 2018)
    """
    return _gaussian("capacity_vae", code(latent, 16), hidden, capacity=part(PenaltyPart, "capacity", weight=gamma))


def vamp_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, components: int = 500) -> Recipe:
    r"""VAE with a VampPrior, :math:`p(z) = \frac1K \sum_k q(z \mid u_k)` over learned pseudo-inputs :math:`u_k`.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018)
    """
    made = _gaussian("vamp_vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl"))
    return made.model_copy(update={"prior": part(PriorPart, "vamp", components=components)})


def iwae(latent: int | None = None, hidden: Sequence[int] = (512,), *, samples: int = 50) -> Recipe:
    r"""Importance-weighted autoencoder: :math:`-\mathbb E \log \frac1K \sum_k p(x|z_k)\,p(z_k)/q(z_k|x)`, K = 50.

    References:
        Importance weighted autoencoders (Burda et al., 2016)
    """
    made = _gaussian("iwae", code(latent, 16), hidden)
    return made.model_copy(update={"fidelity": part(FidelityPart, "importance", samples=samples)})


def _gaussian(name: str, latent: Code, hidden: Sequence[int], **penalties: PenaltyPart) -> Recipe:
    """A fully connected model with a diagonal Gaussian code."""
    return Recipe(
        name=name,
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", **latent),
        penalties=penalties,
        training=TrainingOptions(batch_size=100, learning_rate=4e-3, schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "vae": RecipeEntry(
        vae,
        "Gaussian code with the prior N(0, I)",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I))",
        cites=("kingma2014",),
    ),
    "conv_vae": RecipeEntry(
        conv_vae,
        "VAE with strided and transposed convolutions",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)), convolutions",
        cites=("kingma2014", "radford2016"),
    ),
    "beta_vae": RecipeEntry(
        beta_vae,
        "VAE with a larger weight of the KL divergence",
        "E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, I)), beta = 4",
        cites=("higgins2017",),
    ),
    "capacity_vae": RecipeEntry(
        capacity_vae,
        "VAE with a target for the KL divergence",
        "E_q[-log p(x|z)] + gamma |KL(q(z|x) || N(0, I)) - C|, C rises to 25",
        cites=("burgess2018",),
    ),
    "vamp_vae": RecipeEntry(
        vamp_vae,
        "VAE with a VampPrior",
        "E_q[-log p(x|z)] + KL(q(z|x) || 1/K sum_k q(z|u_k))",
        cites=("tomczak2018",),
    ),
    "iwae": RecipeEntry(
        iwae,
        "importance-weighted bound with K samples",
        "-log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), K = 50",
        cites=("burda2016",),
    ),
}
"""Entries of the table of recipes."""

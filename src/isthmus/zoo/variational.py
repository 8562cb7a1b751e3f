r"""Variational autoencoders: a Gaussian posterior, and a prior of the code."""

from collections.abc import Sequence

from isthmus.models.recipe import FidelityPart, LatentPart, NetPart, PenaltyPart, PriorPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import Code, RecipeEntry, code


def vae(latent: int | None = None, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Variational autoencoder: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    Use it for new samples, interpolation and likelihoods: it is the first generative model to try. Bernoulli outputs
    need data in [0, 1]; for other data use :func:`sigma_vae`. Samples are smoother than data, and with a strong decoder
    or a large KL weight some latent dimensions are not used (``active_units``).

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
    """
    return _gaussian("vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl"))


def conv_vae(latent: int | None = None, channels: Sequence[int] = (32, 64, 128)) -> Recipe:
    r"""Convolutional VAE: strided and transposed convolutions with batch normalization around a Gaussian code.

    The objective is that of the VAE, :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    Use it for samples and interpolations of images. Its eight latents favor clear samples; with ``latent=16`` the bound
    is higher and the codes hold more, but more samples lie between classes. For tables use :func:`vae`.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Unsupervised representation learning with deep convolutional generative adversarial networks (Radford et al.,
            2016)
    """
    return Recipe(
        name="conv_vae",
        net=part(NetPart, "conv", channels=list(channels), upsampling="transposed", norm="batch"),
        latent=part(LatentPart, "gaussian", **code(latent, 8)),
        penalties={"kl": part(PenaltyPart, "kl")},
        training=TrainingOptions(learning_rate=4e-3, schedule="cosine"),
    )


def beta_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, beta: float = 4.0) -> Recipe:
    r"""Beta-VAE: :math:`\mathbb E_q[-\log p(x|z)] + \beta\,\mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    A nat of information is encoded only if it reduces the reconstruction loss by more than :math:`\beta` nats. On small
    grayscale images (the 8x8 digits) that does not happen for 4, and the code collapses to the prior: use ``beta=2``.

    Use it to trade reconstruction for a code that is closer to the prior and whose dimensions depend less on each
    other. The loss is not comparable between different beta: compare ``elbo``, ``kl`` and ``squared_error``.
    :func:`beta_tc_vae` penalizes only the dependence, and so costs less reconstruction.

    References:
        beta-VAE: learning basic visual concepts with a constrained variational framework (Higgins et al., 2017)
    """
    return _gaussian("beta_vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl", weight=beta))


def capacity_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, gamma: float = 4.0) -> Recipe:
    r"""VAE with controlled capacity: :math:`\mathbb E_q[-\log p(x|z)] + \gamma\,|\mathrm{KL}(q\,\|\,p) - C|`.

    C increases to 25 nats over the first half of the run. The paper's :math:`\gamma = 1000` is for runs of 100,000
    steps and more: the gradient depends only on the sign of the difference, and in a short run a large :math:`\gamma`
    dominates the reconstruction.

    Use it when the information in the code, in nats, is to be set instead of a weight. A run must be long enough to
    reach the capacity: compare ``kl`` with it. If the data have less information than the capacity, the code is filled
    with detail that does not generalize.

    References:
        Understanding disentangling in beta-VAE (Burgess et al., 2018)
    """
    return _gaussian("capacity_vae", code(latent, 16), hidden, capacity=part(PenaltyPart, "capacity", weight=gamma))


def vamp_vae(latent: int | None = None, hidden: Sequence[int] = (512,), *, components: int = 500) -> Recipe:
    r"""VAE with a VampPrior over learned pseudo-inputs :math:`u_k`: :math:`p(z) = \frac1K \sum_k q(z \mid u_k)`.

    Use it when the standard normal prior limits the samples or the likelihood of a :func:`vae`, for example on data
    with clusters. Each step also encodes the pseudo-inputs, and the KL divergence is estimated from a sample, so the
    loss is noisier.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018)
    """
    made = _gaussian("vamp_vae", code(latent, 16), hidden, kl=part(PenaltyPart, "kl"))
    return made.model_copy(update={"prior": part(PriorPart, "vamp", components=components)})


def iwae(latent: int | None = None, hidden: Sequence[int] = (512,), *, samples: int = 50) -> Recipe:
    r"""Importance-weighted autoencoder: :math:`-\mathbb E \log \frac1K \sum_k p(x|z_k)\,p(z_k)/q(z_k|x)`, K = 50.

    Use it when the likelihood matters, or when a :func:`vae` uses too few latent dimensions. The time of a step grows
    with K, and for large K the gradient of the encoder becomes noisy (``fidelity.gradient=doubly_reparameterized``).
    Compare models by ``nll``: the loss itself depends on K.

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

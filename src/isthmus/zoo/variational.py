r"""Variational autoencoders: a code with a density, kept close to a prior."""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import FidelityPart, LatentPart, NetPart, PenaltyPart, PriorPart, Recipe
from isthmus.zoo.entries import Entry, part


def vae(latent: int = 16, hidden: Sequence[int] = (512,)) -> Recipe:
    r"""Variational autoencoder: :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
    """
    return _gaussian("vae", latent, hidden, kl=part(PenaltyPart, "kl"))


def beta_vae(latent: int = 16, hidden: Sequence[int] = (512,), *, beta: float = 4.0) -> Recipe:
    r"""Beta-VAE: :math:`\mathbb E_q[-\log p(x|z)] + \beta\,\mathrm{KL}(q(z|x)\,\|\,\mathcal N(0, I))`.

    Information is kept only where a nat of it saves more than :math:`\beta` nats of reconstruction. On small grey
    images (the 8x8 digits) no nat saves 4, so the best code is an empty one: ask for ``beta=2`` there.

    References:
        beta-VAE: learning basic visual concepts with a constrained variational framework (Higgins et al., 2017)
    """
    return _gaussian("beta_vae", latent, hidden, kl=part(PenaltyPart, "kl", weight=beta))


def capacity_vae(latent: int = 16, hidden: Sequence[int] = (512,), *, gamma: float = 4.0) -> Recipe:
    r"""VAE of controlled capacity: :math:`\mathbb E_q[-\log p(x|z)] + \gamma\,|\mathrm{KL}(q\,\|\,p) - C|`.

    C rises to 25 nats over the first half of the run. The paper's :math:`\gamma = 1000` is for runs of 100,000 steps
    and more: each step follows the sign of the gap alone, and in a short run a large :math:`\gamma` drowns the
    reconstruction.

    References:
        Understanding disentangling in beta-VAE (Burgess et al., 2018)
    """
    return _gaussian("capacity_vae", latent, hidden, capacity=part(PenaltyPart, "capacity", weight=gamma))


def vamp_vae(latent: int = 16, hidden: Sequence[int] = (512,), *, components: int = 500) -> Recipe:
    r"""VAE with a VampPrior, :math:`p(z) = \frac1K \sum_k q(z \mid u_k)` over learned pseudo-inputs :math:`u_k`.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018)
    """
    made = _gaussian("vamp_vae", latent, hidden, kl=part(PenaltyPart, "kl"))
    return made.model_copy(update={"prior": part(PriorPart, "vamp", components=components)})


def iwae(latent: int = 16, hidden: Sequence[int] = (512,), *, samples: int = 50) -> Recipe:
    r"""Importance-weighted autoencoder: :math:`-\mathbb E \log \frac1K \sum_k p(x|z_k)\,p(z_k)/q(z_k|x)`, K = 50.

    References:
        Importance weighted autoencoders (Burda et al., 2016)
    """
    made = _gaussian("iwae", latent, hidden)
    return made.model_copy(update={"fidelity": part(FidelityPart, "importance", samples=samples)})


def _gaussian(name: str, latent: int, hidden: Sequence[int], **penalties: PenaltyPart) -> Recipe:
    """A fully connected model with a diagonal Gaussian code."""
    return Recipe(
        name=name,
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "gaussian", size=latent),
        penalties=penalties,
        training=TrainingOptions(batch=100, rate=4e-3, schedule="cosine"),
    )


ENTRIES: dict[str, Entry] = {
    "vae": Entry(
        vae,
        "a Gaussian code close to N(0, I): one can sample",
        "E_q[-log p(x|z)] + KL(q(z|x) || N(0, I))",
        "Kingma & Welling, ICLR (2014)",
        cites=("kingma2014",),
    ),
    "beta_vae": Entry(
        beta_vae,
        "a VAE whose divergence weighs more: fewer, plainer latents",
        "E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, I)), beta = 4",
        "Higgins et al., ICLR (2017)",
        cites=("higgins2017",),
    ),
    "capacity_vae": Entry(
        capacity_vae,
        "a VAE that is told how many nats its code holds",
        "E_q[-log p(x|z)] + gamma |KL(q(z|x) || N(0, I)) - C|, C rises to 25",
        "Burgess et al., arXiv:1804.03599 (2018)",
        cites=("burgess2018",),
    ),
    "vamp_vae": Entry(
        vamp_vae,
        "a VAE whose prior is where its codes are",
        "E_q[-log p(x|z)] + KL(q(z|x) || 1/K sum_k q(z|u_k))",
        "Tomczak & Welling, AISTATS (2018)",
        cites=("tomczak2018",),
    ),
    "iwae": Entry(
        iwae,
        "a tighter bound from K codes at once",
        "-log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), K = 50",
        "Burda et al., ICLR (2016)",
        cites=("burda2016",),
    ),
}
"""Rows of the table of recipes."""

r"""Wasserstein autoencoders: a code that follows a prior as a whole, while each example keeps a point of its own.

.. math:: \min \mathbb E\, c(x, g(f(x))) + \lambda\, \mathcal D(q(z), p(z)), \quad c = a \lVert x - \hat x \rVert^2

Here the cost is a Gaussian likelihood of scale :math:`\sigma`, whose squared error counts :math:`1/(2\sigma^2)` nats.
A paper's :math:`\lambda` beside :math:`a \lVert x - \hat x \rVert^2` is thus the weight
:math:`\lambda / (2 a \sigma^2)` here: with the released a = 0.05 and lambda = 10 on MNIST, and sigma = 1, 100.
"""

from collections.abc import Sequence

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe
from isthmus.zoo.entries import Entry, part


def wae_mmd(latent: int = 8, weight: float = 100.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Wasserstein autoencoder with a discrepancy: :math:`-\log p(x|z) + \lambda\,\mathrm{MMD}^2(q(z), \mathcal N)`.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
    """
    return _wae("wae_mmd", latent, hidden, part(PenaltyPart, "mmd", weight=weight), keep="best")


def wae_gan(latent: int = 8, weight: float = 10.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Wasserstein autoencoder with a critic, an adversarial autoencoder: :math:`-\log p(x|z) - \lambda \log D(z)`.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
        Adversarial autoencoders (Makhzani et al., 2016)
    """
    # the last weights are kept: against a critic that learns too, a low loss is not a better code
    penalty = part(PenaltyPart, "adversarial", weight=weight, critic_share=0.5)
    return _wae("wae_gan", latent, hidden, penalty, keep="last")


def sliced_wae(latent: int = 8, weight: float = 100.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Sliced Wasserstein autoencoder: :math:`-\log p(x|z) + \lambda\,\mathrm{SW}_2^2(q(z), \mathcal N(0, I))`.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019)
    """
    return _wae("sliced_wae", latent, hidden, part(PenaltyPart, "sliced", weight=weight), keep="best")


def _wae(name: str, latent: int, hidden: Sequence[int], penalty: PenaltyPart, keep: str) -> Recipe:
    """A deterministic code, a Gaussian likelihood of unit scale, and one penalty, called by its kind."""
    return Recipe(
        name=name,
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", size=latent),
        likelihood=part(LikelihoodPart, "gaussian", scale=1.0),
        penalties={penalty.kind: penalty},
        training=TrainingOptions(batch=100, rate=1e-3, schedule="cosine", keep=keep),
    )


_WAE = "Tolstikhin et al., ICLR (2018)"

ENTRIES: dict[str, Entry] = {
    "wae_mmd": Entry(
        wae_mmd,
        "point codes that follow N(0, I) as a whole",
        "1/2 |x - g(f(x))|^2 + lambda MMD^2(q(z), N(0, I))",
        _WAE,
        cites=("tolstikhin2018",),
    ),
    "wae_gan": Entry(
        wae_gan,
        "the same by a critic of the codes: an adversarial autoencoder",
        "1/2 |x - g(f(x))|^2 - lambda log D(f(x))",
        _WAE,
        cites=("tolstikhin2018", "makhzani2016"),
    ),
    "sliced_wae": Entry(
        sliced_wae,
        "the same by sorting codes along random lines",
        "1/2 |x - g(f(x))|^2 + lambda SW_2^2(q(z), N(0, I))",
        "Kolouri et al., ICLR (2019)",
        cites=("kolouri2019",),
    ),
}
"""Rows of the table of recipes."""

r"""Wasserstein autoencoders: deterministic codes whose aggregate distribution matches a prior.

.. math:: \min \mathbb E\, c(x, g(f(x))) + \lambda\, \mathcal D(q(z), p(z)), \quad c = a \lVert x - \hat x \rVert^2

Here the cost is a Gaussian likelihood of scale :math:`\sigma`, in which the squared error has the factor
:math:`1/(2\sigma^2)`. A paper's :math:`\lambda` for :math:`a \lVert x - \hat x \rVert^2` therefore is the weight
:math:`\lambda / (2 a \sigma^2)` here: with the released a = 0.05 and lambda = 10 on MNIST, and sigma = 1, it is 100.
"""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import Code, RecipeEntry, code


def wae_mmd(latent: int | None = None, weight: float = 100.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Wasserstein autoencoder with MMD: :math:`-\log p(x|z) + \lambda\,\mathrm{MMD}^2(q(z), \mathcal N)`.

    Use it for samples when reconstructions should be sharper than those of a :func:`vae`: the code is deterministic,
    and only the distribution of all codes is compared with the prior. MMD is estimated from a batch, so use batches of
    100 examples or more and a small code. With a small weight, samples of the prior fall between the codes and decode
    badly.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
    """
    return _wae("wae_mmd", code(latent, 8), hidden, part(PenaltyPart, "mmd", weight=weight), keep="best")


def wae_gan(latent: int | None = None, weight: float = 10.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Wasserstein autoencoder with a critic (adversarial autoencoder): :math:`-\log p(x|z) - \lambda \log D(z)`.

    Use it when the codes of :func:`wae_mmd` do not match the prior, for example in more dimensions. Training is a game
    between two networks, so a lower loss does not mean a better model: judge it by its samples, and try :func:`wae_mmd`
    first.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018)
        Adversarial autoencoders (Makhzani et al., 2016)
    """
    # the last weights are kept: while the critic is trained too, a lower loss does not mean a better code
    penalty = part(PenaltyPart, "adversarial", weight=weight, critic_lr_ratio=0.5)
    return _wae("wae_gan", code(latent, 8), hidden, penalty, keep="last")


def sliced_wae(latent: int | None = None, weight: float = 100.0, hidden: Sequence[int] = (512, 512)) -> Recipe:
    r"""Sliced Wasserstein autoencoder: :math:`-\log p(x|z) + \lambda\,\mathrm{SW}_2^2(q(z), \mathcal N(0, I))`.

    Use it like :func:`wae_mmd`, without a kernel to choose and at a cost that grows almost linearly with the batch. In
    a code of many dimensions a random direction says little, so it needs more ``penalties.sliced.projections``.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019)
    """
    return _wae("sliced_wae", code(latent, 8), hidden, part(PenaltyPart, "sliced", weight=weight), keep="best")


def _wae(name: str, latent: Code, hidden: Sequence[int], penalty: PenaltyPart, keep: str) -> Recipe:
    """A deterministic code, a Gaussian likelihood of unit scale, and one penalty, named by its kind."""
    return Recipe(
        name=name,
        net=part(NetPart, "mlp", widths=list(hidden)),
        latent=part(LatentPart, "deterministic", **latent),
        likelihood=part(LikelihoodPart, "gaussian", scale=1.0),
        penalties={penalty.kind: penalty},
        training=TrainingOptions(batch_size=100, learning_rate=1e-3, schedule="cosine", keep=keep),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "wae_mmd": RecipeEntry(
        wae_mmd,
        "WAE with MMD: deterministic codes follow N(0, I)",
        "1/2 |x - g(f(x))|^2 + lambda MMD^2(q(z), N(0, I))",
        cites=("tolstikhin2018",),
    ),
    "wae_gan": RecipeEntry(
        wae_gan,
        "WAE with a critic (adversarial autoencoder)",
        "1/2 |x - g(f(x))|^2 - lambda log D(f(x))",
        cites=("tolstikhin2018", "makhzani2016"),
    ),
    "sliced_wae": RecipeEntry(
        sliced_wae,
        "WAE with the sliced Wasserstein distance",
        "1/2 |x - g(f(x))|^2 + lambda SW_2^2(q(z), N(0, I))",
        cites=("kolouri2019",),
    ),
}
"""Entries of the table of recipes."""

r"""Contractive autoencoders: a penalty on the Jacobian of the code with respect to the input."""

from isthmus.models.recipe import LatentPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.parts.schedules import Schedule
from isthmus.zoo.entries import RecipeEntry


def contractive(latent: int = 1000, lam: float = 0.1) -> Recipe:
    r"""Contractive autoencoder: one sigmoid layer, tied weights, :math:`-\log p(x|z) + \lambda \lVert J \rVert_F^2`.

    J is the Jacobian of the code with respect to the input; the penalty is computed in closed form.

    Use it for features that change little between neighboring examples, for example as the input of a classifier with
    few labels. Keep the weights tied: otherwise the encoder may shrink its weights while the decoder enlarges its own.
    :func:`denoising` has a similar effect at a lower cost in deep networks.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)
    """
    return Recipe(
        name="contractive",
        net=part(NetPart, "linear", tied=True),
        latent=part(LatentPart, "deterministic", size=latent, activation="sigmoid"),
        penalties={"contractive": PenaltyPart(kind="contractive", weight=Schedule(lam))},
        training=TrainingOptions(schedule="cosine"),
    )


def contractive_h(latent: int = 1000, lam: float = 0.1, gamma: float = 1.0, scale: float = 0.3) -> Recipe:
    r"""Higher-order contractive autoencoder: :func:`contractive` with a penalty on changes of the Jacobian.

    .. math:: -\log p(x|z) + \lambda \lVert J(x) \rVert_F^2
              + \gamma\, \mathbb E_\epsilon \lVert J(x) - J(x + \epsilon) \rVert_F^2

    Use it after :func:`contractive`, when the features should also vary smoothly in a neighborhood of each example. It
    has two more options, ``gamma`` and the scale of the noise, and a step takes longer; try the simpler penalty first.

    References:
        Higher order contractive auto-encoder (Rifai et al., 2011)
    """
    first = contractive(latent, lam)
    second = part(PenaltyPart, "contractive_h", weight=Schedule(gamma), scale=scale)
    return first.model_copy(update={"name": "contractive_h", "penalties": first.penalties | {"contractive_h": second}})


ENTRIES: dict[str, RecipeEntry] = {
    "contractive": RecipeEntry(
        contractive,
        "sigmoid code with a penalty on its Jacobian",
        "-log Bernoulli(x; W^T s(Wx+b) + b') + lam |dz/dx|^2",
        cites=("rifai2011",),
    ),
    "contractive_h": RecipeEntry(
        contractive_h,
        "contractive, with a penalty on changes of the Jacobian",
        "... + lam |J(x)|^2 + gamma E|J(x) - J(x+e)|^2",
        cites=("rifai2011b", "rifai2011"),
    ),
}
"""Entries of the table of recipes."""

"""All figures of a model on one part of the data, and what each of them means."""

from torch import Tensor

from isthmus.data.base import Array
from isthmus.metrics.reconstruction import reconstruction
from isthmus.metrics.variational import variational
from isthmus.objective import Objective
from isthmus.trace import Offer
from isthmus.training.engine import losses

MEANINGS: dict[str, str] = {
    "n": "examples",
    "loss": "nats: the objective, lower is better",
    "squared_error": "summed over features, in the model's units",
    "mse": "squared error divided by the features",
    "psnr": "dB: mean over images, higher is better",
    "cross_entropy": "nats: -log p(x|z) at the latent's mean",
    "cross_entropy_floor": "nats: entropy of the data, the least there is",
    "elbo": "nats: bound on log p(x), higher is better",
    "kl": "nats: KL(q(z|x) || prior)",
    "active_units": "latent dimensions with var E[z|x] > 0.01",
}
"""Unit and meaning of each figure; all but counts are means over examples."""


def evaluate(objective: Objective, x: Tensor | Array, *, seed: int = 0) -> dict[str, float]:
    """The figures that this model has on the examples ``x`` (N, *D); equal weights give equal figures.

    Figures that need a draw of z use ``seed``; all others take the latent's mean.

    Raises:
        ShapeError: examples of another shape.
        BadData: examples that the likelihood cannot describe.
    """
    x = objective.model.examples(x)
    objective.model.likelihood.check(x)  # type: ignore[operator]
    figures: dict[str, float] = {"n": len(x), "loss": losses(objective, x, seed=seed)["loss"]}
    figures |= reconstruction(objective.model, x)
    if objective.model.generative and Offer.GAUSSIAN in objective.model.latent.offers:  # type: ignore[operator]
        figures |= variational(objective.model, x, seed=seed)
    return figures

r"""Distances between features of a fixed network (perceptual losses) instead of between values."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts, check_choice
from isthmus.parts.penalties.missing import observed_alike
from isthmus.parts.protocols import Capability, Model, Shape, Supplied, Trace

Builder = Callable[[Shape], nn.Module]
"""Builds a comparator for the shape of an example: :func:`isthmus.parts.nets.comparator.comparator`."""
LEARNS = ("exemplars", "labels", "none")
MOST_FEATURES = 64
"""Features of a comparator, at most."""
EXAMPLES = 512
"""Examples from which the scale of the features is set."""


class Features(nn.Module):
    r"""Squared distance of x and :math:`\hat x = \mathbb E[p(x \mid z)]` in the features of a comparator :math:`\phi`.

    .. math:: \Omega = \frac12 \sum_l \frac{D}{L\,n_l\,v_l} \lVert \phi_l(x) - \phi_l(\hat x) \rVert^2

    with L features of :math:`n_l` values, whose mean variance over the data is :math:`v_l`, and D values of an example:
    the negative log-likelihood of examples with D standardized values, so that the weight does not depend on the
    comparator. Images with the same features look alike even if their pixels differ, and a blurred image has others.

    The comparator is fixed. It is one of the user, such as a network of torchvision or of ``lpips``, any module that
    maps examples to a tensor or a list of tensors; or a small convolutional network that is trained on the examples
    before the autoencoder: to recognize each of some hundred of them under random shifts, rotations and contrasts
    (``exemplars``), on their classes (``labels``), or not at all (``none``: random features).

    Args:
        shape: shape of one example.
        comparator: builds the comparator from the shape; or a module that is used as it is.
        learns: what a comparator that was built here is trained on: ``exemplars``, ``labels`` or ``none``.

    Raises:
        BadOption: an unknown kind of training.

    References:
        Generating images with perceptual similarity metrics based on deep networks (Dosovitskiy & Brox, 2016)
        Perceptual losses for real-time style transfer and super-resolution (Johnson et al., 2016)
        Discriminative unsupervised feature learning with exemplar convolutional neural networks (Dosovitskiy et al.,
            2016), for the training on exemplars
        Deep feature consistent variational autoencoder (Hou et al., 2017)
    """

    name = "features"
    requires: frozenset[Capability] = frozenset()
    pairs = True
    scales: Tensor

    def __init__(
        self,
        shape: Supplied[Shape | None] = None,
        comparator: Supplied[Builder | nn.Module | None] = None,
        *,
        learns: str = "exemplars",
    ) -> None:
        super().__init__()
        check_choice("learns", learns, LEARNS)
        ready = isinstance(comparator, nn.Module)
        if isinstance(comparator, nn.Module):
            self.comparator: nn.Module = comparator
        else:
            if comparator is None or shape is None:
                raise BadOption(
                    "A comparator is built for the shape of an example, which is not known. Pass shape=(1, 28, 28), or "
                    "a module as comparator."
                )
            self.comparator = comparator(shape)
        self.learns = "none" if ready else learns
        self.comparator.requires_grad_(False).eval()
        self.register_buffer("scales", torch.ones(MOST_FEATURES))

    def train(self, mode: bool = True) -> "Features":
        """Set the training mode; the comparator stays in evaluation mode."""
        super().train(mode)
        self.comparator.eval()
        return self

    def calibrate(self, x: Float[Tensor, "N *D"]) -> None:
        """Set the scale of each feature to its mean variance over examples.

        Raises:
            IncompatibleParts: too many features.
        """
        with torch.no_grad():
            variances = [f.flatten(1).var(0, correction=0).mean() for f in self._of(x[:EXAMPLES])]
        if len(variances) > MOST_FEATURES:
            raise IncompatibleParts(
                f"A comparator has at most {MOST_FEATURES} features, but this one returns {len(variances)}. Use fewer."
            )
        self.scales[: len(variances)] = torch.stack(variances).clamp(min=1e-12)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The distance per example, shape (B,)."""
        x, y = observed_alike(model, trace.x, trace.p.mean)
        with torch.no_grad():
            of_data = self._of(x)
        of_output = self._of(y)
        values = trace.x[0].numel()
        each = []
        for number, (a, b) in enumerate(zip(of_output, of_data, strict=True)):
            each.append((a - b).square().flatten(1).mean(1) / self.scales[number])
        return 0.5 * values * torch.stack(each).mean(0)

    def _of(self, x: Tensor) -> list[Tensor]:
        """The features of examples."""
        found = self.comparator(x)
        return [found] if isinstance(found, Tensor) else list(found)

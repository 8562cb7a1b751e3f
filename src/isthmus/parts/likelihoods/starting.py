"""Likelihoods that start at the mean of the training examples, in place of at zero."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption
from isthmus.parts.protocols import Shape


class StartsAtMean(nn.Module):
    """Base class of likelihoods with the option ``from_mean``: features are added to those of the mean example.

    A decoder then learns what differs between examples from the first step on. For windows of frames the mean is that
    of all frames.
    """

    offset: Tensor | None

    def register_offset(self, shape: Shape | None, *, from_mean: bool) -> None:
        """Register the offset of features for examples of ``shape``, if ``from_mean`` is set.

        Raises:
            BadOption: ``from_mean`` without a shape.
        """
        if from_mean and shape is None:
            name = type(self).__name__
            raise BadOption(
                f"A {name} likelihood with from_mean=True requires the shape of one example, but has none. Pass it as "
                f"in {name}(shape=(1, 28, 28), from_mean=True)."
            )
        offset = torch.zeros(shape[-3:] if len(shape) == 4 else shape) if from_mean and shape is not None else None
        self.register_buffer("offset", offset)

    @property
    def needs_data(self) -> bool:
        """Whether the training examples are needed: if ``from_mean`` is set."""
        return self.offset is not None

    def init_from_data(self, x: Float[Tensor, "N *D"]) -> None:
        """Set the offset from the mean of the training examples, if ``from_mean`` is set."""
        if self.offset is not None:
            x = x.flatten(0, 1) if x.ndim == 5 else x
            missing = bool(x.isnan().any())
            # the mean of the observed values; 1/2 where none was observed
            mean = x.nanmean(0).nan_to_num(0.5) if missing else x.mean(0)
            self.offset.copy_(self.features_of(mean))

    def features_of(self, mean: Tensor) -> Tensor:
        """The features with this mean."""
        return mean

    def started(self, h: Tensor) -> Tensor:
        """Features with the offset, if there is one."""
        return h if self.offset is None else h + self.offset

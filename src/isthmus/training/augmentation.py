"""Random changes of training examples at every read: shifts, mirror images, rotations, sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.functional import affine, shifted
from isthmus.functional.images import Edges
from isthmus.options import DataOptions


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training examples; input and target of a pair are changed alike.

    Attributes:
        shift: largest shift along each axis, in pixels or steps.
        edges: what is shifted in (:func:`isthmus.functional.shifted`).
        flip: mirror half of the images left to right; sequences stay as they are.
        rotation: largest angle of a rotation of images, in degrees.
        scale: largest fraction by which images are enlarged or reduced.

    >>> bool(Augmentation()), bool(Augmentation(flip=True))
    (False, True)
    """

    shift: int = 0
    edges: Edges = "zero"
    flip: bool = False
    rotation: float = 0.0
    scale: float = 0.0

    def __bool__(self) -> bool:
        """Whether examples change at all."""
        return bool(self.shift or self.flip or self.rotation or self.scale)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Changed examples (B, C, *S), with random numbers from ``generator``."""
        if self.shift:
            axes = min(2, x.ndim - 2)
            by = torch.randint(2 * self.shift + 1, (len(x), axes), generator=generator, device=x.device)
            x = shifted(x, by - self.shift, edges=self.edges)
        if self.flip and x.ndim > 3:
            mirrored = torch.rand(len(x), generator=generator, device=x.device) < 0.5
            x = torch.where(mirrored.reshape(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
        if (self.rotation or self.scale) and x.ndim > 3:
            angle, scale = 2 * torch.rand(2, len(x), generator=generator, device=x.device) - 1
            x = affine(x, self.rotation * angle, 1 + self.scale * scale)
        return x


NONE = Augmentation()
"""Examples as they are."""


def augmentation(options: DataOptions) -> Augmentation:
    """The changes that the options of a recipe ask for."""
    return Augmentation(
        options.random_shift,
        options.shift_edges,
        options.random_flip,
        options.random_rotation,
        options.random_scale,
    )

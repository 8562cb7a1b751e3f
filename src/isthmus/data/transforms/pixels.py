"""8-bit images in memory as bytes, which take a quarter of the memory of model inputs."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.transforms.scaling import Scaling

CHUNK = 1000
"""Images that are summed at a time."""


class PixelTensor:
    """Images (N, \\*shape) as bytes, scaled whenever some of them are read.

    It has the methods of a tensor that batches and chunks need. Scaled images have the same bits as if all of them had
    been scaled at once.

    Args:
        raw: the bytes, with the axes of model inputs.
        scaling: their scaling, with one scale for all values.

    >>> x = PixelTensor(torch.tensor([[0, 51], [255, 102]], dtype=torch.uint8), Scaling("pixels", (0.0,), (255.0,)))
    >>> x[1:]
    tensor([[1.0000, 0.4000]])
    """

    def __init__(self, raw: Tensor, scaling: Scaling) -> None:
        self.raw, self.scaling = raw, scaling

    def __len__(self) -> int:
        """Number of images."""
        return len(self.raw)

    @property
    def shape(self) -> torch.Size:
        """Shape of all images, (N, \\*shape)."""
        return self.raw.shape

    @property
    def device(self) -> torch.device:
        """Where the bytes are."""
        return self.raw.device

    def is_contiguous(self) -> bool:
        """Whether the bytes have the default memory layout."""
        return self.raw.is_contiguous()

    def map(self, change: Callable[[Tensor], Tensor]) -> "PixelTensor":
        """The images with their bytes changed, such as moved to a device."""
        return PixelTensor(change(self.raw), self.scaling)

    def __getitem__(self, rows: slice | Tensor | Array) -> Tensor:
        """Some images as model inputs, float32."""
        return self._scaled(self.raw[rows])

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """The images at ``rows`` as model inputs; ``dim`` is 0."""
        return self._scaled(self.raw.index_select(dim, rows))

    def take(self, rows: Array) -> "PixelTensor":
        """The images at ``rows``, still as bytes."""
        return PixelTensor(self.raw[torch.from_numpy(rows)], self.scaling)

    def chunks(self, size: int) -> Iterator[Tensor]:
        """All images in order as model inputs, at most ``size`` at a time."""
        return map(self._scaled, torch.split(self.raw, size))

    def tensor(self) -> Tensor:
        """All images as model inputs."""
        return self._scaled(self.raw)

    def mean(self) -> Tensor:
        """Mean of all values, from their exact sum."""
        # torch would convert all bytes to 64-bit integers first
        total = sum(int(part.sum()) for part in torch.split(self.raw, CHUNK))
        return self.scaling.apply(torch.tensor([total / self.raw.numel()], dtype=torch.float64)).float().reshape(())

    def extremes(self) -> Tensor:
        """The smallest and the largest value, (2, 1)."""
        return self._scaled(torch.stack(torch.aminmax(self.raw)).reshape(2, 1))

    def possible(self) -> Tensor:
        """What the 256 bytes become, (256, 1)."""
        return self._scaled(torch.arange(256, dtype=torch.uint8).reshape(-1, 1))

    def _scaled(self, raw: Tensor) -> Tensor:
        return self.scaling.apply(raw).to(torch.float32)

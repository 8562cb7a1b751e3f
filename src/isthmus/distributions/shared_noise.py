"""Samples that use the same random numbers for every example of a batch.

A score of an example from a sample of q(z | x) is then a function of the example and the seed alone, whatever other
examples are scored with it and in which order (common random numbers).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SharedNoise(TorchFunctionMode):
    """Random numbers that are drawn inside the block are the same for all examples.

    Args:
        axis: axis of the examples; draws along the axes before it (samples) are separate, and do not depend on how many
            are drawn at once.

    >>> with SharedNoise():
    ...     noise = torch.randn(3, 2)
    >>> bool((noise == noise[:1]).all())
    True
    """

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the functions that draw; others are called as they are."""
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand):
            shape = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
            return self._drawn(lambda one: func(one, **kwargs), torch.Size(shape))
        if func is torch.Tensor.exponential_:
            like = args[0]
            drawn = self._drawn(lambda one: like.new_empty(one).exponential_(*args[1:], **kwargs), like.shape)
            return like.copy_(drawn)
        if func is torch.bernoulli:
            return (self._uniform(args[0]) < args[0]).to(args[0].dtype)
        if func is torch.normal and all(isinstance(value, Tensor) for value in args[:2]) and len(args) > 1:
            like = args[0] + args[1]
            noise = self._drawn(lambda one: torch.randn(one, dtype=like.dtype, device=like.device), like.shape)
            return args[0] + args[1] * noise
        return func(*args, **kwargs)

    def _uniform(self, like: Tensor) -> Tensor:
        return self._drawn(lambda one: torch.rand(one, dtype=like.dtype, device=like.device), like.shape)

    def _drawn(self, draw: Callable[[torch.Size], Tensor], shape: torch.Size) -> Tensor:
        """Numbers of ``shape``, drawn for one example and for one sample after another."""
        if len(shape) <= self.axis:
            return draw(shape)
        samples, rest = shape[: self.axis], shape[self.axis + 1 :]
        drawn = [draw(torch.Size((1, *rest))) for _ in range(math.prod(samples))]
        return torch.stack(drawn).reshape(*samples, 1, *rest).expand(shape)

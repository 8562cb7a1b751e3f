"""A whole training step as one compiled function, written by hand for chains of dense layers: forward and backward
pass, Adam, and the copies of the weights in the precision of the products, which are written where Adam updates them.
"""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch._inductor.config as inductor
import torch.nn.functional as F
from by_hand import loss_of, one_pass, tune
from networks import pair
from precision import dtype_of
from rows import Row
from torch import Tensor
from turns import Turns

FIRST, SECOND = 0.9, 0.999
"""Adam's decay of the two moments."""


def chain(weights: list[Tensor], h: Tensor) -> Tensor:
    """Dense layers with rectified activations between them, in the precision of the weights."""
    h = h.to(weights[0].dtype)
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        h = F.linear(h, weight, bias).relu()
    return F.linear(h, weights[-2], weights[-1])


class Adam:
    """Parameters and their moments in float32, with the copies that the products see."""

    def __init__(self, parameters: list[Tensor], dtype: torch.dtype) -> None:
        self.parameters = parameters
        self.copies = parameters if dtype == torch.float32 else [p.to(dtype) for p in parameters]
        self.means, self.squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))

    def update(self, gradients: list[Tensor], rate: Tensor, root: Tensor) -> None:
        """One update; the corrections of the young moments are in ``rate`` and ``root``."""
        moments = zip(self.means, self.squares, gradients, strict=True)
        for p, copy, (mean, square, gradient) in zip(self.parameters, self.copies, moments, strict=True):
            g = gradient.float()
            mean.lerp_(g, 1 - FIRST)
            square.mul_(SECOND).addcmul_(g, g, value=1 - SECOND)
            p.addcdiv_(mean * -rate, square.sqrt() / root + 1e-8)
            if copy is not p:
                copy.copy_(p)


def stepping(adam: Adam, half: int) -> Callable[[Tensor, Tensor | None, Tensor, Tensor], Tensor]:
    """The compiled step of a batch, noise and corrected rates, which returns the loss; ``half`` weights encode."""

    def loss(weights: list[Tensor], x: Tensor, noise: Tensor | None) -> Tensor:
        return loss_of(partial(chain, weights[:half]), partial(chain, weights[half:]), x, noise, torch.float32)

    slope = torch.func.grad_and_value(loss)

    def step(x: Tensor, noise: Tensor | None, rate: Tensor, root: Tensor) -> Tensor:
        gradients, value = slope(adam.copies, x, noise)
        adam.update(gradients, rate, root)
        return value

    return torch.compile(step, dynamic=False)


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    dtype = dtype_of(row.precision)
    tune(dtype)
    # shapes are checked at every step otherwise
    inductor.size_asserts = False
    encoder, decoder = ([p.detach() for p in part.parameters()] for part in pair(row.net, row.seed))
    step = stepping(Adam(encoder + decoder, dtype), len(encoder))
    x = torch.from_numpy(images).float().div_(255).flatten(1)
    numbers = itertools.count(1)

    def take(batch: Tensor, noise: Tensor | None) -> Tensor:
        number = next(numbers)
        rate, root = row.rate / (1 - FIRST**number), (1 - SECOND**number) ** 0.5
        return step(batch, noise, torch.tensor(rate), torch.tensor(root))

    while True:
        turns.wait()
        turns.done(len(x), one_pass(x, row, take))

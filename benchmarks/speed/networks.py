"""The networks of the rows in plain torch, and the initial weights that all competitors start from."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

DENSE = ("vae", "deep")
"""Nets without feature maps."""
CODE = {"vae": 16, "deep": 30, "conv64": 64}
WIDTHS = (1000, 500, 250)
CHANNELS, KERNEL = (32, 64, 128, 256), 4

INITIAL: dict[str, Callable[[Tensor], Tensor]] = {
    "glorot": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}
"""Initial weights as Isthmus samples them; Keras and Isthmus begin with ``glorot`` where nothing else is said."""


Pair = tuple[nn.Sequential, nn.Sequential]
"""Encoder and decoder."""


def pair(net: str, seed: int = 0, init: str = "glorot") -> Pair:
    """Encoder and decoder by the name of the net; the decoder gives logits of pixels."""
    return started({"vae": _vae, "deep": _deep, "conv28": _conv28, "conv64": _conv64}[net], seed, init)


def started(make: Callable[[], Pair], seed: int, init: str) -> Pair:
    """A new encoder and decoder with the initial weights of a seed.

    What is drawn afterwards from torch's generator depends on the seed too.
    """
    torch.manual_seed(seed)
    encoder, decoder = make()
    for layer in (*encoder.modules(), *decoder.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            INITIAL[init](layer.weight)
            nn.init.zeros_(layer.bias)
    return encoder, decoder


def same_start(net: str, seed: int, *parts: nn.Module) -> None:
    """Give networks with the same layers in the same order the weights that :func:`pair` gives."""
    weights = [p for part in pair(net, seed) for p in part.parameters()]
    with torch.no_grad():
        for theirs, ours in zip([p for part in parts for p in part.parameters()], weights, strict=True):
            theirs.copy_(ours)


def _vae() -> Pair:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 32))
    return encoder, nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 784), nn.Unflatten(1, (1, 28, 28)))


def _deep() -> Pair:
    sizes = [784, *WIDTHS, CODE["deep"]]
    return (
        nn.Sequential(nn.Flatten(), *_chain(sizes)),
        nn.Sequential(*_chain(sizes[::-1]), nn.Unflatten(1, (1, 28, 28))),
    )


def _chain(sizes: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return layers[:-1]


class Cut(nn.Module):
    """The first rows and columns of maps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, h: Tensor) -> Tensor:
        """Maps of ``size`` by ``size``."""
        return h[..., : self.size, : self.size]


def _conv28() -> Pair:
    def level(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]

    def up(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, 1, 1), nn.ReLU(), nn.Upsample(scale_factor=2)]

    encoder = nn.Sequential(*level(1, 16), *level(16, 8), *level(8, 8))
    return encoder, nn.Sequential(*up(8, 8), Cut(7), *up(8, 8), *up(8, 16), nn.Conv2d(16, 1, 3, 1, 1))


def _conv64() -> Pair:
    sizes = [1, *CHANNELS]
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        down += [nn.Conv2d(a, b, KERNEL, 2, 1), nn.ReLU()]
        up = [nn.ReLU(), nn.ConvTranspose2d(b, a, KERNEL, 2, 1), *up]
    flat = CHANNELS[-1] * 16
    return (
        nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, CODE["conv64"])),
        nn.Sequential(nn.Linear(CODE["conv64"], flat), nn.Unflatten(1, (CHANNELS[-1], 4, 4)), *up),
    )

r"""The networks of critics, which tell two distributions apart: of codes, or of examples."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalized

from isthmus.errors import BadOption, check_choice, check_range
from isthmus.parts.nets.layers import Activation, check_channels, initialize, normalization
from isthmus.parts.nets.stages import halving_stages
from isthmus.parts.protocols import Shape

KERNEL = 4
"""Kernel size of a critic's convolutions."""
CRITIC_NORMS = ("none", "layer", "group", "spectral")
"""Normalizations of a critic. Batch normalization is none of them: it would tell real from made by their statistics."""


def critic(inputs: int | None, outputs: int = 1, widths: Sequence[int] = (512, 512)) -> nn.Module:
    """A fully connected network from codes of ``inputs`` values to ``outputs`` logits, with leaky ReLU units.

    Raises:
        BadOption: the code has no size, or a width is below 1.

    >>> import torch
    >>> critic(3, 2, (8,))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    if inputs is None:
        raise BadOption("A critic requires a vector code, but latent.size is not set. Set latent.size=16.")
    for width in widths:
        check_range("A critic's widths", width, 1, 1 << 16)
    sizes = [inputs, *widths, outputs]
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), Activation("leaky_relu")]
    net = nn.Sequential(*layers[:-1])
    initialize(net, "he")
    return net


class Judgment(NamedTuple):
    """What a critic makes of examples: a logit per example, (B,), and the features of its stages."""

    logits: Tensor
    features: tuple[Tensor, ...]


class DataCritic(nn.Module):
    """A critic of examples: stages of convolutions or dense layers, then a dense layer and one logit.

    Args:
        stages: modules that are applied one after the other; the output of each is a feature.
        head: maps the last feature to a logit, (B, 1).
    """

    def __init__(self, stages: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.stages, self.head = nn.ModuleList(stages), head

    def forward(self, x: Float[Tensor, "B *D"]) -> Judgment:
        """The logits and features of examples."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return Judgment(self.head(x).squeeze(1), tuple(features))


def data_critic(shape: Shape, channels: Sequence[int] = (32, 64), hidden: int = 128, norm: str = "none") -> DataCritic:
    """A critic of examples of ``shape``: convolutions of stride 2 for images and sequences, else dense layers.

    Units are leaky ReLUs. Images that are too small for all stages have fewer of them.

    Args:
        shape: shape of one example.
        channels: number of feature maps, or of units, of each stage.
        hidden: units of the dense layer before the logit.
        norm: ``none``; ``layer`` or ``group`` normalization of stages; or ``spectral`` normalization of all weights.

    Raises:
        BadOption: an option out of range.

    References:
        Spectral normalization for generative adversarial networks (Miyato et al., 2018)

    >>> import torch
    >>> logits, features = data_critic((1, 28, 28), (4, 8))(torch.zeros(5, 1, 28, 28))
    >>> logits.shape, [tuple(f.shape[1:]) for f in features]
    (torch.Size([5]), [(4, 14, 14), (8, 7, 7)])
    """
    check_channels(channels, "32,64")
    check_range("A critic's hidden units", hidden, 1, 1 << 16)
    check_choice("A critic's norm", norm, CRITIC_NORMS)
    layered = norm if norm != "spectral" else "none"

    def after(maps: int, stage: int, axes: int) -> list[nn.Module]:
        return [*(normalization(layered, maps, axes=axes) if stage else []), Activation("leaky_relu")]

    stages, flat = halving_stages(shape, channels, KERNEL, after)
    head = nn.Sequential(nn.Flatten(), nn.Linear(flat, hidden), Activation("leaky_relu"), nn.Linear(hidden, 1))
    net = DataCritic(stages, head)
    initialize(net, "he")
    if norm == "spectral":
        for layer in [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]:
            normalized(layer)
    return net

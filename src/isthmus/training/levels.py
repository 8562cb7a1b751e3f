r"""A deep autoencoder as a stack of shallow ones: level by level, one layer in and its mirror out.

.. math:: h_l = s(W_l h_{l-1} + b_l), \qquad \hat h_{l-1} = s'(W'_l h_l + b'_l)

Unrolled, the encoders stand one behind the other and the decoders in the reverse order (Hinton & Salakhutdinov, 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts
from isthmus.functional import ACTIVATIONS
from isthmus.latents import Deterministic, Gaussian
from isthmus.model import CHUNK, Autoencoder
from isthmus.nets.layers import Activation
from isthmus.nets.mlp import TiedLinear, UnitLinear


@dataclass(frozen=True)
class Level:
    """One level: the layer ``down``, its mirror ``up``, and the activation behind ``down`` by name.

    ``units`` are the first features of ``down`` that ``up`` takes: all but in the code of a Gaussian latent, whose
    other half is its scale.
    """

    down: nn.Linear
    up: nn.Linear | TiedLinear
    activation: str
    units: int

    @property
    def inputs(self) -> int:
        """Values that the level takes, and gives back."""
        return self.down.in_features

    def put(self, weight: Tensor, bias: Tensor, back: Tensor, back_bias: Tensor) -> None:
        """Take the weights of a trained shallow autoencoder: (units, inputs), (units,), (inputs, units), (inputs,).

        A tied mirror has the transpose of ``weight``, whatever ``back`` is. The scale of a Gaussian code starts at 1.
        """
        with torch.no_grad():
            if len(self.down.weight) > self.units:
                self.down.weight.zero_()
                self.down.bias.zero_()
            self.down.weight[: self.units].copy_(weight)
            self.down.bias[: self.units].copy_(bias)
            if isinstance(self.up, nn.Linear):
                self.up.weight.copy_(back)
            self.up.bias.copy_(back_bias)

    def codes(self, h: Float[Tensor, "N inputs"]) -> Float[Tensor, "N units"]:
        """The codes of clean values, without noise and without gradient."""
        act = ACTIVATIONS[self.activation]
        with torch.no_grad():
            return torch.cat([act(self.down(chunk)[:, : self.units]) for chunk in torch.split(h, CHUNK)])


def levels(model: Autoencoder) -> list[Level]:
    """The levels of a fully connected autoencoder, from the data inwards.

    Raises:
        IncompatibleParts: it is no stack: another kind of net, or layers between that a stack does not have.
    """
    down, up = ([m for m in net.modules() if isinstance(m, nn.Linear | TiedLinear)] for net in _networks(model))
    strange = [
        type(m).__name__
        for net in _networks(model)
        for m in net.modules()
        if not isinstance(
            m, nn.Linear | TiedLinear | Activation | nn.Flatten | nn.Unflatten | nn.Dropout | nn.Sequential
        )
        or isinstance(m, UnitLinear)
    ]
    if strange or not down or len(down) != len(up):
        found = strange[0] if strange else f"{len(down)} layers in and {len(up)} out"
        raise IncompatibleParts(
            f"Level by level only fully connected nets without normalisation can be trained, but this one has {found}. "
            "Use net.kind=mlp with net.norm=none, or leave pretraining out."
        )
    if not isinstance(model.latent, Deterministic | Gaussian):
        raise IncompatibleParts(
            f"The innermost level needs a deterministic or gaussian code, but the latent is "
            f"{type(model.latent).__name__}. Change latent.kind, or leave pretraining out."
        )
    names = [m.name for m in model.encoder.modules() if isinstance(m, Activation)]
    names.append(getattr(model.latent, "activation", "linear"))
    return [_level(a, b, name) for a, b, name in zip(down, reversed(up), names, strict=True)]


def _networks(model: Autoencoder) -> Sequence[nn.Module]:
    return (model.encoder, model.decoder)


def _level(down: nn.Module, up: nn.Module, activation: str) -> Level:
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear | TiedLinear)
    outputs = up.out_features if isinstance(up, nn.Linear) else len(up.bias)
    if outputs != down.in_features:
        raise IncompatibleParts(
            f"A level gives back what it takes, {down.in_features} values, but the likelihood asks for {outputs}. "
            "Use a likelihood with one feature for each value, or leave pretraining out."
        )
    return Level(down, up, activation, up.in_features if isinstance(up, nn.Linear) else up.width)

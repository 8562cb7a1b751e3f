r"""A deep autoencoder as a stack of shallow ones: layer pairs of encoder and decoder.

.. math:: h_l = s(W_l h_{l-1} + b_l), \qquad \hat h_{l-1} = s'(W'_l h_l + b'_l)

Unrolled, the encoders are composed in order and the decoders in reverse order (Hinton & Salakhutdinov, 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts
from isthmus.functional import ACTIVATIONS
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.inputs import CHUNK
from isthmus.parts.latents import Deterministic, Gaussian
from isthmus.parts.nets.layers import Activation
from isthmus.parts.nets.mlp import TiedLinear, UnitLinear


@dataclass(frozen=True)
class LayerPair:
    """An encoder layer ``down``, the decoder layer ``up``, and the name of the activation after ``down``.

    ``units`` is the number of features of ``down`` that ``up`` takes: all of them, except that the second half of the
    features of a Gaussian latent is its scale.
    """

    down: nn.Linear
    up: nn.Linear | TiedLinear
    activation: str
    units: int

    @property
    def inputs(self) -> int:
        """Number of inputs of the encoder layer and outputs of the decoder layer."""
        return self.down.in_features

    def set_weights(self, weight: Tensor, bias: Tensor, back: Tensor, back_bias: Tensor) -> None:
        """Copy the weights of a trained shallow autoencoder: (units, inputs), (units,), (inputs, units), (inputs,).

        A tied decoder layer uses the transpose of ``weight`` and ignores ``back``. The scale of a Gaussian code is set
        to 1.
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
        """The codes of uncorrupted inputs, without sampling and without gradient."""
        act = ACTIVATIONS[self.activation]
        with torch.no_grad():
            return torch.cat([act(self.down(chunk)[:, : self.units]) for chunk in torch.split(h, CHUNK)])


def layer_pairs(model: Autoencoder) -> list[LayerPair]:
    """The layer pairs of a fully connected autoencoder, from the data inward.

    Raises:
        IncompatibleParts: another kind of net, normalization, or a latent without layer-wise pretraining.
    """
    down, up = ([m for m in net.modules() if isinstance(m, nn.Linear | TiedLinear)] for net in _networks(model))
    unsupported = [
        type(m).__name__
        for net in _networks(model)
        for m in net.modules()
        if not isinstance(
            m, nn.Linear | TiedLinear | Activation | nn.Flatten | nn.Unflatten | nn.Dropout | nn.Sequential
        )
        or isinstance(m, UnitLinear)
    ]
    if unsupported or not down or len(down) != len(up):
        found = unsupported[0] if unsupported else f"{len(down)} layers in and {len(up)} out"
        raise IncompatibleParts(
            f"Pretraining supports only fully connected nets without normalization, but this one has {found}. "
            "Set net.kind=mlp with net.norm=none, or leave pretraining out."
        )
    if not isinstance(model.latent, Deterministic | Gaussian):
        raise IncompatibleParts(
            f"Pretraining requires a deterministic or gaussian code, but the latent is "
            f"{type(model.latent).__name__}. Set another latent.kind, or leave pretraining out."
        )
    names = [m.name for m in model.encoder.modules() if isinstance(m, Activation)]
    names.append(getattr(model.latent, "activation", "linear"))
    return [_layer_pair(a, b, name) for a, b, name in zip(down, reversed(up), names, strict=True)]


def _networks(model: Autoencoder) -> Sequence[nn.Module]:
    return (model.encoder, model.decoder)


def _layer_pair(down: nn.Module, up: nn.Module, activation: str) -> LayerPair:
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear | TiedLinear)
    outputs = up.out_features if isinstance(up, nn.Linear) else len(up.bias)
    if outputs != down.in_features:
        raise IncompatibleParts(
            f"Pretraining requires {down.in_features} decoder outputs, one per value, but the likelihood uses "
            f"{outputs}. Set a likelihood with one feature per value, or leave pretraining out."
        )
    return LayerPair(down, up, activation, up.in_features if isinstance(up, nn.Linear) else up.width)

r"""Contractive penalties: the norm of the encoder's Jacobian, and of its change near an example.

.. math:: J(x) = \frac{\partial\, \mathbb E[z \mid x]}{\partial x}, \qquad
          \Omega = \lVert J(x) \rVert_F^2, \qquad
          \Omega_H = \mathbb E_\epsilon \lVert J(x) - J(x + \epsilon) \rVert_F^2

For a fully connected encoder the Jacobian is computed as a product of matrices, for any other encoder by automatic
differentiation. J is the Jacobian of the code in evaluation mode: without dropout, and with the running statistics of
batch normalization, since batch statistics would make the code of an example depend on all inputs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from isthmus.errors import BadOption, IncompatibleParts, check_choice, check_range
from isthmus.functional import (
    ACTIVATIONS,
    chain_factor,
    jacobian_rows,
    per_example,
    squared_jacobian_norm,
    squared_layer_norm,
    squared_product_norm,
    value_and_slope,
)
from isthmus.parts.hooks import HasActivation
from isthmus.parts.protocols import Capability, Latent, Model, Trace

METHODS = ("auto", "vjp", "hutchinson")
PRECISIONS: dict[str, torch.dtype | None] = {"32": None, "bf16": torch.bfloat16}
AT_ONCE = 1 << 25
"""Number of values of one layer's Jacobians computed at once: 128 MiB in float32."""

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.Tanh)
IDENTITIES = (nn.Identity, nn.Dropout)
"""Layers that are the identity in evaluation mode."""
NORMALIZED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)
POOLED = (nn.MaxPool1d, nn.MaxPool2d)
VECTORIZED = (nn.Linear, nn.Conv1d, nn.Conv2d, *NORMALIZED, *POOLED, nn.Flatten, *IDENTITIES)
"""Layers whose backward pass torch vectorizes correctly, unlike that of group normalization."""


class Contractive(nn.Module):
    r"""Contractive penalty: squared Frobenius norm :math:`\lVert J \rVert_F^2` of the Jacobian of the mean code.

    J is taken at the (corrupted) input. The unit is that of the code over that of the input, squared (not nats). For an
    encoder of one layer it is :math:`\sum_i s'(a_i)^2 \sum_j W_{ij}^2`, which costs as much as a forward pass. A deep
    fully connected encoder takes a product of its layers and, per example, d times the memory of its hidden values; any
    other encoder takes d backward passes. Requires a differentiable code.

    Args:
        method: ``auto`` (exact): product of layers if the encoder consists of linear layers and elementwise
            activations, otherwise vector-Jacobian products; ``vjp`` (exact): always vector-Jacobian products;
            ``hutchinson``: the unbiased estimate :math:`\frac1K \sum_k \lVert v_k^\top J \rVert^2` with random signs
            :math:`v_k`. For 784-500-250-30 and batches of 100 the relative error of its gradient is 44, 22, 11 % with
            1, 4, 16 probes. In evaluation mode the signs are fixed and the same for all examples, so that values are
            reproducible.
        probes: number of probes K of ``hutchinson``, at least 1.
        precision: ``32``, or ``bf16`` to multiply the matrices of the product of layers in bfloat16. For the network
            above the relative error of the value is 0.02 %, that of the gradient 0.3 %.

    Raises:
        BadOption: an unknown method or precision, ``probes`` out of range, or ``bf16`` without ``method="auto"``.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)
        A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines (Hutchinson, 1990)
    """

    name = "contractive"
    requires = frozenset({Capability.DIFFERENTIABLE})

    def __init__(self, method: str = "auto", *, probes: int = 1, precision: str = "32") -> None:
        super().__init__()
        check_choice("The method of a contractive penalty", method, METHODS)
        check_choice("The precision of a contractive penalty", precision, PRECISIONS)
        check_range("The number of probes", probes, 1, 1_000_000)
        if method != "auto" and precision != "32":
            raise BadOption(
                f"precision={precision} applies to the product of layers, but method={method} uses full precision. "
                "Set precision=32, or method=auto."
            )
        self.method, self.probes, self.precision = method, probes, precision

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The squared norm of the Jacobian per example, or its estimate, shape (B,)."""
        x = trace.x_in
        if self.method != "hutchinson":
            return squared_code_jacobian(model, x, product=self.method == "auto", low=PRECISIONS[self.precision])
        with _evaluation_mode(model):
            noise = _normal((self.probes, len(x), trace.z[0].numel()), x, self.training)
            signs = torch.where(noise < 0, -1.0, 1.0).to(x.dtype)
            rows = jacobian_rows(model.mean_code, x, signs, batched=_vectorizes(model.encoder))
            return torch.cat([v.flatten(2).square().sum(2) for v in rows]).mean(0)


class ContractiveHessian(nn.Module):
    r"""Hessian penalty: the mean squared change of the Jacobian of the mean code near an example.

    .. math:: \mathbb E_\epsilon \lVert J(x) - J(x + \epsilon) \rVert_F^2

    with :math:`\epsilon \sim \mathcal N(0, \sigma^2 I)`; for small :math:`\sigma` it is :math:`\sigma^2` times the
    squared norm of the Hessian of the code. Together with :class:`Contractive` it is the penalty of the higher-order
    contractive autoencoder. It is meant for smooth activations: the Jacobian of a ReLU is piecewise constant. The
    expectation over :math:`\epsilon` is estimated from K samples, the Jacobians are exact; time and memory are 1 + K
    times those of :class:`Contractive`. In evaluation mode the samples are fixed and the same for all examples, so that
    values are reproducible. Requires a differentiable code.

    Args:
        scale: standard deviation :math:`\sigma > 0`, in units of the input.
        samples: number K of samples of :math:`\epsilon` per example, at least 1.
        precision: ``32``, or ``bf16`` to multiply the matrices of a product of layers in bfloat16.

    Raises:
        BadOption: a scale that is not positive, ``samples`` out of range, or an unknown precision.

    References:
        Higher order contractive auto-encoder (Rifai et al., 2011)
    """

    name = "contractive_h"
    requires = frozenset({Capability.DIFFERENTIABLE})

    def __init__(self, scale: float = 0.1, *, samples: int = 1, precision: str = "32") -> None:
        super().__init__()
        check_range("The scale of the contractive Hessian penalty", scale, 0, 1e6, open_low=True)
        check_range("The number of samples", samples, 1, 1_000_000)
        check_choice("The precision of the contractive Hessian penalty", precision, PRECISIONS)
        self.scale, self.samples, self.precision = scale, samples, precision

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The mean squared distance of the Jacobian from those at nearby inputs, shape (B,)."""
        x = trace.x_in
        noise = _normal((self.samples, *x.shape), x, self.training)
        points = torch.cat([x[None], x + self.scale * noise])
        with _evaluation_mode(model):
            chain = _chain(model, x)
            if chain is None:
                rows = jacobian_rows(model.mean_code, points.flatten(0, 1), batched=_vectorizes(model.encoder))
                squares = [per_example(self._differences(some.transpose(0, 1)).square()) for some in rows]
                return self._mean(torch.stack(squares).sum(0))
            examples = max(1, AT_ONCE // ((1 + self.samples) * chain.values))
            return torch.cat([self._by_product(chain, some) for some in torch.split(points, examples, 1)])

    def _by_product(self, chain: "Chain", points: Tensor) -> Tensor:
        """The penalty of examples and K neighbors of each, (1 + K, B, *D), by the product of layers."""
        weights, slopes = _differentiate(chain, points.flatten(0, 1))
        # all Jacobians have the first matrix as a common factor, so only the other factors are compared
        if len(weights) == 1:
            return self._mean(squared_layer_norm(weights[0], self._differences(_first(slopes))))
        low = PRECISIONS[self.precision]
        differences = self._differences(chain_factor(weights, slopes, low))
        return self._mean(squared_product_norm(differences, weights[0], low))

    def _differences(self, values: Tensor) -> Tensor:
        """Differences of the K neighbors and their example, of shape (K B, ...), given ((1 + K) B, ...)."""
        values = values.reshape(1 + self.samples, -1, *values.shape[1:])
        return (values[1:] - values[:1]).flatten(0, 1)

    def _mean(self, squares: Tensor) -> Tensor:
        return squares.reshape(self.samples, -1).mean(0)


def squared_code_jacobian(
    model: Model, x: Float[Tensor, "B *D"], *, product: bool = True, low: torch.dtype | None = None
) -> Float[Tensor, " B"]:
    r"""Exact squared Frobenius norm of the Jacobian of ``model.mean_code`` at each example, shape (B,).

    Args:
        model: the model with the encoder and latent.
        x: inputs of the encoder.
        product: use the product of layers if the encoder is fully connected, instead of automatic differentiation.
        low: precision of the matrix products; that of x by default.

    Raises:
        IncompatibleParts: a batch normalization without running statistics.
    """
    with _evaluation_mode(model):
        chain = _chain(model, x) if product else None
        if chain is None:
            return squared_jacobian_norm(model.mean_code, x, batched=_vectorizes(model.encoder))
        chunks = torch.split(x, max(1, AT_ONCE // chain.values))
        return torch.cat([_squared_norm(*_differentiate(chain, chunk), low) for chunk in chunks])


def _squared_norm(weights: list[Tensor], slopes: list[Tensor | None], low: torch.dtype | None) -> Float[Tensor, " B"]:
    if len(weights) == 1:
        return squared_layer_norm(weights[0], _first(slopes))
    return squared_product_norm(chain_factor(weights, slopes, low), weights[0], low)


def _first(slopes: list[Tensor | None]) -> Tensor:
    assert slopes[0] is not None
    return slopes[0]


class Affine(NamedTuple):
    """A linear layer of a chain."""

    weight: Tensor
    bias: Tensor | None


Step = Affine | Callable[[Tensor], Tensor]


class Chain(NamedTuple):
    """An encoder and latent that consist of linear layers and elementwise functions.

    ``values`` is the number of values of the largest Jacobian of the code with respect to a hidden layer, per example.
    """

    steps: list[Step]
    values: int


def _chain(model: Model, x: Tensor) -> Chain | None:
    """The mean code as a chain on the flattened input; ``None`` if the encoder or latent has other layers."""
    steps: list[Step] = []
    flat = x.ndim == 2
    for layer in _leaves(model.encoder):
        function = _function(layer)
        if _hooked(layer):
            return None
        if type(layer) is nn.Linear and flat:
            steps.append(Affine(layer.weight, layer.bias))
        elif function is not None and steps:
            steps.append(function)
        elif type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
            flat = True
        elif type(layer) not in IDENTITIES:
            return None
    return _headed(steps, model.latent)


def _headed(steps: list[Step], latent: Latent) -> Chain | None:
    """The chain of the encoder's steps and a latent whose mean is an activation of the first features.

    The latent is evaluated on a test input, so that such latents of any type are recognized (:func:`_size_of_code`).
    """
    function = ACTIVATIONS.get(latent.activation if isinstance(latent, HasActivation) else "linear")
    affine = [step for step in steps if isinstance(step, Affine)]
    if not affine or function is None or any(True for _ in (*latent.parameters(), *latent.buffers())):
        return None
    weight, bias = affine[-1]
    d = _size_of_code(latent, len(weight))
    if d is None:
        return None
    cut = Affine(weight[:d], None if bias is None else bias[:d])
    kept = [cut if step is affine[-1] else step for step in steps]
    return Chain([*kept, function], d * max([step.weight.shape[1] for step in affine[1:]], default=1))


_SIZES: WeakKeyDictionary[Latent, dict[tuple[int, str], int | None]] = WeakKeyDictionary()
"""Sizes of the codes of latents, by number of features and name of the activation."""


def _size_of_code(latent: Latent, features: int) -> int | None:
    """Size of the mean code of a latent, if that is an activation of the first of so many features, else ``None``.

    It is tried once per latent: while a step is captured as a graph, no value of a tensor is known.
    """
    activation = latent.activation if isinstance(latent, HasActivation) else "linear"
    sizes = _SIZES.setdefault(latent, {})
    if (features, activation) not in sizes:
        with torch.no_grad():
            probe = torch.linspace(-30, 30, 2 * features).reshape(2, -1)
            mean: Tensor = latent(probe).mean
            d = mean[0].numel()
            sizes[features, activation] = d if mean.equal(ACTIVATIONS[activation](probe[:, :d])) else None
    return sizes[features, activation]


def _differentiate(chain: Chain, x: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
    """Matrices of the chain from input to code, and the derivatives of the functions after them at each example."""
    x = x.flatten(1)
    weights: list[Tensor] = []
    slopes: list[Tensor | None] = []
    for step in chain.steps:
        if isinstance(step, Affine):
            x = linear(x, step.weight, step.bias)
            weights.append(step.weight)
            slopes.append(None if slopes else torch.ones_like(x))
        elif step is not ACTIVATIONS["linear"]:
            x, slope = value_and_slope(step, x)
            slopes[-1] = slope if slopes[-1] is None else slopes[-1] * slope
    return weights, slopes


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested ``nn.Sequential`` modules, in order."""
    if type(module) is nn.Sequential and not _hooked(module):
        for inner in module:
            yield from _leaves(inner)
    else:
        yield module


def _hooked(layer: nn.Module) -> bool:
    """Whether a layer has forward hooks, which may change its output."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _function(layer: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """The elementwise function that a layer computes; ``None`` for other layers."""
    if type(layer).__name__ == "Activation":
        # the activation layer of isthmus.parts.nets, by name, since penalties do not import nets
        return ACTIVATIONS.get(str(layer.name))
    return layer if type(layer) in ELEMENTWISE and not getattr(layer, "inplace", False) else None


def _vectorizes(encoder: nn.Module) -> bool:
    """Whether torch vectorizes backward passes through all layers of the encoder correctly."""
    leaves = [layer for layer in encoder.modules() if type(layer) is not nn.Sequential]
    return all(type(layer) in VECTORIZED or _function(layer) is not None for layer in leaves)


def _normal(shape: tuple[int, ...], like: Tensor, fresh: bool) -> Tensor:
    """Standard normal noise (K, B, ...); if not ``fresh``, always the same and the same for all examples."""
    if fresh:
        return torch.randn(shape, dtype=like.dtype, device=like.device)
    fixed = torch.randn((shape[0], 1, *shape[2:]), generator=torch.Generator().manual_seed(0))
    return fixed.to(like).expand(shape)


@contextmanager
def _evaluation_mode(model: Model) -> Iterator[None]:
    """Encoder and latent in evaluation mode, with gradients; the mode of each module is restored afterwards."""
    modes = {module: module.training for part in (model.encoder, model.latent) for module in part.modules()}
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is None for m in modes):
        raise IncompatibleParts(
            "A contractive penalty requires codes that do not depend on other examples, but a batch normalization of "
            "the encoder has no running statistics. Build it with track_running_stats=True, or use another net.norm."
        )
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode

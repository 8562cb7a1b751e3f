r"""Penalties on how the code moves with its input: the encoder's Jacobian, and how the Jacobian itself moves.

.. math:: J(x) = \frac{\partial\, \mathbb E[z \mid x]}{\partial x}, \qquad
          \Omega = \lVert J(x) \rVert_F^2, \qquad
          \Omega_H = \mathbb E_\epsilon \lVert J(x) - J(x + \epsilon) \rVert_F^2

A fully connected encoder is recognised by its layers, and its Jacobian is a product of matrices; any other encoder is
differentiated as it is. J is that of the code as inference gives it: dropout rests, and batch normalisation works with
its running statistics, for a batch's own would make every code depend on every input.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

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
from isthmus.trace import Model, Offer, Trace

METHODS = ("auto", "vjp", "hutchinson")
PRECISIONS: dict[str, torch.dtype | None] = {"32": None, "bf16": torch.bfloat16}
AT_ONCE = 1 << 25
"""Values of one layer's Jacobians that are made at once: 128 MiB in float32."""

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.Tanh)
IDLE = (nn.Identity, nn.Dropout)
VECTORISED = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.MaxPool2d, nn.Flatten, *IDLE)
"""Layers whose pass backward torch vectorises rightly; that of a group normalisation it does not."""


class Contractive(nn.Module):
    r"""How much the mean code moves with the (corrupted) input: :math:`\lVert J \rVert_F^2`, J its Jacobian.

    Not in nats: units of the code over units of the input, squared. One layer costs as much as its reconstruction,
    :math:`\sum_i s'(a_i)^2 \sum_j W_{ij}^2`. A fully connected encoder takes a product of its layers and, for each
    example, d times the memory of its hidden values; any other encoder takes d passes backward. In evaluation mode
    the signs of an estimate are always the same, and shared by all examples, so that figures repeat.

    Args:
        method: ``auto``, exact: the product of layers where the encoder is made of linear layers and elementwise
            activations, else vector-Jacobian products; ``vjp``, exact: always these; ``hutchinson``, an estimate:
            :math:`\frac1K \sum_k \lVert v_k^\top J \rVert^2` with random signs :math:`v_k`, unbiased but noisy: for
            784-500-250-30 and batches of 100 its gradient is off by 44, 22, 11 % in norm with 1, 4, 16 probes.
        probes: K of ``hutchinson``, at least 1.
        precision: ``32``, or ``bf16``: the product of layers multiplies its matrices in bfloat16, and nothing else
            is changed. For the same net the value is off by 0.02 %, the gradient by 0.3 % in norm.

    Raises:
        BadOption: an unknown method or precision, no probe, or ``bf16`` with another method than ``auto``.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)
        A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines (Hutchinson, 1990)
    """

    name = "contractive"
    needs = frozenset({Offer.DIFFERENTIABLE})

    def __init__(self, method: str = "auto", *, probes: int = 1, precision: str = "32") -> None:
        super().__init__()
        check_choice("The method of a contractive penalty", method, METHODS)
        check_choice("The precision of a contractive penalty", precision, PRECISIONS)
        check_range("The number of probes", probes, 1, 1_000_000)
        if method != "auto" and precision != "32":
            raise BadOption(
                f"Precision {precision} is for the product of layers, but method {method} works in full precision. "
                "Set precision=32, or method=auto."
            )
        self.method, self.probes, self.precision = method, probes, precision

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The squared norm of each example's Jacobian, or its estimate."""
        x = trace.x_in
        if self.method != "hutchinson":
            return squared_code_jacobian(model, x, product=self.method == "auto", low=PRECISIONS[self.precision])
        with _at_rest(model):
            noise = _normal((self.probes, len(x), trace.z[0].numel()), x, self.training)
            signs = torch.where(noise < 0, -1.0, 1.0).to(x.dtype)
            rows = jacobian_rows(model.mean_code, x, signs, batched=_vectorises(model.encoder))
            return torch.cat([v.flatten(2).square().sum(2) for v in rows]).mean(0)


class ContractiveHessian(nn.Module):
    r"""How much the Jacobian moves nearby: :math:`\mathbb E_\epsilon \lVert J(x) - J(x + \epsilon) \rVert_F^2`.

    With :math:`\epsilon \sim \mathcal N(0, \sigma^2 I)`; for small :math:`\sigma` it is :math:`\sigma^2` times the
    squared norm of the Hessian of the code. Beside :class:`Contractive` it makes the higher-order contractive
    autoencoder. It is for smooth activations: a ReLU's Jacobian is constant but for jumps. Exact but for the draws of
    :math:`\epsilon`; time and memory are 1 + K times those of :class:`Contractive`.

    In evaluation mode all examples share K draws that are always the same, so that figures repeat.

    Args:
        scale: :math:`\sigma > 0`, in units of the input.
        samples: K, draws of :math:`\epsilon` for each example, at least 1.
        precision: ``32``, or ``bf16``: a product of layers multiplies its matrices in bfloat16.

    Raises:
        BadOption: a scale that is not positive, no sample, or an unknown precision.

    References:
        Higher order contractive auto-encoder (Rifai et al., 2011)
    """

    name = "contractive_h"
    needs = frozenset({Offer.DIFFERENTIABLE})

    def __init__(self, scale: float = 0.1, *, samples: int = 1, precision: str = "32") -> None:
        super().__init__()
        check_range("The scale of the contractive Hessian penalty", scale, 0, 1e6, open_low=True)
        check_range("The number of samples", samples, 1, 1_000_000)
        check_choice("The precision of the contractive Hessian penalty", precision, PRECISIONS)
        self.scale, self.samples, self.precision = scale, samples, precision

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The mean squared distance of each example's Jacobian from those nearby."""
        x = trace.x_in
        noise = _normal((self.samples, *x.shape), x, self.training)
        points = torch.cat([x[None], x + self.scale * noise])
        with _at_rest(model):
            chain = _chain(model, x)
            if chain is None:
                rows = jacobian_rows(model.mean_code, points.flatten(0, 1), batched=_vectorises(model.encoder))
                squares = [per_example(self._moved(some.transpose(0, 1)).square()) for some in rows]
                return self._mean(torch.stack(squares).sum(0))
            at_once = max(1, AT_ONCE // ((1 + self.samples) * chain.values))
            return torch.cat([self._by_product(chain, some) for some in torch.split(points, at_once, 1)])

    def _by_product(self, chain: "Chain", points: Tensor) -> Tensor:
        """The penalty of examples (1 + K, B, *D), each with its neighbours, by the product of layers."""
        weights, slopes = _differentiate(chain, points.flatten(0, 1))
        # the Jacobians have their first matrix in common, so it is enough to compare what multiplies it
        if len(weights) == 1:
            return self._mean(squared_layer_norm(weights[0], self._moved(_first(slopes))))
        low = PRECISIONS[self.precision]
        return self._mean(squared_product_norm(self._moved(chain_factor(weights, slopes, low)), weights[0], low))

    def _moved(self, values: Tensor) -> Tensor:
        """What sets the K neighbours of each example, ((1 + K) B, ...), apart from it: (K B, ...)."""
        values = values.reshape(1 + self.samples, -1, *values.shape[1:])
        return (values[1:] - values[:1]).flatten(0, 1)

    def _mean(self, squares: Tensor) -> Tensor:
        return squares.reshape(self.samples, -1).mean(0)


def squared_code_jacobian(
    model: Model, x: Float[Tensor, "B *D"], *, product: bool = True, low: torch.dtype | None = None
) -> Float[Tensor, " B"]:
    r"""Squared Frobenius norm of the Jacobian of ``model.mean_code`` at each example, exact.

    Args:
        model: whose code.
        x: inputs of the encoder.
        product: multiply layers where the encoder is recognised, instead of differentiating it.
        low: precision in which the matrices of that product are multiplied; that of x where ``None``.

    Raises:
        IncompatibleParts: a batch normalisation without running statistics.
    """
    with _at_rest(model):
        chain = _chain(model, x) if product else None
        if chain is None:
            return squared_jacobian_norm(model.mean_code, x, batched=_vectorises(model.encoder))
        some = torch.split(x, max(1, AT_ONCE // chain.values))
        return torch.cat([_squared_norm(*_differentiate(chain, part), low) for part in some])


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
    """An encoder and a latent made of linear layers and elementwise functions.

    ``values`` is the largest number of values in the Jacobian of the code with respect to a hidden layer.
    """

    steps: list[Step]
    values: int


def _chain(model: Model, x: Tensor) -> Chain | None:
    """The mean code as a chain of the flattened input; ``None`` where it is not one."""
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
        elif type(layer) not in IDLE:
            return None
    return _headed(steps, model.latent)


def _headed(steps: list[Step], latent: nn.Module) -> Chain | None:
    """The chain of an encoder's steps and a latent whose mean is an activation of the first features.

    The latent is asked on a probe, so that every latent of that kind is known without its name.
    """
    function = ACTIVATIONS.get(str(getattr(latent, "activation", "linear")))
    affine = [step for step in steps if isinstance(step, Affine)]
    if not affine or function is None or any(True for _ in (*latent.parameters(), *latent.buffers())):
        return None
    weight, bias = affine[-1]
    with torch.no_grad():
        probe = torch.linspace(-30, 30, 2 * len(weight)).reshape(2, -1)
        mean: Tensor = latent(probe).mean
        d = mean[0].numel()
        if not mean.equal(function(probe[:, :d])):
            return None
    cut = Affine(weight[:d], None if bias is None else bias[:d])
    kept = [cut if step is affine[-1] else step for step in steps]
    return Chain([*kept, function], d * max([step.weight.shape[1] for step in affine[1:]], default=1))


def _differentiate(chain: Chain, x: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
    """Matrices of the chain from the data to the code, and at each example the slopes behind them."""
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
    """The layers of nested sequences, in order."""
    if type(module) is nn.Sequential and not _hooked(module):
        for inner in module:
            yield from _leaves(inner)
    else:
        yield module


def _hooked(layer: nn.Module) -> bool:
    """Whether a layer does more than its type says."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _function(layer: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """The elementwise function that a layer is, if it is one."""
    if type(layer).__name__ == "Activation":
        # the nets' own layer for an activation by name
        return ACTIVATIONS.get(str(layer.name))
    return layer if type(layer) in ELEMENTWISE and not getattr(layer, "inplace", False) else None


def _vectorises(encoder: nn.Module) -> bool:
    """Whether torch can be trusted to take many passes backward through the encoder at once."""
    leaves = [layer for layer in encoder.modules() if type(layer) is not nn.Sequential]
    return all(type(layer) in VECTORISED or _function(layer) is not None for layer in leaves)


def _normal(shape: tuple[int, ...], like: Tensor, fresh: bool) -> Tensor:
    """Standard normal draws (K, B, ...); when not fresh, always the same, and shared by all examples."""
    if fresh:
        return torch.randn(shape, dtype=like.dtype, device=like.device)
    draws = torch.randn((shape[0], 1, *shape[2:]), generator=torch.Generator().manual_seed(0))
    return draws.to(like).expand(shape)


@contextmanager
def _at_rest(model: Model) -> Iterator[None]:
    """The encoder and latent as in inference, with gradients as they are; then each module gets its mode back."""
    modes = {module: module.training for part in (model.encoder, model.latent) for module in part.modules()}
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is None for m in modes):
        raise IncompatibleParts(
            "The Jacobian of a code needs examples that do not meet, but a batch normalisation of the encoder has no "
            "running statistics. Build it with track_running_stats=True, or use another net.norm."
        )
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode

r"""Jacobians of a code with respect to its input, per example: rows and Frobenius norm.

.. math:: J(x) = \frac{\partial f(x)}{\partial x} \in \mathbb R^{d \times D}, \quad
          \lVert J \rVert_F^2 = \sum_i \lVert e_i^\top J \rVert^2

For any f the rows are vector-Jacobian products, from d backward passes. For a chain of affine maps and elementwise
functions, :math:`a_l = W_l h_{l-1} + b_l,\ h_l = s_l(a_l)`, the Jacobian is a product of matrices,
:math:`J = S_L W_L \cdots S_1 W_1` with :math:`S_l = \mathrm{diag}\,s_l'(a_l)`, multiplied from left to right.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.functional.basics import ACTIVATIONS, per_example

AT_ONCE = 1 << 22
"""Number of values of Jacobians computed at once: 16 MiB in float32, and a few times that in intermediate results."""


def jacobian_rows(
    function: Callable[[Tensor], Tensor],
    x: Float[Tensor, "B *D"],
    vectors: Float[Tensor, "K B d"] | None = None,
    *,
    batched: bool = False,
) -> Iterator[Float[Tensor, "k B *D"]]:
    r"""Vector-Jacobian products :math:`v_k^\top J(x_b)` in chunks over k; all rows of the Jacobian by default.

    The code of an example must not depend on other examples. The products have a gradient if gradients are enabled;
    they are also available inside ``torch.no_grad()``.

    Args:
        function: f, from (B, *D) to (B, *code) with d values per code.
        x: inputs, (B, *D).
        vectors: :math:`v_k`; the d unit vectors by default.
        batched: vectorize over k, instead of one backward pass per k. Faster, but torch vectorizes some layers (group
            normalization) incorrectly, so use it only for functions without such layers.

    >>> w = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.cat(list(jacobian_rows(lambda x: x @ w.T, torch.zeros(1, 2)))).squeeze(1).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        z = function(x).flatten(1)
    if vectors is None:
        vectors = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[:, None].expand(-1, *z.shape)
    for some in torch.split(vectors, max(1, AT_ONCE // x.numel()) if batched else 1):
        v = some if batched else some[0]
        (rows,) = torch.autograd.grad(z, x, v, create_graph=graph, retain_graph=True, is_grads_batched=batched)
        yield rows.reshape(len(some), *x.shape)


def squared_jacobian_norm(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "B *D"], *, batched: bool = False
) -> Float[Tensor, " B"]:
    r"""Squared Frobenius norm :math:`\lVert J(x_b) \rVert_F^2` of the Jacobian per example, shape (B,).

    >>> squared_jacobian_norm(lambda x: 3 * x, torch.zeros(2, 4)).tolist()
    [36.0, 36.0]
    """
    chunks = jacobian_rows(function, x, batched=batched)
    return torch.stack([per_example(rows.square().sum(0)) for rows in chunks]).sum(0)


def jacobian_norm(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "B *D"], *, batched: bool = False
) -> Float[Tensor, " B"]:
    r"""Frobenius norm :math:`\lVert J(x_b) \rVert_F` of the Jacobian per example, shape (B,).

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)

    >>> jacobian_norm(lambda x: 3 * x, torch.zeros(2, 4)).tolist()
    [6.0, 6.0]
    """
    return squared_jacobian_norm(function, x, batched=batched).sqrt()


def value_and_slope(
    function: Callable[[Tensor], Tensor], a: Float[Tensor, "B h"]
) -> tuple[Float[Tensor, "B h"], Float[Tensor, "B h"]]:
    r"""Value s(a) and derivative s'(a) of an elementwise function; the derivative is differentiable.

    For sigmoid and tanh the derivative is :math:`s(1 - s)` and :math:`1 - s^2`; for all others it is by autograd.

    >>> [t.tolist() for t in value_and_slope(torch.tanh, torch.zeros(1, 1))]
    [[[0.0]], [[1.0]]]
    """
    if function is ACTIVATIONS["sigmoid"]:
        s = function(a)
        return s, s * (1 - s)
    if function is ACTIVATIONS["tanh"]:
        s = function(a)
        return s, 1 - s.square()
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        a = a if a.requires_grad else a.detach().requires_grad_()
        s = function(a)
        (slope,) = torch.autograd.grad(s.sum(), a, create_graph=graph, retain_graph=True)
    return (s, slope) if graph else (s.detach(), slope)


def chain_factor(
    weights: Sequence[Tensor], slopes: Sequence[Tensor | None], low: torch.dtype | None = None
) -> Float[Tensor, "*B d h"]:
    r"""The left factor of the Jacobian of a chain, :math:`M = S_L W_L \cdots W_2 S_1`, so that :math:`J = M W_1`.

    It is multiplied from left to right, which takes :math:`d \sum_{l > 2} h_{l-1} h_{l-2}` multiplications per example.
    A chain of identity functions has the same M for all examples, without the axis B.

    Args:
        weights: :math:`W_1, \dots, W_L` from the input to the code, :math:`(h_l, h_{l-1})` each, at least two.
        slopes: :math:`s_l'(a_l)`, :math:`(B, h_l)` each; ``None`` for the identity.
        low: precision of the matrix products; that of the weights by default.
    """
    m = weights[-1] if slopes[-1] is None else slopes[-1][:, :, None] * weights[-1]
    for weight, slope in zip(reversed(weights[1:-1]), reversed(slopes[1:-1]), strict=True):
        m = _product(m if slope is None else m * slope[:, None, :], weight, low)
    return m if slopes[0] is None else m * slopes[0][:, None, :]


def squared_product_norm(
    m: Float[Tensor, "*B d h"],
    w: Float[Tensor, "h D"],
    low: torch.dtype | None = None,
    *,
    gram: bool | None = None,
) -> Float[Tensor, " *B"]:
    r"""Squared Frobenius norm :math:`\lVert M W \rVert_F^2 = \mathrm{tr}(M\,W W^\top M^\top)`.

    The Gram matrix :math:`W W^\top`, computed once for all examples, is used if it saves multiplications,
    :math:`nh^2 + h^2 D < nhD` for n rows in total; ``gram`` overrides this choice.

    >>> squared_product_norm(torch.ones(1, 2), torch.eye(2)).item()
    2.0
    """
    h, size = w.shape
    rows = m.numel() // h
    if gram is None:
        gram = rows * h + h * size < rows * size
    if gram:
        return (_product(m, _product(w, w.t(), low), low) * m).sum((-2, -1))
    return _product(m, w, low).square().sum((-2, -1))


def squared_layer_norm(w: Float[Tensor, "d D"], slope: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
    r"""Squared Frobenius norm of the Jacobian of one layer, :math:`\sum_i s'(a_i)^2 \sum_j W_{ij}^2`, shape (B,).

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011), equation 7

    >>> squared_layer_norm(torch.ones(2, 3), torch.full((1, 2), 2.0)).item()
    24.0
    """
    return slope.square() @ w.square().sum(1)


def _product(a: Tensor, b: Tensor, low: torch.dtype | None) -> Tensor:
    """A matrix product, in precision ``low`` if it is not ``None``."""
    return a @ b if low is None else (a.to(low) @ b.to(low)).to(a.dtype)

r"""What the code is like: how many of its values are in use or saturated, and how far an input's step moves it."""

import torch
from torch import Tensor

from isthmus.errors import IncompatibleParts
from isthmus.functional.jacobians import jacobian_norm
from isthmus.model import Autoencoder, Chunked, chunks, inference
from isthmus.trace import Offer

WIDEST = 2048
"""Values of a code above which its Jacobian is not measured."""
EXAMPLES, ROWS = 500, 2**16
"""Examples whose Jacobian is measured, at most, and rows of Jacobians: long codes are measured on fewer examples."""


def sparsity(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    """How many values of a code with exact zeros are in use; nothing where no value is exactly zero.

    ``l0`` is the number of values that are not zero, mean over examples; ``dead_fraction`` the share of the code's
    values that are zero on every example. Neither is given where the code is not of real numbers: on the grid of a
    finite scalar code zero is a level like any other.
    """
    if Offer.REAL not in model.latent.offers:  # type: ignore[operator]
        return {}
    used: Tensor | None = None
    count, n = 0, 0
    for chunk in chunks(x):
        n += len(chunk)
        here = model.encode(chunk).flatten(1) != 0
        count += int(here.sum().item())
        used = here.any(0) if used is None else used | here.any(0)
    assert used is not None
    if count == n * len(used):
        return {}
    return {"l0": count / n, "dead_fraction": 1 - used.double().mean().item()}


def saturation(model: Autoencoder, x: Tensor | Chunked, *, margin: float = 0.05) -> float:
    r"""Share of the code's values within ``margin`` of either end of [0, 1], mean over examples.

    There a sigmoid is nearly flat, so a unit that is saturated on an example hardly moves with it.

    Raises:
        IncompatibleParts: a code that has no ends.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011), table 1
    """
    if Offer.UNIT_INTERVAL not in model.latent.offers:  # type: ignore[operator]
        raise IncompatibleParts(
            f"Saturation is that of {Offer.UNIT_INTERVAL}, but the code of {type(model.latent).__name__} has no ends. "
            "Use latents.Deterministic('sigmoid')."
        )
    count, n = 0, 0
    for chunk in chunks(x):
        z = model.encode(chunk)
        count, n = count + int(((z < margin) | (z > 1 - margin)).sum().item()), n + z.numel()
    return count / n


def sensitivity(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    r"""Mean Frobenius norm of the encoder's Jacobian, :math:`\lVert\partial\,\mathbb E[z|x] / \partial x\rVert_F`.

    It is exact, one backward pass for each value of the code, over the first examples alone: 500, and fewer for codes
    above 131 values. Nothing is given for codes that are no smooth function of the input, or wider than 2,048.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)
    """
    width = torch.Size(model.code or ()).numel()
    if Offer.DIFFERENTIABLE not in model.latent.offers or width > WIDEST:  # type: ignore[operator]
        return {}
    first = next(chunks(x, min(EXAMPLES, ROWS // width))).to(model.like.device, model.like.dtype)
    with inference(model):
        return {"jacobian_norm": jacobian_norm(model.mean_code, first).mean().item()}

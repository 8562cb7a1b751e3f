r"""Metrics of codes: sparsity, codebook usage, saturation, and sensitivity to the input."""

import torch
from torch import Tensor

from isthmus.distributions import NearestCodeword
from isthmus.errors import IncompatibleParts
from isthmus.functional.jacobians import jacobian_norm
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks
from isthmus.parts.latents import Quantized
from isthmus.parts.protocols import Capability

WIDEST = 2048
"""Largest size of a code whose Jacobian is computed."""
EXAMPLES, ROWS = 500, 2**16
"""Largest number of examples whose Jacobian is computed, and of rows of their Jacobians in total."""


def sparsity(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    """Sparsity of the code: ``l0`` and ``dead_fraction``; empty if no value is exactly zero.

    ``l0`` is the mean number of nonzero values per example; ``dead_fraction`` is the fraction of code values that are
    zero for all examples. Empty also for codes that are not real-valued, since zero is an ordinary level of a finite
    scalar code.
    """
    if Capability.REAL not in model.latent.provides:
        return {}
    used: Tensor | None = None
    count, n = 0, 0
    for chunk in chunks(x):
        n += len(chunk)
        nonzero = model.encode(chunk).flatten(1) != 0
        count += int(nonzero.sum().item())
        used = nonzero.any(0) if used is None else used | nonzero.any(0)
    assert used is not None
    if count == n * len(used):
        return {}
    return {"l0": count / n, "dead_fraction": 1 - used.double().mean().item()}


def codebook_use(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    r"""Perplexity of codeword usage, ``codebook_perplexity``; empty for models without a codebook.

    .. math:: \exp\Bigl(-\sum_k p_k \log p_k\Bigr), \quad 1 \text{ to } K

    where :math:`p_k` is the relative frequency of codeword k in the codes of all examples.

    References:
        Neural discrete representation learning (van den Oord et al., 2017)
    """
    if not isinstance(model.latent, Quantized):
        return {}
    counts = torch.zeros(len(model.latent.codebook), dtype=torch.float64)
    with inference(model):
        for chunk in chunks(x):
            q = model.posterior(chunk.to(model.like.device, model.like.dtype))
            assert isinstance(q, NearestCodeword)
            counts += torch.bincount(q.index.flatten().cpu(), minlength=len(counts))
    p = counts / counts.sum()
    return {"codebook_perplexity": torch.exp(-torch.xlogy(p, p).sum()).item()}


def saturation(model: Autoencoder, x: Tensor | Chunked, *, margin: float = 0.05) -> float:
    r"""Fraction of saturated code values: those within ``margin`` of 0 or 1, mean over examples.

    The derivative of a sigmoid is small there, so a saturated unit is insensitive to the input.

    Raises:
        IncompatibleParts: the code is not restricted to [0, 1].

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011), table 1
    """
    if Capability.UNIT_INTERVAL not in model.latent.provides:
        raise IncompatibleParts(
            f"Saturation requires {Capability.UNIT_INTERVAL}, which latent {type(model.latent).__name__} does not "
            "provide. Use latents.Deterministic('sigmoid')."
        )
    count, n = 0, 0
    for chunk in chunks(x):
        z = model.encode(chunk)
        count, n = count + int(((z < margin) | (z > 1 - margin)).sum().item()), n + z.numel()
    return count / n


def sensitivity(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    r"""Mean Frobenius norm of the encoder's Jacobian, :math:`\lVert\partial\,\mathbb E[z|x] / \partial x\rVert_F`.

    It is exact, with one backward pass per code value, over the first 500 examples, or fewer for codes of more than 131
    values, with missing values filled. Empty for codes that are not differentiable, or have more than 2,048 values.

    References:
        Contractive auto-encoders: explicit invariance during feature extraction (Rifai et al., 2011)
    """
    width = torch.Size(model.code_shape or ()).numel()
    if Capability.DIFFERENTIABLE not in model.latent.provides or width > WIDEST:
        return {}
    first = model.filled(next(chunks(x, min(EXAMPLES, ROWS // width))).to(model.like.device, model.like.dtype))
    with inference(model):
        return {"jacobian_norm": jacobian_norm(model.mean_code, first).mean().item()}

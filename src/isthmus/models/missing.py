"""Missing values, NaN: whether a model and the terms of its loss can leave them out.

Each term is tried, rather than looked up, so that parts from outside Isthmus are judged like its own.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from isthmus.errors import BadData, IncompatibleParts, ShapeError
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.seeding import seeded
from isthmus.parts.likelihoods.support import clip_to_support
from isthmus.parts.protocols import Shape, Trace

WAYS_OUT = "Impute them, or leave out their rows with data.on_bad_data=skip"
"""What to do about missing values that a part cannot leave out."""

Terms = Callable[[Trace], dict[str, Tensor]]
"""All terms of a loss by name, from the trace of a forward pass."""


def accept(model: Autoencoder, fill: Tensor, terms: Terms) -> None:
    """Set ``model.fill``, after checking that all terms of the loss can leave out missing values.

    Raises:
        BadData: fill values that are not finite or outside the support of the likelihood.
        IncompatibleParts: a term that cannot leave out missing values.
        ShapeError: fill values of another shape than the examples, or a model without a shape.
    """
    before = model.fill
    model.fill = _checked(model, fill)
    try:
        faulty = _faulty(model, terms)
    except BaseException:
        model.fill = before
        raise
    if faulty is not None:
        model.fill = before
        raise IncompatibleParts(
            f"Missing values cannot be left out of {faulty}, a term of the loss that is not finite for them. Use "
            f"another part for it, or leave it out. {WAYS_OUT}."
        )


def check_initialized(model: Autoencoder) -> None:
    """Check that the likelihood was initialized with finite values from examples with missing values.

    Raises:
        IncompatibleParts: it was not.
    """
    likelihood = model.likelihood
    state = [*likelihood.parameters(), *likelihood.buffers()]
    if model.fill is not None and any(bool(value.isnan().any()) for value in state):
        raise IncompatibleParts(
            f"Likelihood {type(likelihood).__name__} cannot be initialized from examples with missing values. "
            f"{WAYS_OUT}."
        )


def _checked(model: Autoencoder, fill: Tensor) -> Tensor:
    """The values that replace missing ones, in the precision of the model and on its device."""
    fill, shape = fill.detach().to(model.like), model.shape
    if shape is None or not _broadcasts(fill.shape, (1, *shape)):
        raise ShapeError(
            f"The values that replace missing ones must have shape {(1, *(shape or ()))} or broadcast with it, but "
            f"have shape {tuple(fill.shape)}. Pass one value per feature."
        )
    if not bool(fill.isfinite().all()):
        raise BadData(
            "The values that replace missing ones must be finite, but contain NaN or infinity: a feature that is never "
            "observed has no mean. Remove such features."
        )
    # a fill value between two gray levels is as good as a level: its cells are left out of the likelihood
    model.likelihood.check(clip_to_support(fill.expand(1, *shape), model.likelihood))
    return fill


def _broadcasts(shape: Shape, to: Shape) -> bool:
    """Whether a tensor of ``shape`` can be expanded to the shape ``to``."""
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape[::-1], to[::-1], strict=False))


def _faulty(model: Autoencoder, terms: Terms) -> str | None:
    """The first term whose value or gradient is not finite with missing values, but is finite without them."""
    assert model.fill is not None
    assert model.shape is not None
    whole = clip_to_support(model.fill.expand(2, *model.shape).clone(), model.likelihood)
    holes = torch.arange(whole.numel(), device=whole.device).reshape(whole.shape) % 2 == 0
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = []
    for x in (whole.masked_fill(holes, torch.nan), whole):
        with inference(model), seeded(0), torch.enable_grad():
            values = terms(model(x))
        found.append({name: _finite(value, parameters) for name, value in values.items()})
    missing, control = found
    return next((name for name, finite in missing.items() if not finite and control[name]), None)


def _finite(term: Tensor, parameters: list[torch.nn.Parameter]) -> bool:
    """Whether a term and its gradients are finite."""
    if not bool(term.isfinite()):
        return False
    if not term.requires_grad:
        return True
    gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    return all(bool(g.isfinite().all()) for g in gradients if g is not None)

"""What a model would take, found on no device at all, so that absurd sizes are refused before any memory is taken.

A draft on torch's ``meta`` device has shapes and no values. Its weights are counted, and its rehearsal is run there
once, so the products of several options (samples and widths, projections and codes) are seen as well.
"""

from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isthmus.errors import BadOption
from isthmus.objective import Objective
from isthmus.trace import Shape

MOST_WEIGHTS = 2**31
"""Weights that a recipe may ask for: 8 GiB."""
MOST_VALUES = 2**28
"""Values of the largest tensor in one pass of two examples: 1 GiB."""


class _TooLarge(Exception):
    """A tensor beyond the bound. No kind of error that anything in between could take for its own."""


class _Measure(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stops at the first tensor whose memory would exceed the bound."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then look at what it made."""
        made = func(*args, **(kwargs or {}))
        given = {_memory(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        for value in tree_leaves(made):
            # what shares the memory of something given, such as a weight transposed, takes none of its own
            if isinstance(value, Tensor) and _memory(value) not in given:
                size = value.untyped_storage().nbytes()
                if size > 4 * MOST_VALUES:
                    raise _TooLarge(size)
        return made


def _memory(value: Tensor) -> int:
    """Which memory a tensor stands on."""
    return int(value.untyped_storage()._cdata)


def check_weights(draft: nn.Module) -> None:
    """Refuse a model with more weights and buffers than any machine of today holds.

    Raises:
        BadOption: there are more than :data:`MOST_WEIGHTS`.
    """
    count = sum(value.numel() for value in (*draft.parameters(), *draft.buffers()))
    if count > MOST_WEIGHTS:
        raise BadOption(
            f"The networks would have {count:.2g} weights, but at most {MOST_WEIGHTS:.2g} are built. Make net.widths, "
            "net.channels, latent.size or prior.components smaller."
        )


def check_pass(draft: Objective, shape: Shape) -> None:
    """Refuse a model of which one pass of two examples would make a tensor too large.

    What cannot be run without values is left to the rehearsal with values, and so is every other misfit.

    Raises:
        BadOption: a tensor of more than :data:`MOST_VALUES` values.
    """
    try:
        with _Measure():  # type: ignore[no-untyped-call]
            draft.model.join(shape)
            draft.rehearse()
    except _TooLarge as error:
        raise BadOption(
            f"One pass of two examples would make a tensor of {error.args[0] / 2**30:,.1f} GiB, but at most "
            f"{MOST_VALUES / 2**28:g} GiB are taken. Make net.widths, net.channels, latent.size, or numbers such as "
            "fidelity.samples smaller."
        ) from None
    except Exception:  # noqa: S110  the rehearsal with values meets it again, and says it well
        pass

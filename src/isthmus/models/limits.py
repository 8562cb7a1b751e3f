"""Limits on the size of a model, checked on torch's ``meta`` device before any memory is allocated.

A draft on the ``meta`` device has shapes but no values. Its weights are counted, and a dry run on two examples finds
tensors that are too large through a combination of options (samples and widths, projections and codes).
"""

from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isthmus.errors import BadOption
from isthmus.models.objective import Objective
from isthmus.parts.protocols import Shape

MOST_WEIGHTS = 2**31
"""Largest number of weights and buffers of a recipe: 8 GiB in float32."""
MOST_VALUES = 2**28
"""Largest number of values of a tensor in a forward pass of two examples: 1 GiB in float32."""


class _TooLarge(Exception):
    """A tensor exceeds the limit. It derives from ``Exception`` only, so that no other code catches it by its type."""


class _Measure(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises an error at the first tensor whose memory would exceed the limit."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and check the size of its results."""
        result = func(*args, **(kwargs or {}))
        inputs = {_memory(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        for value in tree_leaves(result):
            # views of an argument, such as a transposed weight, allocate no memory
            if isinstance(value, Tensor) and _memory(value) not in inputs:
                size = value.untyped_storage().nbytes()
                if size > 4 * MOST_VALUES:
                    raise _TooLarge(size)
        return result


def _memory(value: Tensor) -> int:
    """Identity of the storage of a tensor."""
    return int(value.untyped_storage()._cdata)


def check_weights(draft: nn.Module) -> None:
    """Check the number of weights and buffers of a model.

    Raises:
        BadOption: more than :data:`MOST_WEIGHTS`.
    """
    count = sum(value.numel() for value in (*draft.parameters(), *draft.buffers()))
    if count > MOST_WEIGHTS:
        raise BadOption(
            f"The networks would have {count:.2g} weights, but at most {MOST_WEIGHTS:.2g} are allowed. Reduce "
            "net.widths, net.channels, latent.size or prior.components."
        )


def check_pass(draft: Objective, shape: Shape) -> None:
    """Check the size of all tensors in a forward pass of two examples.

    All other errors are ignored here; the dry run with values reports them.

    Raises:
        BadOption: a tensor of more than :data:`MOST_VALUES` values.
    """
    try:
        with _Measure():  # type: ignore[no-untyped-call]
            draft.dry_run(shape)
    except _TooLarge as error:
        raise BadOption(
            f"A forward pass of two examples would allocate a tensor of {error.args[0] / 2**30:,.1f} GiB, but at most "
            f"{MOST_VALUES / 2**28:g} GiB are allowed. Reduce net.widths, net.channels, latent.size, or counts such as "
            "fidelity.samples."
        ) from None
    except Exception:  # noqa: S110  the dry run with values raises and reports it
        pass

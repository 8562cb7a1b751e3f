"""The losses of examples that are not trained on."""

from collections.abc import Callable

from torch import Tensor

from isthmus.model import Chunked, chunks, inference, seeded
from isthmus.objective import Objective


def losses(
    objective: Objective, x: Tensor | Chunked, *, seed: int = 0, between: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Named losses of ``x`` with final weights: means over examples by count, in nats, in float32.

    Codes, and corruptions where the run has one, are drawn with a seed of their own, so that the same weights give
    the same figures. ``between`` is called between two chunks; what it raises ends the work.
    """
    sums: dict[str, float] = {}
    n = 0
    like = objective.model.like
    with inference(objective), seeded(seed):
        for chunk in chunks(x):
            between()
            n += len(chunk)
            total, parts, _ = objective(chunk.to(like.device, like.dtype), corrupt=True)
            for name, value in {"loss": total, **parts}.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(chunk)
    return {name: value / n for name, value in sums.items()}

"""The losses of examples that are not trained on."""

from collections.abc import Callable

import torch
from torch import Tensor

from isthmus.model import Chunked, chunks, inference, seeded
from isthmus.objective import Objective
from isthmus.training.batches import stream
from isthmus.training.processes import Processes


def losses(
    objective: Objective,
    x: Tensor | Chunked,
    *,
    seed: int = 0,
    between: Callable[[], None] = lambda: None,
    processes: Processes | None = None,
) -> dict[str, float]:
    """Named losses of ``x`` with final weights: means over examples by count, in nats, in float32.

    Codes, and corruptions where the run has one, are drawn with a seed of their own for each chunk, so that the same
    weights give the same figures. Where there are several ``processes``, each takes its share of the chunks, and all
    know the result. ``between`` is called between two chunks; what it raises ends the work.
    """
    processes = processes or Processes()
    names = ["loss", objective.fit, *objective.schedules]
    # the last sum counts examples; float64, for it runs over all of them
    sums = torch.zeros(len(names) + 1, dtype=torch.float64)
    like = objective.model.like
    with inference(objective):
        for number, chunk in enumerate(chunks(x)):
            if number % processes.world != processes.rank:
                continue
            between()
            with seeded(stream(seed, number)):
                total, parts, _ = objective(chunk.to(like.device, like.dtype), corrupt=True)
            found = {"loss": total, **parts}
            sums += len(chunk) * torch.stack([*(found[name] for name in names), torch.ones_like(total)]).cpu().double()
    *values, n = processes.total(sums.to(processes.device)).tolist()
    return {name: value / n for name, value in zip(names, values, strict=True)}

"""Evaluation of the training objective on a set of examples."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from isthmus.models.autoencoder import inference
from isthmus.models.inputs import Chunked, paired_chunks
from isthmus.models.objective import Objective
from isthmus.models.seeding import derive_seed, seeded


class Workers(Protocol):
    """Processes that share the evaluation.

    Attributes:
        rank: index of this process.
        world: number of processes.
        device: device of the tensors of this process.
    """

    rank: int
    world: int
    device: torch.device

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        ...


def losses(
    objective: Objective,
    x: Tensor | Chunked,
    *,
    seed: int = 0,
    between: Callable[[], None] = lambda: None,
    processes: Workers | None = None,
    inputs: Tensor | Chunked | None = None,
) -> dict[str, float]:
    """The loss and its terms on ``x`` with final weights, by name: means over examples, in nats, computed in float32.

    Codes and corruptions are sampled with one seed per chunk, so that equal weights give equal values. With several
    ``processes`` each evaluates some of the chunks, and all get the result. ``between`` is called between two chunks;
    an exception from it ends the evaluation. ``inputs`` are what the encoder sees instead of ``x``, for pairs.
    """
    names = ["loss", objective.fidelity_name, *objective.schedules]
    # the last sum counts examples; float64, since the sums are over all examples
    sums = torch.zeros(len(names) + 1, dtype=torch.float64)
    like = objective.model.like
    with inference(objective):
        for number, (chunk, seen) in enumerate(paired_chunks(x, inputs)):
            if processes is not None and number % processes.world != processes.rank:
                continue
            between()
            pair = {} if inputs is None else {"x_in": seen.to(like.device, like.dtype)}
            with seeded(derive_seed(seed, number)):
                total, terms, _ = objective(chunk.to(like.device, like.dtype), corrupt=True, **pair)
            values = {"loss": total, **terms}
            means = torch.stack([*(values[name] for name in names), torch.ones_like(total)])
            sums += len(chunk) * means.cpu().double()
    *totals, n = (sums if processes is None else processes.total(sums.to(processes.device))).tolist()
    return {name: value / n for name, value in zip(names, totals, strict=True)}

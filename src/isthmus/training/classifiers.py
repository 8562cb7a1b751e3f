r"""Networks trained to tell examples apart, for the sake of their features: on classes, or on the examples themselves.

.. math:: \min\; -\log \mathrm{softmax}_y(W \phi(x) + b)

Without classes every one of some hundred examples is a class of its own, of which random shifts, rotations, scales and
contrasts are seen: what stays the same under these is what the features describe.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from isthmus.errors import BadData
from isthmus.functional import affine, shifted
from isthmus.models.hardware import network_precision
from isthmus.models.seeding import seeded

EXEMPLARS = 400
"""Examples that are classes of their own, at most."""
STEPS, BATCH, RATE = 800, 64, 2e-3
SHIFT, ANGLE, SCALE, CONTRAST = 0.1, 15.0, 0.15, 0.4
"""Largest shift as a fraction of the side, rotation in degrees, and relative change of size and of contrast."""

Progress = Callable[[float], None]


def train_features(
    net: nn.Module,
    x: Float[Tensor, "N *D"],
    labels: Int[Tensor, " N"] | None = None,
    *,
    seed: int = 0,
    steps: int = STEPS,
    progress: Progress = lambda fraction: None,
) -> nn.Module:
    """Train a network whose last feature is a vector, in place; returns the classifier on that vector.

    Args:
        net: module that maps examples to a list of features.
        x: examples (N, *D), in the units of the network.
        labels: their classes from 0; without them the examples themselves are recognized.
        seed: seed of examples, batches and changes.
        steps: number of updates.
        progress: called with the fraction of the steps that is done.

    Raises:
        BadData: fewer than two classes or examples.
    """
    kept = [p.requires_grad for p in net.parameters()]
    with seeded(seed), torch.enable_grad():
        classes, batch = _task(x, labels)
        net.requires_grad_(True)
        with torch.no_grad():
            width = net(x[:2])[-1].shape[1]
        head = nn.Linear(width, classes).to(x.device)
        _minimize(net.train(), head, batch, steps, progress)
    for parameter, trainable in zip(net.parameters(), kept, strict=True):
        parameter.requires_grad_(trainable)
    net.eval()
    return head


def _task(x: Tensor, labels: Tensor | None) -> tuple[int, Callable[[], tuple[Tensor, Tensor]]]:
    """The number of classes, and a function that draws a batch of examples and classes."""
    x = x.nan_to_num(0.0)
    if labels is not None:
        classes = int(labels.max()) + 1 if len(labels) else 0
        if classes < 2:
            raise BadData("Features cannot be trained on labels of a single class. Leave the labels out.")
        targets = labels.to(x.device)

        def labeled() -> tuple[Tensor, Tensor]:
            rows = torch.randint(len(x), (BATCH,), device=x.device)
            return varied(x[rows], gently=True), targets[rows]

        return classes, labeled
    if len(x) < 2:
        raise BadData("Features are trained to tell examples apart, which needs at least two of them. Pass more data.")
    chosen = x[torch.randperm(len(x), device=x.device)[:EXEMPLARS]]

    def exemplars() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(chosen), (BATCH,), device=x.device)
        return varied(chosen[rows]), rows

    return len(chosen), exemplars


def varied(x: Float[Tensor, "B *D"], *, gently: bool = False) -> Float[Tensor, "B *D"]:
    """Examples with random changes: images are moved, turned and scaled, sequences moved; all have other contrasts.

    ``gently`` moves by a fifth as much, and changes nothing else.
    """
    if x.ndim >= 4 and not gently:
        angle = ANGLE * (2 * torch.rand(len(x), device=x.device) - 1)
        x = affine(x, angle, 1 + SCALE * (2 * torch.rand(len(x), device=x.device) - 1))
    if x.ndim >= 3:
        share = SHIFT / 5 if gently else SHIFT
        reach = torch.tensor([max(1, round(share * side)) for side in x.shape[-min(2, x.ndim - 2) :]], device=x.device)
        moved = (torch.rand(len(x), len(reach), device=x.device) * (2 * reach + 1)).floor().long() - reach
        x = shifted(x, moved, edges="reflect")
    if gently:
        return x
    around = x.flatten(1).mean(1).reshape(-1, *[1] * (x.ndim - 1))
    factor = 1 + CONTRAST * (2 * torch.rand_like(around) - 1)
    return around + factor * (x - around)


def _minimize(
    net: nn.Module,
    head: nn.Module,
    batch: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    progress: Progress,
) -> None:
    """Minimize the cross-entropy by AdamW with a learning rate that rises and falls."""
    parameters = [*net.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    device = parameters[0].device
    low = network_precision("auto", device)
    for step in range(steps):
        x, y = batch()
        with torch.autocast(device.type, dtype=low, enabled=low is not None):
            logits = head(net(x)[-1])
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        progress((step + 1) / steps)

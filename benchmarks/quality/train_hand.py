"""The hand-written loop of the comparison of speed, until a figure is reached.

By default fused Adam at a constant 1e-3; or with the optimizer, schedule, batch size and initial weights of Isthmus.
"""

import math

import numpy as np
import torch
import torch._dynamo  # loaded by the first optimizer; imports do not count for anyone
from by_hand import one_pass, optimizers, placed, tune_allocator
from figures import Coder
from judge import Judge
from networks import pair
from rows import Row
from tasks import TASKS, Settings, Spec
from torch import Tensor, nn

MAPS, BLOCKS, NOISE = 32, 4, 0.2


class Noise(nn.Module):
    """Gaussian noise cut to [0, 1], in training only."""

    def forward(self, x: Tensor) -> Tensor:
        """The noisy images."""
        return (x + NOISE * torch.randn_like(x)).clamp(0, 1) if self.training else x


class Block(nn.Module):
    """A residual block that begins as the identity."""

    def __init__(self) -> None:
        super().__init__()
        first, last = (nn.Conv2d(MAPS, MAPS, 3, 1, 1) for _ in range(2))
        self.inner = nn.Sequential(nn.ReLU(), first, nn.ReLU(), last)

    def forward(self, h: Tensor) -> Tensor:
        """The maps and their correction."""
        return h + self.inner(h)


def restoring() -> tuple[nn.Sequential, nn.Sequential]:
    """The network of the recipe ``conv_denoising``."""
    down, up = nn.Conv2d(1, MAPS, 4, 2, 1), nn.ConvTranspose2d(MAPS, 1, 4, 2, 1)
    inwards, outwards = ([Block() for _ in range(BLOCKS)] for _ in range(2))
    return nn.Sequential(Noise(), down, *inwards), nn.Sequential(*outwards, nn.ReLU(), up)


INITIAL = {
    "glorot": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}


def network(net: str, init: str, seed: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of a task."""
    torch.manual_seed(seed)
    encoder, decoder = restoring() if net == "restoring" else pair(net, seed)
    for layer in (*encoder.modules(), *decoder.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            INITIAL[init](layer.weight)
            nn.init.zeros_(layer.bias)
    for block in (*encoder.modules(), *decoder.modules()):
        if isinstance(block, Block):
            nn.init.zeros_(block.inner[-1].weight)
    return encoder, decoder


class Cosine:
    """An optimizer whose rate follows half a cosine to 0 over so many steps, or is constant (0 steps)."""

    def __init__(self, tool: torch.optim.Optimizer, rate: float, steps: int) -> None:
        self.tool, self.rate, self.steps, self.done = tool, rate, steps, 0

    def step(self) -> None:
        """One step at the rate of this moment."""
        if self.steps:
            rate = self.rate * (1 + math.cos(math.pi * self.done / self.steps)) / 2
            for group in self.tool.param_groups:
                group["lr"] = rate
        self.done += 1
        self.tool.step()


def tools_of(parameters: list[nn.Parameter], row: Row, settings: Settings, per_epoch: int) -> tuple[list[Cosine], int]:
    """The optimizers and the number of epochs; without settings of Isthmus, Adam until the judge ends it."""
    kind = settings.get("training.optimizer", "adam")
    if kind == "adamw":
        decay = settings["training.weight_decay"]
        found: list[torch.optim.Optimizer] = [torch.optim.AdamW(parameters, row.rate, weight_decay=decay, fused=True)]
    else:
        found = optimizers(parameters, row, kind)
    steps = settings.get("training.steps") or settings.get("training.epochs", 10**6) * per_epoch
    cosine = steps if settings.get("training.schedule") == "cosine" else 0
    return [Cosine(tool, row.rate, cosine) for tool in found], -(-steps // per_epoch)


def train(spec: Spec, images: np.ndarray, judge: Judge) -> Coder:
    """Train until the judge ends it, or the schedule of the learning rate does."""
    net, settings = TASKS[spec["task"]].net, spec["settings"]
    batch, rate = settings["training.batch_size"], settings.get("training.learning_rate", 1e-3)
    init = settings.get("net.init", "he" if net == "restoring" else "glorot")
    row = Row("", net, batch, len(images), {}, rate=rate)
    judge.start()
    tune_allocator()
    encoder, decoder = network(net, init, spec["seed"])
    x = placed(images, encoder, decoder)
    tools, epochs = tools_of([*encoder.parameters(), *decoder.parameters()], row, settings, -(-len(x) // batch))
    coder = Coder(encoder, lambda z: decoder(z).sigmoid())
    for _ in range(epochs):
        encoder.train()
        one_pass(encoder, decoder, x, row, tools)
        encoder.eval()
        if judge.ends(coder):
            break
    return coder

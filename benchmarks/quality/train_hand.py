"""The hand-written loop of the comparison of speed, until a figure is reached.

By default fused Adam at a constant 1e-3; or with the optimizer, schedule, batch size and initial weights of Isthmus.
"""

import math

import numpy as np
import torch
import torch._dynamo  # loaded by the first optimizer; imports do not count for anyone
from by_hand import one_pass, placed, stepping, tune
from figures import Coder
from judge import Judge
from networks import Pair, pair, started
from precision import dtype_of
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


def restoring() -> Pair:
    """The network of the recipe ``conv_denoising``."""
    down, up = nn.Conv2d(1, MAPS, 4, 2, 1), nn.ConvTranspose2d(MAPS, 1, 4, 2, 1)
    inwards, outwards = ([Block() for _ in range(BLOCKS)] for _ in range(2))
    return nn.Sequential(Noise(), down, *inwards), nn.Sequential(*outwards, nn.ReLU(), up)


def network(net: str, init: str, activation: str, seed: int) -> Pair:
    """Encoder and decoder of a task."""
    if net != "restoring":
        made = pair(net, seed, init)
        for part in made if activation == "gelu" else ():
            for place, layer in enumerate(part):
                part[place] = nn.GELU() if isinstance(layer, nn.ReLU) else layer
        return made
    encoder, decoder = started(restoring, seed, init)
    for block in (*encoder.modules(), *decoder.modules()):
        if isinstance(block, Block):
            nn.init.zeros_(block.inner[-1].weight)
    return encoder, decoder


class Cosine:
    """An optimizer whose rate follows half a cosine to 0 over so many steps, or is constant (0 steps)."""

    def __init__(self, tool: torch.optim.Optimizer, steps: int) -> None:
        self.tool, self.steps, self.done = tool, steps, 0
        self.rate: float = tool.param_groups[0]["lr"]

    def step(self) -> None:
        """One step at the rate of this moment."""
        if self.steps:
            rate = self.rate * (1 + math.cos(math.pi * self.done / self.steps)) / 2
            for group in self.tool.param_groups:
                group["lr"] = rate
        self.done += 1
        self.tool.step()


def tools_of(parameters: list[nn.Parameter], settings: Settings) -> list[torch.optim.Optimizer]:
    """Adam, by default at 1e-3; or Muon on the matrices between the first and the last one, as in Isthmus."""
    rate, decay = settings.get("training.learning_rate", 1e-3), settings.get("training.weight_decay", 0.0)
    matrices = [p for p in parameters if p.ndim == 2] if settings.get("training.optimizer") == "muon" else []
    hidden = matrices[1:-1]
    rest = [p for p in parameters if all(p is not other for other in hidden)]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, rate, weight_decay=decay, fused=True)]
    if hidden:
        found.append(torch.optim.Muon(hidden, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return found


def length_of(settings: Settings, per_epoch: int) -> tuple[int, int]:
    """Epochs of a run, and the steps over which its rate falls: 0 where it is constant."""
    steps = settings.get("training.steps") or settings.get("training.epochs", 10**6) * per_epoch
    return -(-steps // per_epoch), steps if settings.get("training.schedule") == "cosine" else 0


def train(spec: Spec, images: np.ndarray, judge: Judge) -> Coder:
    """Train until the judge ends it, or the schedule of the learning rate does."""
    net, settings = TASKS[spec["task"]].net, spec["settings"]
    row = Row("", net, settings["training.batch_size"], len(images), {})
    init = settings.get("net.init", "he" if net == "restoring" else "glorot")
    dtype = dtype_of(row.precision)
    judge.step = {"precision": str(dtype).removeprefix("torch."), "compiled": False}
    judge.start()
    tune(dtype)
    encoder, decoder = network(net, init, settings.get("net.activation", "relu"), spec["seed"])
    x = placed(images, net, encoder, decoder)
    epochs, falling = length_of(settings, -(-len(x) // row.batch))
    tools = [Cosine(tool, falling) for tool in tools_of([*encoder.parameters(), *decoder.parameters()], settings)]
    step = stepping(encoder, decoder, tools, dtype)
    coder = Coder(encoder, lambda z: decoder(z).sigmoid())
    for _ in range(epochs):
        encoder.train()
        one_pass(x, row, step)
        encoder.eval()
        if judge.ends(coder):
            break
    return coder

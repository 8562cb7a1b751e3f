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
from torch import nn
from unet_by_hand import UNet, squared_error


def network(net: str, init: str, activation: str, seed: int) -> Pair:
    """Encoder and decoder of a task; all of a U-Net is its encoder."""
    if net == "restoring":
        encoder, decoder = started(lambda: (nn.Sequential(UNet()), nn.Sequential()), seed, init)
        encoder[0].silence()
        return encoder, decoder
    made = pair(net, seed, init)
    for part in made if activation == "gelu" else ():
        for place, layer in enumerate(part):
            part[place] = nn.GELU() if isinstance(layer, nn.ReLU) else layer
    return made


class Cosine:
    """An optimizer whose rate follows half a cosine to 0 over so many steps, or is constant (0 steps).

    Before that the rate grows from 0 during the share ``warmup`` of the steps; gradients are cut to the norm ``clip``.
    """

    def __init__(self, tool: torch.optim.Optimizer, steps: int, warmup: float, clip: float | None) -> None:
        self.tool, self.steps, self.done, self.clip = tool, steps, 0, clip
        self.warm = int(warmup * steps)
        self.rate: float = tool.param_groups[0]["lr"]

    def step(self) -> None:
        """One step at the rate of this moment."""
        if self.steps:
            after = max(0, self.done - self.warm) / (self.steps - self.warm)
            rate = self.rate * min(1, (self.done + 1) / max(1, self.warm)) * (1 + math.cos(math.pi * after)) / 2
            for group in self.tool.param_groups:
                group["lr"] = rate
        if self.clip:
            nn.utils.clip_grad_norm_([p for group in self.tool.param_groups for p in group["params"]], self.clip)
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
    parameters = [*encoder.parameters(), *decoder.parameters()]
    warmup, clip = settings.get("training.warmup", 0), settings.get("training.gradient_clip")
    tools = [Cosine(tool, falling, warmup, clip) for tool in tools_of(parameters, settings)]
    if net == "restoring":
        step, coder = stepping(encoder, decoder, tools, dtype, loss_of=squared_error), Coder(encoder, decoder)
    else:
        step, coder = stepping(encoder, decoder, tools, dtype), Coder(encoder, lambda z: decoder(z).sigmoid())
    for _ in range(epochs):
        encoder.train()
        one_pass(x, row, step)
        encoder.eval()
        if judge.ends(coder):
            break
    return coder

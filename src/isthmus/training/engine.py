r"""The one loop that trains every autoencoder.

Lightning Fabric gives the device and the launch; the loop is ours and thin. The networks run in the chosen
precision, everything else (heads, losses, parameters) in float32. Nothing in a step waits for the device, except
that on a CPU, where it costs nothing, each loss is looked at; on an accelerator every ``LOOK`` steps.
"""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from isthmus.errors import BadOption, Diverged
from isthmus.model import CHUNK, inference, seeded
from isthmus.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.training.batches import Batches, stream
from isthmus.training.divergence import locate
from isthmus.training.hardware import channels_last, network_precision, tune_allocator
from isthmus.training.history import Epoch, Keeper, copy_of
from isthmus.training.optimisers import optimisers, rate_at, set_rate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOOK = 50
TARGET_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 3000, 20, 1000

Listener = Callable[[str, Epoch | int], None]
"""Told ``("step", n)`` now and then, and ``("epoch", record)`` after each epoch."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: every epoch, which weights were kept, and why it stopped."""

    history: list[Epoch]
    kept_epoch: int
    stopped: str
    seconds: float
    precision: str


def run_length(options: TrainingOptions, batches: int) -> tuple[int, int]:
    """Steps and epochs of a run with so many batches in an epoch.

    >>> run_length(TrainingOptions(), 550), run_length(TrainingOptions(steps=10), 4)
    ((11000, 20), (10, 3))
    """
    if options.steps is not None:
        return options.steps, -(-options.steps // batches)
    epochs = options.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, TARGET_STEPS // batches))
    return epochs * batches, epochs


class Engine:
    """One training run over data in memory.

    Args:
        objective: what to minimise; its model is trained in place.
        options: how.
        train: examples (N, *D), float32.
        valid: examples of the validation part, or ``None``.
        seed: of the batches and of every draw.
        dynamic: draw the training examples afresh as Bernoulli at every read.
        listener: told of progress.
    """

    def __init__(
        self,
        objective: Objective,
        options: TrainingOptions,
        train: Tensor,
        valid: Tensor | None = None,
        *,
        seed: int = 0,
        dynamic: bool = False,
        listener: Listener | None = None,
    ) -> None:
        self.objective, self.options, self.seed = objective, options, seed
        self.fabric = _fabric()
        self.precision = network_precision(options.precision, self.fabric.device)
        self.listener = listener or (lambda _kind, _what: None)
        objective.to(self.fabric.device)
        self.maps = channels_last(objective)
        self.train = self._placed(train)
        self.valid = None if valid is None else self._placed(valid)
        self.batches = Batches(self.train, options.batch, seed=seed, dynamic=dynamic)
        self.total, self.epochs = run_length(options, len(self.batches))
        _check_batches(objective, self.batches)
        self.look = 1 if self.fabric.device.type == "cpu" else LOOK
        self.players = objective.players()
        self.parameters = list(objective.parameters())
        self.step = 0

    def run(self) -> Outcome:
        """Train to the end, or to the stop that the options ask for, and leave the kept weights in the model.

        Raises:
            Diverged: a loss that is not finite; the best weights so far (the first ones in the first epoch) are kept.
        """
        tune_allocator()
        self._warn_of_unfinished()
        started = time.perf_counter()
        module, tools = self._set_up()
        keeper = Keeper(self.objective, self.options.patience, since=self._warm_epochs() + 1)
        history: list[Epoch] = []
        stopped = f"all {self.epochs} epochs done"
        first = copy_of(self.objective)
        try:
            with seeded(stream(self.seed, "noise")):
                for number in range(self.epochs):
                    history.append(self._epoch(number, module, tools))
                    self.listener("epoch", history[-1])
                    reason = keeper.see(history[-1])
                    if reason:
                        stopped = f"early, as {reason}"
                        break
        except BaseException:
            # whatever ended the run, the model is left with weights that were good
            self.objective.load_state_dict(keeper.weights or first)
            raise
        kept = self._keep(keeper, history)
        self.objective.eval()
        return Outcome(history, kept, stopped, time.perf_counter() - started, "bf16" if self.precision else "32")

    def _set_up(self) -> tuple[torch.nn.Module, list[Optimizer]]:
        """The objective and its optimisers, wrapped by Fabric where several processes must agree.

        On one device they would only cost time: up to a tenth of a step of the MLP VAE at batch 100 (docs/log.md).
        """
        tools = optimisers(self.options, self.objective)
        if self.fabric.world_size == 1:
            return self.objective, tools
        module: torch.nn.Module = self.fabric.setup_module(self.objective)
        return module, [cast(Optimizer, self.fabric.setup_optimizers(tool)) for tool in tools]

    def _epoch(self, number: int, module: torch.nn.Module, tools: list[Optimizer]) -> Epoch:
        """One pass over the training part, then the validation part."""
        started = time.perf_counter()
        self.objective.train()
        self.objective.model.autocast = self.precision
        names: list[str] = []
        sums = torch.zeros((), device=self.fabric.device)
        seen, rate, step = 0, 0.0, self.step
        try:
            for x in self.batches.epoch(number):
                if self.step >= self.total:
                    break
                rate = rate_at(self.step, self.total, self.options)
                set_rate(tools, rate)
                parts = self._step(x, module, tools, number, self.step - step)
                names = list(parts)
                # one small operation for all parts, and none that waits for the device
                sums = torch.add(sums, torch.stack(list(parts.values())), alpha=len(x))
                seen += len(x)
                self.step += 1
                if self.step % LOOK == 0:
                    self.listener("step", self.step)
        finally:
            self.objective.model.autocast = None
        train = {name: value / seen for name, value in zip(names, sums.tolist(), strict=True)}
        seconds = time.perf_counter() - started
        valid = self._validate()
        self._check_finite(number, {"training": train, "validation": valid or {}})
        weights = self.objective.weights(self.step - 1, self.total)
        return Epoch(number + 1, self.step, train, valid, weights, rate, seconds, round(seen / seconds, 1))

    def _check_finite(self, epoch: int, figures: dict[str, dict[str, float]]) -> None:
        """Refuse an epoch that ended in numbers that are not finite: its last step, or one nobody looked at."""
        for part, losses_of_part in figures.items():
            for name, value in losses_of_part.items():
                if not math.isfinite(value):
                    raise self._diverged(epoch, f"the {part} {name} is {value} at its end")

    def _step(
        self, x: Tensor, module: torch.nn.Module, tools: list[Optimizer], epoch: int, batch: int
    ) -> dict[str, Tensor]:
        """One update; the named losses of the batch, without gradient."""
        total, parts, critics = module(x, step=self.step, total=self.total, population=len(self.train))
        if self.step % self.look == 0 and not math.isfinite(total.detach().item()):
            where = locate(self.objective, x, self.step, self.total)
            raise self._diverged(epoch, where, f", batch {batch + 1} of {len(self.batches)}")
        for parameter in self.parameters:
            parameter.grad = None
        # players share no parameter and send each other no gradient, so one pass backward serves them all
        everything = sum(critics.values(), total)
        if self.fabric.world_size == 1:
            everything.backward()
        else:
            self.fabric.backward(everything)
        if self.options.clip is not None:
            for members in self.players.values():
                torch.nn.utils.clip_grad_norm_(members, self.options.clip)
        for tool in tools:
            tool.step()
        named = {"loss": total, **parts, **critics}
        return {name: value.detach() for name, value in named.items()}

    def _validate(self) -> dict[str, float] | None:
        """Losses of the validation part with final weights and always the same draws, so epochs compare."""
        return None if self.valid is None else losses(self.objective, self.valid, seed=stream(self.seed, "validation"))

    def _placed(self, x: Tensor) -> Tensor:
        x = x.to(self.fabric.device)
        return x.contiguous(memory_format=torch.channels_last) if self.maps and x.ndim == 4 else x.contiguous()

    def _keep(self, keeper: Keeper, history: list[Epoch]) -> int:
        """Put the weights that are to be kept into the model; the epoch they come from."""
        if self.options.keep == "last" or keeper.best is None:
            return history[-1].epoch
        self.objective.load_state_dict(keeper.weights)
        return keeper.best.epoch

    def _diverged(self, epoch: int, where: str, batch: str = "") -> Diverged:
        kept = "The best weights before that are kept" if epoch else "No epoch was finished, so no weights are kept"
        return Diverged(
            f"Training diverged in epoch {epoch + 1}{batch}: {where}. {kept}. Lower training.rate "
            f"(now {self.options.rate:g}) or set training.clip=1."
        )

    def _warm_epochs(self) -> int:
        """Epochs until every weight has reached its value."""
        longest = max([s.length(self.total) for s in self.objective.schedules.values()], default=0.0)
        return int(longest // len(self.batches))

    def _warn_of_unfinished(self) -> None:
        for name, schedule in self.objective.schedules.items():
            if schedule.unfinished(self.total):
                reached = schedule(self.total - 1, self.total)
                warnings.warn(
                    f"The warm-up of penalty {name} takes {schedule.steps} steps, but the run has {self.total}: its "
                    f"weight ends at {reached:.3g} of {schedule.value:g}. Give it as a fraction of the run "
                    f"(penalties.{name}.weight.fraction), or train longer.",
                    stacklevel=4,
                )


def _check_batches(objective: Objective, batches: Batches) -> None:
    """Refuse batches too small for what the networks do with them."""
    normed = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    if batches.smallest < 2 and any(isinstance(m, normed) for m in objective.modules()):
        raise BadOption(
            "Batch normalisation needs at least two examples in a batch, but a batch here has one. Use another "
            "net.norm, a larger training.batch, or more data."
        )


def losses(objective: Objective, x: Tensor, *, seed: int = 0) -> dict[str, float]:
    """Named losses of ``x`` with final weights: means over examples by count, in nats, in float32.

    Codes, and corruptions where the run has one, are drawn with a seed of their own, so that the same weights give
    the same figures.
    """
    sums: dict[str, float] = {}
    like = objective.model.like
    with inference(objective), seeded(seed):
        for chunk in torch.split(x, CHUNK):
            total, parts, _ = objective(chunk.to(like.device, like.dtype), corrupt=True)
            for name, value in {"loss": total, **parts}.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(chunk)
    return {name: value / len(x) for name, value in sums.items()}


def _fabric() -> "Fabric":
    """Fabric on the best single device; it is imported here, for its import takes seconds."""
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="auto", devices=1, precision="32-true")
    fabric.launch()
    return fabric

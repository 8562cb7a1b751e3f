r"""The one loop that trains every autoencoder.

Lightning Fabric gives the device and the launch; the loop is ours and thin. The networks run in the chosen
precision, everything else (heads, losses, parameters) in float32. Nothing in a step waits for the device, except
that on a CPU, where it costs nothing, each loss is looked at; on an accelerator every ``LOOK`` steps.
"""

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from isthmus.data.stored import Lazy
from isthmus.errors import Diverged
from isthmus.exact import solve
from isthmus.model import chunks, seeded
from isthmus.objective import Loss, Objective
from isthmus.options import TrainingOptions
from isthmus.training.batches import stream
from isthmus.training.checkpoints import Checkpoints, Found
from isthmus.training.checks import check_batches, check_tools, products, warn_of_unfinished
from isthmus.training.divergence import locate
from isthmus.training.hardware import channels_last, network_precision, threads, tune_allocator
from isthmus.training.history import Epoch, Keeper
from isthmus.training.optimisers import momentum_at, optimisers, rate_at, run_length, set_pace
from isthmus.training.processes import fabric, of, reaching
from isthmus.training.searches import METHODS, steady
from isthmus.training.state import Position, cut, own_tensors, put_back, set_generators, tensors_of, understood, whole
from isthmus.training.stopping import Stop, stoppable
from isthmus.training.streaming import supply_of
from isthmus.training.validation import losses

LOOK = 50

Listener = Callable[[str, Epoch | int], None]
"""Told ``("step", n)`` now and then, and ``("epoch", record)`` after each epoch."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: every epoch, which weights were kept, why it stopped, and where it was taken up again."""

    history: list[Epoch]
    kept_epoch: int
    stopped: str
    seconds: float
    precision: str
    taken_up: tuple[int, ...] = ()


class Engine:
    """One training run.

    Args:
        objective: what to minimise; its model is trained in place.
        options: how.
        train: examples (N, *D), float32; or stored ones or a stream.
        valid: examples of the validation part, or ``None``.
        seed: of the batches and of every draw.
        dynamic: draw the training examples afresh as Bernoulli at every read.
        shift: pixels by which training images are moved at random, at most.
        listener: told of progress.
        checkpoints: where the state is kept now and then, so that a run that was stopped can go on.
        strategy: how several processes, where they were launched, hold the model: ``ddp`` or ``fsdp``.
    """

    def __init__(
        self,
        objective: Objective,
        options: TrainingOptions,
        train: Tensor | Lazy,
        valid: Tensor | None = None,
        *,
        seed: int = 0,
        dynamic: bool = False,
        shift: int = 0,
        listener: Listener | None = None,
        checkpoints: Checkpoints | None = None,
        strategy: str = "ddp",
    ) -> None:
        self.objective, self.options, self.seed = objective, options, seed
        self.fabric = fabric()
        self.processes = of(self.fabric)
        self.precision = network_precision(products(options), self.fabric.device)
        self.listener = listener or (lambda _kind, _what: None)
        self.checkpoints = checkpoints
        objective.to(self.fabric.device)
        together = self.processes.world > 1
        # weights that are cut into parts must lie in the usual layout
        self.maps = not (together and strategy == "fsdp") and channels_last(objective)
        self.valid = None if valid is None else self._placed(valid)
        self.train = self._placed(train) if isinstance(train, Tensor) else train
        share = self.processes.share
        self.batches = supply_of(self.train, options.batch, seed=seed, dynamic=dynamic, shift=shift, share=share)
        self.total, self.epochs = run_length(options, len(self.batches))
        check_batches(objective, self.batches)
        check_tools(options, objective, self.batches)
        self.searching = options.optimiser in METHODS
        self.look = LOOK if together or self.fabric.device.type != "cpu" else 1
        # on one device a wrapper would only cost time: a tenth of a step of the MLP VAE at batch 100 (docs/log.md)
        self.module, self.whole = self._joined(strategy) if together else (objective, None)
        self.players = objective.players()
        self.parameters = list(objective.parameters())
        self.tools = optimisers(options, objective)
        self.keeper = Keeper(objective, options.patience, since=self._warm_epochs() + 1)
        self.history: list[Epoch] = []
        self.at = Position(sums=torch.zeros((), device=self.fabric.device))
        self.taken_up: list[int] = []
        self._generators: dict[str, Tensor] = {}
        self._stop = Stop()
        self.threads = torch.get_num_threads()

    @property
    def step(self) -> int:
        """Steps done."""
        return self.at.step

    def run(self) -> Outcome:
        """Train to the end, or to the stop that the options ask for, and leave the kept weights in the model.

        Raises:
            Diverged: a loss that is not finite; the best weights so far (the first ones in the first epoch) are kept.
            KeyboardInterrupt: somebody asked to stop; a checkpoint of that moment is written first.
        """
        tune_allocator()
        warn_of_unfinished(self.objective, self.total)
        started = time.perf_counter()
        stopped = None
        try:
            with reaching(), seeded(self._noise()), threads(self.threads), stoppable() as self._stop:
                set_generators(self._generators, self.processes.rank)
                while stopped is None and self.at.epoch < self.epochs:
                    stopped = self._epoch()
        except BaseException as error:
            self.objective.load_state_dict(self.keeper.weights)
            # all processes are here, and what was good is to be saved
            if isinstance(error, Diverged | KeyboardInterrupt):
                self._gather_weights()
            raise
        kept = self._keep()
        self._gather_weights()
        self.objective.eval()
        seconds = time.perf_counter() - started
        precision = "bf16" if self.precision else "32"
        return Outcome(
            self.history, kept, stopped or f"all {self.epochs} epochs done", seconds, precision, tuple(self.taken_up)
        )

    def settings(self) -> dict[str, Any]:
        """What this machine chose for the run and what its bits depend on, as plain data."""
        return {
            "precision": "bf16" if self.precision else "32",
            "channels_last": self.maps,
            "threads": torch.get_num_threads(),
            "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            "torch": torch.__version__,
            "processes": self.processes.world,
        }

    def use(self, settings: Mapping[str, Any]) -> None:
        """Work as the machine did that began the run: the bits of sums depend on precision and threads."""
        self.precision = torch.bfloat16 if settings.get("precision") == "bf16" else None
        self.threads = int(settings.get("threads", self.threads))

    @understood()
    def take_up(self, found: Found) -> None:
        """Stand where a checkpoint was written; ``run`` then goes on from there.

        Raises:
            BadRun: it belongs to another model or optimiser.
        """
        self.at = put_back(self.objective, self.tools, found, self.processes.rank)
        self.history = TypeAdapter(list[Epoch]).validate_python(found.record["history"])
        best = found.record["best"]
        if best is not None:
            self.keeper.best = self.history[best - 1]
            self.keeper.weights = cut(self.objective, found.best)
        self._generators = found.tensors
        self.taken_up = [*found.record["taken_up"], self.at.step]

    def save(self) -> bool:
        """Write a checkpoint of this moment, between two steps; all processes must, and the first one writes it.

        Returns whether it did.
        """
        best = self.keeper.best
        record = {
            "position": self.at.to_dict(),
            "history": [epoch.to_dict() for epoch in self.history],
            "best": None if best is None else best.epoch,
            "taken_up": self.taken_up,
        }
        tensors = tensors_of(self.objective, self.tools) | self.processes.collect(own_tensors(self.at))
        kept = None if best is None else (best.epoch, {n: whole(v) for n, v in self.keeper.weights.items()})
        if self.checkpoints is None:
            return False
        return self.checkpoints.write((self.at.step, self.at.epoch), tensors, record, kept)

    def _epoch(self) -> str | None:
        """What is left of one pass over the training part, then the validation part; why to stop, if so."""
        self._train()
        at = self.at
        sums = self.processes.total(at.sums).tolist()
        seen = at.seen * self.processes.world
        train = {name: value / seen for name, value in zip(at.names, sums, strict=True)}
        valid = self._validate()
        self._check_finite(at.epoch, {"training": train, "validation": valid or {}})
        weights = self.objective.weights(at.step - 1, self.total)
        speed = round(seen / at.seconds, 1)
        self.history.append(Epoch(at.epoch + 1, at.step, train, valid, weights, at.rate, at.seconds, speed))
        self.listener("epoch", self.history[-1])
        reason = self.keeper.see(self.history[-1])
        at.follow()
        if reason is not None:
            return f"early, as {reason}"
        self._pause()
        return None

    def _train(self) -> None:
        """Take the steps of the epoch at work that are not yet done."""
        if self.options.optimiser == "exact":
            return self._solve()
        at = self.at
        started = time.perf_counter() - at.seconds
        self.objective.train()
        self.objective.model.autocast = self.precision
        try:
            # data in memory is where it is needed already
            for x in map(self._placed, self.batches.epoch(at.epoch, at.batch)):
                if at.step >= self.total:
                    break
                at.rate = rate_at(at.step, self.total, self.options)
                set_pace(self.tools, at.rate, momentum_at(at.step, self.options))
                parts, weight = self._step(x)
                at.names = list(parts)
                # one small operation for all parts, and none that waits for the device
                at.sums = torch.add(at.sums, torch.stack(list(parts.values())), alpha=weight)
                at.seen += weight
                at.step += 1
                at.batch += 1
                at.seconds = time.perf_counter() - started
                if at.step % LOOK == 0:
                    self.listener("step", at.step)
                self._pause()
        finally:
            self.objective.model.autocast = None

    def _solve(self) -> None:
        """Put the best weights there in one step; its losses are those that they leave."""
        at, started = self.at, time.perf_counter()
        solve(self.objective, chunks(self.train))
        left = losses(self.objective, self.train, seed=stream(self.seed, "noise"))
        at.names, at.seen = list(left), self.batches.population / self.processes.world
        at.sums = at.seen * torch.tensor(list(left.values()), device=self.fabric.device)
        at.step, at.batch, at.seconds = 1, 1, time.perf_counter() - started

    def _pause(self) -> None:
        """Between two steps: write a checkpoint if it is time, and end the run if somebody asked for it."""
        asked, due = self._stop.asked, self.checkpoints is not None and self.checkpoints.due()
        if self.processes.world > 1:
            if self.at.batch % LOOK:
                return
            asked, due = self.processes.any(asked, due)
        if asked or due:
            self.save()
        if asked:
            raise KeyboardInterrupt

    def _check_finite(self, epoch: int, figures: dict[str, dict[str, float]]) -> None:
        """Refuse an epoch that ended in numbers that are not finite: its last step, or one nobody looked at."""
        for part, losses_of_part in figures.items():
            for name, value in losses_of_part.items():
                if not math.isfinite(value):
                    raise self._diverged(epoch, f"the {part} {name} is {value} at its end")

    def _step(self, x: Tensor) -> tuple[dict[str, Tensor], float]:
        """One update; the named losses of the batch, without gradient, and the examples that they stand for."""
        at, world = self.at, self.processes.world
        weight = len(x) if world == 1 else self.batches.count(at.batch) / world
        shared = {} if world == 1 else {"gather": self.processes.gather, "examples": weight}
        where_in_run = {"step": at.step, "total": self.total, "population": self.batches.population}

        def losses_of() -> Loss:
            with seeded(self._draws()):
                found: Loss = self.module(x, **where_in_run, **shared)
            return found

        total, parts, critics = losses_of()
        if at.step % self.look == 0 and self.processes.any(not math.isfinite(total.detach().item()))[0]:
            where = locate(self.objective, x, at.step, self.total)
            raise self._diverged(at.epoch, where, f", batch {at.batch + 1} of {len(self.batches)}")
        if self.searching:
            self.tools[0].step(steady(lambda: self._pull(losses_of().total).item(), self.objective))
        else:
            # players share no parameter and send each other no gradient, so one pass backward serves them all
            self._pull(sum(critics.values(), total))
            if self.options.clip is not None:
                for members in self.players.values():
                    torch.nn.utils.clip_grad_norm_(members, self.options.clip)
            for tool in self.tools:
                tool.step()
        named = {"loss": total, **parts, **critics}
        return {name: value.detach() for name, value in named.items()}, weight

    def _pull(self, loss: Tensor) -> Tensor:
        """Put the gradient of a loss where optimisers look for it; the loss, without gradient."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _draws(self) -> int | None:
        """The seed of a step's draws where its loss is asked for more than once; else they follow on each other."""
        return stream(self.seed, "search", self.at.step) if self.searching else None

    def _validate(self) -> dict[str, float] | None:
        """Losses of the validation part with final weights and always the same draws, so epochs compare.

        Nothing of the run changes meanwhile, so a run that is stopped here goes on before it.
        """
        if self.valid is None:
            return None

        def between() -> None:
            if self._stop.asked and self.processes.world == 1:
                raise _StoppedInValidation

        try:
            seed = stream(self.seed, "validation")
            # where the model is cut into parts, all processes must run it at once
            shared = self.processes if self.whole is None else None
            return losses(self.objective, self.valid, seed=seed, between=between, processes=shared)
        except _StoppedInValidation:
            # only now are the generators those of training again
            self._pause()
            raise

    def _joined(self, strategy: str) -> tuple[torch.nn.Module, Objective | None]:
        """The objective that all processes train together; what that needs takes long to import."""
        from isthmus.training.strategies import join

        return join(self.objective, self.processes, strategy)

    def _noise(self) -> int:
        """The seed of what the parts draw: another in each process, or their examples would share their noise."""
        return stream(self.seed, "noise", *[self.processes.rank] * (self.processes.rank > 0))

    def _gather_weights(self) -> None:
        """Bring a model that was cut into parts together again."""
        if self.whole is not None:
            self.whole.load_state_dict({name: whole(value) for name, value in self.objective.state_dict().items()})
            self.objective = self.whole

    def _placed(self, x: Tensor) -> Tensor:
        x = x.to(self.fabric.device)
        return x.contiguous(memory_format=torch.channels_last) if self.maps and x.ndim == 4 else x.contiguous()

    def _keep(self) -> int:
        """Put the weights that are to be kept into the model; the epoch they come from."""
        if self.options.keep == "last" or self.keeper.best is None:
            return self.history[-1].epoch
        self.objective.load_state_dict(self.keeper.weights)
        return self.keeper.best.epoch

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


class _StoppedInValidation(Exception):
    """Leaves the validation part."""

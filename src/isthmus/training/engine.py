r"""The training loop of all autoencoders.

Lightning Fabric provides the device and the process group. The networks run in the chosen precision, everything else
(heads, losses, parameters) in float32. A step does not synchronize with the device, except to check that the loss is
finite: in every step on a CPU, where this costs nothing, and every ``LOOK`` steps on an accelerator.
"""

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from isthmus.data.samplers.stored import TrainingExamples
from isthmus.errors import Diverged
from isthmus.metrics.losses import losses
from isthmus.models.exact import solve
from isthmus.models.hardware import channels_last, network_precision, tune_allocator
from isthmus.models.inputs import chunks
from isthmus.models.objective import Objective
from isthmus.models.products import float32_library, float32_products
from isthmus.models.seeding import RandomState, derive_seed
from isthmus.options import TrainingOptions
from isthmus.training.augmentation import NONE, Augmentation
from isthmus.training.averaging import AveragedWeights
from isthmus.training.batches import Batch, Pair
from isthmus.training.block_shuffle import batches_of, changed
from isthmus.training.checkpointing.files import Checkpoint, CheckpointStore
from isthmus.training.checkpointing.state import (
    Position,
    checkpoint_errors,
    full_tensor,
    process_tensors,
    restore,
    set_generators,
    shard_like,
    tensors_of,
)
from isthmus.training.checks import check_batches, check_options, products, warn_of_unfinished_schedules
from isthmus.training.distributed.processes import fabric, lost_process_errors, of
from isthmus.training.history import BestWeights, Epoch, Outcome, warm_epochs
from isthmus.training.nonfinite import check_finite, diverged, locate
from isthmus.training.optimizers import momentum_at, optimizers, rate_at, run_length, set_pace
from isthmus.training.shared_cores import computing
from isthmus.training.signals import InterruptedInValidation, Stop, interruptible
from isthmus.training.steps.compiled import CompiledStep
from isthmus.training.steps.eager import Losses, Step
from isthmus.training.steps.plan import compiles

LOOK = 50
"""Steps between two checks of the loss on an accelerator, and between two agreements of several processes."""

TrainingCallback = Callable[[str, Epoch | int | str], None]
"""Called with ``("step", n)`` after each step, with ``("epoch", record)`` after each epoch, and before and after a wait
with ``("doing", text)``, empty after it."""


class Engine:
    """One training run.

    Args:
        objective: objective to minimize; its model is trained in place.
        options: training options.
        train: training examples (N, *D), float32: a tensor, 8-bit images, stored examples or a stream.
        valid: validation examples (M, *D), or ``None``.
        seed: seed of the batches and of all sampling.
        dynamic: sample the training examples as Bernoulli at every read.
        augment: random changes of the training examples at every read.
        callback: called with the progress.
        checkpoints: where checkpoints are saved; none by default.
        strategy: whether several processes replicate (``ddp``) or shard (``fsdp``) the model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        inputs: what the encoder sees instead of ``train``, of the same shape, for pairs of input and target in memory.
        valid_inputs: the same for ``valid``.
    """

    def __init__(
        self,
        objective: Objective,
        options: TrainingOptions,
        train: TrainingExamples,
        valid: Tensor | None = None,
        *,
        seed: int = 0,
        dynamic: bool = False,
        augment: Augmentation = NONE,
        callback: TrainingCallback | None = None,
        checkpoints: CheckpointStore | None = None,
        strategy: str = "ddp",
        device: str = "auto",
        inputs: Tensor | None = None,
        valid_inputs: Tensor | None = None,
    ) -> None:
        self.objective, self.options, self.seed = objective, options, seed
        self.fabric = fabric(device)
        self.processes = of(self.fabric)
        self.precision = network_precision(products(options), self.fabric.device)
        self.callback = callback or (lambda _kind, _what: None)
        self.checkpoints = checkpoints
        objective.to(self.fabric.device).freeze(options.stage)
        distributed = self.processes.world > 1
        # sharded weights must have the default memory layout
        self.channels_last = not (distributed and strategy == "fsdp") and channels_last(objective)
        self.valid, self.valid_inputs, placed = map(self._placed_or_none, (valid, valid_inputs, inputs))
        self.train = changed(train, self._placed)
        share = self.processes.share
        self.batches = batches_of(
            self.train, options.batch_size, seed=seed, dynamic=dynamic, augment=augment, share=share, inputs=placed
        )
        self.batches.missing = objective.model.fill is not None
        self.total, self.epochs = run_length(options, len(self.batches))
        check_batches(objective, self.batches)
        check_options(options, objective, self.batches)
        self.look = LOOK if distributed or self.fabric.device.type != "cpu" else 1
        # on one device a wrapper only adds overhead: a tenth of a step of the MLP VAE at batch size 100 (docs/log.md)
        self.module, self.unsharded = self._distributed(strategy) if distributed else (objective, None)
        self.optimizers = optimizers(options, objective)
        self.products = float32_library()
        self.compile = compiles(objective, options, self.total, self.fabric.device.type, self.processes.world)
        self.take_step: Step | CompiledStep = Step(objective, self.module, self.optimizers, options, seed)
        warm = warm_epochs(objective, self.total, len(self.batches))
        self.best_weights = BestWeights(objective, options.patience, since=warm + 1)
        self.average = AveragedWeights(objective.model, options.ema_decay)
        self.history: list[Epoch] = []
        self.at = Position(sums=torch.zeros((), device=self.fabric.device))
        self.resumed_at: list[int] = []
        self.ended: str | None = None
        """Why a callback ended the run."""
        self._generators: dict[str, Tensor] = {}
        self._stop = Stop()
        self.noise = self._noise()
        self.threads = torch.get_num_threads()

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self.at.step

    def run(self) -> Outcome:
        """Train to the end or until early stopping, and load the weights to keep into the model.

        Raises:
            Diverged: a loss is not finite; the model has the best weights (in the first epoch the initial ones).
            KeyboardInterrupt: an interrupt was requested; a checkpoint is written first.
        """
        tune_allocator()
        warn_of_unfinished_schedules(self.objective, self.total)
        started = time.perf_counter()
        stopped = None
        try:
            with lost_process_errors(), self._computing(), interruptible() as self._stop:
                self.noise = self._noise()
                with self.noise:
                    set_generators(self._generators, self.processes.rank)
                while stopped is None and self.at.epoch < self.epochs:
                    stopped = self._epoch()
        except BaseException as error:
            self.objective.load_state_dict(self.best_weights.weights)
            # all processes get here, and the best weights can be saved
            if isinstance(error, Diverged | KeyboardInterrupt):
                self._gather_weights()
            raise
        finally:
            self.objective.unfreeze()
        kept = self._keep()
        self._gather_weights()
        self.objective.eval()
        how = time.perf_counter() - started, "bf16" if self.precision else "32", self.take_step.compiled
        return Outcome(self.history, kept, stopped or f"all {self.epochs} epochs done", *how, tuple(self.resumed_at))

    def settings(self) -> dict[str, Any]:
        """The settings of this machine that results depend on bit by bit, as plain data."""
        return {
            "precision": "bf16" if self.precision else "32",
            "products": self.products,
            "compile": self.compile,
            "channels_last": self.channels_last,
            "threads": torch.get_num_threads(),
            "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            "torch": torch.__version__,
            "processes": self.processes.world,
        }

    def use(self, settings: Mapping[str, Any]) -> None:
        """Use the settings that the run was started with and that rounding depends on."""
        self.precision = torch.bfloat16 if settings.get("precision") == "bf16" else None
        self.products = str(settings.get("products", self.products))
        self.compile = bool(settings.get("compile", self.compile))
        self.threads = int(settings.get("threads", self.threads))

    @checkpoint_errors()
    def resume_from(self, found: Checkpoint) -> None:
        """Restore a checkpoint; ``run`` then resumes from it.

        Raises:
            BadRun: it belongs to another model or optimizer.
        """
        self.at = restore(self.objective, self.optimizers, found, self.processes.rank)
        self.history = TypeAdapter(list[Epoch]).validate_python(found.record["history"])
        best = found.record["best"]
        if best is not None:
            self.best_weights.best = self.history[best - 1]
            self.best_weights.weights = shard_like(self.objective, found.best)
        self.average.restore(found.tensors)
        self._generators = found.tensors
        self.resumed_at = [*found.record["taken_up"], self.at.step]

    def save(self) -> bool:
        """Write a checkpoint between two steps; all processes must call this, and the first one writes it.

        Returns:
            Whether it was written.
        """
        best = self.best_weights.best
        record = {
            "position": self.at.to_dict(),
            "history": [epoch.to_dict() for epoch in self.history],
            "best": None if best is None else best.epoch,
            "taken_up": self.resumed_at,
        }
        self.take_step.settle()
        tensors = tensors_of(self.objective, self.optimizers) | self.average.tensors()
        with self.noise:
            tensors |= self.processes.collect(process_tensors(self.at))
        kept = None if best is None else (best.epoch, {n: full_tensor(v) for n, v in self.best_weights.weights.items()})
        if self.checkpoints is None:
            return False
        return self.checkpoints.write((self.at.step, self.at.epoch), tensors, record, kept)

    def _epoch(self) -> str | None:
        """The rest of an epoch over the training set, then validation; the reason for early stopping, or ``None``."""
        self._train()
        at = self.at
        train = self.losses_so_far()
        valid = self._validate()
        check_finite(self.options, at.epoch, {"training": train, "validation": valid or {}})
        weights = self.objective.weights(at.step - 1, self.total)
        speed = round(at.seen * self.processes.world / at.seconds, 1)
        self.history.append(Epoch(at.epoch + 1, at.step, train, valid, weights, at.learning_rate, at.seconds, speed))
        self.callback("epoch", self.history[-1])
        with self.average.in_place():
            reason = self.best_weights.see(self.history[-1])
        if self.processes.any(self.ended is not None)[0]:
            reason = reason or self.ended or "a callback stopped it"
        at.follow()
        if reason is not None:
            return f"early, as {reason}"
        self._pause()
        return None

    def losses_so_far(self) -> dict[str, float]:
        """The named training losses of the current epoch, means over its examples so far."""
        seen, sums = self.at.seen * self.processes.world, self.processes.total(self.at.sums).tolist()
        return {name: value / seen for name, value in zip(self.at.names, sums, strict=True)}

    def _train(self) -> None:
        """Take the remaining steps of the current epoch."""
        if self.options.optimizer == "exact":
            return self._solve()
        at, started = self.at, time.perf_counter() - self.at.seconds
        self.objective.train()
        self.objective.model.autocast = self.precision
        try:
            # data in memory is on the device already
            for batch in map(self._on_device, self.batches.epoch(at.epoch, at.batch)):
                if at.step >= self.total or (self.ended and self.processes.world == 1):
                    break
                at.learning_rate = rate_at(at.step, self.total, self.options)
                set_pace(self.optimizers, at.learning_rate, momentum_at(at.step, self.options))
                with self.noise:
                    (at.names, values), weight = self._step(batch)
                self.average.update()
                # one small operation for all terms, without synchronization with the device
                at.sums = torch.add(at.sums, values, alpha=weight)
                at.seen += weight
                at.step += 1
                at.batch += 1
                at.seconds = time.perf_counter() - started
                self.callback("step", at.step)
                self._pause()
        finally:
            self.objective.model.autocast = None

    def _solve(self) -> None:
        """Set the closed-form weights in one step; the losses of the epoch are evaluated with them."""
        at, started = self.at, time.perf_counter()
        solve(self.objective, chunks(self.train))
        left = losses(self.objective, self.train, seed=derive_seed(self.seed, "noise"))
        at.names, at.seen = list(left), self.batches.population / self.processes.world
        at.sums = at.seen * torch.tensor(list(left.values()), device=self.fabric.device)
        at.step, at.batch, at.seconds = 1, 1, time.perf_counter() - started

    def _pause(self) -> None:
        """Between two steps: write a checkpoint if one is due, and end the run if an interrupt was requested."""
        requested, due = self._stop.asked, self.checkpoints is not None and self.checkpoints.due()
        if self.processes.world > 1:
            if self.at.batch % LOOK:
                return
            requested, due = self.processes.any(requested, due)
        if requested or due:
            self.save()
        if requested:
            raise KeyboardInterrupt

    def _step(self, batch: Batch) -> tuple[Losses, float]:
        """One update; the named losses of the batch, without gradient, and their weight in examples."""
        at, world = self.at, self.processes.world
        tensors = tuple(batch) if isinstance(batch, Pair) else (batch,)
        weight = len(tensors[0]) if world == 1 else self.batches.count(at.batch) / world
        shared = {} if world == 1 else {"gather": self.processes.gather, "examples_per_process": weight}
        where = {"step": at.step, "total": self.total, "population": self.batches.population, **shared}

        def check(loss: Tensor) -> None:
            if at.step % self.look:
                return
            bad = not math.isfinite(loss.item())
            if bad if world == 1 else self.processes.any(bad)[0]:
                source = locate(self.objective, tensors[0], at.step, self.total, *tensors[1:])
                raise diverged(self.options, at.epoch, source, f", batch {at.batch + 1} of {len(self.batches)}")

        return self.take_step(tensors, where, check), weight

    def _validate(self) -> dict[str, float] | None:
        """Losses of the validation set with final weights and the same random numbers in every epoch.

        The state of the run does not change, so a run that is interrupted here resumes before the validation.
        """
        if self.valid is None:
            return None

        def between() -> None:
            if self._stop.asked and self.processes.world == 1:
                raise InterruptedInValidation

        try:
            seed = derive_seed(self.seed, "validation")
            # a sharded model must be run by all processes at the same time
            shared = self.processes if self.unsharded is None else None
            x, inputs = self.valid, self.valid_inputs
            with self.average.in_place():
                return losses(self.objective, x, seed=seed, between=between, processes=shared, inputs=inputs)
        except InterruptedInValidation:
            self._pause()
            raise

    def _distributed(self, strategy: str) -> tuple[torch.nn.Module, Objective | None]:
        """The replicated or sharded objective, and its unsharded copy; imported here, as the import is slow."""
        from isthmus.training.distributed.strategies import join

        return join(self.objective, self.processes, strategy)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute with the threads, the products and the kind of step of this run."""
        if self.compile and isinstance(self.take_step, Step):
            self.take_step = CompiledStep(self.take_step, self.batches.count(0), self._say)
        with computing(self.threads), float32_products(self.products):
            yield
        self.take_step.settle()

    def _say(self, doing: str) -> None:
        """Tell the progress what the run is doing between two steps; an empty string if it goes on."""
        self.callback("doing", doing)

    def _noise(self) -> RandomState:
        """The random numbers of the steps, others in each process, so that their examples do not share them."""
        rank = self.processes.rank
        return RandomState(derive_seed(self.seed, "noise", *[rank] * (rank > 0)), self.fabric.device)

    def _gather_weights(self) -> None:
        """Gather the weights of a sharded model."""
        if self.unsharded is not None:
            self.unsharded.load_state_dict(
                {name: full_tensor(value) for name, value in self.objective.state_dict().items()}
            )
            self.objective = self.unsharded

    def _placed_or_none(self, x: Tensor | None) -> Tensor | None:
        return None if x is None else self._placed(x)

    def _placed(self, x: Tensor) -> Tensor:
        x = x.to(self.fabric.device)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.ndim == 4 else x.contiguous()

    def _on_device(self, batch: Batch) -> Batch:
        return Pair(*map(self._placed, batch)) if isinstance(batch, Pair) else self._placed(batch)

    def _keep(self) -> int:
        """Load the weights to keep into the model; returns their epoch."""
        if self.options.keep == "last" or self.best_weights.best is None:
            self.average.keep()
            return self.history[-1].epoch
        self.objective.load_state_dict(self.best_weights.weights)
        return self.best_weights.best.epoch

"""Checks of options that do not fit each other in training, made before the first step."""

import warnings
from typing import Any

from torch import nn

from isthmus.data.samplers.streams import StreamTensor
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.exact import closed_form
from isthmus.models.objective import Objective
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.training.batches import BatchSource, PairBatches
from isthmus.training.line_searches import METHODS


def check_batches(objective: Objective, batches: BatchSource[Any]) -> None:
    """Check that batches are large enough for the layers of the networks.

    Raises:
        BadOption: batch normalization with a batch of one example.
    """
    normed = (nn.BatchNorm1d, nn.BatchNorm2d)
    if batches.smallest < 2 and any(isinstance(m, normed) for m in objective.modules()):
        raise BadOption(
            "Batch normalization requires at least two examples per batch, but the smallest batch has one. Set another "
            "net.norm, a larger training.batch_size, or use more data."
        )


def check_kind_of_data(
    training: TrainingOptions, pretraining: PretrainingOptions, *, missing: bool = False, pairs: bool = False
) -> None:
    """Check that the options of training and pretraining support data with missing values, or pairs.

    Args:
        training: options of the training.
        pretraining: options of the pretraining.
        missing: whether values of the training examples are missing.
        pairs: whether the training examples are pairs of input and target.

    Raises:
        BadOption: a closed form or pretraining, which know neither missing values nor pairs.
    """
    used = {
        "training.optimizer=exact": ("training.optimizer=adam", training.optimizer == "exact"),
        f"pretraining.kind={pretraining.kind}": ("pretraining.kind=none", pretraining.kind != "none"),
    }
    for option, (instead, given) in used.items():
        if given and missing:
            raise BadOption(
                f"{option} does not support missing values, which the training examples contain. Set {instead}, impute "
                "the values, or leave out their rows with data.on_bad_data=skip."
            )
        if given and pairs:
            raise BadOption(
                f"{option} does not support pairs of input and target. Set {instead}, or pass the targets only."
            )


def check_options(options: TrainingOptions, objective: Objective, batches: BatchSource[Any]) -> None:
    """Check that the optimizer supports the other options of the run.

    Raises:
        BadOption: Nesterov without momentum; line searches in low precision, with clipped gradients, with weight decay
            or in several processes; a closed form with options that it does not use.
        IncompatibleParts: line searches with an adversarial penalty, whose critic changes the loss during training.
    """
    if options.optimizer == "exact":
        _check_exact(options, objective, batches)
    if options.optimizer == "nesterov" and not options.momentum:
        raise BadOption(
            "training.optimizer=nesterov requires momentum, but training.momentum is 0. Set a larger one, or "
            "training.optimizer=sgd."
        )
    if options.optimizer not in METHODS:
        return
    processes = batches.share.world
    what = f"training.optimizer={options.optimizer} uses line searches"
    if options.precision == "bf16":
        raise BadOption(f"{what}, for which bf16 is too imprecise. Set training.precision=32, or leave it out.")
    if options.gradient_clip is not None:
        raise BadOption(f"{what}, which do not support training.gradient_clip. Leave it out.")
    if options.weight_decay:
        raise BadOption(f"{what}, which do not support training.weight_decay. Leave it out.")
    if processes > 1:
        raise BadOption(
            f"{what}, which run in a single process, but {processes} processes were launched. Set "
            "training.optimizer=adam or muon."
        )
    if objective.adversaries:
        raise IncompatibleParts(
            f"{what}, which minimize a single loss, but penalty {' and '.join(objective.adversaries)} trains a critic. "
            "Set training.optimizer=adam or muon."
        )


def _check_exact(options: TrainingOptions, objective: Objective, batches: BatchSource[Any]) -> None:
    """Check that a closed form is known, and that it supports the data and the other options."""
    closed_form(objective)
    if options.gradient_clip is not None or options.weight_decay or options.precision == "bf16":
        raise BadOption(
            "training.optimizer=exact is a closed form without gradients, so training.gradient_clip, "
            "training.weight_decay and training.precision=bf16 have no effect. Leave them out."
        )
    check_kind_of_data(
        options,
        PretrainingOptions(),
        missing=objective.model.fill is not None,
        pairs=isinstance(batches, PairBatches),
    )
    if batches.dynamic or batches.augmentation or isinstance(batches.x, StreamTensor):
        raise BadOption(
            "training.optimizer=exact requires examples that do not change, but these are a stream or sampled at "
            "every read. Store them, and leave out data.random_shift, data.random_flip, data.random_rotation, "
            "data.random_scale and data.binarize=dynamic."
        )


def products(options: TrainingOptions) -> str:
    """Precision of the networks by name; 32 for line searches, which compare losses closer than bf16 resolves."""
    return "32" if options.optimizer in (*METHODS, "exact") else options.precision


def warn_of_unfinished_schedules(objective: Objective, total: int) -> None:
    """Warn where a run of ``total`` steps is shorter than the warm-up of a weight."""
    for name, schedule in objective.schedules.items():
        if schedule.unfinished(total):
            reached = schedule(total - 1, total)
            warnings.warn(
                f"The warm-up of penalty {name} takes {schedule.steps} steps, but the run has {total}: its "
                f"weight ends at {reached:.3g} of {schedule.value:g}. Set it as a fraction of the run "
                f"(penalties.{name}.weight.fraction), or train longer.",
                stacklevel=5,
            )

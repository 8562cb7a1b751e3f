r"""Supervised training of a pretrained encoder: a head that predicts a label replaces the decoder.

.. math:: \text{minimize}\quad -\log p(y \mid z), \quad z = \mathbb E[q(z \mid x)]

with a softmax over classes, or a Gaussian of unit variance for regression. Only the decoder and the target differ from
an autoencoder, so the same objective and the same training loop are used: first for the head alone on fixed codes (a
linear probe), then for all parameters (fine-tuning).
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent

from isthmus.errors import BadData, BadOption, check_range
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import as_inputs
from isthmus.models.objective import Objective
from isthmus.models.seeding import derive_seed
from isthmus.options import TrainingOptions
from isthmus.parts.latents import Deterministic
from isthmus.parts.likelihoods import Gaussian
from isthmus.parts.protocols import Corrupted, Corruption, Latent, Likelihood, Shape, Trace, alone
from isthmus.training.engine import Engine


class Classes(nn.Module):
    """Categorical likelihood of K classes: features (B, K) are logits, targets (B, 1) class indices from 0."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        check_range("The number of classes", classes, 2)
        self.classes = classes

    def width(self, d: int) -> int:
        """Number of features: one logit per class."""
        return d * self.classes

    def forward(self, h: Float[Tensor, "B K"]) -> Distribution:
        """The distribution over classes."""
        return Independent(Categorical(logits=h[:, None], validate_args=False), 1, validate_args=False)

    def check(self, x: Tensor) -> None:
        """Check that targets are class indices.

        Raises:
            BadData: they are not.
        """
        if not bool(((x >= 0) & (x < self.classes) & (x == x.round())).all()):
            raise BadData(f"Labels must be integers from 0 to {self.classes - 1}. Number the classes from 0.")


class Predictor(Autoencoder):
    r"""Encoder, latent and a head: :math:`p(y \mid z)` with the mean code z.

    An autoencoder whose decoder models a target instead of the input. A training row is the concatenation of a
    flattened example and its target.

    Args:
        encoder: network (B, *inputs) -> features of the latent.
        latent: head that maps the features to q(z | x).
        head: network (B, *code) -> features of the likelihood.
        likelihood: :class:`Classes`, or a Gaussian for regression.
        inputs: shape of one example.
        corruption: corruption of the inputs during training; none by default.
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        head: nn.Module,
        likelihood: Likelihood,
        inputs: Shape,
        corruption: Corruption | None = None,
    ) -> None:
        super().__init__(encoder, head, latent, likelihood, corruption)
        self.input_shape = inputs
        like = self.like
        with inference(self):
            q = self.posterior(torch.zeros(2, *inputs, dtype=like.dtype, device=like.device))
            (targets,) = self.output(q.mean).event_shape
        self.shape, self.code_shape = (math.prod(inputs) + targets,), tuple(q.mean.shape[1:])

    def dry_run(self, shape: Shape) -> Trace:
        """One forward pass of two blank rows; the parts were checked in the constructor."""
        like = self.like
        return self.forward(torch.zeros(2, *shape, dtype=like.dtype, device=like.device))

    def inputs(self, x: Tensor | npt.NDArray[Any]) -> Tensor:
        """Examples (N, *inputs) as a tensor; only the input is encoded, not the target."""
        return as_inputs(x, self.input_shape)

    def forward(
        self,
        x: Float[Tensor, "B row"],
        *,
        x_in: Float[Tensor, "B *inputs"] | None = None,
        corrupt: bool | None = None,
        progress: float = 1.0,
        population: int = 0,
        gather: Callable[[Tensor], Tensor] = alone,
    ) -> Trace:
        """One forward pass of rows; the target is what the likelihood models. ``x_in`` replaces their inputs."""
        size = math.prod(self.input_shape)
        inputs, target = x[:, :size].reshape(-1, *self.input_shape) if x_in is None else x_in, x[:, size:]
        corrupting = self.training if corrupt is None else corrupt
        x_in, mask, _ = self.corruption(inputs, progress) if corrupting else Corrupted(inputs)
        q = self.posterior(x_in, progress)
        return Trace(target, x_in, q, q.mean, self.output(q.mean), mask, progress, population, gather)

    def rows(self, x: Tensor, y: Tensor) -> Float[Tensor, "N row"]:
        """Rows that concatenate examples (N, *inputs) and their targets, (N,) or (N, T).

        Raises:
            BadData: another number of targets than examples, or targets that the likelihood does not support.
        """
        if len(x) != len(y) or not len(y):
            raise BadData(f"There are {len(x)} examples but {len(y)} labels. Pass one label per example.")
        self.likelihood.check(y)
        return torch.cat([x.flatten(1), y.reshape(len(y), -1).to(x.dtype)], 1)

    def predict(self, x: Float[Tensor, "N *inputs"] | npt.NDArray[Any]) -> Tensor:
        """The most probable class (N,), or the regression output (N, T), of each example."""
        examples = self.inputs(x)
        with inference(self):
            features: Tensor = self.decoder(self.encode(examples))
        found = features.argmax(1) if isinstance(self.likelihood, Classes) else features
        return found.to(examples.device)

    def error(self, x: Float[Tensor, "N *inputs"] | npt.NDArray[Any], y: Tensor | npt.NDArray[Any]) -> float:
        r"""Classification error (a fraction); for regression the mean of :math:`\lVert y - \hat y\rVert^2`."""
        found, y = self.predict(x), _labels(y)
        if len(found) != len(y):
            raise BadData(f"There are {len(found)} examples but {len(y)} labels. Pass one label per example.")
        if isinstance(self.likelihood, Classes):
            return (found != y).double().mean().item()
        return (found - y.reshape(found.shape)).double().square().sum(1).mean().item()


def predictor(source: Autoencoder, y: Tensor, *, classes: int | None = None, corrupt: bool = False) -> Predictor:
    """A copy of an autoencoder's encoder with a new head for targets like ``y``; integers are classes.

    The head is initialized to 0, where all classes are equally probable. ``corrupt`` also copies the corruption.

    >>> from isthmus import zoo
    >>> predictor(zoo.deep().build((8,)).model, torch.tensor([0, 2, 1])).predict(torch.rand(5, 8)).shape
    torch.Size([5])
    """
    if y.is_floating_point() and classes is not None:
        raise BadOption(
            f"classes={classes} requires integer labels, but they have type {y.dtype}. Pass integers, or leave it out."
        )
    if not y.is_floating_point() and y.ndim != 1:
        raise BadData(f"Integer labels must have shape (N,), but have {tuple(y.shape)}. Pass one class per example.")
    assert source.shape is not None
    assert source.code_shape is not None
    likelihood = Gaussian() if y.is_floating_point() else Classes(classes or max(2, int(y.max()) + 1))
    head = nn.Linear(math.prod(source.code_shape), likelihood.width(1 if y.ndim == 1 else y.shape[1]))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    encoder, latent = copy.deepcopy(source.encoder), copy.deepcopy(source.latent)
    corruption = copy.deepcopy(source.corruption) if corrupt else None
    head.to(source.like.device)
    return Predictor(encoder, latent, nn.Sequential(nn.Flatten(), head), likelihood, source.shape, corruption)


def supervise(
    source: Autoencoder,
    x: Float[Tensor, "N *D"] | npt.NDArray[Any],
    y: Tensor | npt.NDArray[Any],
    *,
    head: TrainingOptions | None = None,
    fine_tuning: TrainingOptions | None = None,
    valid: tuple[Tensor | npt.NDArray[Any], Tensor | npt.NDArray[Any]] | None = None,
    classes: int | None = None,
    corrupt: bool = False,
    seed: int = 0,
) -> Predictor:
    r"""Replace the decoder of an autoencoder by a head, and train it on labels.

    Args:
        source: an autoencoder, trained or not; it is not changed.
        x: labeled examples (N, *D) of the autoencoder's shape; a tensor or an array, like all data here.
        y: labels: integers from 0 (N,) for classification, floats (N,) or (N, T) for regression.
        head: training options of the head alone with a frozen encoder (a linear probe); skipped by default.
        fine_tuning: training options of encoder and head together, after that; skipped by default.
        valid: validation examples and labels; the weights of the epoch with the smallest loss on them are kept.
        classes: number of classes; by default one more than the largest label.
        corrupt: corrupt the inputs as in the training of ``source`` while encoder and head are trained together.
        seed: seed of batches and sampling.

    Raises:
        ShapeError: examples of another shape, or no examples.
        BadData: another number of labels than examples, or labels that are not classes.
        BadOption: neither ``head`` nor ``fine_tuning`` is given.

    >>> from isthmus import zoo
    >>> x = torch.rand(60, 8)
    >>> y = (x[:, 0] > 0.5).long()
    >>> model = supervise(zoo.deep().build((8,)).model, x, y, fine_tuning=TrainingOptions(steps=200))
    >>> (model.predict(x) == y).float().mean().item() > 0.9
    True
    """
    if head is None and fine_tuning is None:
        raise BadOption(
            "Neither head nor fine_tuning is given, so nothing would be trained. Pass head=, fine_tuning=, or both."
        )
    inputs, targets = source.inputs(x).to(source.like.dtype), _labels(y)
    valid_data = None if valid is None else (source.inputs(valid[0]).to(source.like.dtype), _labels(valid[1]))
    model = predictor(source, targets, classes=classes, corrupt=corrupt)
    if head is not None:
        probe = Predictor(nn.Flatten(), Deterministic(), model.decoder, model.likelihood, model.code_shape or ())
        valid_rows = None if valid_data is None else probe.rows(model.encode(valid_data[0]), valid_data[1])
        _train(probe, head, probe.rows(model.encode(inputs), targets), valid_rows, derive_seed(seed, "head"))
    if fine_tuning is not None:
        valid_rows = None if valid_data is None else model.rows(*valid_data)
        _train(model, fine_tuning, model.rows(inputs, targets), valid_rows, derive_seed(seed, "whole"))
    return model


def _labels(y: Tensor | npt.NDArray[Any]) -> Tensor:
    """Labels as a tensor: floats stay floats, booleans and integers become class indices.

    Raises:
        BadData: they are not numbers.
    """
    if isinstance(y, Tensor):
        return y
    y = np.asarray(y)
    if y.dtype.kind not in "biuf":
        raise BadData(f"Labels must be numbers, but are of type {y.dtype}. Number the classes from 0.")
    return torch.from_numpy(np.array(y, np.float64 if y.dtype.kind == "f" else np.int64))


def _train(model: Predictor, options: TrainingOptions, rows: Tensor, valid: Tensor | None, seed: int) -> None:
    """Minimize -log p(y | z) in place."""
    Engine(Objective(model), options, rows, valid, seed=seed % 2**31).run()

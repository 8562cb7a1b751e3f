r"""Unsupervised, then supervised: the decoder is thrown away, and a head that predicts a label takes its place.

.. math:: \text{minimise}\quad -\log p(y \mid z), \quad z = \mathbb E[q(z \mid x)]

with a softmax over classes, or a Gaussian of unit variance for numbers. Only the decoder and the target differ from an
autoencoder, so the same objective and the same loop train it: first the head alone on codes that stay as they are, then
everything.
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
from isthmus.latents import Deterministic
from isthmus.likelihoods import Gaussian
from isthmus.model import Autoencoder, examples_of, inference
from isthmus.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.trace import Corrupted, Shape, Trace, alone
from isthmus.training.batches import stream
from isthmus.training.engine import Engine


class Classes(nn.Module):
    """One of K classes by a softmax: features (B, K) are its logits, targets (B, 1) its number from 0."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        check_range("The number of classes", classes, 2)
        self.classes = classes

    def width(self, d: int) -> int:
        """A logit for each class."""
        return d * self.classes

    def forward(self, h: Float[Tensor, "B K"]) -> Distribution:
        """The distribution over classes."""
        return Independent(Categorical(logits=h[:, None], validate_args=False), 1, validate_args=False)

    def check(self, x: Tensor) -> None:
        """Refuse targets that are no class."""
        if not bool(((x >= 0) & (x < self.classes) & (x == x.round())).all()):
            raise BadData(f"Labels must be whole numbers from 0 to {self.classes - 1}. Count the classes from 0.")


class Predictor(Autoencoder):
    r"""Encoder, latent and a head: :math:`p(y \mid z)` with the mean code z.

    It is an autoencoder whose decoder describes something else than its input. A row that it is trained on holds an
    example, flattened, and its target behind it.

    Args:
        encoder: network (B, *inputs) -> features of the latent.
        latent: head that turns them into q(z | x).
        head: network (B, *code) -> features of the likelihood.
        likelihood: :class:`Classes`, or a Gaussian for numbers.
        inputs: shape of one example.
        corruption: what inputs suffer in training; none by default.
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent: nn.Module,
        head: nn.Module,
        likelihood: nn.Module,
        inputs: Shape,
        corruption: nn.Module | None = None,
    ) -> None:
        super().__init__(encoder, head, latent, likelihood, corruption)
        self.inputs = inputs
        like = self.like
        with inference(self):
            q = self.posterior(torch.zeros(2, *inputs, dtype=like.dtype, device=like.device))
            (targets,) = self.output(q.mean).event_shape
        self.shape, self.code = (math.prod(inputs) + targets,), tuple(q.mean.shape[1:])

    def join(self, shape: Shape) -> None:
        """Nothing: the parts were joined when they were put together."""

    def examples(self, x: Tensor | npt.NDArray[Any]) -> Tensor:
        """Examples (N, *inputs): what is encoded is the input alone."""
        return examples_of(x, self.inputs)

    def forward(
        self,
        x: Float[Tensor, "B row"],
        *,
        corrupt: bool | None = None,
        progress: float = 1.0,
        population: int = 0,
        gather: Callable[[Tensor], Tensor] = alone,
    ) -> Trace:
        """One pass of rows; what is to be described is the target."""
        size = math.prod(self.inputs)
        inputs, target = x[:, :size].reshape(-1, *self.inputs), x[:, size:]
        acts = self.training if corrupt is None else corrupt
        x_in, mask = self.corruption(inputs, progress) if acts else Corrupted(inputs)
        q = self.posterior(x_in, progress)
        return Trace(target, x_in, q, q.mean, self.output(q.mean), mask, progress, population, gather)

    def rows(self, x: Tensor, y: Tensor) -> Float[Tensor, "N row"]:
        """Examples (N, *inputs) with their targets, (N,) or (N, T), behind them.

        Raises:
            BadData: targets that do not belong to the examples, or that the likelihood cannot describe.
        """
        if len(x) != len(y) or not len(y):
            raise BadData(f"There are {len(x)} examples but {len(y)} labels. Give one label for each example.")
        self.likelihood.check(y)  # type: ignore[operator]
        return torch.cat([x.flatten(1), y.reshape(len(y), -1).to(x.dtype)], 1)

    def predict(self, x: Float[Tensor, "N *inputs"] | npt.NDArray[Any]) -> Tensor:
        """The most probable class of each example (N,), or its numbers (N, T)."""
        examples = self.examples(x)
        with inference(self):
            features: Tensor = self.decoder(self.encode(examples))
        found = features.argmax(1) if isinstance(self.likelihood, Classes) else features
        return found.to(examples.device)

    def error(self, x: Float[Tensor, "N *inputs"] | npt.NDArray[Any], y: Tensor | npt.NDArray[Any]) -> float:
        r"""Share of examples whose class is not found; of numbers the mean of :math:`\lVert y - \hat y\rVert^2`."""
        found, y = self.predict(x), _labels(y)
        if len(found) != len(y):
            raise BadData(f"There are {len(found)} examples but {len(y)} labels. Give one label for each example.")
        if isinstance(self.likelihood, Classes):
            return (found != y).double().mean().item()
        return (found - y.reshape(found.shape)).double().square().sum(1).mean().item()


def predictor(source: Autoencoder, y: Tensor, *, classes: int | None = None, corrupt: bool = False) -> Predictor:
    """A copy of an autoencoder's encoder under a new head, for targets like ``y``: whole numbers are classes.

    The head starts at 0, where all classes are equally probable. ``corrupt`` keeps the corruption, too.

    >>> from isthmus import zoo
    >>> predictor(zoo.deep().build((8,)).model, torch.tensor([0, 2, 1])).predict(torch.rand(5, 8)).shape
    torch.Size([5])
    """
    if y.is_floating_point() and classes is not None:
        raise BadOption("Classes are counted, but the labels are no whole numbers. Give whole numbers, or no classes.")
    if not y.is_floating_point() and y.ndim != 1:
        raise BadData(f"Classes have shape (N,), but the labels have {tuple(y.shape)}. Give one class to each example.")
    assert source.shape is not None
    assert source.code is not None
    likelihood = Gaussian() if y.is_floating_point() else Classes(classes or max(2, int(y.max()) + 1))
    head = nn.Linear(math.prod(source.code), likelihood.width(1 if y.ndim == 1 else y.shape[1]))
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
    whole: TrainingOptions | None = None,
    valid: tuple[Tensor | npt.NDArray[Any], Tensor | npt.NDArray[Any]] | None = None,
    classes: int | None = None,
    corrupt: bool = False,
    seed: int = 0,
) -> Predictor:
    r"""Put a head in the place of a decoder, and train it.

    Args:
        source: an autoencoder, trained or fresh; it stays as it is.
        x: labelled examples, as the autoencoder takes them; tensors or arrays, as are all of these.
        y: their labels: whole numbers from 0 (N,), or numbers (N,) or (N, T) to be regressed on.
        head: how to train the head alone while the encoder is frozen: a linear probe. Left out by default.
        whole: how to train encoder and head together, after that. Left out by default.
        valid: further examples and labels; the weights of the epoch with the smallest loss on them are kept.
        classes: number of classes; by default one more than the largest label.
        corrupt: corrupt the inputs as in the training of ``source``, while encoder and head are trained together.
        seed: of batches and draws.

    Raises:
        ShapeError: examples of another shape, or none.
        BadData: labels that do not belong to the examples, or are no classes.
        BadOption: nothing is to be trained.

    >>> from isthmus import zoo
    >>> x = torch.rand(60, 8)
    >>> y = (x[:, 0] > 0.5).long()
    >>> model = supervise(zoo.deep().build((8,)).model, x, y, whole=TrainingOptions(steps=200))
    >>> (model.predict(x) == y).float().mean().item() > 0.9
    True
    """
    if head is None and whole is None:
        raise BadOption("Neither the head nor the whole is to be trained. Give head, whole, or both.")
    inputs, targets = source.examples(x).to(source.like.dtype), _labels(y)
    held = None if valid is None else (source.examples(valid[0]).to(source.like.dtype), _labels(valid[1]))
    model = predictor(source, targets, classes=classes, corrupt=corrupt)
    if head is not None:
        probe = Predictor(nn.Flatten(), Deterministic(), model.decoder, model.likelihood, model.code or ())
        beside = None if held is None else probe.rows(model.encode(held[0]), held[1])
        _train(probe, head, probe.rows(model.encode(inputs), targets), beside, stream(seed, "head"))
    if whole is not None:
        beside = None if held is None else model.rows(*held)
        _train(model, whole, model.rows(inputs, targets), beside, stream(seed, "whole"))
    return model


def _labels(y: Tensor | npt.NDArray[Any]) -> Tensor:
    """Labels as a tensor: numbers with a fraction stay numbers, whole ones are classes.

    Raises:
        BadData: they are no numbers.
    """
    if isinstance(y, Tensor):
        return y
    y = np.asarray(y)
    if y.dtype.kind not in "biuf":
        raise BadData(f"Labels are numbers, but these are of type {y.dtype}. Count the classes from 0.")
    return torch.from_numpy(np.array(y, np.float64 if y.dtype.kind == "f" else np.int64))


def _train(model: Predictor, options: TrainingOptions, rows: Tensor, valid: Tensor | None, seed: int) -> None:
    """Minimise -log p(y | z) in place."""
    Engine(Objective(model), options, rows, valid, seed=seed % 2**31).run()

r"""The autoencoder: four parts joined, and everything one asks of the whole.

.. math:: \tilde x = \mathrm{corrupt}(x), \quad z \sim q(z \mid \tilde x), \quad p(x \mid z)

The parts are handed in; the model only runs them in this order. Inference is deterministic (the latent's mean)
unless ``sample=True``, runs in chunks without gradient, and leaves the model's mode as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.corruptions import Identity
from isthmus.errors import BadOption, IncompatibleParts, ShapeError
from isthmus.trace import Corrupted, Corruption, Latent, Likelihood, Prior, Shape, Trace, alone

A = TypeVar("A", Tensor, npt.NDArray[Any])
"""An array of either kind; the answer is of the kind that was given."""

CHUNK = 1000
"""Examples at a time in inference: large enough for full speed, small enough for the processor's cache."""


@runtime_checkable
class Chunked(Protocol):
    """Examples (N, *shape) that are read in chunks and never as a whole."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor that this stands for."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The examples in order, at most ``size`` at a time; those that cannot be used are left out."""
        ...


def chunks(x: Tensor | Chunked, size: int = CHUNK) -> Iterator[Tensor]:
    """The examples of a tensor, or of data larger than memory, in order and at most ``size`` at a time."""
    return iter(torch.split(x, size)) if isinstance(x, Tensor) else x.chunks(size)


class Autoencoder(nn.Module):
    r"""Encoder, latent, decoder and likelihood, with a corruption in front.

    Args:
        encoder: network (B, *D) -> (B, latent.width(d), ...).
        decoder: network (B, d, ...) -> (B, likelihood.width(C), ...).
        latent: head that turns the encoder's features into q(z | x).
        likelihood: head that turns the decoder's features into p(x | z).
        corruption: what the encoder's input suffers in training; none by default.
        shape: shape of one example, where known; the parts are then joined at once. Otherwise :meth:`join` does
            it when the data is met.

    Raises:
        IncompatibleParts: a part is not of its kind.
        ShapeError: the parts do not fit each other or ``shape``.

    >>> from isthmus import latents, likelihoods, nets
    >>> latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    >>> encoder, decoder, _ = nets.mlp((1, 8, 8), 2, latent, likelihood, widths=(16,))
    >>> model = Autoencoder(encoder, decoder, latent, likelihood, shape=(1, 8, 8))
    >>> model.encode(torch.rand(5, 1, 8, 8)).shape, model.code
    (torch.Size([5, 2]), (2,))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent: nn.Module,
        likelihood: nn.Module,
        corruption: nn.Module | None = None,
        *,
        shape: Shape | None = None,
    ) -> None:
        super().__init__()
        corruption = Identity() if corruption is None else corruption
        for name, part, kind in (
            ("latent", latent, Latent),
            ("likelihood", likelihood, Likelihood),
            ("corruption", corruption, Corruption),
        ):
            if not isinstance(part, kind) or not isinstance(part, nn.Module):
                raise IncompatibleParts(
                    f"The {name} must be one of isthmus.{name}s' parts or behave like one, but is "
                    f"{type(part).__name__}. Pass the parts in the order encoder, decoder, latent, likelihood."
                )
        self.encoder, self.decoder = encoder, decoder
        self.latent, self.likelihood, self.corruption = latent, likelihood, corruption
        self.prior: nn.Module | None = None
        self.autocast: torch.dtype | None = None
        self.shape: Shape | None = None
        self.code: Shape | None = None
        if shape is not None:
            self.join(shape)

    def join(self, shape: Shape) -> None:
        """Run two blank examples through all parts, so that a misfit is found before any work.

        Sets ``shape`` and ``code``.

        Raises:
            ShapeError: a part cannot take what the one before it gives, or the output is not of ``shape``.
        """
        with inference(self):
            x = torch.zeros(2, *shape, device=self.like.device, dtype=self.like.dtype)
            q = _attempt("encoder and latent", x, self.posterior)
            z: Tensor = q.mean
            p = _attempt("decoder and likelihood", z, self.output)
        if tuple(p.event_shape) != tuple(shape):
            raise ShapeError(
                f"The decoder and likelihood describe examples of shape {tuple(p.event_shape)}, but the data has "
                f"{tuple(shape)}. Give the decoder likelihood.width(channels) output features."
            )
        self.shape, self.code = tuple(shape), tuple(z.shape[1:])

    def posterior(self, x_in: Float[Tensor, "B *D"], progress: float = 1.0) -> Distribution:
        """The posterior q(z | x_in), when a share ``progress`` of the run is done."""
        q: Distribution = self.latent(self._features(self.encoder, x_in), progress)
        return q

    def mean_code(self, x_in: Float[Tensor, "B *D"]) -> Float[Tensor, "B *code"]:
        """The mean of q(z | x_in) in full precision, with its gradient: what derivatives of the code are taken of."""
        q: Distribution = self.latent(self.encoder(x_in))
        return q.mean

    def output(self, z: Float[Tensor, "B *code"]) -> Distribution:
        """The output distribution p(x | z)."""
        p: Distribution = self.likelihood(self._features(self.decoder, z))
        return p

    def forward(
        self,
        x: Float[Tensor, "B *D"],
        *,
        corrupt: bool | None = None,
        progress: float = 1.0,
        population: int = 0,
        gather: Callable[[Tensor], Tensor] = alone,
    ) -> Trace:
        """One pass with a drawn code; the corruption acts where ``corrupt`` says so, else in training mode only."""
        acts = self.training if corrupt is None else corrupt
        x_in, mask = self.corruption(x, progress) if acts else Corrupted(x)
        q = self.posterior(x_in, progress)
        z = q.rsample()
        return Trace(x, x_in, q, z, self.output(z), mask, progress, population, gather)

    def encode(self, x: A, *, sample: bool = False, precision: torch.dtype | None = None) -> A:
        """The code of each example: the mean of q(z | x), or a draw from it; of the kind (tensor, array) given.

        ``precision`` is that of the encoder's products, float32 by default: in ``torch.bfloat16``, where the machine
        has it, they are about four times as fast, and codes differ by about 0.3 % in norm.
        """
        with self.products_in(precision):
            return self._answer(x, self.examples(x), lambda v: _point(self.posterior(v), sample))

    def decode(self, z: A, *, sample: bool = False) -> A:
        """The mean of p(x | z), or a draw from it. A flat code is given its shape."""
        return self._answer(z, self._codes(z), lambda v: _point(self.output(v), sample))

    def reconstruct(self, x: A, *, sample: bool = False) -> A:
        """What is left of each example behind the code: decode(encode(x))."""
        return self._answer(
            x,
            self.examples(x),
            lambda v: _point(self.output(_point(self.posterior(v), sample)), False),
        )

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """``n`` new examples: z drawn from the prior, then the mean of p(x | z).

        Raises:
            IncompatibleParts: the objective compares the code with no prior, so there is nothing to draw from.
            BadOption: ``n`` below 1.
        """
        if n < 1:
            raise BadOption(f"The number of samples must be at least 1, but is {n}.")
        with seeded(seed):
            z = self.prior_distribution().sample(torch.Size((n,)))
        return self.decode(z)

    @property
    def generative(self) -> bool:
        """Whether new codes can be drawn: an objective compared the code with a prior."""
        return self.prior is not None

    def prior_distribution(self) -> Distribution:
        """The prior over one code.

        Raises:
            IncompatibleParts: there is none.
        """
        if self.prior is None:
            raise IncompatibleParts(
                "This autoencoder has no prior to draw codes from: nothing in its objective shaped its code. "
                "Use a variational or Wasserstein recipe such as vae, or decode codes of your own."
            )
        assert isinstance(self.prior, Prior)
        return self.prior.distribution(self)

    def _features(self, net: nn.Module, value: Tensor) -> Tensor:
        """Run a network, in the training precision where one is set; heads always get full precision."""
        if self.autocast is None:
            full: Tensor = net(value)
            return full
        with torch.autocast(value.device.type, dtype=self.autocast):
            low: Tensor = net(value)
        return low.to(value.dtype)

    @contextmanager
    def products_in(self, precision: torch.dtype | None) -> Iterator[None]:
        """Run the networks in ``precision`` inside the block; ``None`` leaves what is set."""
        before = self.autocast
        self.autocast = precision or before
        try:
            yield
        finally:
            self.autocast = before

    @property
    def like(self) -> Tensor:
        """A tensor of the model's device and precision."""
        first = next(self.parameters(), torch.zeros(()))
        # never the parameter itself: where several processes hold a part each, what is made like it would be cut too
        return torch.empty(0, dtype=first.dtype, device=first.device)

    def _answer(self, given: A, x: Tensor, ask: Callable[[Tensor], Tensor]) -> A:
        """Ask in chunks, and answer in the kind that was given."""
        like = self.like
        with inference(self):
            parts = [ask(chunk.to(like.device, like.dtype)) for chunk in torch.split(x, CHUNK)]
        joined = torch.cat(parts) if len(parts) != 1 else parts[0]
        return joined.cpu().numpy() if isinstance(given, np.ndarray) else joined

    def examples(self, x: Tensor | npt.NDArray[Any]) -> Tensor:
        """Examples as a tensor (N, *shape), in the units the model was trained on.

        8-bit values are pixels, divided by 255, unless they are all 0 or 1; channels may stand last.

        Raises:
            ShapeError: examples of another shape, or no numbers.
        """
        return examples_of(x, self.shape if self.shape is not None else tuple(x.shape[1:]))

    def _codes(self, z: Tensor | npt.NDArray[Any]) -> Tensor:
        return _shaped(tensor_of(z), self.code or tuple(z.shape[1:]), "codes")


def examples_of(x: Tensor | npt.NDArray[Any], shape: Shape) -> Tensor:
    """Examples as a tensor (N, *shape); what may differ is said of :meth:`Autoencoder.examples`."""
    value = tensor_of(x)
    if value.dtype == torch.uint8:
        value = value.float() / (255 if value.numel() and value.max() > 1 else 1)
    if len(shape) == 3 and tuple(value.shape[1:]) == (shape[1], shape[2], shape[0]) != shape:
        value = value.movedim(-1, 1)
    return _shaped(value, shape, "examples")


def tensor_of(x: Tensor | npt.NDArray[Any]) -> Tensor:
    """A tensor of an array (or of what numpy makes one of), whatever view of memory it is; numbers only."""
    if isinstance(x, Tensor):
        return x
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise ShapeError(f"The model takes numbers, but was given an array of type {x.dtype}. Turn it into numbers.")
    # torch takes neither foreign byte order nor negative strides nor read-only memory
    known = x.dtype.kind == "b" or x.dtype == np.uint8 or (x.dtype.kind == "f" and x.dtype.itemsize <= 8)
    kind = x.dtype.newbyteorder("=") if known else np.dtype(np.float64)
    return torch.from_numpy(np.require(x, dtype=kind, requirements=["C", "W"]))


def _shaped(value: Tensor, shape: Shape, what: str) -> Tensor:
    """``value`` as (N, *shape), where only axes of length 1 or flattening differ."""
    if value.ndim < 1 or len(value) == 0 or value[0].numel() != torch.Size(shape).numel():
        raise ShapeError(
            f"The model takes {what} of shape (N, {', '.join(map(str, shape))}), but was given "
            f"{tuple(value.shape)}. Give one row to each of the {what}."
        )
    flat_or_same = value.ndim == 2 or [n for n in value.shape[1:] if n > 1] == [n for n in shape if n > 1]
    if not flat_or_same:
        raise ShapeError(
            f"The model takes {what} of shape {shape}, but was given {tuple(value.shape[1:])} with its axes in "
            "another order. Put channels first."
        )
    return value.reshape(len(value), *shape)


def _point(q: Distribution, sample: bool) -> Tensor:
    return q.sample() if sample else q.mean


def _attempt(names: str, value: Tensor, part: Callable[[Tensor], Distribution]) -> Distribution:
    """Run a part, and say in one sentence what it could not take."""
    try:
        return part(value)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ShapeError(
            f"The {names} do not fit what they are given, shape (B, {', '.join(map(str, value.shape[1:]))}): {reason}. "
            "A latent of size d needs latent.width(d) features from the encoder and hands d to the decoder."
        ) from error


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradient; each inner module then gets the mode it had."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for inner, mode in modes.items():
            inner.training = mode


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw with a seed of its own, leaving the global generators as they were."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield

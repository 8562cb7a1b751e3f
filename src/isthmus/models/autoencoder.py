r"""The autoencoder: encoder, latent, decoder and likelihood, with an optional corruption of the input.

.. math:: \tilde x = \mathrm{corrupt}(x), \quad z \sim q(z \mid \tilde x), \quad p(x \mid z)

The parts are arguments; the model runs them in this order. Inference is deterministic (it uses means) unless
``sample=True``, runs in chunks without gradient, and preserves the training mode of the model.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.parameter import UninitializedParameter

from isthmus.distributions.observed import Observed
from isthmus.errors import BadOption, IncompatibleParts, ShapeError
from isthmus.functional import interpolate_missing
from isthmus.models.inputs import CHUNK, as_inputs, shaped, tensor_of
from isthmus.models.products import float32_products
from isthmus.models.seeding import seeded
from isthmus.parts.corruptions import Identity, makes_missing
from isthmus.parts.hooks import HasOwnTarget
from isthmus.parts.likelihoods.support import clip_to_support, support_of
from isthmus.parts.protocols import Corrupted, Corruption, Latent, Likelihood, Prior, Shape, Trace, alone

A = TypeVar("A", Tensor, npt.NDArray[Any])
"""A tensor or an array; methods return the type they are given."""


class Autoencoder(nn.Module):
    r"""An autoencoder from its parts: encoder, latent, decoder, likelihood, and optionally a corruption.

    Args:
        encoder: network (B, *D) -> (B, latent.width(d), ...).
        decoder: network (B, d, ...) -> (B, likelihood.width(C), ...).
        latent: head that maps the encoder's features to q(z | x).
        likelihood: head that maps the decoder's features to p(x | z).
        corruption: corruption of the encoder's input in training; none by default.
        shape: shape of one example, if known, to check the parts at once. Otherwise they are checked when the model is
            fitted (:meth:`dry_run`).

    Attributes:
        fill: values that replace missing values, NaN, in the input of the encoder, shape (1, *D) or one that broadcasts
            with it, in units of the model's input. If it is set, missing values are left out of p(x | z). ``None``:
            no value is missing, and nothing is checked. It is not saved with the weights.

    Raises:
        IncompatibleParts: a part is not of its kind, or the corruption gives targets that the likelihood does not take.
        ShapeError: the parts do not match each other or ``shape``.

    >>> from isthmus import latents, likelihoods, nets
    >>> latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    >>> encoder, decoder, _ = nets.mlp((1, 8, 8), 2, latent, likelihood, widths=(16,))
    >>> model = Autoencoder(encoder, decoder, latent, likelihood, shape=(1, 8, 8))
    >>> model.encode(torch.rand(5, 1, 8, 8)).shape, model.code_shape
    (torch.Size([5, 2]), (2,))
    """

    latent: Latent
    likelihood: Likelihood
    corruption: Corruption
    prior: Prior | None

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent: Latent,
        likelihood: Likelihood,
        corruption: Corruption | None = None,
        *,
        shape: Shape | None = None,
    ) -> None:
        super().__init__()
        corruption = Identity() if corruption is None else corruption
        _check_kind("latent", latent, Latent)
        _check_kind("likelihood", likelihood, Likelihood)
        _check_kind("corruption", corruption, Corruption)
        _check_targets(corruption, likelihood)
        self.encoder, self.decoder = encoder, decoder
        self.latent, self.likelihood, self.corruption = latent, likelihood, corruption
        self.prior = None
        self.autocast: torch.dtype | None = None
        self.fill: Tensor | None = None
        self.shape: Shape | None = None
        self.code_shape: Shape | None = None
        if shape is not None:
            with inference(self), seeded(0):
                self.dry_run(shape)

    def materialize(self, shape: Shape) -> None:
        """Initialize lazy layers, such as ``nn.LazyLinear``, for examples of ``shape``; other models are unchanged."""
        if any(isinstance(p, UninitializedParameter) for p in self.parameters()):
            self.dry_run(shape)

    def dry_run(self, shape: Shape) -> Trace:
        """Pass two blank examples of ``shape`` through all parts, and set ``shape`` and ``code_shape``.

        Raises:
            ShapeError: a part does not match the part before it, or the output is not of ``shape``.
        """
        x = torch.zeros(2, *shape, device=self.like.device, dtype=self.like.dtype)
        q = _attempt("encoder and latent", x, self.posterior)
        z = q.rsample()
        p = _attempt("decoder and likelihood", z, self.output)
        if tuple(p.event_shape) != tuple(shape):
            raise ShapeError(
                f"The decoder and likelihood produce examples of shape {tuple(p.event_shape)}, but the data has shape "
                f"{tuple(shape)}. Set the number of output features of the decoder to likelihood.width(channels)."
            )
        self.shape, self.code_shape = tuple(shape), tuple(z.shape[1:])
        return Trace(x, x, q, z, p)

    def for_shape(self, shape: Shape) -> "Autoencoder":
        """This model, with the same parameters, for examples of another shape that its networks take."""
        other = copy.copy(self)
        other.dry_run(shape)
        return other

    def posterior(self, x_in: Float[Tensor, "B *D"], progress: float = 1.0) -> Distribution:
        """The posterior q(z | x_in), when a fraction ``progress`` of the run is done."""
        q: Distribution = self.latent(self._features(self.encoder, self.encodable(x_in)), progress)
        return q

    def mean_code(self, x_in: Float[Tensor, "B *D"]) -> Float[Tensor, "B *code"]:
        """The mean of q(z | x_in) in full precision, with gradient; used for Jacobians of the code."""
        q: Distribution = self.latent(self.encoder(self.encodable(x_in)))
        return q.mean

    def output(self, z: Float[Tensor, "B *code"]) -> Distribution:
        """The output distribution p(x | z), whose log-likelihood leaves out missing values if ``fill`` is set."""
        return self.output_of(self.decoded(z))

    def decoded(self, z: Float[Tensor, "B *code"]) -> Tensor:
        """The features of the decoder, the parameters of p(x | z), in full precision."""
        return self._features(self.decoder, z)

    def output_of(self, h: Tensor) -> Distribution:
        """The output distribution with features ``h`` of the decoder."""
        p: Distribution = self.likelihood(h)
        return p if self.fill is None else Observed(p, self._fill_like(h))

    def filled(self, x: Float[Tensor, "B *D"]) -> Float[Tensor, "B *D"]:
        """``x`` with its missing values, NaN, replaced by ``fill``; ``x`` itself if that is not set."""
        return x if self.fill is None else torch.where(x.isnan(), self._fill_like(x), x)

    def encodable(self, x: Float[Tensor, "B *D"]) -> Float[Tensor, "B *D"]:
        """``x`` as the encoder takes it: with missing values replaced by ``fill``, unless it interpolates them.

        Those that the corruption has made are interpolated in images and sequences, and 0 in other data.
        """
        if self.interpolates:
            return x
        if self.fill is None and makes_missing(self.corruption):
            return interpolate_missing(x) if x.ndim in (3, 4) else x.nan_to_num(0.0)
        return self.filled(x)

    def check(self, x: Float[Tensor, "N *D"]) -> None:
        """Check that the values of ``x`` are in the support of the likelihood, except missing ones if ``fill`` is set.

        Raises:
            BadData: a value outside the support; NaN if ``fill`` is not set.
        """
        if self.fill is not None:
            x = torch.where(x.isnan(), clip_to_support(self._fill_like(x), self.likelihood), x)
        self.likelihood.check(x)

    def _fill_like(self, value: Tensor) -> Tensor:
        """``fill`` in the precision of ``value`` and on its device."""
        assert self.fill is not None
        if self.fill.device != value.device:
            # moved once, not in every step
            self.fill = self.fill.to(value.device)
        return self.fill.to(value.dtype)

    def forward(
        self,
        x: Float[Tensor, "B *D"],
        *,
        x_in: Float[Tensor, "B *D"] | None = None,
        corrupt: bool | None = None,
        progress: float = 1.0,
        population: int = 0,
        gather: Callable[[Tensor], Tensor] = alone,
    ) -> Trace:
        """A forward pass with a sampled code; ``corrupt`` applies the corruption, by default in training mode only.

        The encoder sees ``x_in`` where it is given (pairs of a noisy and a clean example), otherwise ``x``, in both
        cases with missing values filled before the corruption, or after one that gives a target of its own.
        """
        corrupt = self.training if corrupt is None else corrupt
        given = x if x_in is None else x_in
        own = corrupt and isinstance(self.corruption, HasOwnTarget)
        # a value that is missing has no target of its own
        given = given if own else self.encodable(given)
        x_in, mask, target = self.corruption(given, progress) if corrupt else Corrupted(given)
        if own or (mask is not None and makes_missing(self.corruption)):
            x_in = self.encodable(x_in)
        q = self.posterior(x_in, progress)
        z = q.rsample()
        h = self.decoded(z)
        x = x if target is None else target
        return Trace(x, x_in, q, z, self.output_of(h), mask, progress, population, gather, h)

    def encode(self, x: A, *, sample: bool = False, precision: torch.dtype | None = None) -> A:
        """The code of each example: the mean of q(z | x), or a sample from it; a tensor or array, as given.

        ``precision`` is the precision of the encoder, float32 by default: with ``torch.bfloat16`` on hardware that
        supports it the encoder is about four times as fast, and codes differ by about 0.3 % in norm.
        """
        with self.products_in(precision):
            return self._in_chunks(x, self.inputs(x), lambda v: _point(self.posterior(v), sample))

    def decode(self, z: A, *, sample: bool = False) -> A:
        """The mean of p(x | z), or a sample from it; flattened codes are reshaped."""
        return self._in_chunks(z, self._codes(z), lambda v: _point(self.output(v), sample))

    def reconstruct(self, x: A, *, sample: bool = False) -> A:
        """The reconstruction of each example, decode(encode(x)); with ``sample`` from a sampled code."""
        return self._in_chunks(
            x,
            self.inputs(x),
            lambda v: _point(self.output(_point(self.posterior(v), sample)), False),
        )

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """``n`` new examples: the mean of p(x | z) for codes z sampled from the prior.

        Raises:
            IncompatibleParts: the model has no prior.
            BadOption: ``n`` below 1.
        """
        if n < 1:
            raise BadOption(f"The number of samples must be at least 1, but is {n}.")
        with seeded(seed):
            z = self.prior_distribution().sample(torch.Size((n,)))
        return self.decode(z)

    @property
    def interpolates(self) -> bool:
        """Whether the encoder accepts missing values, NaN, and interpolates them itself (``net.kind=unet``)."""
        return bool(getattr(self.encoder, "fills_missing", False))

    @property
    def generative(self) -> bool:
        """Whether the model has a prior to sample codes from, set by an objective with a prior."""
        return self.prior is not None

    def prior_distribution(self) -> Distribution:
        """The prior over one code.

        Raises:
            IncompatibleParts: the model has no prior.
        """
        if self.prior is None:
            raise IncompatibleParts(
                "This autoencoder has no prior to sample codes from, because its objective does not use one. Use a "
                "variational or Wasserstein recipe such as vae, or decode given codes."
            )
        return self.prior.distribution(self)

    def _features(self, net: nn.Module, value: Tensor) -> Tensor:
        """The output of a network, computed in ``autocast`` precision if it is set, and returned in full precision."""
        if self.autocast is None:
            full: Tensor = net(value)
            return full
        with torch.autocast(value.device.type, dtype=self.autocast):
            low: Tensor = net(value)
        return low.to(value.dtype)

    @contextmanager
    def products_in(self, precision: torch.dtype | None) -> Iterator[None]:
        """Run the networks in ``precision`` inside the block; ``None`` keeps the current setting."""
        before = self.autocast
        self.autocast = precision or before
        try:
            yield
        finally:
            self.autocast = before

    @property
    def like(self) -> Tensor:
        """An empty tensor on the model's device and in its precision."""
        first = next(self.parameters(), torch.zeros(()))
        # not the parameter itself: with sharded parameters, tensors made like it would be sharded too
        return torch.empty(0, dtype=first.dtype, device=first.device)

    def _in_chunks(self, given: A, x: Tensor, function: Callable[[Tensor], Tensor]) -> A:
        """Apply ``function`` to ``x`` in chunks, and return the type of ``given``."""
        like = self.like
        with inference(self):
            results = [function(chunk.to(like.device, like.dtype)) for chunk in torch.split(x, CHUNK)]
        joined = torch.cat(results) if len(results) != 1 else results[0]
        return joined.cpu().numpy() if isinstance(given, np.ndarray) else joined

    def inputs(self, x: Tensor | npt.NDArray[Any]) -> Tensor:
        """Examples as a tensor (N, *shape), in the units that the model was trained in.

        8-bit values are divided by 255, unless all are 0 or 1; channels may be last.

        Raises:
            ShapeError: examples of another shape, or not numeric.
        """
        return as_inputs(x, self.shape if self.shape is not None else tuple(x.shape[1:]))

    def _codes(self, z: Tensor | npt.NDArray[Any]) -> Tensor:
        return shaped(tensor_of(z), self.code_shape or tuple(z.shape[1:]), "codes")


def _check_kind(name: str, part: object, kind: type) -> None:
    """Check that a part is a module of its kind."""
    if not isinstance(part, kind) or not isinstance(part, nn.Module):
        raise IncompatibleParts(
            f"The {name} must be one of the parts in isthmus.{name}s or implement their protocol, but is "
            f"{type(part).__name__}. Pass the parts in the order encoder, decoder, latent, likelihood."
        )


def _check_targets(corruption: object, likelihood: object) -> None:
    """Check that a likelihood takes any value, if the corruption adds noise to targets."""
    if isinstance(corruption, HasOwnTarget) and (bounds := support_of(likelihood)) is not None:
        raise IncompatibleParts(
            f"{type(corruption).__name__} adds noise to targets, which then leave the interval from {bounds[0]:g} to "
            f"{bounds[1]:g}, but likelihood {type(likelihood).__name__} takes no others. Set likelihood.kind=gaussian."
        )


def _point(q: Distribution, sample: bool) -> Tensor:
    return q.sample() if sample else q.mean


def _attempt(names: str, value: Tensor, part: Callable[[Tensor], Distribution]) -> Distribution:
    """Run parts, and raise a ``ShapeError`` with their names if it fails."""
    try:
        return part(value)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ShapeError(
            f"The {names} do not match their input of shape (B, {', '.join(map(str, value.shape[1:]))}): {reason}. "
            "A latent of size d takes latent.width(d) features from the encoder and passes d values to the decoder."
        ) from error


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradient, with the faster float32 products; the mode of each module is restored."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), float32_products():
            yield
    finally:
        for inner, mode in modes.items():
            inner.training = mode

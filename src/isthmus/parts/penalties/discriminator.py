r"""Adversarial losses on outputs: a critic is trained to tell decoded examples from those of the data.

The decoder is trained to raise the critic's score of what it decodes. Beside a likelihood, which pulls towards the mean
of all examples that a code could stand for, this pulls towards an example that could be one of the data.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, check_choice, check_range
from isthmus.parts.penalties.adversarial import checked_ratio, squared_gradient, with_constants
from isthmus.parts.penalties.missing import observed_alike
from isthmus.parts.protocols import Capability, Model, Prior, Shape, Supplied, Trace

Builder = Callable[[Shape, Sequence[int], int, str], nn.Module]
"""Builds a critic from shape, channels, hidden units and norm: :func:`isthmus.parts.nets.critic.data_critic`."""


class Game(NamedTuple):
    """The losses of decoder and critic as functions of the critic's logits."""

    decoder: Callable[[Tensor], Tensor]
    real: Callable[[Tensor], Tensor]
    made: Callable[[Tensor], Tensor]


GAMES = {
    "logistic": Game(lambda d: F.softplus(-d), lambda d: F.softplus(-d), F.softplus),
    "hinge": Game(torch.neg, lambda d: F.relu(1 - d), lambda d: F.relu(1 + d)),
}
"""Games by name: the non-saturating logistic loss (Goodfellow et al., 2014), and the hinge loss (Lim & Ye, 2017)."""
JUDGED = ("decoded", "samples", "both")


class Discriminator(nn.Module):
    r"""An adversarial loss of the outputs :math:`\hat x = \mathbb E[p(x \mid z)]`, by a critic D on examples, in nats.

    .. math:: \Omega = -\log D(\hat x), \quad
        \text{critic: } -\log D(x) - \log(1 - D(\hat x)) + \frac\gamma2 \lVert \nabla_x \mathrm{logit}\,D(x) \rVert^2

    or, for ``loss=hinge``, :math:`\Omega = -d(\hat x)` with critic
    :math:`\max(0, 1 - d(x)) + \max(0, 1 + d(\hat x))` on logits d. The gradient reaches the decoder, not the encoder.
    The gradient penalty (R1) makes the game converge; as it is the costliest part of a step, it is taken at a fraction
    ``r1_share`` of each batch, whose mean it estimates. Its weight applies to data in [0, 1].

    With a ``ratio`` r the loss is balanced against the likelihood: its gradient with respect to the features h of the
    decoder's output is rescaled in each step,

    .. math:: \nabla_h \leftarrow r\,\frac{\lVert \nabla_h \log p(x \mid z) \rVert}{\lVert \nabla_h \Omega \rVert}
        \nabla_h\,\Omega

    so that neither the scale of the likelihood nor the confidence of the critic matters. ``matching`` adds, with a
    ratio of its own, the squared distance of :math:`\hat x` and x in the features of the critic's stages.

    Args:
        shape: shape of one example.
        data_critic: builds the network of D.
        prior: the prior p(z), of which samples are decoded and judged.
        judged: what is judged: ``decoded`` codes of the batch, ``samples`` of the prior, or ``both``.
        loss: ``logistic`` or ``hinge``.
        ratio: r > 0; ``None`` leaves the gradient as it is.
        matching: ratio of feature matching, at least 0; needs ``ratio``.
        r1: weight :math:`\gamma \ge 0` of the gradient penalty.
        r1_share: fraction of the batch at which it is taken, above 0.
        channels: feature maps of the stages of D.
        hidden: units of its dense layer.
        norm: its normalization: ``none``, ``layer``, ``group`` or ``spectral``.
        critic_lr_ratio: learning rate of D divided by ``training.learning_rate``, above 0.

    Raises:
        BadOption: an option out of range.

    References:
        Generative adversarial nets (Goodfellow et al., 2014)
        Geometric GAN (Lim & Ye, 2017), for the hinge loss
        Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016), for feature matching
        Which training methods for GANs do actually converge? (Mescheder et al., 2018), section 4.1
        Taming transformers for high-resolution image synthesis (Esser et al., 2021), equation 7, for the ratio
    """

    name = "discriminator"
    requires: frozenset[Capability] = frozenset()
    critic_betas = (0.5, 0.99)
    trains_decoder = True

    def __init__(
        self,
        shape: Supplied[Shape | None],
        data_critic: Supplied[Builder],
        prior: Supplied[Prior | None] = None,
        *,
        judged: str = "decoded",
        loss: str = "logistic",
        ratio: float | None = 0.5,
        matching: float = 0.0,
        r1: float = 1.0,
        r1_share: float = 0.125,
        channels: Sequence[int] = (32, 64),
        hidden: int = 128,
        norm: str = "none",
        critic_lr_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        if shape is None:
            raise BadOption("A discriminator is built for the shape of an example. Pass shape=(1, 28, 28).")
        check_choice("judged", judged, JUDGED)
        check_choice("loss", loss, GAMES)
        check_range("matching", matching, 0, 1000)
        check_range("r1", r1, 0, 1e6)
        check_range("r1_share", r1_share, 0, 1, open_low=True)
        if ratio is not None:
            check_range("ratio", ratio, 0, 1000, open_low=True)
        self.judged, self.loss, self.ratio, self.matching = judged, loss, ratio, matching
        self.r1, self.r1_share, self.pairs = r1, r1_share, ratio is not None
        self.critic = data_critic(shape, channels, hidden, norm)
        self.critic_lr_ratio = checked_ratio(critic_lr_ratio)
        if judged != "decoded":
            if prior is None:
                raise BadOption("The prior whose samples are judged is not known. Pass one, or set judged=decoded.")
            self.prior = prior

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The loss per example, shape (B,)."""
        h = self._features(model, trace)
        if self.ratio is None or not torch.is_grad_enabled():
            return self._judged(model, trace, h)
        return self._balanced(model, trace, h)

    def critic_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The critic's loss on the batch and what was decoded, plus the gradient penalty, shape (B,)."""
        x, made = model.filled(trace.x), trace.shared[self]
        logits = self.critic(torch.cat([x, made])).logits
        game = GAMES[self.loss]
        of_made = game.made(logits[len(x) :]).reshape(-1, len(x)).mean(0)
        loss: Tensor = game.real(logits[: len(x)]) + of_made
        if not self.r1:
            return loss
        some = max(1, round(self.r1_share * len(x)))
        squared = squared_gradient(lambda v: self.critic(v).logits, x[:some])
        return loss + F.pad(0.5 * self.r1 * len(x) / some * squared, (0, len(x) - some))

    def _features(self, model: Model, trace: Trace) -> Tensor:
        """The features of the decoder for what is judged, (k B, ...), without gradient to the encoder."""
        found = []
        if self.judged != "samples":
            known = trace.h if not trace.z.requires_grad else None
            found.append(model.decoded(trace.z.detach()) if known is None else known)
        if self.judged != "decoded":
            with torch.no_grad():
                z = self.prior.distribution(model).sample(torch.Size((len(trace.x),)))
            found.append(model.decoded(z))
        return torch.cat(found)

    def _judged(self, model: Model, trace: Trace, h: Tensor) -> Float[Tensor, " B"]:
        """The loss of outputs with features ``h``, which are kept for the loss of the critic."""
        _, y = observed_alike(model, trace.x, model.output_of(h).mean)
        trace.shared[self] = y.detach()
        logits = with_constants(self.critic, y).logits
        return GAMES[self.loss].decoder(logits).reshape(-1, len(trace.x)).mean(0)

    def _balanced(self, model: Model, trace: Trace, h: Tensor) -> Float[Tensor, " B"]:
        """The loss, with gradients that are rescaled at the features of the decoder."""
        assert self.ratio is not None
        own = trace.h if trace.h is not None else model.decoded(trace.z)
        of_image, _ = _gradient(own, lambda leaf: -model.output_of(leaf).log_prob(trace.x))
        target = _rms(of_image, trace)
        gradient, loss = _gradient(h, lambda leaf: self._judged(model, trace, leaf))
        pull = _dot(self.ratio * _scale(target, gradient, trace) * gradient, h, len(trace.x))
        if self.matching:
            gradient, _ = _gradient(own, lambda leaf: self._distance(model, trace, leaf))
            pull = pull + _dot(self.matching * _scale(target, gradient, trace) * gradient, own, len(trace.x))
        # the value is that of the loss, the gradient that of the pull
        return loss.detach() + pull - pull.detach()

    def _distance(self, model: Model, trace: Trace, h: Tensor) -> Float[Tensor, " B"]:
        """Mean squared distance in the features of each stage of the critic, summed over stages."""
        x, y = observed_alike(model, trace.x, model.output_of(h).mean)
        with torch.no_grad():
            of_data = self.critic(x).features
        made = with_constants(self.critic, y).features
        each = [(a - b).square().flatten(1).mean(1) for a, b in zip(made, of_data, strict=True)]
        return torch.stack(each).sum(0)


def _gradient(at: Tensor, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The gradient of the sum of ``function`` with respect to its argument, and its value."""
    leaf = at.detach().requires_grad_()
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return gradient, value


def _rms(gradient: Tensor, trace: Trace) -> Tensor:
    """The root mean square of a gradient over the batches of all processes."""
    return trace.gather(gradient.square().flatten(1).mean(1)).mean().sqrt()


def _scale(target: Tensor, gradient: Tensor, trace: Trace) -> Tensor:
    """The factor that gives a gradient the root mean square ``target``."""
    return target / _rms(gradient, trace).clamp(min=torch.finfo(gradient.dtype).tiny)


def _dot(gradient: Tensor, h: Tensor, batch: int) -> Float[Tensor, " B"]:
    """The product whose gradient with respect to ``h`` is ``gradient``, per example."""
    return (gradient.detach() * h).flatten(1).sum(1).reshape(-1, batch).sum(0)

r"""Adversarial penalties: a critic is trained to discriminate two distributions of codes.

The logit of the optimal critic is the log-ratio of the two densities (Goodfellow et al., 2014), which gives an estimate
of a density ratio without closed form. The gradients of critic and autoencoder are separate: a penalty uses its critic
with constant parameters, and ``critic_loss`` uses detached codes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from isthmus.errors import IncompatibleParts, check_range
from isthmus.parts.protocols import Capability, Model, Prior, Supplied, Trace

Builder = Callable[[int | None, int, Sequence[int]], nn.Module]
"""Builds a critic from the numbers of inputs and outputs and the hidden widths: :func:`isthmus.parts.nets.critic`."""
SHORT = (0.5, 0.9)
"""Decay rates of Adam for a critic of codes (Kim & Mnih, 2018)."""


class Adversarial(nn.Module):
    r"""Adversarial matching of the aggregate posterior to the prior, by a critic D on codes (AAE, WAE-GAN), in nats.

    .. math:: \Omega = -\log D(z), \quad
              \text{critic: } \mathbb E_{p(z)}[-\log D(z)] + \mathbb E_{q(z)}[-\log(1 - D(z))]

    The penalty has one value per example. For a critic at chance level :math:`\Omega = \log 2` and the critic's loss is
    :math:`2 \log 2`; neither is 0.

    The gradient penalty :math:`\frac\gamma2 \mathbb E_{p(z)} \lVert \nabla_z \mathrm{logit}\, D(z) \rVert^2` is added
    to the critic's loss. Without it the codes of a deterministic encoder may oscillate around the prior, or diverge.
    Requires a real-valued code; feature maps are flattened.

    Args:
        prior: the prior p(z).
        size: number of values of one code.
        critic: builds the network of D.
        widths: widths of the hidden layers of D.
        critic_lr_ratio: learning rate of D divided by ``training.learning_rate``, above 0.
        gradient_penalty: weight :math:`\gamma \ge 0` of the gradient penalty; the papers use 0.

    Raises:
        BadOption: an option out of range, or a code without a size.
        IncompatibleParts: codes of another size.

    References:
        Adversarial autoencoders (Makhzani et al., 2016)
        Wasserstein auto-encoders (Tolstikhin et al., 2018), algorithm 1
        Which training methods for GANs do actually converge? (Mescheder et al., 2018), section 4.1
    """

    name = "adversarial"
    requires = frozenset({Capability.REAL})
    critic_betas = SHORT

    def __init__(
        self,
        prior: Supplied[Prior],
        size: Supplied[int | None],
        critic: Supplied[Builder],
        *,
        widths: Sequence[int] = (512, 512),
        critic_lr_ratio: float = 1.0,
        gradient_penalty: float = 1.0,
    ) -> None:
        super().__init__()
        check_range("gradient_penalty", gradient_penalty, 0)
        self.prior, self.gradient_penalty = prior, gradient_penalty
        self.size, self.critic = size, critic(size, 1, widths)
        self.critic_lr_ratio = checked_ratio(critic_lr_ratio)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The penalty -log D(z) per example, in nats, shape (B,)."""
        return F.softplus(-_constant(self.critic, _flat(trace.z, self.size)))

    def critic_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The critic's cross-entropy on codes and as many prior samples, plus the gradient penalty, shape (B,)."""
        z = _flat(trace.z.detach(), self.size)
        samples = self.prior.distribution(model).sample(torch.Size((len(z),))).flatten(1)
        loss = _cross_entropy(self.critic, samples, z)
        if not self.gradient_penalty:
            return loss
        return loss + 0.5 * self.gradient_penalty * squared_gradient(self.critic, samples)


class FactorVAE(nn.Module):
    r"""Total correlation of the code, estimated by a critic D (FactorVAE), in nats.

    .. math:: \Omega = \log \frac{D(z)}{1 - D(z)}, \quad
              \text{critic: } \mathbb E_{q(z)}[-\log D(z)] + \mathbb E_{\prod_k q(z_k)}[-\log(1 - D(z))]

    Samples from :math:`\prod_k q(z_k)` are obtained by permuting each latent dimension over the batch. With the optimal
    critic the mean of :math:`\Omega` is the total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))`. D has
    one logit, the difference of the paper's two. In distributed training the permutation is over the batches of all
    processes. A batch of one example equals its permutation, so the critic cannot learn from it. Requires a real-valued
    code; feature maps are flattened.

    Args:
        size: number of values of one code.
        critic: builds the network of D.
        widths: widths of the hidden layers of D.
        critic_lr_ratio: learning rate of D divided by ``training.learning_rate``, above 0.

    Raises:
        BadOption: an option out of range, or a code without a size.
        IncompatibleParts: codes of another size.

    References:
        Disentangling by factorising (Kim & Mnih, 2018), equation 3 and algorithms 1 and 2
    """

    name = "factor"
    requires = frozenset({Capability.REAL})
    critic_betas = SHORT

    def __init__(
        self,
        size: Supplied[int | None],
        critic: Supplied[Builder],
        *,
        widths: Sequence[int] = (512, 512),
        critic_lr_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        self.size, self.critic = size, critic(size, 1, widths)
        self.critic_lr_ratio = checked_ratio(critic_lr_ratio)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The log-ratio of densities estimated by the critic, in nats, shape (B,)."""
        return _constant(self.critic, _flat(trace.z, self.size))

    def critic_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The critic's cross-entropy on codes and permuted codes, in nats, shape (B,)."""
        z = _flat(trace.z.detach(), self.size)
        # each process permutes the global batch with its own random numbers
        return _cross_entropy(self.critic, z, permuted(trace.gather(z))[: len(z)])


def permuted(z: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
    """Codes with each dimension permuted independently over the batch: samples from the product of the marginals.

    >>> permuted(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    return z.gather(0, torch.rand_like(z).argsort(0))


def checked_ratio(critic_lr_ratio: float) -> float:
    """Check the learning rate of a critic, relative to that of the autoencoder.

    Raises:
        BadOption: it is out of range.
    """
    check_range("critic_lr_ratio", critic_lr_ratio, 0, 1000, open_low=True)
    return critic_lr_ratio


def _flat(z: Tensor, size: int | None) -> Float[Tensor, "B d"]:
    """Codes as rows, after checking that they have the size that the critic was built for."""
    flat = z.flatten(1)
    if flat.shape[1] != size:
        raise IncompatibleParts(
            f"The critic was built for codes of {size} values, but the latent gives {flat.shape[1]}. Build the penalty "
            "with the number of values of one code as size."
        )
    return flat


def with_constants(net: nn.Module, x: Tensor) -> Any:
    """The output of a network, with gradient to its input but not to its parameters."""
    constants = {name: p.detach() for name, p in net.named_parameters()}
    return functional_call(net, constants, (x,))


def _constant(critic: nn.Module, z: Tensor) -> Float[Tensor, " B"]:
    """The critic's logits, with gradient to the codes but not to the critic's parameters, shape (B,)."""
    logits: Tensor = with_constants(critic, z)
    return logits.squeeze(1)


def _cross_entropy(critic: nn.Module, positive: Tensor, negative: Tensor) -> Float[Tensor, " B"]:
    """Cross-entropy of pairs of one positive and one negative code, in nats; 2 log 2 for D = 1/2."""
    logits: Tensor = critic(torch.cat([positive, negative])).squeeze(1)
    of_positive, of_negative = torch.split(logits, len(positive))
    return F.softplus(-of_positive) + F.softplus(of_negative)


def squared_gradient(logits_of: Callable[[Tensor], Tensor], x: Tensor) -> Float[Tensor, " B"]:
    """Squared norm of the gradient of a critic's logit at each point, shape (B,)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(logits_of(x).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)

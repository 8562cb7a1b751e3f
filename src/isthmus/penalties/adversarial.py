r"""Penalties that a critic estimates: a second player, which learns to tell two kinds of codes apart.

A critic that does so best has the log-ratio of their densities for its logit (Goodfellow et al., 2014), so a ratio
that has no closed form is learnt. The encoder is then moved against it. The two never share a gradient: a penalty
reads its critic with constant parameters, and ``critic_loss`` reads constant codes.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from isthmus.errors import IncompatibleParts, check_range
from isthmus.trace import Model, Offer, Prior, Trace

Builder = Callable[[int | None, int, Sequence[int]], nn.Module]
"""Makes a critic of so many inputs, outputs and hidden widths, such as :func:`isthmus.nets.critic`."""


class Adversarial(nn.Module):
    r"""A critic D in code space that tells draws of the prior from codes; the codes are to pass for the prior's.

    .. math:: \Omega = -\log D(z), \quad
              \text{critic: } \mathbb E_{p(z)}[-\log D(z)] + \mathbb E_{q(z)}[-\log(1 - D(z))]

    One value for each example, in nats. Where the critic cannot tell, :math:`\Omega = \log 2` and the critic's loss
    is :math:`2 \log 2`: neither is 0. This is the penalty of the adversarial autoencoder and of WAE-GAN.

    To the critic's loss is added :math:`\frac\gamma2 \mathbb E_{p(z)} \lVert \nabla_z \mathrm{logit}\, D(z) \rVert^2`:
    without it codes of a deterministic encoder run round the prior, or away, and the critic after them. Needs a code
    of real numbers; maps are flattened.

    Args:
        prior: the prior p(z).
        size: values of one code.
        critic: what builds the network of D.
        widths: its hidden layers.
        critic_share: its learning rate as a share of ``training.rate``, above 0.
        smoothness: :math:`\gamma \ge 0`; 0 is the game of the papers.

    Raises:
        BadOption: an option out of range, no size of the code, or a width below 1.
        IncompatibleParts: codes of another size.

    References:
        Adversarial autoencoders (Makhzani et al., 2016)
        Wasserstein auto-encoders (Tolstikhin et al., 2018), algorithm 1
        Which training methods for GANs do actually converge? (Mescheder et al., 2018), section 4.1
    """

    name = "adversarial"
    needs = frozenset({Offer.REAL})

    def __init__(
        self,
        prior: nn.Module,
        size: int | None,
        critic: Builder,
        *,
        widths: Sequence[int] = (512, 512),
        critic_share: float = 1.0,
        smoothness: float = 1.0,
    ) -> None:
        super().__init__()
        check_range("smoothness", smoothness, 0)
        self.prior, self.smoothness = prior, smoothness
        self.size, self.critic = size, critic(size, 1, widths)
        self.critic_share = _share(critic_share)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """How surely the critic takes each code for none of the prior's, in nats."""
        return F.softplus(-_constant(self.critic, _flat(trace.z, self.size)))

    def critic_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The cross-entropy of the critic over as many draws of the prior as codes, in nats, and its smoothness."""
        assert isinstance(self.prior, Prior)
        z = _flat(trace.z.detach(), self.size)
        drawn = self.prior.distribution(model).sample(torch.Size((len(z),))).flatten(1)
        loss = _cross_entropy(self.critic, drawn, z)
        return loss + 0.5 * self.smoothness * _steepness(self.critic, drawn) if self.smoothness else loss


class FactorVAE(nn.Module):
    r"""Total correlation by a critic D that tells codes from codes whose coordinates were drawn one by one, in nats.

    .. math:: \Omega = \log \frac{D(z)}{1 - D(z)}, \quad
              \text{critic: } \mathbb E_{q(z)}[-\log D(z)] + \mathbb E_{\prod_k q(z_k)}[-\log(1 - D(z))]

    Draws of :math:`\prod_k q(z_k)` are made by permuting each coordinate over the batch. With the best critic the mean
    of :math:`\Omega` is :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))`. D has one logit, the difference of the paper's
    two. A batch of one example is its own permutation and teaches the critic nothing; several processes permute each
    its own codes. Needs a code of real numbers; maps are flattened.

    Args:
        size: values of one code.
        critic: what builds the network of D.
        widths: its hidden layers.
        critic_share: its learning rate as a share of ``training.rate``, above 0.

    Raises:
        BadOption: a share that is not positive, no size of the code, or a width below 1.
        IncompatibleParts: codes of another size.

    References:
        Disentangling by factorising (Kim & Mnih, 2018), equation 3 and algorithms 1 and 2
    """

    name = "factor"
    needs = frozenset({Offer.REAL})

    def __init__(
        self,
        size: int | None,
        critic: Builder,
        *,
        widths: Sequence[int] = (512, 512),
        critic_share: float = 1.0,
    ) -> None:
        super().__init__()
        self.size, self.critic = size, critic(size, 1, widths)
        self.critic_share = _share(critic_share)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The critic's log-ratio at each code, in nats."""
        return _constant(self.critic, _flat(trace.z, self.size))

    def critic_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The cross-entropy of the critic over codes and permuted codes, in nats."""
        z = _flat(trace.z.detach(), self.size)
        return _cross_entropy(self.critic, z, permuted(z))


def permuted(z: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
    """Codes each of whose coordinates is shuffled over the batch on its own: draws of the product of marginals.

    >>> permuted(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    return z.gather(0, torch.rand_like(z).argsort(0))


def _share(critic_share: float) -> float:
    check_range("critic_share", critic_share, 0, 1000, open_low=True)
    return critic_share


def _flat(z: Tensor, size: int | None) -> Float[Tensor, "B d"]:
    """Codes as rows, refused where the critic was made for others."""
    flat = z.flatten(1)
    if flat.shape[1] != size:
        raise IncompatibleParts(
            f"The critic was made for codes of {size} values, but the latent gives {flat.shape[1]}. Make it for the "
            "number of values of one code."
        )
    return flat


def _constant(critic: nn.Module, z: Tensor) -> Float[Tensor, " B"]:
    """The critic's logits with a gradient to the codes, and none to its own parameters."""
    constants = {name: p.detach() for name, p in critic.named_parameters()}
    logits: Tensor = functional_call(critic, constants, (z,))
    return logits.squeeze(1)


def _cross_entropy(critic: nn.Module, yes: Tensor, no: Tensor) -> Float[Tensor, " B"]:
    """How badly the critic tells two samples of equal size apart, pair by pair: 2 log 2 where it says one half."""
    logits: Tensor = critic(torch.cat([yes, no])).squeeze(1)
    one, other = torch.split(logits, len(yes))
    return F.softplus(-one) + F.softplus(other)


def _steepness(critic: nn.Module, z: Tensor) -> Float[Tensor, " B"]:
    """The squared slope of the critic's logit at given codes."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        logits: Tensor = critic(z)
        (slope,) = torch.autograd.grad(logits.sum(), z, create_graph=True)
    return slope.square().sum(1)

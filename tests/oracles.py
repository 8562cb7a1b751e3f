"""What several tests compare with: quantities of a model, written down from its parts."""

from torch import Tensor

from isthmus import Autoencoder
from isthmus.parts.fidelities import log_weights


def log_importance_weights(model: Autoencoder, x: Tensor, samples: int) -> Tensor:
    """Logarithms of p(x|z) p(z) / q(z|x) for draws from the posterior, (K, B) in nats; their mean is the ELBO."""
    trace = model(x, corrupt=False)
    assert model.prior is not None
    return log_weights(model, trace, model.prior, samples, trace.q)

r"""Sparse autoencoders: a code of many units, of which each example uses a few."""

from isthmus.options import TrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe
from isthmus.zoo.entries import Entry, part


def sparse_l1(latent: int = 32, weight: float = 0.0784) -> Recipe:
    r"""One ReLU code layer with an L1 penalty: :math:`-\log p(x|z) + \lambda \sum_j |z_j|`, D-32-D, cross-entropy.

    The tutorial adds :math:`10^{-4} \sum_j |z_j|` to a cross-entropy averaged over 784 pixels; in nats per example,
    which sum over pixels, that is :math:`\lambda = 784 \cdot 10^{-4}`.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="sparse_l1",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", size=latent, activation="relu"),
        penalties={"l1": part(PenaltyPart, "l1", weight=weight)},
        training=TrainingOptions(rate=2e-3, schedule="cosine"),
    )


def sparse_kl(latent: int = 196, target: float = 0.1, weight: float = 3.0) -> Recipe:
    r"""Sigmoid units, each in use for a share :math:`\rho` of the examples on average.

    .. math:: -\log p(x \mid z) + \lambda \sum_j \mathrm{KL}(\rho \,\|\, \hat\rho_j)

    The notes measure squared error and decay the weights; here it is cross-entropy, and no weight decays.

    References:
        Sparse autoencoder, CS294A lecture notes (Ng, 2011)
    """
    return Recipe(
        name="sparse_kl",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", size=latent, activation="sigmoid"),
        penalties={"kl_sparsity": part(PenaltyPart, "kl_sparsity", target=target, weight=weight)},
        training=TrainingOptions(rate=1e-2, schedule="cosine"),
    )


def k_sparse(latent: int = 1000, k: int = 25) -> Recipe:
    r"""Linear units of which an example keeps the k largest: :math:`\hat x = W\,\mathrm{supp}_k(W^\top x + b) + b'`.

    From 100 values the number falls to k over the first half of the run, so that every unit learns.

    References:
        k-sparse autoencoders (Makhzani & Frey, 2014)
    """
    fall = {"value": k, "shape": "linear", "start": max(k, 100), "fraction": 0.5}
    return Recipe(
        name="k_sparse",
        net=part(NetPart, "linear", tied=True),
        latent=part(LatentPart, "k_sparse", size=latent, k=fall),
        likelihood=part(LikelihoodPart, "gaussian"),
        training=TrainingOptions(schedule="cosine"),
    )


def top_k(latent: int = 512, k: int = 16) -> Recipe:
    r"""TopK autoencoder: :math:`z = \mathrm{TopK}(\mathrm{relu}(Wx + b)),\ \hat x = W'z + b'`, squared error.

    The columns of W' have unit norm, W starts as its transpose, and dead units learn to predict the residual e. Their
    loss has weight 1, for the paper's 1/32 leaves a quarter of the units without use on the MNIST test images, at the
    same error.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)
    """
    return _dictionary("top_k", part(LatentPart, "top_k", size=latent, k=k, aux=1.0))


def batch_top_k(latent: int = 512, k: int = 16) -> Recipe:
    r"""BatchTopK autoencoder: :func:`top_k` ranked over the batch, :math:`\lVert z \rVert_0 = k` on average.

    References:
        BatchTopK sparse autoencoders (Bussmann et al., 2024)
    """
    return _dictionary("batch_top_k", part(LatentPart, "batch_top_k", size=latent, k=k, aux=1.0))


def jump_relu(latent: int = 512, l0: float = 0.1) -> Recipe:
    r"""JumpReLU autoencoder: :math:`\frac12\lVert x - \hat x\rVert^2 + \lambda\lVert z \rVert_0, z = h\,H(h - \theta)`.

    The price of an active value rises to ``l0`` over the first tenth of the run.

    References:
        Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders (Rajamanoharan et al., 2024)
    """
    rise = {"value": l0, "shape": "linear", "fraction": 0.1}
    return _dictionary("jump_relu", part(LatentPart, "jump_relu", size=latent, l0=rise))


def _dictionary(name: str, latent: LatentPart) -> Recipe:
    """A linear pair with squared error, whose decoder's columns are directions of unit length."""
    return Recipe(
        name=name,
        net=part(NetPart, "linear", unit_norm=True),
        latent=latent,
        likelihood=part(LikelihoodPart, "gaussian"),
        training=TrainingOptions(schedule="cosine"),
    )


ENTRIES: dict[str, Entry] = {
    "sparse_l1": Entry(
        sparse_l1,
        "a small code paid for by its size (784-32-784)",
        "-log Bernoulli(x; W' z + b') + lam sum_j |z_j|, z = relu(Wx + b)",
        "Chollet, Building autoencoders in Keras (2016)",
        ("chollet2016",),
    ),
    "sparse_kl": Entry(
        sparse_kl,
        "sigmoid units, each in use for a tenth of the examples",
        "-log p(x|z) + lam sum_j KL(rho || mean z_j)",
        "Ng, CS294A lecture notes (2011)",
        ("ng2011",),
    ),
    "k_sparse": Entry(
        k_sparse,
        "1000 linear units, the 25 largest kept, tied weights",
        "1/2 |x - W z - b'|^2, z = supp_k(W^T x + b)",
        "Makhzani & Frey, ICLR (2014)",
        ("makhzani2014",),
    ),
    "top_k": Entry(
        top_k,
        "a dictionary of 512 directions, 16 for each example",
        "1/2 |x - W' z - b'|^2 + |e - W' z_dead|^2, z = TopK(relu(Wx + b))",
        "Gao et al., ICLR (2025)",
        ("gao2025",),
    ),
    "batch_top_k": Entry(
        batch_top_k,
        "the same, 16 on average: hard examples get more",
        "1/2 |x - W' z - b'|^2 + |e - W' z_dead|^2, z = BatchTopK(relu(Wx + b))",
        "Bussmann et al., arXiv:2412.06410 (2024)",
        ("bussmann2024",),
    ),
    "jump_relu": Entry(
        jump_relu,
        "the same with a learned threshold for each unit",
        "1/2 |x - W' z - b'|^2 + lam |z|_0, z = h H(h - theta), h = Wx + b",
        "Rajamanoharan et al., arXiv:2407.14435 (2024)",
        ("rajamanoharan2024",),
    ),
}
"""Rows of the table of recipes."""

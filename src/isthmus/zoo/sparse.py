r"""Sparse autoencoders: few active units per example."""

from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code


def sparse_l1(latent: int | None = None, weight: float = 0.0784) -> Recipe:
    r"""One ReLU code layer with an L1 penalty: :math:`-\log p(x|z) + \lambda \sum_j |z_j|`, D-32-D, cross-entropy.

    The tutorial adds :math:`10^{-4} \sum_j |z_j|` to a cross-entropy averaged over 784 pixels; in nats per example,
    which sum over pixels, that is :math:`\lambda = 784 \cdot 10^{-4}`.

    Use it for few nonnegative features on data in [0, 1]. The weight is in nats per example, so it depends on the data:
    watch ``l0`` and ``dead_fraction``. The penalty also shrinks the active units, and can be evaded by small codes with
    large decoder weights; :func:`top_k` avoids both.

    References:
        Building autoencoders in Keras (Chollet, 2016)
    """
    return Recipe(
        name="sparse_l1",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", **code(latent, 32), activation="relu"),
        penalties={"l1": part(PenaltyPart, "l1", weight=weight)},
        training=TrainingOptions(learning_rate=2e-3, schedule="cosine"),
    )


def sparse_kl(latent: int = 196, target: float = 0.1, weight: float = 3.0) -> Recipe:
    r"""Sigmoid code with a penalty on mean activations :math:`\hat\rho_j` other than :math:`\rho`.

    .. math:: -\log p(x \mid z) + \lambda \sum_j \mathrm{KL}(\rho \,\|\, \hat\rho_j)

    The notes use squared error and weight decay; this recipe uses cross-entropy and no weight decay.

    Use it for many sigmoid features, each of which is active for a given fraction of the examples. Mean activations are
    those of a batch, so batches must not be small. The number of active units of a single example is not controlled;
    for that use :func:`k_sparse`.

    References:
        Sparse autoencoder (Ng, 2011)
    """
    return Recipe(
        name="sparse_kl",
        net=part(NetPart, "linear"),
        latent=part(LatentPart, "deterministic", size=latent, activation="sigmoid"),
        penalties={"kl_sparsity": part(PenaltyPart, "kl_sparsity", target=target, weight=weight)},
        training=TrainingOptions(learning_rate=1e-2, schedule="cosine"),
    )


def k_sparse(latent: int = 1000, k: int = 25) -> Recipe:
    r"""k-sparse autoencoder, the k largest linear units: :math:`\hat x = W\,\mathrm{supp}_k(W^\top x + b) + b'`.

    The number of active units decreases from 100 to k over the first half of the run, so that all units are trained.

    Use it for features of a classifier, with exactly k active units per example: a small k gives features of whole
    classes, a large k gives local ones. Starting with the final k leaves many units inactive, so keep the schedule. For
    large dictionaries use :func:`top_k`.

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

    The columns of W' have unit norm, W is initialized to its transpose, and dead units are trained to predict the
    residual e. This auxiliary loss has weight 1, because with the paper's 1/32 a quarter of the units is never active
    on the MNIST test images, at the same error.

    Use it for a dictionary of many features that can be inspected one by one, of images or of activations of another
    network: k sets the sparsity, and no weight has to be tuned. Watch ``dead_fraction``. If examples differ in
    complexity use :func:`batch_top_k`.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)
    """
    return _dictionary("top_k", part(LatentPart, "top_k", size=latent, k=k, aux_weight=1.0))


def batch_top_k(latent: int = 512, k: int = 16) -> Recipe:
    r"""BatchTopK autoencoder: :func:`top_k` over the whole batch, :math:`\lVert z \rVert_0 = k` on average.

    Use it instead of :func:`top_k` when some examples need more features than others. In evaluation mode a threshold
    replaces the ranking over the batch, so the number of active features per example is k only on average, and differs
    if the data differ from the training data.

    References:
        BatchTopK sparse autoencoders (Bussmann et al., 2024)
    """
    return _dictionary("batch_top_k", part(LatentPart, "batch_top_k", size=latent, k=k, aux_weight=1.0))


def jump_relu(latent: int = 512, l0: float = 0.1) -> Recipe:
    r"""JumpReLU autoencoder: :math:`\frac12\lVert x - \hat x\rVert^2 + \lambda\lVert z \rVert_0, z = h\,H(h - \theta)`.

    The weight of the L0 penalty increases to ``l0`` over the first tenth of the run.

    Use it when the number of active features is to follow from a weight. Active values are not shrunk, unlike with
    :func:`sparse_l1`. The sparsity depends on the weight and on the units of the data: watch ``l0``. If a given
    sparsity is wanted, :func:`top_k` is easier to tune.

    References:
        Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders (Rajamanoharan et al., 2024)
    """
    rise = {"value": l0, "shape": "linear", "fraction": 0.1}
    return _dictionary("jump_relu", part(LatentPart, "jump_relu", size=latent, l0_weight=rise))


def _dictionary(name: str, latent: LatentPart) -> Recipe:
    """A linear encoder and decoder with squared error and dictionary vectors of unit norm."""
    return Recipe(
        name=name,
        net=part(NetPart, "linear", unit_norm=True),
        latent=latent,
        likelihood=part(LikelihoodPart, "gaussian"),
        training=TrainingOptions(schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "sparse_l1": RecipeEntry(
        sparse_l1,
        "ReLU code with an L1 penalty (784-32-784)",
        "-log Bernoulli(x; W' z + b') + lam sum_j |z_j|, z = relu(Wx + b)",
        cites=("chollet2016",),
    ),
    "sparse_kl": RecipeEntry(
        sparse_kl,
        "sigmoid code with mean activations of 0.1",
        "-log p(x|z) + lam sum_j KL(rho || mean z_j)",
        cites=("ng2011",),
    ),
    "k_sparse": RecipeEntry(
        k_sparse,
        "25 largest of 1000 linear units, tied weights",
        "1/2 |x - W z - b'|^2, z = supp_k(W^T x + b)",
        cites=("makhzani2014",),
    ),
    "top_k": RecipeEntry(
        top_k,
        "dictionary of 512 features, 16 active per example",
        "1/2 |x - W' z - b'|^2 + |e - W' z_dead|^2, z = TopK(relu(Wx + b))",
        cites=("gao2025",),
    ),
    "batch_top_k": RecipeEntry(
        batch_top_k,
        "TopK over the batch: 16 active features on average",
        "1/2 |x - W' z - b'|^2 + |e - W' z_dead|^2, z = BatchTopK(relu(Wx + b))",
        cites=("bussmann2024",),
    ),
    "jump_relu": RecipeEntry(
        jump_relu,
        "dictionary with a learned threshold per feature",
        "1/2 |x - W' z - b'|^2 + lam |z|_0, z = h H(h - theta), h = Wx + b",
        cites=("rajamanoharan2024",),
    ),
}
"""Entries of the table of recipes."""

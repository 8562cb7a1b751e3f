"""A restricted Boltzmann machine as a scikit-learn transformer."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from isthmus.boltzmann import BoltzmannMachine, ContrastiveDivergence, learn
from isthmus.boltzmann.learning import EpochRecord
from isthmus.data.transforms.scaling import Kind, Scaling, measure
from isthmus.errors import check_choice
from isthmus.models.seeding import seeded

Array = npt.NDArray[np.floating[Any]]


class BoltzmannTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""A restricted Boltzmann machine that transforms examples into the means of its hidden units.

    Names follow scikit-learn's ``BernoulliRBM`` where possible. The machine learns in float32, with matrix products in
    bfloat16 where the hardware supports it natively, and returns results in the precision of its input.

    Args:
        n_components: number of hidden units H.
        visible: visible units, ``bernoulli`` or ``gaussian``.
        hidden: hidden units, ``bernoulli`` or ``gaussian``; two Gaussian layers are not supported.
        learning_rate: learning rate of weights and biases; Gaussian units require a smaller one, such as 0.001.
        batch_size: examples per batch.
        n_iter: passes over the training set.
        n_steps: Gibbs steps per batch.
        persistent: continue the Gibbs chains from batch to batch.
        weight_decay: L2 penalty on the weights, multiplied by the learning rate.
        scale: scaling of each feature: ``none``, ``minmax`` (to [0, 1]), ``standard`` (to mean 0 and variance 1), or
            ``auto``: standard for Gaussian visible units; for Bernoulli units minmax, unless the training values are in
            [0, 1] already. Values outside of the training range are accepted later and not clipped, because the
            formulas are defined for all values.
        precision: precision of matrix products, ``auto``, ``32`` or ``bf16``.
        random_state: seed of weights, order and sampling.
        verbose: print a line per epoch.

    Attributes:
        components_: weights, (H, V).
        intercept_hidden_: hidden biases, (H,).
        intercept_visible_: visible biases, (V,).
        scaling_: affine map from features to visible units.
        history_: metrics of each epoch, see :func:`isthmus.boltzmann.learn`.

    >>> import numpy as np
    >>> x = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> BoltzmannTransformer(2, random_state=0).fit(x).transform(x).shape
    (4, 2)
    """

    def __init__(
        self,
        n_components: int = 256,
        *,
        visible: str = "bernoulli",
        hidden: str = "bernoulli",
        learning_rate: float = 0.1,
        batch_size: int = 100,
        n_iter: int = 10,
        n_steps: int = 1,
        persistent: bool = False,
        weight_decay: float = 2e-4,
        scale: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.visible = visible
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.n_steps = n_steps
        self.persistent = persistent
        self.weight_decay = weight_decay
        self.scale = scale
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: npt.ArrayLike, y: object = None) -> "BoltzmannTransformer":
        """Fit the machine to examples (N, V); ``y`` is ignored."""
        options = ContrastiveDivergence(
            epochs=self.n_iter,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            gibbs_steps=self.n_steps,
            persistent=self.persistent,
            precision=self.precision,
        )
        x = torch.tensor(validate_data(self, X, dtype=(np.float64, np.float32)))
        scaling = self._fitted_scaling(x)
        seed = self._seed()
        with seeded(seed):
            machine = BoltzmannMachine(
                x.shape[1], self.n_components, visible_units=self.visible, hidden_units=self.hidden
            )
        x = scaling.apply(x).float()
        self.history_ = learn(machine, x, options, seed=seed, callback=_print_epoch if self.verbose else None)
        self.scaling_ = scaling
        self.components_ = machine.weight.numpy()
        self.intercept_hidden_ = machine.hidden_bias.numpy()
        self.intercept_visible_ = machine.visible_bias.numpy()
        self._n_features_out = len(self.intercept_hidden_)
        return self

    def transform(self, X: npt.ArrayLike) -> Array:
        """Means of the hidden units, (N, H)."""
        v = self._scaled(X)
        return self._machine(v).hidden(v).numpy()

    def inverse_transform(self, X: npt.ArrayLike) -> Array:
        """Features (N, V), in their original units, from means of the hidden units (N, H)."""
        check_is_fitted(self)
        h = torch.tensor(check_array(X, dtype=(np.float64, np.float32)))
        return self.scaling_.invert(self._machine(h).visible(h)).numpy()

    def score_samples(self, X: npt.ArrayLike) -> Array:
        """Unnormalized log-likelihood of each example, which is minus its free energy, in nats, (N,).

        The unknown constant log Z is the same for all examples, so their order is that of the log-likelihood.
        ``BernoulliRBM`` returns a stochastic estimate of the pseudo-likelihood instead; for that use
        :meth:`isthmus.boltzmann.BoltzmannMachine.pseudo_likelihood` of :attr:`machine_`.
        """
        v = self._scaled(X)
        return -self._machine(v).free_energy(v).numpy()

    def gibbs(self, v: npt.ArrayLike) -> Array:
        """Examples (N, V) after one Gibbs step, which samples hidden and then visible states."""
        x = self._scaled(v)
        machine = self._machine(x)
        with seeded(self._seed()):
            return self.scaling_.invert(machine.draw_visible(machine.draw_hidden(x))).numpy()

    def sample(self, n_samples: int = 1, *, n_steps: int = 1000) -> Array:
        """New examples (n_samples, V), from independent Gibbs chains."""
        check_is_fitted(self)
        with seeded(self._seed()):
            return self.scaling_.invert(self.machine_.sample(n_samples, steps=n_steps)).numpy()

    @property
    def machine_(self) -> BoltzmannMachine:
        """The fitted machine, which shares the arrays; its input are features scaled by ``scaling_``."""
        return self._machine(torch.tensor(self.components_[:0]))

    def _machine(self, like: Tensor) -> BoltzmannMachine:
        """The machine in the precision of ``like``."""
        arrays = (self.components_, self.intercept_visible_, self.intercept_hidden_)
        weight, visible, hidden = (torch.from_numpy(array).to(like.dtype) for array in arrays)
        return BoltzmannMachine.of(weight, visible, hidden, visible_units=self.visible, hidden_units=self.hidden)

    def _scaled(self, X: npt.ArrayLike) -> Tensor:
        """Scaled examples, in their own precision."""
        check_is_fitted(self)
        return self.scaling_.apply(torch.tensor(validate_data(self, X, dtype=(np.float64, np.float32), reset=False)))

    def _fitted_scaling(self, x: Tensor) -> Scaling:
        check_choice("scale", self.scale, ("auto", "none", "minmax", "standard"))
        kind = cast(Kind, self.scale)
        if kind == "auto":
            low, high = x.aminmax()
            fits = bool(low >= 0 and high <= 1)
            kind = "standard" if self.visible == "gaussian" else "none" if fits else "minmax"
        return measure(x, kind)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def __sklearn_tags__(self) -> Any:
        """Tags for scikit-learn's tools: the precision of inputs is preserved."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _print_epoch(row: EpochRecord) -> None:
    # scikit-learn's verbose estimators print too
    print(f"Epoch {row['epoch']:.0f}: squared error {row['squared_error']:.3f}, {row['seconds']:.2f} s")  # noqa: T201

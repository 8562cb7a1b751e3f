"""A restricted Boltzmann machine as a scikit-learn transformer."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from isthmus.boltzmann import BoltzmannMachine, Contrastive, learn
from isthmus.boltzmann.learning import Row
from isthmus.data.scaling import Kind, Scaling, measure
from isthmus.errors import check_choice
from isthmus.model import seeded

Array = npt.NDArray[np.floating[Any]]


class BoltzmannTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""A restricted Boltzmann machine whose hidden means are new features.

    Names are those of scikit-learn's ``BernoulliRBM`` where that has them. It learns in float32, with products in
    bfloat16 where the machine is made for them, and answers in the precision of what it is given.

    Args:
        n_components: number of hidden units H.
        visible: ``bernoulli`` or ``gaussian`` visible units.
        hidden: the same of the hidden ones; two Gaussian layers are refused.
        learning_rate: of weights and biases; Gaussian units need a smaller one, such as 0.001.
        batch_size: examples in a batch.
        n_iter: passes over the examples.
        n_steps: Gibbs steps for each batch.
        persistent: let the chains go on from batch to batch.
        weight_cost: L2 penalty on the weights, multiplied by the rate.
        scale: what is done to each feature: ``none``, ``minmax`` (to [0, 1]), ``standard`` (to mean 0 and variance
            1), or ``auto``: standard for Gaussian visible units; for Bernoulli ones minmax, where the training values
            do not lie in [0, 1] already. Later values beyond the range of the training ones are neither refused
            nor clipped, for the formulas take any number.
        precision: ``auto``, ``32`` or ``bf16``, of the products.
        random_state: of weights, order and draws.
        verbose: print a line for each pass.

    Attributes:
        components_: weights, (H, V).
        intercept_hidden_: hidden biases, (H,).
        intercept_visible_: visible biases, (V,).
        scaling_: the affine map from features to visible units.
        history_: figures of each pass, see :func:`isthmus.boltzmann.learn`.

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
        weight_cost: float = 2e-4,
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
        self.weight_cost = weight_cost
        self.scale = scale
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: npt.ArrayLike, y: object = None) -> "BoltzmannTransformer":
        """Learn the machine from examples (N, V); ``y`` is ignored."""
        options = Contrastive(
            epochs=self.n_iter,
            batch=self.batch_size,
            rate=self.learning_rate,
            weight_cost=self.weight_cost,
            steps=self.n_steps,
            persistent=self.persistent,
            precision=self.precision,
        )
        x = torch.tensor(validate_data(self, X, dtype=(np.float64, np.float32)))
        scaling = self._measured(x)
        seed = self._seed()
        with seeded(seed):
            machine = BoltzmannMachine(
                x.shape[1], self.n_components, visible_units=self.visible, hidden_units=self.hidden
            )
        x = scaling.apply(x).float()
        self.history_ = learn(machine, x, options, seed=seed, listener=_printed if self.verbose else None)
        self.scaling_ = scaling
        self.components_ = machine.weight.numpy()
        self.intercept_hidden_ = machine.hidden_bias.numpy()
        self.intercept_visible_ = machine.visible_bias.numpy()
        self._n_features_out = len(self.intercept_hidden_)
        return self

    def transform(self, X: npt.ArrayLike) -> Array:
        """Means of the hidden units, (N, H)."""
        v = self._visible(X)
        return self._machine(v).hidden(v).numpy()

    def inverse_transform(self, X: npt.ArrayLike) -> Array:
        """Features (N, V), in their own units, from means of the hidden units (N, H)."""
        check_is_fitted(self)
        h = torch.tensor(check_array(X, dtype=(np.float64, np.float32)))
        return self.scaling_.invert(self._machine(h).visible(h)).numpy()

    def score_samples(self, X: npt.ArrayLike) -> Array:
        """Log-likelihood of each example up to a constant that all share: minus the free energy, in nats, (N,).

        It ranks examples as their likelihood does. ``BernoulliRBM`` gives a random estimate of the pseudo-likelihood
        here; that is :meth:`isthmus.boltzmann.BoltzmannMachine.pseudo_likelihood` of :attr:`machine_`.
        """
        v = self._visible(X)
        return -self._machine(v).free_energy(v).numpy()

    def gibbs(self, v: npt.ArrayLike) -> Array:
        """Examples (N, V) after one step of Gibbs sampling: hidden states drawn, then visible ones."""
        x = self._visible(v)
        machine = self._machine(x)
        with seeded(self._seed()):
            return self.scaling_.invert(machine.draw_visible(machine.draw_hidden(x))).numpy()

    def sample(self, n_samples: int = 1, *, n_steps: int = 1000) -> Array:
        """New examples (n_samples, V), each at the end of a Gibbs chain of its own."""
        check_is_fitted(self)
        with seeded(self._seed()):
            return self.scaling_.invert(self.machine_.sample(n_samples, steps=n_steps)).numpy()

    @property
    def machine_(self) -> BoltzmannMachine:
        """The machine itself, which shares the fitted arrays; it sees features as ``scaling_`` makes them."""
        return self._machine(torch.tensor(self.components_[:0]))

    def _machine(self, like: Tensor) -> BoltzmannMachine:
        """The machine in the precision of some states."""
        arrays = (self.components_, self.intercept_visible_, self.intercept_hidden_)
        weight, visible, hidden = (torch.from_numpy(array).to(like.dtype) for array in arrays)
        return BoltzmannMachine.of(weight, visible, hidden, visible_units=self.visible, hidden_units=self.hidden)

    def _visible(self, X: npt.ArrayLike) -> Tensor:
        """Examples as the visible units see them, in their own precision."""
        check_is_fitted(self)
        return self.scaling_.apply(torch.tensor(validate_data(self, X, dtype=(np.float64, np.float32), reset=False)))

    def _measured(self, x: Tensor) -> Scaling:
        check_choice("scale", self.scale, ("auto", "none", "minmax", "standard"))
        kind: Kind = self.scale  # type: ignore[assignment]
        if kind == "auto":
            low, high = x.aminmax()
            fits = bool(low >= 0 and high <= 1)
            kind = "standard" if self.visible == "gaussian" else "none" if fits else "minmax"
        return measure(x, kind, images=False, pixels=False)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools may rely on."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _printed(row: Row) -> None:
    # scikit-learn's verbose estimators print, too
    print(f"Pass {row['epoch']:.0f}: squared error {row['squared_error']:.3f}, {row['seconds']:.2f} s")  # noqa: T201

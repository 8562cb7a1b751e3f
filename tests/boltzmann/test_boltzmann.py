"""Boltzmann machines against their own energy, counted state by state."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from isthmus.boltzmann import (
    BoltzmannMachine,
    ContrastiveDivergence,
    annealed_log_partition,
    exact_log_partition,
    learn,
    log_likelihood,
)
from isthmus.boltzmann.learning import _Learner
from isthmus.boltzmann.units import UNITS
from isthmus.errors import BadData, BadOption, Diverged, IncompatibleParts, ShapeError
from isthmus.models.seeding import seeded

EPS = torch.finfo(torch.float64).eps
KINDS = [("bernoulli", "bernoulli"), ("gaussian", "bernoulli"), ("bernoulli", "gaussian")]
each_kind = pytest.mark.parametrize("kinds", KINDS, ids="-".join)
V, H = 3, 2


def machine(kinds: tuple[str, str] = KINDS[0], visible: int = V, hidden: int = H, spread: float = 0.7):
    """A machine in float64 with biases that matter."""
    made = BoltzmannMachine(visible, hidden, visible_units=kinds[0], hidden_units=kinds[1], spread=spread).double()
    made.visible_bias.normal_()
    made.hidden_bias.normal_()
    return made


def states(kind: str, units: int) -> tuple[Tensor, Tensor]:
    """All states (S, units) of a layer with the logarithms of their weights: counted, or a grid to integrate over."""
    if kind == "bernoulli":
        values, weight = torch.tensor([0.0, 1.0]).double(), 1.0
    else:
        # the trapezoid rule errs by exp(-2 (pi / step)^2) where the density vanishes at the ends
        values, weight = torch.arange(-30, 31).double() * 0.7, 0.7
    grid = torch.cartesian_prod(*[values] * units).reshape(-1, units)
    return grid, torch.full((len(grid),), units * math.log(weight), dtype=torch.float64)


def joint(made: BoltzmannMachine, v: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of v all hidden states (S, H), and -E(v, h) with the weight of the state, (B, S)."""
    h, log_weight = states(made.hidden_units, H)
    pairs = [-made.energy(row.expand(len(h), -1), h) + log_weight for row in v]
    return h, torch.stack(pairs)


def some(kind: str, rows: int = 5) -> Tensor:
    return torch.randint(2, (rows, V)).double() if kind == "bernoulli" else torch.randn(rows, V).double()


def same(got: Tensor, expected: Tensor, roundings: float = 1000) -> None:
    """Equal up to roundings of sums of some hundred terms."""
    torch.testing.assert_close(got, expected, rtol=roundings * EPS, atol=roundings * EPS)


@each_kind
def test_the_energy_is_that_of_its_formula(kinds):
    made, v = machine(kinds), some(kinds[0])
    h = torch.rand(5, H).double()
    W, b, c = made.weight, made.visible_bias, made.hidden_bias
    own_v = -(v @ b) if kinds[0] == "bernoulli" else 0.5 * (v - b).square().sum(1)
    own_h = -(h @ c) if kinds[1] == "bernoulli" else 0.5 * (h - c).square().sum(1)
    same(made.energy(v, h), own_v + own_h - torch.einsum("bh,hv,bv->b", h, W, v))


@each_kind
def test_the_free_energy_and_the_hidden_means_sum_the_hidden_units_out(kinds):
    made, v = machine(kinds), some(kinds[0])
    h, log_p = joint(made, v)
    same(made.free_energy(v), -torch.logsumexp(log_p, 1))
    same(made.hidden(v), torch.softmax(log_p, 1) @ h)


@each_kind
def test_the_flipped_machine_is_the_same_with_its_layers_exchanged(kinds):
    made, v, h = machine(kinds), some(kinds[0]), torch.rand(5, H).double()
    flipped = made.flipped()
    same(flipped.energy(h, v), made.energy(v, h))
    same(flipped.hidden(h), made.visible(h))
    same(flipped.visible(v), made.hidden(v))
    made.weight.zero_()
    assert not flipped.weight.any()


@pytest.mark.parametrize("kind", UNITS)
def test_the_slope_of_the_cumulant_is_the_mean_and_draws_have_it(kind):
    bias, field = torch.randn(7).double(), torch.randn(7).double().requires_grad_()
    unit = UNITS[kind]
    mean = unit.mean(bias + field.detach())
    (slope,) = torch.autograd.grad(unit.cumulant(bias, field).sum(), field)
    same(slope, mean)
    draws = unit.draw(mean.expand(100_000, -1))
    # five standard errors; no variance exceeds 1
    assert (draws.mean(0) - mean).abs().max() < 5 / 100_000**0.5
    variance = mean * (1 - mean) if kind == "bernoulli" else torch.ones(7).double()
    assert (draws.var(0) - variance).abs().max() < 5 * (2 / 100_000) ** 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_improbable_states_are_as_improbable_in_every_precision(dtype):
    mean = torch.full((1_000_000,), 2.0**-12, dtype=dtype)
    draws = UNITS["bernoulli"].draw(mean)
    assert draws.dtype == dtype
    expected = 1_000_000 * 2.0**-12
    assert abs(draws.double().sum().item() - expected) < 5 * expected**0.5


def test_drawn_states_follow_the_means_of_the_other_layer():
    made = machine()
    v, h = some("bernoulli", 1).expand(40_000, -1), torch.tensor([[1.0, 0.0]]).double().expand(40_000, -1)
    for draws, mean in ((made.draw_hidden(v), made.hidden(v)), (made.draw_visible(h), made.visible(h))):
        assert set(draws.unique().tolist()) == {0.0, 1.0}
        assert (draws.mean(0) - mean[0]).abs().max() < 5 * 0.5 / 40_000**0.5


def distribution(made: BoltzmannMachine) -> tuple[Tensor, Tensor]:
    """All visible states and their exact probabilities."""
    v, log_weight = states(made.visible_units, len(made.visible_bias))
    return v, torch.softmax(log_weight - made.free_energy(v), 0)


@each_kind
def test_samples_have_the_machine_s_own_marginals(kinds):
    # weights that tell drawn states from their means, and that chains still get across in 60 steps
    made, n = machine(kinds, spread=1.5 if kinds == KINDS[0] else 0.5), 20_000
    v, p = distribution(made)
    mean, second = p @ v, v.T @ (p[:, None] * v)
    draws = made.sample(n, steps=60)
    deviation = (p @ v.square() - mean.square()).sqrt()
    assert ((draws.mean(0) - mean).abs() < 5 * deviation / n**0.5).all()
    products = draws.T @ draws / n
    spread = (torch.einsum("s,si,sj->ij", p, v.square(), v.square()) - second.square()).sqrt()
    assert ((products - second).abs() <= 5 * spread / n**0.5 + 1e-12).all()
    means = made.sample(n, steps=60, means=True)
    assert ((means.mean(0) - mean).abs() < 5 * deviation / n**0.5).all()
    assert made.sample(3, steps=1, generator=torch.Generator().manual_seed(1)).equal(
        made.sample(3, steps=1, generator=torch.Generator().manual_seed(1))
    )


@pytest.mark.parametrize("kinds", [kinds for kinds in KINDS if kinds[0] == "bernoulli"], ids="-".join)
def test_the_pseudo_likelihood_is_the_sum_of_each_unit_given_the_others(kinds):
    made = machine(kinds)
    v, p = distribution(made)
    index = {tuple(row): i for i, row in enumerate(v.tolist())}
    expected = torch.zeros(len(v)).double()
    for (row, values), unit in itertools.product(enumerate(v.tolist()), range(V)):
        turned = tuple(1 - value if j == unit else value for j, value in enumerate(values))
        here, there = p[row], p[index[turned]]
        expected[row] += torch.log(here / (here + there))
    same(made.pseudo_likelihood(v, exact=True), expected)
    # the quick form draws one of the V terms: right on average
    draws = torch.stack([made.pseudo_likelihood(v) for _ in range(4000)])
    assert ((draws.mean(0) - expected).abs() < 5 * draws.std(0) / 4000**0.5 + 1e-9).all()


def log_likelihood_gradient(made: BoltzmannMachine, v: Tensor) -> dict[str, Tensor]:
    """By automatic differentiation of -F - log Z, averaged over examples, log Z counted."""
    parameters = {name: p.detach().clone().requires_grad_() for name, p in made.named_parameters()}
    every, log_weight = states(made.visible_units, V)

    class Free(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = made

        def forward(self, x: Tensor) -> Tensor:
            return self.made.free_energy(x)

    named = {f"made.{name}": p for name, p in parameters.items()}
    log_z = torch.logsumexp(log_weight - functional_call(Free(), named, (every,)), 0)
    total = (-functional_call(Free(), named, (v,)) - log_z).mean()
    return dict(zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True))


@each_kind
def test_the_gradient_of_the_likelihood_is_a_difference_of_two_means(kinds):
    made, v = machine(kinds, spread=0.4), some(kinds[0])
    every, p = distribution(made)
    gradient = log_likelihood_gradient(made, v)
    same(gradient["weight"], made.hidden(v).T @ v / 5 - made.hidden(every).T @ (p[:, None] * every))
    same(gradient["hidden_bias"], made.hidden(v).mean(0) - p @ made.hidden(every))
    if kinds[0] == "bernoulli":
        same(gradient["visible_bias"], v.mean(0) - p @ every)


def update(made: BoltzmannMachine, v: Tensor, options: ContrastiveDivergence, warm: int = 0) -> Tensor:
    """The change of all parameters in one step from rest, per unit of rate, weight cost apart."""
    learner = _Learner(made, options)
    learner.start(seed=3, first=True)
    learner.chains = made.draw_hidden(v) if warm else None
    for _ in range(warm):
        learner.persistent_phase(learner.chains)
    learner.step(v)
    return torch.cat([change.flatten() for change in learner.updates]) / options.learning_rate


@each_kind
def test_contrastive_divergence_tends_to_the_gradient_as_its_chains_grow(kinds):
    made, copies = machine(kinds, spread=0.5), 20_000
    v = some(kinds[0], 4)
    gradient = log_likelihood_gradient(made, v)
    expected = torch.cat([gradient[name].flatten() for name in ("weight", "visible_bias", "hidden_bias")])
    distances = []
    for steps in (1, 2, 5, 40):
        # a rate so small that the step leaves the parameters as they are, to rounding
        options = ContrastiveDivergence(learning_rate=1e-9, weight_decay=0.0, gibbs_steps=steps, precision="32")
        distances.append((update(made, v.repeat(copies, 1), options) - expected).norm().item())
    # each number is a mean over 4 * copies chains, of products whose standard deviation is below 1.5
    noise = ((V * H + V + H) * 1.5**2 / (4 * copies)) ** 0.5
    assert distances[-1] < noise < distances[0] / 2
    assert distances[0] > distances[2]


def test_persistent_chains_give_the_gradient_once_they_have_run_in():
    made, copies = machine(spread=0.5), 80_000
    v = some("bernoulli", 4)
    gradient = log_likelihood_gradient(made, v)
    expected = torch.cat([gradient[name].flatten() for name in ("weight", "visible_bias", "hidden_bias")])
    options = ContrastiveDivergence(learning_rate=1e-9, weight_decay=0.0, persistent=True, precision="32")
    noise = ((V * H + V + H) / copies) ** 0.5
    assert (update(made, v.repeat(copies // 4, 1), options) - expected).norm() > 2 * noise
    assert (update(made, v.repeat(copies // 4, 1), options, warm=60) - expected).norm() < noise


def test_learning_takes_the_authors_step():
    """The update rule in the words of the released code."""
    made = BoltzmannMachine(V, H, spread=0.3).double()
    W, b, c = (p.clone() for p in (made.weight, made.visible_bias, made.hidden_bias))
    options = ContrastiveDivergence(precision="32")
    x = torch.rand(50, V).double()
    learner, steps = _Learner(made, options), [torch.zeros_like(p) for p in (W, b, c)]
    for epoch, momentum in ((0, 0.5), (1, 0.5), (2, 0.9)):
        learner.start(epoch, first=epoch < 2)
        learner.step(x)
        poshidprobs = torch.sigmoid(x @ W.T + c)
        uniform = torch.rand(50, H, generator=torch.Generator().manual_seed(epoch), dtype=torch.float64)
        poshidstates = (poshidprobs > uniform).double()
        negdata = torch.sigmoid(poshidstates @ W + b)
        neghidprobs = torch.sigmoid(negdata @ W.T + c)
        products = (poshidprobs.T @ x - neghidprobs.T @ negdata) / 50
        directions = (products - 0.0002 * W, (x - negdata).mean(0), (poshidprobs - neghidprobs).mean(0))
        steps = [momentum * step + 0.1 * direction for step, direction in zip(steps, directions, strict=True)]
        W, b, c = (p + step for p, step in zip((W, b, c), steps, strict=True))
    for got, expected in zip((made.weight, made.visible_bias, made.hidden_bias), (W, b, c), strict=True):
        same(got, expected)


def test_persistent_chains_count_as_much_as_the_examples_of_a_smaller_batch():
    made = machine()
    learner = _Learner(made, ContrastiveDivergence(persistent=True, momentum=0.0, initial_momentum=0.0, precision="32"))
    learner.start(0, first=True)
    v, v_model = some("bernoulli", 2), some("bernoulli", 6)
    h, h_model = made.hidden(v), made.hidden(v_model)
    expected = 0.1 * (h.T @ v / 2 - h_model.T @ v_model / 6 - 2e-4 * made.weight)
    biases = 0.1 * (v.mean(0) - v_model.mean(0)), 0.1 * (h.mean(0) - h_model.mean(0))
    learner.update(v, v, h, v_model, h_model)
    for got, wanted in zip(learner.updates, (expected, *biases), strict=True):
        same(got, wanted)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_a_chain_of_k_steps_draws_its_visible_states_k_times(steps):
    made = machine(spread=2.0)
    learner = _Learner(made, ContrastiveDivergence(gibbs_steps=steps, precision="32"))
    learner.start(7, first=True)
    v, h = learner.contrastive_phase(torch.rand(50, V, generator=torch.Generator().manual_seed(0)).double())
    generator = torch.Generator().manual_seed(7)
    start = torch.rand(50, V, generator=torch.Generator().manual_seed(0)).double()
    expected = UNITS["bernoulli"].draw(start, generator)
    for _ in range(steps - 1):
        states_above = made.draw_hidden(expected, generator=generator)
        expected = made.draw_visible(states_above, generator=generator)
    assert v.equal(expected)
    same(h, made.hidden(expected))


def kl(made: BoltzmannMachine, p: Tensor) -> float:
    """From a distribution over all visible states to the machine's, in nats."""
    return torch.xlogy(p, p / distribution(made)[1]).sum().item()


@pytest.mark.parametrize("persistent", [False, True])
def test_a_small_known_distribution_is_learned(persistent):
    v, _ = states("bernoulli", V)
    p = torch.tensor([0.4, 0.05, 0.02, 0.03, 0.05, 0.01, 0.04, 0.4]).double()
    x = v.repeat_interleave((100 * p).round().long(), 0).repeat(10, 1)
    with seeded(1):
        made = BoltzmannMachine(V, 4).double()
    before = kl(made, p)
    learn(
        made,
        x,
        ContrastiveDivergence(epochs=150, learning_rate=0.01, weight_decay=0.0, persistent=persistent, gibbs_steps=5),
        seed=2,
    )
    assert kl(made, p) < before / 10


def learned(options: ContrastiveDivergence, seed: int = 0, x: Tensor | None = None, **more: object):
    with seeded(5):
        made = BoltzmannMachine(20, 12)
    with seeded(6):
        x = (torch.rand(130, 20) < torch.rand(20)).float() if x is None else x
    torch.rand(1)  # what else is drawn has no say
    return made, learn(made, x, options, seed=seed, **more)


@pytest.mark.parametrize("persistent", [False, True])
def test_learning_is_a_function_of_its_seed(persistent):
    options = ContrastiveDivergence(epochs=3, batch_size=30, gibbs_steps=2, persistent=persistent)
    first, rows = learned(options, 1)
    again, same_rows = learned(options, 1)
    other, _ = learned(options, 2)
    for one, two, three in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert one.equal(two)
        assert not one.equal(three)
    assert [r["squared_error"] for r in rows] == [r["squared_error"] for r in same_rows]


def test_half_precision_products_learn_what_full_ones_learn():
    """bfloat16 rounds to 2^-9: the means differ by that, and draws where a uniform number falls between."""
    full, full_rows = learned(ContrastiveDivergence(epochs=20, precision="32"))
    half, half_rows = learned(ContrastiveDivergence(epochs=20, precision="bf16"))
    assert half.weight.dtype == torch.float32
    assert not half.weight.equal(full.weight)
    assert (half.weight - full.weight).norm() < 0.05 * full.weight.norm()
    assert half_rows[-1]["squared_error"] == pytest.approx(full_rows[-1]["squared_error"], rel=0.02)


def test_a_machine_in_double_precision_stays_there():
    made = machine(visible=20)
    assert _Learner(made, ContrastiveDivergence()).proxy is made


def test_each_epoch_has_a_row_and_the_gap_tells_overfitting():
    x = torch.randint(2, (60, 20)).float()
    seen: list[dict[str, float]] = []
    _, rows = learned(
        ContrastiveDivergence(epochs=60, batch_size=20, weight_decay=0.0), x=x[:30], valid=x[30:], callback=seen.append
    )
    assert rows == seen
    assert [row["epoch"] for row in rows] == list(range(1, 61))
    assert all(set(row) == {"epoch", "squared_error", "seconds", "free_energy_gap"} for row in rows)
    # thirty random examples can only be learned by heart
    assert rows[-1]["free_energy_gap"] > rows[0]["free_energy_gap"] + 1


def test_the_error_of_an_epoch_is_the_mean_over_examples():
    made = machine()
    made.weight.zero_()
    rows = learn(made, torch.zeros(50, V), ContrastiveDivergence(epochs=1, learning_rate=1e-12, batch_size=7))
    assert rows[0]["squared_error"] == pytest.approx(torch.sigmoid(made.visible_bias).square().sum().item())


def test_learning_that_diverges_says_so_and_leaves_the_last_good_weights():
    made = BoltzmannMachine(V, H, visible_units="gaussian")
    before = made.weight.clone()
    with pytest.raises(Diverged, match=r"not finite in epoch 1, .* Lower learning_rate \(now 500; .* unit variance\."):
        learn(made, torch.randn(500, V), ContrastiveDivergence(learning_rate=500.0, batch_size=10))
    assert made.weight.equal(before)


@pytest.mark.parametrize(("spread", "variance"), [(0.4, "0.16"), (3.0, "9")])
def test_gaussian_units_warn_of_data_far_from_unit_variance(spread, variance):
    made = BoltzmannMachine(V, H, visible_units="gaussian")
    x = torch.tensor([[-1.0] * V, [1.0] * V]).repeat(50, 1)
    options = ContrastiveDivergence(epochs=1, learning_rate=1e-3)
    with pytest.warns(UserWarning, match=rf"variance of the data is {variance}\. Standardize the data") as caught:
        learn(made, 5 + spread * x, options)
    assert caught[0].filename == __file__, "the warning names the line that called learn"
    # warnings are errors in the tests
    learn(made, x, options)
    learn(BoltzmannMachine(V, H), 0.5 + 0.01 * x, options)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": -1}, "epochs must be at least 0, but is -1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, "batch_size must be of type int, but is 2.5"),
        ({"epochs": True}, "epochs must be of type int, but is True"),
        ({"learning_rate": True}, "learning_rate must be of type float, but is True"),
        ({"persistent": 1}, "persistent must be of type bool, but is 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be"),
        ({"learning_rate": "fast"}, "learning_rate must be of type float, but is 'fast'"),
        ({"momentum": 1.0}, "momentum must be at least 0 and at most 1"),
        ({"initial_momentum": -0.1}, "initial_momentum must be"),
        ({"weight_decay": -1}, "weight_decay must be at least 0"),
        ({"gibbs_steps": 0}, "gibbs_steps must be at least 1"),
        ({"precision": "16"}, "The precision cannot be '16'.* Allowed: 32, auto, bf16"),
    ],
)
def test_settings_out_of_range_are_refused(change, match):
    with pytest.raises(BadOption, match=match):
        ContrastiveDivergence(**change)


def test_a_whole_number_is_a_rate_too_and_numbers_may_be_numpy_s():
    assert ContrastiveDivergence(learning_rate=1, weight_decay=0).learning_rate == 1
    assert ContrastiveDivergence(learning_rate=np.float32(0.5), epochs=np.int64(3)).epochs == 3


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: machine(("gaussian", "gaussian")),
            IncompatibleParts,
            "has no lower bound.*Use bernoulli units in one",
        ),
        (lambda: machine(("binary", "gaussian")), BadOption, "The kind of the visible units cannot be 'binary'"),
        (lambda: BoltzmannMachine(0, 2), BadOption, "number of visible units must be at least 1"),
        (lambda: BoltzmannMachine(2, 0), BadOption, "number of hidden units must be at least 1"),
        (lambda: BoltzmannMachine(64.5, 20), BadOption, r"number of visible units must be an integer, but is 64\.5\."),
        (lambda: BoltzmannMachine(64, True), BadOption, "number of hidden units must be an integer, but is True"),
        (
            lambda: BoltzmannMachine(2, 2, spread=-1),
            BadOption,
            "^spread, the standard deviation of the initial weights, must be at least 0",
        ),
        (
            lambda: BoltzmannMachine.of(torch.zeros(2, 3), torch.zeros(2), torch.zeros(2)),
            ShapeError,
            r"received \(2, 3\) with \(2,\) and \(2,\). Pass one bias per unit",
        ),
        (
            lambda: machine().hidden(torch.zeros(2, 9)),
            ShapeError,
            r"3 visible units, but the states have shape \(2, 9\)",
        ),
        (lambda: machine().visible(torch.zeros(2)), ShapeError, "2 hidden units, but the states have shape"),
        (lambda: machine().free_energy(torch.zeros(2, 9)), ShapeError, "3 visible units, but the states have shape"),
        (lambda: machine().energy(torch.zeros(1, 3), torch.zeros(1, 9)), ShapeError, "2 hidden units"),
        (lambda: machine().sample(2, steps=0), BadOption, "number of Gibbs steps must be at least 1"),
        (
            lambda: machine(KINDS[1]).pseudo_likelihood(torch.zeros(1, 3)),
            IncompatibleParts,
            "but they are gaussian. Use",
        ),
        (lambda: machine().pseudo_likelihood(torch.full((1, 3), 0.5).double()), BadData, "some are neither 0 nor 1"),
        (lambda: machine().free_energy(np.zeros((1, 3))), BadData, "States must be a tensor, but are a ndarray"),
        (lambda: learn(machine(), torch.zeros(5, 3), seed=-1), BadOption, "The seed must be at least 0"),
        (lambda: learn(machine(), torch.zeros(5, 4)), ShapeError, r"3 visible units, but the data has .* \(5, 4\)"),
        (lambda: learn(machine(), torch.zeros(0, 3)), BadData, "no examples to learn from"),
        (lambda: learn(machine(), torch.full((2, 3), 2.0)), BadData, "from 2 to 2, but bernoulli .* from 0 to 1"),
        (lambda: learn(machine(), torch.full((2, 3), math.nan)), BadData, "from nan to nan"),
        (
            lambda: learn(machine(KINDS[1]), torch.full((2, 3), math.inf)),
            BadData,
            "gaussian visible units require finite",
        ),
        (
            lambda: learn(machine(), torch.zeros(2, 3), valid=torch.full((2, 3), -1.0)),
            BadData,
            "from -1 to -1",
        ),
    ],
)
def test_what_makes_no_machine_or_no_example_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_machine_says_what_it_is_and_starts_as_asked():
    with seeded(3):
        made = BoltzmannMachine(300, 200, spread=0.01, hidden_units="gaussian")
    assert repr(made) == "BoltzmannMachine(300 bernoulli, 200 gaussian)"
    # five standard errors of a standard deviation
    assert made.weight.std().item() == pytest.approx(0.01, rel=5 / (2 * 60_000) ** 0.5)
    assert not made.visible_bias.any()
    assert not made.hidden_bias.any()
    assert not any(p.requires_grad for p in made.parameters())
    with seeded(3):
        assert made.weight.equal(0.01 * torch.randn(200, 300))


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5)])
@each_kind
def test_the_partition_function_counts_every_state(sizes, kinds):
    made = machine(kinds, *sizes, spread=0.3)
    if kinds == KINDS[0]:
        every = [states("bernoulli", units)[0] for units in sizes]
        energies = [made.energy(row.expand(len(every[1]), -1), every[1]) for row in every[0]]
        expected = torch.logsumexp(-torch.cat(energies), 0)
    else:
        # counted over the binary layer: each of its states leaves a Gaussian, whose integral is its cumulant
        side = made if made.kinds[0].binary else made.flipped()
        expected = torch.logsumexp(-side.free_energy(states("bernoulli", len(side.visible_bias))[0]), 0)
    assert exact_log_partition(made) == pytest.approx(expected.item(), rel=1e-12)


def test_only_a_layer_that_can_be_counted_is_counted():
    assert exact_log_partition(BoltzmannMachine(50, 13, spread=0.0)) == pytest.approx(63 * math.log(2), rel=1e-6)
    with pytest.raises(BadOption, match=r"has 21 units, and 2\^21 states are too many.* At most 20"):
        exact_log_partition(BoltzmannMachine(30, 21))
    with pytest.raises(BadOption, match="has 30 units"):
        exact_log_partition(BoltzmannMachine(30, 2, hidden_units="gaussian"))


@pytest.mark.parametrize("base", ["none", "rates"])
@each_kind
def test_annealing_finds_the_partition_function_within_its_own_error(kinds, base):
    made = machine(kinds, 6, 4, spread=0.5)
    means = None if base == "none" else torch.rand(6)
    found = annealed_log_partition(made, temperatures=200, chains=500, base=means, seed=1)
    assert found.error < 0.1
    assert abs(found.log_z - exact_log_partition(made)) < 4 * found.error
    assert annealed_log_partition(made, temperatures=200, chains=500, base=means, seed=1) == found
    assert annealed_log_partition(made, temperatures=200, chains=500, base=means, seed=2) != found


@pytest.mark.parametrize("path", [1, 3, (0.0, 0.5, 0.9, 1.0)])
@pytest.mark.parametrize("kinds", KINDS[:2], ids="-".join)
def test_the_mean_weight_of_a_few_temperatures_is_the_partition_function_all_the_same(kinds, path):
    made = machine(kinds, 4, 3, spread=0.3)
    made.visible_bias.mul_(0.5)  # or Gaussian weights have tails that no number of chains meets
    found = annealed_log_partition(made, temperatures=path, chains=200_000, base=torch.full((4,), 0.3))
    # the error of so many chains is small, and that of log Z then that of Z
    assert found.error < 0.02
    assert abs(found.log_z - exact_log_partition(made)) < 4 * found.error


def test_more_temperatures_leave_a_smaller_error():
    made = machine(visible=6, hidden=4, spread=1.0)
    errors = [annealed_log_partition(made, temperatures=n, chains=1000).error for n in (2, 20, 200)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_stated_error_is_the_spread_of_repeated_estimates():
    made = machine(visible=5, hidden=4, spread=0.6)
    found = [annealed_log_partition(made, temperatures=5, chains=100, seed=seed) for seed in range(200)]
    spread = torch.tensor([estimate.log_z for estimate in found]).std().item()
    stated = torch.tensor([estimate.error for estimate in found]).mean().item()
    assert stated == pytest.approx(spread, rel=0.25)


def test_the_likelihood_of_all_states_sums_to_one():
    made = machine(visible=5)
    every = states("bernoulli", 5)[0]
    same(log_likelihood(made, every, exact_log_partition(made)).exp().sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("kind", UNITS)
def test_the_bias_of_a_mean_gives_that_mean(kind):
    mean = torch.linspace(0.01, 0.99, 9).double()
    same(UNITS[kind].mean(UNITS[kind].bias(mean)), mean)
    assert UNITS[kind].bias(torch.tensor([0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"temperatures": 0}, BadOption, "number of temperatures must be at least 1"),
        ({"temperatures": [0.0, 0.7, 0.6, 1.0]}, BadOption, "must increase from 0 to 1, but the 4 given do not"),
        ({"temperatures": [0.1, 1.0]}, BadOption, "must increase from 0 to 1"),
        ({"temperatures": [0.0, 0.5]}, BadOption, "must increase from 0 to 1"),
        ({"chains": 1}, BadOption, "number of chains must be at least 2"),
        ({"base": torch.zeros(5)}, ShapeError, r"shape \(5,\), but the machine has 3 visible units"),
    ],
)
def test_no_path_to_the_machine_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        annealed_log_partition(machine(), **options)


def test_arrays_are_taken_as_tensors_are():
    x, path = np.random.default_rng(0).integers(0, 2, (30, 3)).astype(float), np.linspace(0, 1, 11)
    a = machine()
    b = copy.deepcopy(a)
    learn(a, x, ContrastiveDivergence(epochs=2, batch_size=10), valid=x)
    learn(b, torch.from_numpy(x).float(), ContrastiveDivergence(epochs=2, batch_size=10))
    assert torch.equal(a.weight, b.weight)
    known = annealed_log_partition(b, temperatures=10, base=torch.from_numpy(x).float().mean(0))
    for temperatures in (path, torch.from_numpy(path)):
        found = annealed_log_partition(a, temperatures=temperatures, base=x.mean(0))
        assert found.log_z == pytest.approx(known.log_z, rel=1e-6)

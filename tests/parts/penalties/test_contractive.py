"""Contractive penalties: every path to the encoder's Jacobian equals plain autograd, in value and in gradient."""

import random
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.distributions import Distribution
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from isthmus import functional, latents, likelihoods, nets, zoo
from isthmus.distributions import Dirac
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.functional import (
    ACTIVATIONS,
    jacobian_norm,
    jacobian_rows,
    squared_jacobian_norm,
    squared_product_norm,
    value_and_slope,
)
from isthmus.models.autoencoder import Autoencoder
from isthmus.parts.penalties import Contractive, ContractiveHessian, geometry
from isthmus.parts.penalties.geometry import squared_code_jacobian
from isthmus.parts.protocols import Capability

# sums of at most a few thousand products of numbers near 1: roundings stay below 1e-12
NEAR = {"rtol": 1e-10, "atol": 1e-12}
U = 2.0**-8
"""Largest relative error of rounding to bfloat16, which keeps 8 bits."""


def same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, **NEAR)


def dense(shape, size, latent, **options) -> Autoencoder:
    likelihood = likelihoods.Bernoulli()
    pair = nets.mlp(shape, size, latent, likelihood, **options)
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=shape).double()


def around(encoder: nn.Module, latent: nn.Module, data: tuple[int, ...], size: int) -> Autoencoder:
    """An autoencoder with an encoder of one's own; what decodes is of no interest here."""
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(size, torch.Size(data).numel()), nn.Unflatten(1, data))
    return Autoencoder(encoder.double(), decoder.double(), latent.double(), likelihoods.Gaussian())


def jacobians(model: Autoencoder, x: Tensor) -> Tensor:
    """The Jacobian of each example by itself, (B, d, D), by torch's plain reverse mode, differentiable."""
    rows = [
        torch.autograd.functional.jacobian(lambda v: model.mean_code(v).flatten(), row[None], create_graph=True)
        for row in x
    ]
    return torch.stack(rows).flatten(2)


def norms(model: Autoencoder, x: Tensor) -> Tensor:
    return jacobians(model, x).square().sum((1, 2))


def gradients(value: Tensor, model: nn.Module) -> list[Tensor]:
    """Gradients of a weighted sum, so that examples count differently; zeros where there is none."""
    weights = torch.arange(1.0, 1 + len(value), dtype=value.dtype)
    parameters = list(model.parameters())
    grads = torch.autograd.grad((weights * value).sum(), parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]


def check_agree(got: Tensor, expected: Tensor, model: Autoencoder) -> None:
    """The same values, and the same gradients to every parameter of the encoder."""
    same(got, expected)
    for ours, theirs in zip(gradients(got, model.encoder), gradients(expected, model.encoder), strict=True):
        same(ours, theirs)


def value(model: Autoencoder, x: Tensor, **options) -> Tensor:
    return Contractive(**options)(model, model(x))


@pytest.fixture
def only_products(monkeypatch):
    """Fail where an encoder is not recognized."""

    def refuse(*_args, **_options):
        pytest.fail("the encoder was not recognized")

    monkeypatch.setattr(geometry, "squared_jacobian_norm", refuse)
    monkeypatch.setattr(geometry, "jacobian_rows", refuse)


@pytest.fixture
def only_autograd(monkeypatch):
    """Fail where an encoder is taken for a chain of layers."""
    monkeypatch.setattr(geometry, "_differentiate", lambda *_: pytest.fail("the encoder was taken for a chain"))


@pytest.mark.usefixtures("only_products")
@pytest.mark.parametrize("latent", [latents.Deterministic(), latents.Gaussian()])
def test_the_penalty_of_a_linear_encoder_is_the_squared_norm_of_its_matrix(latent):
    model = dense((12,), 3, latent, widths=())
    w = model.encoder[1].weight[:3]
    same(value(model, torch.randn(5, 12).double()), w.square().sum().expand(5))


@pytest.mark.usefixtures("only_products")
def test_the_penalty_of_one_sigmoid_layer_is_the_closed_form_of_the_paper():
    model = dense((1, 4, 5), 7, latents.Deterministic("sigmoid"), widths=())
    x = torch.rand(5, 1, 4, 5).double()
    h = model.mean_code(x)
    expected = ((h * (1 - h)).square() * model.encoder[1].weight.square().sum(1)).sum(1)
    check_agree(value(model, x), expected, model)
    check_agree(value(model, x), norms(model, x), model)


def random_dense(seed: int) -> tuple[Autoencoder, Tensor]:
    """A net of random depth, widths, activations and latent, with some examples."""
    pick = random.Random(seed)
    shape = pick.choice([(9,), (1, 3, 4), (2, 3, 2)])
    name = pick.choice(["gaussian", *ACTIVATIONS])
    latent = latents.Gaussian() if name == "gaussian" else latents.Deterministic(name)
    widths = [pick.randint(1, 9) for _ in range(pick.randint(0, 3))]
    options = {"widths": widths, "activation": pick.choice(list(ACTIVATIONS)), "dropout": pick.choice([0.0, 0.3])}
    model = dense(shape, pick.randint(1, 6), latent, init="torch", **options)
    return model, torch.randn(pick.randint(1, 4), *shape).double()


@pytest.mark.usefixtures("only_products")
@pytest.mark.parametrize("seed", range(20))
def test_the_penalty_of_a_random_deep_encoder_is_that_of_the_full_jacobian(seed):
    model, x = random_dense(seed)
    check_agree(value(model, x), norms(model.eval(), x), model)


@pytest.mark.usefixtures("only_autograd")
@pytest.mark.parametrize("seed", range(4))
def test_vector_jacobian_products_give_the_same_for_deep_encoders(seed):
    model, x = random_dense(seed)
    check_agree(value(model, x, method="vjp"), norms(model.eval(), x), model)


@pytest.mark.usefixtures("only_products")
def test_layers_of_torch_in_nested_sequences_are_recognized_too():
    inner = nn.Sequential(nn.Linear(6, 5, bias=False), nn.LeakyReLU(0.3), nn.ELU(0.7), nn.Identity())
    encoder = nn.Sequential(nn.Identity(), nn.Flatten(), inner, nn.Linear(5, 4), nn.Linear(4, 6), nn.Softplus(2.0))
    model = around(encoder, latents.Gaussian(), (2, 3), 3)
    x = torch.randn(4, 2, 3).double()
    check_agree(value(model, x), norms(model, x), model)


@pytest.mark.usefixtures("only_products")
def test_a_single_layer_without_a_sequence_is_recognized_too():
    model = around(nn.Linear(6, 3), latents.Deterministic("tanh"), (6,), 3)
    x = torch.randn(4, 6).double()
    check_agree(value(model, x), norms(model, x), model)


def test_a_layer_with_nothing_behind_it_has_no_slopes_to_multiply_with():
    model = dense((6,), 3, latents.Deterministic(), widths=(5, 4), activation="tanh")
    x = torch.rand(4, 6).double()
    chain = geometry._chain(model, x)
    _, slopes = geometry._differentiate(chain, x)
    assert [slope is None for slope in slopes] == [False, False, True]


class Halved(nn.Module):
    """A latent that looks like another, but whose mean is no activation of the features."""

    provides = frozenset({Capability.REAL, Capability.DIFFERENTIABLE})

    def __init__(self, activation: str, kind: str) -> None:
        super().__init__()
        self.activation, self.kind = activation, kind
        if kind == "scaled":
            self.scale = nn.Parameter(torch.ones(()))
        if kind == "kept":
            self.register_buffer("scale", torch.ones(()))

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor, progress: float = 1.0) -> Distribution:
        s = h.sin() if self.activation == "sine" else ACTIVATIONS[self.activation](h)
        return Dirac(s * getattr(self, "scale", 0.5))


def hooked(place: str) -> nn.Module:
    """An encoder that does more than its layers say."""
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    if place == "before":
        net[2].register_forward_pre_hook(lambda _layer, args: (2 * args[0],))
    elif place == "behind":
        net[0].register_forward_hook(lambda _layer, _args, out: out.sin())
    else:
        net.register_forward_hook(lambda _layer, _args, out: out.sin())
    return net


def parametrized() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    nn.utils.parametrizations.weight_norm(net[0])
    return net


class Grouped(nn.Module):
    """A group normalization that no type tells of."""

    def forward(self, h: Tensor) -> Tensor:
        return F.group_norm(h, 2)


UNKNOWN = {
    "activation first": nn.Sequential(nn.Tanh(), nn.Linear(6, 3)),
    "in place": nn.Sequential(nn.Linear(6, 3), nn.ELU(inplace=True)),
    "layer norm": nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 3)),
    "unseen group norm": nn.Sequential(nn.Linear(6, 4), Grouped(), nn.Tanh(), nn.Linear(4, 3)),
    "softmax": nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)),
    "hook before": hooked("before"),
    "hook behind": hooked("behind"),
    "hook around": hooked("around"),
    "parametrized": parametrized(),
}


@pytest.mark.usefixtures("only_autograd")
@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_encoder_that_is_not_a_chain_is_differentiated_as_it_is(kind):
    model = around(UNKNOWN[kind], latents.Deterministic("sigmoid"), (6,), 3)
    x = torch.randn(4, 6).double()
    check_agree(value(model, x), norms(model, x), model)


@pytest.mark.usefixtures("only_autograd")
@pytest.mark.parametrize("kind", ["halved", "scaled", "kept"])
@pytest.mark.parametrize("activation", ["linear", "sigmoid", "sine"])
def test_a_latent_that_only_looks_like_an_activation_is_differentiated_as_it_is(activation, kind):
    model = around(nn.Linear(6, 3), Halved(activation, kind), (6,), 3)
    x = torch.randn(4, 6).double()
    check_agree(value(model, x), norms(model, x), model)


@pytest.mark.usefixtures("only_autograd")
def test_an_encoder_without_a_linear_layer_is_differentiated_as_it_is():
    x = torch.randn(4, 6).double()
    s = torch.sigmoid(x)
    same(value(around(nn.Flatten(), latents.Deterministic("sigmoid"), (6,), 6), x), (s * (1 - s)).square().sum(1))


@pytest.mark.usefixtures("only_autograd")
def test_a_linear_layer_on_the_last_of_many_axes_is_differentiated_as_it_is():
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3))
    x = torch.randn(4, 2, 3).double()
    model = around(encoder, latents.Deterministic(), (2, 3), 3)
    check_agree(value(model, x), norms(model, x), model)


@pytest.mark.usefixtures("only_autograd")
def test_a_partial_flattening_is_differentiated_as_it_is():
    encoder = nn.Sequential(nn.Flatten(2), nn.Linear(4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, 3))
    x = torch.randn(4, 3, 2, 2).double()
    model = around(encoder, latents.Deterministic(), (3, 2, 2), 3)
    check_agree(value(model, x), norms(model, x), model)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
@pytest.mark.parametrize(("down", "up"), [("stride", "transposed"), ("maxpool", "upsample")])
def test_the_penalty_of_a_convolutional_encoder_is_that_of_the_full_jacobian(norm, down, up):
    likelihood, latent = likelihoods.Bernoulli(), latents.Gaussian()
    pair = nets.conv((2, 8, 8), 3, latent, likelihood, channels=(8, 8), norm=norm, downsampling=down, upsampling=up)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(2, 8, 8)).double()
    x = torch.rand(3, 2, 8, 8).double()
    model(x)
    got = value(model, x)
    check_agree(got, norms(model.eval(), x), model)


def test_a_code_that_is_a_map_has_a_jacobian_too():
    likelihood, latent = likelihoods.Bernoulli(), latents.Deterministic("tanh")
    pair = nets.conv((1, 8, 8), None, latent, likelihood, channels=(4, 2))
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(1, 8, 8)).double()
    x = torch.rand(2, 1, 8, 8).double()
    check_agree(value(model, x), norms(model, x), model)


PENALTIES = [Contractive(), Contractive("vjp"), Contractive("hutchinson"), ContractiveHessian()]


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: f"{p.name} {getattr(p, 'method', '')}")
def test_batch_normalization_and_dropout_rest_and_no_module_is_left_changed(penalty):
    model = dense((6,), 3, latents.Gaussian(), widths=(5, 4), norm="batch", dropout=0.5, activation="tanh")
    x = torch.rand(7, 6).double()
    model(x)
    model.encoder[3].eval()
    trace = model(x)
    modes = [m.training for m in model.modules()]
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    torch.manual_seed(1)
    together = penalty(model, trace)
    assert [m.training for m in model.modules()] == modes
    assert all(b.equal(buffers[name]) for name, b in model.named_buffers())
    torch.manual_seed(1)
    same(penalty(model.eval(), trace), together)


def test_the_jacobian_of_batch_normalized_codes_is_that_of_inference():
    model = dense((6,), 3, latents.Gaussian(), widths=(5, 4), norm="batch", dropout=0.5, activation="tanh")
    x = torch.rand(7, 6).double()
    got = value(model, x)
    check_agree(got, norms(model.eval(), x), model)


class Normalized(nn.Module):
    """A latent that keeps statistics of the batches it is trained with."""

    provides = frozenset({Capability.REAL, Capability.DIFFERENTIABLE})

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor, progress: float = 1.0) -> Distribution:
        return Dirac(self.norm(h))


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: f"{p.name} {getattr(p, 'method', '')}")
def test_a_latent_rests_too_and_its_statistics_stay_as_they_are(penalty):
    model = around(nn.Linear(6, 3), Normalized(), (6,), 3)
    trace = model(torch.rand(7, 6).double())
    before = model.latent.norm.running_mean.clone()
    torch.manual_seed(1)
    together = penalty(model, trace)
    assert model.latent.norm.running_mean.equal(before)
    torch.manual_seed(1)
    same(penalty(model.eval(), trace), together)


def test_a_module_gets_its_mode_back_even_after_an_error():
    model = dense((6,), 3, latents.Deterministic(), widths=(5,), dropout=0.5)
    with pytest.raises(RuntimeError):
        squared_code_jacobian(model, torch.rand(2, 7).double())
    assert all(m.training for m in model.modules())


def test_a_batch_normalization_without_running_statistics_is_refused():
    encoder = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3))
    model = around(encoder, latents.Deterministic(), (6,), 3)
    message = (
        r"^A contractive penalty requires .* no running statistics\. Build it with track_running_stats=True, or .*\.$"
    )
    with pytest.raises(IncompatibleParts, match=message):
        value(model, torch.rand(4, 6).double())


def test_the_penalty_is_taken_where_the_encoder_looked():
    model = dense((6,), 3, latents.Deterministic("sigmoid"), widths=())
    x = torch.rand(4, 6).double()
    trace = model(x, corrupt=False)
    moved = type(trace)(x, x + 1, trace.q, trace.z, trace.p)
    same(Contractive()(model, moved), norms(model, x + 1))
    same(Contractive("vjp")(model, moved), norms(model, x + 1))
    penalty = ContractiveHessian().eval()
    same(penalty(model, moved), penalty(model, model(x + 1, corrupt=False)))


@pytest.mark.parametrize("penalty", PENALTIES[:2] + PENALTIES[3:], ids=lambda p: p.name)
@pytest.mark.parametrize("widths", [(), (5,)])
def test_without_gradients_the_penalty_has_the_same_value_and_none_of_them(penalty, widths):
    model = dense((6,), 3, latents.Deterministic("elu"), widths=widths, activation="softplus")
    trace = model(torch.rand(4, 6).double())
    torch.manual_seed(1)
    expected = penalty(model, trace)
    assert expected.requires_grad
    torch.manual_seed(1)
    with torch.no_grad():
        got = penalty(model, trace)
    same(got, expected)
    assert not got.requires_grad


@pytest.mark.parametrize("method", ["auto", "vjp"])
def test_training_in_bfloat16_leaves_the_penalty_in_full_precision(method):
    model = dense((6,), 3, latents.Gaussian(), widths=(5,)).float()
    x = torch.rand(4, 6)
    expected = value(model, x, method=method)
    model.autocast = torch.bfloat16
    assert value(model, x, method=method).equal(expected)


@pytest.mark.parametrize("method", ["auto", "vjp"])
@pytest.mark.parametrize("penalty", [Contractive, ContractiveHessian])
def test_small_portions_give_the_same(monkeypatch, penalty, method):
    widths, norm = ((7, 5), "none") if method == "auto" else ((7,), "layer")
    model = dense((6,), 4, latents.Gaussian(), widths=widths, norm=norm, activation="tanh")
    trace = model(torch.rand(5, 6).double())
    expected = penalty().eval()(model, trace)
    portions = []
    differentiate = geometry._differentiate

    def counted(chain, x):
        portions.append(len(x))
        return differentiate(chain, x)

    monkeypatch.setattr(geometry, "_differentiate", counted)
    # two examples of 4 x 7 values; two rows of 5 x 6 values, or of (5 + 5) x 6
    monkeypatch.setattr(geometry, "AT_ONCE", 2 * 4 * 7 * (1 if penalty is Contractive else 2))
    monkeypatch.setattr(functional.jacobians, "AT_ONCE", 2 * 5 * 6 * (1 if penalty is Contractive else 2))
    same(penalty().eval()(model, trace), expected)
    times = 1 if penalty is Contractive else 2
    assert portions == ([2 * times, 2 * times, times] if method == "auto" else [])


def test_rows_come_in_portions_and_in_order(monkeypatch):
    monkeypatch.setattr(functional.jacobians, "AT_ONCE", 2 * 3 * 4)
    w = torch.randn(5, 4).double()
    for batched, sizes in ((True, [2, 2, 1]), (False, [1] * 5)):
        rows = list(jacobian_rows(lambda x: x.flatten(1) @ w.T, torch.zeros(3, 2, 2).double(), batched=batched))
        assert [tuple(r.shape) for r in rows] == [(n, 3, 2, 2) for n in sizes]
        same(torch.cat(rows).flatten(2), w[:, None].expand(5, 3, 4))


def test_rows_keep_a_graph_only_where_gradients_are_on():
    w = torch.randn(5, 4).double().requires_grad_()
    x = torch.zeros(3, 4).double()
    assert all(rows.requires_grad for rows in jacobian_rows(lambda x: x @ w.T, x))
    with torch.no_grad():
        assert not any(rows.requires_grad for rows in jacobian_rows(lambda x: x @ w.T, x))


@pytest.mark.parametrize("batched", [True, False])
def test_the_norm_of_a_functions_jacobian_is_that_of_torch(batched):
    w = torch.randn(4, 6).double()
    x = torch.randn(5, 2, 3).double()

    def function(v: Tensor) -> Tensor:
        return torch.tanh(v.flatten(1) @ w.T).reshape(-1, 2, 2)

    j = torch.func.vmap(torch.func.jacrev(lambda v: function(v[None])[0]))(x)
    expected = j.square().sum((1, 2, 3, 4))
    same(squared_jacobian_norm(function, x, batched=batched), expected)
    same(jacobian_norm(function, x, batched=batched), expected.sqrt())


def test_the_gradient_goes_on_to_inputs_that_have_one():
    w = torch.randn(4, 6).double()
    x = torch.randn(5, 6).double().requires_grad_()
    assert gradcheck(lambda v: squared_jacobian_norm(lambda u: torch.sigmoid(u @ w.T), v), (x,))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_an_activation_is_its_derivative_and_has_one_itself(name):
    function = ACTIVATIONS[name]
    a = torch.linspace(-3.05, 3.05, 12).double().reshape(3, 4).requires_grad_()
    s, slope = value_and_slope(function, a)
    assert s.equal(function(a))
    step = 1e-5
    # a central difference is off by step^2 / 6 times the third derivative, below 2 for all of these
    difference = (function(a + step) - function(a - step)) / (2 * step)
    torch.testing.assert_close(slope, difference, rtol=0, atol=1e-9)
    assert gradcheck(lambda v: value_and_slope(function, v), (a,))
    with torch.no_grad():
        quiet = value_and_slope(function, a)
    assert not any(t.requires_grad for t in quiet)
    same(quiet[1], slope)


@pytest.mark.parametrize("shape", [(3, 2, 4, 9), (2, 3, 5, 5), (6, 5, 4, 3), (40, 2, 4, 9)])
@pytest.mark.parametrize("gram", [True, False, None])
def test_the_gram_matrix_gives_the_norm_of_the_product(shape, gram):
    b, d, h, size = shape
    m, w = torch.randn(b, d, h).double().requires_grad_(), torch.randn(h, size).double().requires_grad_()
    got, expected = squared_product_norm(m, w, gram=gram), (m @ w).square().sum((1, 2))
    same(got, expected)
    for ours, theirs in zip(*(torch.autograd.grad(v.sum(), (m, w)) for v in (got, expected)), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("shape", [(3, 2, 4, 9), (2, 3, 5, 5), (6, 5, 4, 3), (40, 2, 4, 9), (4, 5, 10, 11)])
def test_the_norm_of_a_product_takes_the_cheaper_way(shape):
    b, d, h, size = shape
    m, w = torch.randn(b, d, h), torch.randn(h, size)
    counts = []
    for gram in (True, False, None):
        with FlopCounterMode(display=False) as counter:
            squared_product_norm(m, w, gram=gram)
        counts.append(counter.get_total_flops())
    assert counts[2] == min(counts[:2])


def sampled(draw, n: int) -> tuple[Tensor, Tensor]:
    """Mean of n independent draws, and its standard error."""
    with torch.no_grad():
        draws = torch.stack([draw() for _ in range(n)])
    return draws.mean(0), draws.std(0) / n**0.5


@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("norm", ["none", "group"])
def test_the_estimate_of_hutchinson_is_unbiased(probes, norm):
    model = dense((6,), 4, latents.Gaussian(), widths=(8,), activation="tanh", norm=norm)
    x = torch.rand(3, 6).double()
    trace = model(x)
    penalty = Contractive("hutchinson", probes=probes)
    mean, error = sampled(lambda: penalty(model, trace), 400)
    # five standard errors: a fault by chance in one of a million runs
    assert bool(((mean - norms(model, x)).abs() < 5 * error).all())


def test_more_probes_make_the_estimate_of_hutchinson_less_noisy():
    model = dense((6,), 4, latents.Gaussian(), widths=(8,), activation="tanh")
    trace = model(torch.rand(3, 6).double())
    ones, nines = (sampled(lambda p=p: Contractive("hutchinson", probes=p)(model, trace), 250)[1] for p in (1, 9))
    # the ratio of two standard errors of 250 draws is known to about 6 %
    torch.testing.assert_close(ones / nines, torch.full_like(ones, 3), rtol=0.3, atol=0)


def test_random_signs_are_exact_for_a_code_of_one_value_and_for_rows_at_right_angles():
    model = dense((6,), 1, latents.Gaussian(), widths=(5,), activation="tanh")
    x = torch.rand(3, 6).double()
    check_agree(value(model, x, method="hutchinson"), norms(model, x), model)
    model = around(nn.Linear(6, 3), latents.Deterministic(), (6,), 3)
    with torch.no_grad():
        model.encoder.weight.copy_(2 * torch.eye(3, 6))
    same(value(model, x, method="hutchinson"), torch.full((3,), 12.0).double())


def test_the_gradient_of_hutchinson_is_unbiased():
    model = dense((5,), 3, latents.Deterministic("tanh"), widths=())
    x = torch.rand(3, 5).double()
    trace = model(x)
    w = model.encoder[1].weight
    penalty = Contractive("hutchinson")
    draws = torch.stack([torch.autograd.grad(penalty(model, trace).sum(), w)[0] for _ in range(400)])
    (expected,) = torch.autograd.grad(norms(model, x).sum(), w)
    assert bool(((draws.mean(0) - expected).abs() < 5 * draws.std(0) / 20).all())


@pytest.mark.parametrize("penalty", [Contractive("hutchinson"), ContractiveHessian(samples=2)], ids=lambda p: p.name)
def test_in_evaluation_the_draws_repeat_and_do_not_depend_on_the_batch(penalty):
    model = dense((6,), 4, latents.Deterministic("tanh"), widths=(5,), activation="tanh")
    trace = model(torch.rand(5, 6).double())
    fresh = penalty.train()(model, trace)
    assert not fresh.equal(penalty(model, trace))
    first = penalty.eval()(model, trace)
    state = torch.get_rng_state()
    assert first.equal(penalty(model, trace))
    assert torch.get_rng_state().equal(state)
    last = model(trace.x[4:])
    same(penalty(model, last), first[4:])


def positive(*sizes: int) -> Autoencoder:
    """Linear layers of positive numbers: nothing cancels, so relative errors of factors just add up."""
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), nn.ReLU()]
        nn.init.uniform_(layers[-2].weight, 0.5, 1.5)
        nn.init.uniform_(layers[-2].bias, 0.5, 1.5)
    return around(nn.Sequential(*layers), latents.Deterministic(), (sizes[0],), sizes[-1])


@pytest.mark.parametrize("sizes", [(9, 8, 7, 5), (40, 4, 3, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_in_bfloat16_are_as_near_as_their_roundings_allow(sizes, dtype):
    model = positive(*sizes).to(dtype)
    x = torch.rand(6, sizes[0], dtype=dtype)
    exact, low = value(model, x), value(model, x, precision="bf16")
    assert (exact.dtype, low.dtype) == (dtype, dtype)
    assert not exact.equal(low)
    # two products, each with two rounded factors and a rounded result, squared: 12 roundings at most; gradients
    # go through as many, and through their own products: 14
    assert bool(((low - exact).abs() <= ((1 + U) ** 12 - 1) * exact).all())
    for ours, theirs in zip(gradients(low, model.encoder), gradients(exact, model.encoder), strict=True):
        assert bool(((ours - theirs).abs() <= ((1 + U) ** 14 - 1) * theirs.abs()).all())


def test_one_layer_needs_no_product_and_is_exact_in_bfloat16_too():
    model = dense((6,), 4, latents.Deterministic("sigmoid"), widths=())
    x = torch.rand(5, 6).double()
    assert value(model, x, precision="bf16").equal(value(model, x))


@pytest.mark.usefixtures("only_products")
@pytest.mark.parametrize("widths", [(), (5,), (5, 4)])
def test_the_jacobian_of_a_linear_encoder_does_not_move(widths):
    model = dense((6,), 3, latents.Gaussian(), widths=widths, activation="linear")
    moved = ContractiveHessian()(model, model(torch.rand(4, 6).double()))
    assert moved.equal(torch.zeros(4).double())
    moved.sum().backward()


class Quadratic(nn.Module):
    r"""An encoder whose Jacobian is linear in x: :math:`f_i = \frac12 x^\top A_i x + b_i^\top x`, A symmetric."""

    def __init__(self, d: int, size: int) -> None:
        super().__init__()
        a = torch.randn(d, size, size)
        self.a = nn.Parameter(a + a.transpose(1, 2))
        self.b = nn.Parameter(torch.randn(d, size))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * torch.einsum("bi,kij,bj->bk", x, self.a, x) + x @ self.b.T


@pytest.mark.parametrize("samples", [1, 3])
def test_the_jacobian_of_a_quadratic_encoder_moves_as_its_hessian_says(samples):
    model = around(Quadratic(3, 5), latents.Deterministic(), (5,), 3)
    penalty = ContractiveHessian(0.3, samples=samples)
    trace = model(torch.rand(4, 5).double())
    mean, error = sampled(lambda: penalty(model, trace), 300)
    expected = 0.3**2 * model.encoder.a.square().sum()
    assert bool(((mean - expected).abs() < 5 * error).all())


@pytest.mark.parametrize("product", [True, False])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    ("latent", "widths"), [("sigmoid", ()), ("tanh", (5,)), ("linear", (5, 7)), ("gaussian", (6, 5))]
)
def test_the_distance_of_jacobians_is_that_of_full_jacobians(monkeypatch, latent, widths, samples, product):
    head = latents.Gaussian() if latent == "gaussian" else latents.Deterministic(latent)
    model = dense((2, 3), 3, head, widths=widths, activation="sigmoid")
    x = torch.randn(4, 2, 3).double()
    if not product:
        monkeypatch.setattr(geometry, "_chain", lambda *_: None)
    trace = model(x)
    torch.manual_seed(5)
    got = ContractiveHessian(0.7, samples=samples)(model, trace)
    torch.manual_seed(5)
    noise = 0.7 * torch.randn(samples, 4, 2, 3, dtype=torch.float64)
    here = jacobians(model, x)
    expected = torch.stack([(jacobians(model, x + e) - here).square().sum((1, 2)) for e in noise]).mean(0)
    check_agree(got, expected, model)


def test_the_distance_of_jacobians_in_bfloat16_is_near():
    model = dense((9,), 4, latents.Gaussian(), widths=(8, 7), activation="tanh")
    trace = model(torch.randn(6, 9).double())
    exact, low = (ContractiveHessian(1.0, precision=p).eval()(model, trace) for p in ("32", "bf16"))
    assert not exact.equal(low)
    # both Jacobians J of the difference are off by 6 roundings of |W| |S| ... |W|, which is at most `most`
    sizes = [layer.weight.abs() for layer in model.encoder if isinstance(layer, nn.Linear)]
    most = (sizes[2][:4] @ sizes[1] @ sizes[0]).norm()
    error = 2 * ((1 + U) ** 6 - 1) * most
    assert bool(((low - exact).abs() <= error * (2 * exact.sqrt() + error)).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contractive("vpj"), r"^The method of a contractive penalty cannot be 'vpj'; did you mean 'vjp'\? "),
        (lambda: Contractive(precision="16"), r"^The precision of a contractive penalty cannot be '16'"),
        (lambda: Contractive(probes=0), r"^The number of probes must be at least 1 and at most 1e\+06, but is 0\.$"),
        (
            lambda: Contractive("hutchinson", precision="bf16"),
            r"^precision=bf16 applies to the product of layers, but method=hutchinson uses full precision\. Set "
            r"precision=32, or method=auto\.$",
        ),
        (lambda: ContractiveHessian(0.0), r"^The scale of the contractive Hessian penalty must be above 0 and at "),
        (lambda: ContractiveHessian(samples=0), r"^The number of samples must be at least 1 and at most 1e\+06, "),
        (lambda: ContractiveHessian(precision="64"), r"^The precision of the contractive Hessian penalty cannot be "),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(BadOption, match=message):
        make()


@pytest.mark.usefixtures("only_products")
def test_the_recipe_is_the_contractive_autoencoder_of_the_paper():
    objective = zoo.contractive(latent=11, lam=0.3).build((1, 4, 4)).double()
    model, x = objective.model, torch.rand(5, 1, 4, 4).double()
    w, b, c = model.encoder[1].weight, model.encoder[1].bias, model.decoder[0].bias
    h = torch.sigmoid(x.flatten(1) @ w.T + b)
    logits = h @ w + c
    cross_entropy = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none").sum(1)
    jacobian = ((h * (1 - h)).square() @ w.square().sum(1)).mean()
    same(objective(x).total, cross_entropy.mean() + 0.3 * jacobian)
    assert zoo.contractive().build((1, 4, 4)).model.code_shape == (1000,)


def test_the_higher_order_recipe_adds_how_much_the_jacobian_moves():
    objective = zoo.contractive_h(latent=11, lam=0.3, gamma=0.7, scale=0.2).build((1, 4, 4)).double()
    model, x = objective.model, torch.rand(5, 1, 4, 4).double()
    torch.manual_seed(4)
    loss = objective(x)
    torch.manual_seed(4)
    noise = 0.2 * torch.randn(1, *x.shape, dtype=torch.float64)[0]
    moved = (jacobians(model, x + noise) - jacobians(model, x)).square().sum((1, 2)).mean()
    same(loss.terms["contractive_h"], moved)
    parts = loss.terms
    same(loss.total, parts["reconstruction"] + 0.3 * parts["contractive"] + 0.7 * parts["contractive_h"])

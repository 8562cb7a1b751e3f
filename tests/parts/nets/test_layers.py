"""Layers against explicit arithmetic, and the spread of initial weights against its law."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus import latents, likelihoods
from isthmus.functional import ACTIVATIONS
from isthmus.parts.nets import conv, mlp
from isthmus.parts.nets.conv import Upsample, UpsampledConv2d
from isthmus.parts.nets.layers import INITIAL_WEIGHTS, initialize
from isthmus.parts.nets.mlp import TiedLinear

EPS = torch.finfo(torch.float64).eps


@pytest.mark.parametrize("size", [(6, 8), (5, 8), (5, 7), (6, 7)])
def test_an_upsampled_image_repeats_each_pixel_and_is_cut_at_the_far_edges(size):
    h = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    out = Upsample(size)(h)
    assert out.shape == (2, 3, *size)
    for i, j in product(range(size[0]), range(size[1])):
        assert out[:, :, i, j].equal(h[:, :, i // 2, j // 2])


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_a_convolution_that_repeats_pixels_is_the_two_layers_with_their_gradients(kernel):
    layer = UpsampledConv2d(3, 2, kernel).double()
    nn.init.normal_(layer.bias)
    results = []
    for enlarge in (False, True):
        h = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        large = F.conv2d(Upsample((10, 8))(h), layer.weight, layer.bias, padding=kernel // 2) if enlarge else layer(h)
        pull = torch.randn(large.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        results.append([large, *torch.autograd.grad((large * pull).sum(), [h, layer.weight, layer.bias])])
    for ours, expected in zip(*results, strict=True):
        # sums of at most 160 terms of order 1
        torch.testing.assert_close(ours, expected, rtol=0, atol=160 * 8 * EPS)


@pytest.mark.parametrize(
    ("shape", "channels", "kernel", "inside"),
    [
        ((1, 8, 8), (4,), 3, True),
        ((1, 8, 8), (3,), 3, False),  # four maps out of three: no gain
        ((1, 7, 8), (4,), 3, False),  # an edge is cut
        ((1, 2, 8), (4,), 3, False),  # weights that would only see padding
        ((1, 4, 8), (4,), 7, False),
        ((1, 8, 8), (4,), 7, True),
    ],
)
def test_pixels_are_repeated_inside_the_last_convolution_where_that_is_cheaper(shape, channels, kernel, inside):
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = conv(
        shape,
        None,
        latent,
        likelihood,
        channels=channels,
        kernel_size=kernel,
        downsampling="maxpool",
        upsampling="upsample",
    )
    assert isinstance(list(pair.decoder)[-1], UpsampledConv2d) == inside
    assert pair.decoder(torch.rand(2, channels[-1], -(-shape[1] // 2), -(-shape[2] // 2))).shape == (2, *shape)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_behind_the_pooling_gives_what_it_gives_before(activation):
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = conv((1, 8, 8), None, latent, likelihood, channels=(3, 2), downsampling="maxpool", activation=activation)
    first, second = (m for m in pair.encoder if isinstance(m, nn.Conv2d))
    nn.init.constant_(first.bias, -1)  # where gelu and silu fall
    x = torch.randn(4, 1, 8, 8)
    expected = F.max_pool2d(second(F.max_pool2d(ACTIVATIONS[activation](first(x)), 2)), 2)
    assert pair.encoder(x).equal(expected)


@pytest.mark.parametrize("up", ["transposed", "upsample"])
@pytest.mark.parametrize("down", ["stride", "maxpool"])
@pytest.mark.parametrize("side", range(1, 18))
def test_every_level_of_the_decoder_has_the_size_of_its_level_in_the_encoder(side, down, up):
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = conv((1, side, 19), None, latent, likelihood, channels=[2, 2, 2], downsampling=down, upsampling=up)
    expected = [(side, 19)]
    for _ in range(3):
        expected.append(tuple(math.ceil(v / 2) for v in expected[-1]))

    def sizes(net: nn.Module, h: Tensor) -> list[tuple[int, int]]:
        seen = [tuple(h.shape[2:])]
        for layer in net:
            h = layer(h)
            if tuple(h.shape[2:]) != seen[-1]:
                seen.append(tuple(h.shape[2:]))
        return seen

    distinct = list(dict.fromkeys(expected))
    assert sizes(pair.encoder, torch.rand(2, 1, side, 19)) == distinct
    assert sizes(pair.decoder, torch.rand(2, 2, *expected[-1])) == distinct[::-1]


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("size", [None, 3])
def test_a_normalization_and_an_activation_stand_behind_each_convolution_but_the_last(norm, size):
    """The order of layers: C convolution, T transposed, P pooling, U upsampling (S: inside a convolution), D dense.

    B is what stands behind: a normalization, and an activation behind the pooling.
    """
    letters = {"Conv2d": "C", "ConvTranspose2d": "T", "MaxPool2d": "P", "Upsample": "U", "Linear": "D"}
    letters["UpsampledConv2d"] = "S"

    def order(net: nn.Module) -> str:
        text = "".join(
            letters.get(type(m).__name__, {"BatchNorm2d": "n", "Activation": "a"}.get(type(m).__name__, ""))
            for m in net
        )
        return text.replace("nPa" if norm == "batch" else "Pa", "PB").replace("na" if norm == "batch" else "a", "B")

    def pair(down: str, up: str) -> tuple[str, str]:
        made = conv(
            (1, 8, 8),
            size,
            latents.Gaussian(),
            likelihoods.Bernoulli(),
            channels=[4, 4],
            downsampling=down,
            upsampling=up,
            norm=norm,
        )
        return order(made.encoder), order(made.decoder)

    inner, outer = ("BD", "DB") if size else ("", "")
    assert pair("stride", "transposed") == ("CBC" + inner, outer + "TBT")
    assert pair("maxpool", "upsample") == ("CPBCP" + inner, outer + "CBUCBS")


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_tied_layer_multiplies_by_the_transpose_of_the_first_rows(width):
    source = nn.Linear(5, 4, dtype=torch.float64)
    layer = TiedLinear(source, width)
    assert layer.bias.dtype == torch.float64
    nn.init.normal_(layer.bias)
    h = torch.randn(3, width, dtype=torch.float64)
    expected = torch.stack([sum(row[k] * source.weight[k] for k in range(width)) + layer.bias for row in h])
    torch.testing.assert_close(layer(h), expected, rtol=32 * EPS, atol=32 * EPS)


@pytest.mark.parametrize("kind", ["deterministic", "gaussian"])
def test_the_gradient_of_a_tied_weight_is_the_sum_of_both_uses(kind):
    latent = latents.LATENTS[kind]()
    likelihood = likelihoods.Gaussian()
    pair = mlp((5,), 2, latent, likelihood, widths=(4,), activation="tanh", tied=True)
    encoder, decoder = pair.encoder.double(), pair.decoder.double()
    x = torch.randn(6, 5, dtype=torch.float64)
    decoder(latent(encoder(x)).mean).sub(x).square().sum().backward()

    first, last = (m for m in encoder if isinstance(m, nn.Linear))
    c1, c2 = (m.bias.detach() for m in decoder if isinstance(m, TiedLinear))
    # the four uses as weights of their own
    w1, w2 = (m.weight.detach().clone().requires_grad_() for m in (first, last))
    v1, v2 = (m.weight.detach().clone().requires_grad_() for m in (first, last))
    code = F.linear(torch.tanh(F.linear(x, w1, first.bias.detach())), w2, last.bias.detach())[:, :2]
    out = torch.tanh(code @ v2[:2] + c1) @ v1 + c2
    (out - x).square().sum().backward()

    torch.testing.assert_close(first.weight.grad, w1.grad + v1.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last.weight.grad, w2.grad + v2.grad, rtol=1e-12, atol=1e-12)
    assert bool(v1.grad.any())
    assert bool(v2.grad.any())


LAYERS = {
    "linear": (lambda: nn.Linear(150, 250), 150, 250),
    "conv": (lambda: nn.Conv2d(40, 60, 3), 40 * 9, 60 * 9),
}
LAWS = {
    "glorot": lambda i, o: (2 / (i + o), "uniform"),
    "glorot_normal": lambda i, o: (2 / (i + o), "normal"),
    "he": lambda i, o: (2 / i, "uniform"),
    "he_normal": lambda i, o: (2 / i, "normal"),
    "small": lambda i, o: (1e-4, "normal"),
    "normal": lambda i, o: (4e-4, "normal"),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", LAYERS)
def test_initial_weights_have_mean_zero_the_variance_of_their_law_and_no_bias(name, kind):
    make, fan_in, fan_out = LAYERS[kind]
    layer = make()
    initialize(nn.Sequential(layer), name)
    w = layer.weight.detach().double().flatten()
    variance, family = LAWS[name](fan_in, fan_out)
    # the sample variance of n draws has standard error sigma^2 sqrt((kurtosis - 1) / n); five of them are allowed
    kurtosis = 1.8 if family == "uniform" else 3.0
    assert abs(w.square().mean().item() - variance) < 5 * variance * math.sqrt((kurtosis - 1) / len(w))
    assert abs(w.mean().item()) < 5 * math.sqrt(variance / len(w))
    edge = math.sqrt(3 * variance)
    assert (w.abs().max().item() <= edge * (1 + 1e-6)) is (family == "uniform")
    assert layer.bias.equal(torch.zeros_like(layer.bias))


@pytest.mark.parametrize("name", ["glorot", "he"])
def test_initial_weights_of_a_transposed_convolution_count_its_own_inputs(name):
    layer = nn.ConvTranspose2d(40, 60, 3)
    initialize(layer, name)
    variance, n = LAWS[name](40 * 9, 60 * 9)[0], layer.weight.numel()
    assert abs(layer.weight.double().square().mean().item() - variance) < 5 * variance * math.sqrt(0.8 / n)
    assert not bool(layer.bias.any())


def test_orthogonal_weights_have_rows_of_length_one_at_right_angles():
    layer = nn.Linear(40, 20)
    initialize(layer, "orthogonal")
    product_of_rows = layer.weight.double() @ layer.weight.double().T
    torch.testing.assert_close(product_of_rows, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-5)
    assert not bool(layer.bias.any())


def test_the_choice_torch_leaves_what_the_layer_drew():
    layer = nn.Linear(7, 5)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    initialize(layer, "torch")
    assert all(v.equal(before[k]) for k, v in layer.state_dict().items())


def test_every_choice_of_initial_weights_has_a_law_here():
    assert set(INITIAL_WEIGHTS) == {*LAWS, "orthogonal", "sparse", "torch"}


def test_initial_weights_reach_every_layer_with_a_weight_and_no_bias_is_needed():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Sequential(nn.ConvTranspose2d(3, 2, 3, bias=False), nn.Linear(3, 3)))
    for p in net.parameters():
        nn.init.constant_(p, 9.0)
    initialize(net, "glorot")
    assert all(bool((p != 9).all()) for p in net.parameters())


@pytest.mark.parametrize("name", ["glorot", "he"])
def test_a_pair_draws_the_weights_of_both_networks_as_named(name):
    pair = mlp((300,), 100, latents.Deterministic(), likelihoods.Bernoulli(), widths=(200,), init=name)
    for net in (pair.encoder, pair.decoder):
        for layer in (m for m in net if isinstance(m, nn.Linear)):
            variance = LAWS[name](layer.in_features, layer.out_features)[0]
            n = layer.weight.numel()
            assert abs(layer.weight.double().square().mean().item() - variance) < 5 * variance * math.sqrt(0.8 / n)


@pytest.mark.parametrize("inputs", [4, 15, 200])
def test_sparse_weights_are_fifteen_standard_normal_ones_into_each_unit(inputs):
    layer = nn.Linear(inputs, 400)
    initialize(layer, "sparse")
    drawn = layer.weight[layer.weight != 0]
    assert bool(((layer.weight != 0).sum(1) == min(15, inputs)).all())
    # a mean of n standard normal draws has a spread of 1 / sqrt(n), their variance one of sqrt(2 / n)
    n = len(drawn)
    assert abs(drawn.mean().item()) < 5 / math.sqrt(n)
    assert abs(drawn.var().item() - 1) < 5 * math.sqrt(2 / n)
    # every input is as likely as any other
    counts = (layer.weight != 0).sum(0).double()
    assert counts.max() < 400 * min(15, inputs) / inputs + 6 * math.sqrt(400)

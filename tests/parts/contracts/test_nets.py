"""What every pair of networks keeps to: any shape, any head, any option by name."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from isthmus.errors import BadOption, ShapeError
from isthmus.functional import ACTIVATIONS
from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, options_of
from isthmus.parts.latents import Deterministic, Gaussian
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.nets import NETS, conv, linear, mlp
from isthmus.parts.nets.layers import INITIAL_WEIGHTS, NORMS, Activation, Pair, normalization
from isthmus.parts.nets.mlp import TiedLinear
from isthmus.parts.nets.patches import padded, space_to_channels

IMAGES = [(1, 1, 1), (1, 8, 8), (3, 5, 7), (2, 1, 9), (1, 28, 28), (3, 20, 33), (5, 13, 2)]
SEQUENCES = [(1, 1), (3, 2), (2, 7), (13, 50), (1, 257)]
ROWS = [(1,), (7,)]
FRAMES = [(3, 2, 4, 5)]
NAMES = {
    "activation": list(ACTIVATIONS),
    "norm": list(NORMS),
    "init": list(INITIAL_WEIGHTS),
    "downsampling": ["stride", "maxpool"],
    "upsampling": ["transposed", "upsample"],
    "tied": [True],
    "unit_norm": [True],
    "residual_blocks": [1, 2],
    "shortcuts": [True],
    "dropout": [0.3],
    "kernel_size": [5],
    "widths": [[], [6], [12, 10]],
    "channels": [[4], [5, 3], [12, 10, 9, 8]],
    "patch": [1, 4],
    "noise_input": [True],
    "hidden": [3],
    "resolution": [3],
    "gray": [True],
    "subtract_mean": [False],
}
WIDTHS = {("spatial", "hidden"): [[], [6], [12, 5]]}
"""Cases of an option that means several widths for one net and a single one for another."""
TOGETHER = {"shortcuts": {"upsampling": "transposed"}}
"""Options that another one needs."""
OPTIONS = [(kind, {}) for kind in NETS] + [
    (kind, {option: value} | TOGETHER.get(option, {}))
    for kind, factory in NETS.items()
    for option in options_of(factory).model_fields
    for value in WIDTHS.get((kind, option), NAMES.get(option, ()))
]
ONE_AND_TWO = {"latent": ["deterministic", "gaussian"], "likelihood": ["bernoulli", "pixel_gaussian"]}
"""A net knows of its heads how many features they need: here one for each value, and two."""
PAPERS = {"dcgan", "vae_gan", "wae"}
"""Convolutional nets with a vector code."""
PYRAMIDS = {"unet"}
"""Nets whose code is a feature map of any size, with one feature for each value."""
SIZES = {"spatial": 4}
"""Sizes of the codes of nets that do not take any: a point has two coordinates."""
each = pytest.mark.parametrize(("kind", "options"), OPTIONS)
each_net = pytest.mark.parametrize("kind", NETS)


def shapes(kind: str) -> list[tuple[int, ...]]:
    if kind == "spatial":
        return [*IMAGES, *FRAMES]
    return [*IMAGES, *SEQUENCES] if kind in {"conv", *PAPERS, *PYRAMIDS} else [*IMAGES, *SEQUENCES, *ROWS, *FRAMES]


def heads(latent: str = "gaussian", likelihood: str = "bernoulli", size: int | None = 3) -> tuple[nn.Module, nn.Module]:
    return (
        LatentPart(kind=latent, size=size).make(size=size, shape=(9,)),
        LikelihoodPart(kind=likelihood).make(shape=(9,)),
    )


def latent_of(kind: str) -> nn.Module:
    return heads("deterministic", size=None)[0] if kind in PYRAMIDS else heads()[0]


def made(kind: str, shape: tuple[int, ...], **options: object) -> Pair:
    size = SIZES.get(kind, 3)
    latent, likelihood = heads(size=size)
    if kind in PYRAMIDS:
        latent, size = latent_of(kind), None
    return NetPart(kind=kind, **options).make(shape=shape, size=size, latent=latent, likelihood=likelihood)


def passed(pair: Pair, latent: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The encoder's features, and the decoder's of the posterior mean."""
    h = pair.encoder(x)
    return h, pair.decoder(latent(h).mean)


@each
def test_every_option_has_a_case_or_is_taken_at_more_than_its_default(kind, options):
    missing = set(options_of(NETS[kind]).model_fields) - set(NAMES)
    assert not missing, f"give {missing} of net {kind} a row in NAMES"


@pytest.mark.parametrize(
    ("kind", "shape", "size"),
    [
        (k, s, size)
        for k in sorted(set(NETS) - PYRAMIDS)
        for s in shapes(k)
        for size in ((2, 4) if k in SIZES else (1, 3, None))
        if size or k == "conv"
    ],
)
@pytest.mark.parametrize(("latent", "likelihood"), list(product(ONE_AND_TWO["latent"], ONE_AND_TWO["likelihood"])))
def test_a_pair_fits_any_shape_and_any_heads(kind, shape, size, latent, likelihood):
    q, p = heads(latent, likelihood, size)
    pair = NetPart(kind=kind).make(shape=shape, size=size, latent=q, likelihood=p)
    h, out = passed(pair, q, torch.rand(2, *shape))
    assert tuple(q(h).event_shape) == pair.code
    assert h.shape[1] == q.width(pair.code[0])
    assert tuple(out.shape) == (2, p.width(shape[0]), *shape[1:])
    assert tuple(p(out).event_shape) == shape
    frames = shape[:1] if kind == "spatial" and len(shape) == 4 else ()
    assert size is None or pair.code == (size, *frames)


@pytest.mark.parametrize(
    ("kind", "options", "shape"),
    [
        (kind, options, shape)
        for kind, options in OPTIONS
        for shape in [(1, 8, 8), (3, 20, 33), (3, 33)]
        if len(shape) > 2 or kind != "spatial"
    ],
)
def test_every_option_by_name_keeps_the_shapes_and_gives_each_parameter_a_gradient(kind, options, shape):
    latent = latent_of(kind)
    pair = made(kind, shape, **options)
    pair.encoder.double(), pair.decoder.double()
    with torch.no_grad():
        # a residual block starts as the identity, and what it multiplies by zero has no gradient yet
        for p in [*pair.encoder.parameters(), *pair.decoder.parameters()]:
            p += 0.01 * torch.randn_like(p)
    h, out = passed(pair, latent, torch.rand(8, *shape, dtype=torch.float64))
    assert h.shape == (8, *pair.code) if kind in PYRAMIDS else (8, 2 * SIZES.get(kind, 3))
    assert out.shape == (8, *shape)
    # random weights on the outputs: a plain sum is blind behind a normalization
    ((h * torch.randn_like(h)).sum() + (out * torch.randn_like(out)).sum()).backward()
    for side in (pair.encoder, pair.decoder):
        for name, p in side.named_parameters():
            assert p.grad is not None, f"{name} has no gradient"
            assert bool(torch.isfinite(p.grad).all())
            assert p.ndim == 1 or bool(p.grad.any()), f"{name} has a gradient of zeros"


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pair_keeps_the_precision_and_in_evaluation_is_the_same_every_time(kind, options, dtype):
    latent = latent_of(kind)
    pair = made(kind, (2, 8, 8), **options)
    pair.encoder.to(dtype).eval(), pair.decoder.to(dtype).eval()
    x = torch.rand(4, 2, 8, 8, dtype=dtype)
    first, second = passed(pair, latent, x), passed(pair, latent, x)
    assert first[0].dtype == first[1].dtype == dtype
    assert first[0].equal(second[0])
    assert first[1].equal(second[1])


@each
def test_in_evaluation_an_example_does_not_look_at_the_others(kind, options):
    latent = latent_of(kind)
    pair = made(kind, (2, 8, 8), **options)
    pair.encoder.double().eval(), pair.decoder.double().eval()
    x = torch.rand(3, 2, 8, 8, dtype=torch.float64)
    together = passed(pair, latent, x)[1]
    apart = torch.cat([passed(pair, latent, row[None])[1] for row in x])
    # a few layers of sums of up to 128 terms in another order: 1e3 roundings of 2e-16
    torch.testing.assert_close(apart, together, rtol=1e-11, atol=1e-12)


@each
def test_a_pair_is_restored_by_its_state(kind, options):
    latent = latent_of(kind)
    one, other = made(kind, (2, 8, 8), **options), made(kind, (2, 8, 8), **options)
    x = torch.rand(4, 2, 8, 8)
    passed(one, latent, x)
    for a, b in zip(one[:2], other[:2], strict=True):
        b.load_state_dict(a.state_dict(), strict=True)
        a.eval(), b.eval()
    assert all(a.equal(b) for a, b in zip(passed(one, latent, x), passed(other, latent, x), strict=True))


@each_net
def test_a_net_says_what_it_is(kind):
    assert NETS[kind].__doc__.strip()


@pytest.mark.parametrize("kind", ["mlp", "conv", "unet", "spatial"])
def test_every_option_of_a_net_is_explained(kind):
    assert all(f"{name}:" in NETS[kind].__doc__ for name in options_of(NETS[kind]).model_fields)


@pytest.mark.parametrize("shape", [*IMAGES, *SEQUENCES])
@pytest.mark.parametrize("likelihood", ONE_AND_TWO["likelihood"])
def test_a_u_net_has_a_code_for_any_size_and_any_likelihood(shape, likelihood):
    q, p = heads("deterministic", likelihood, None)
    pair = NetPart(kind="unet", channels=[4, 5]).make(shape=shape, size=None, latent=q, likelihood=p)
    h, out = passed(pair, q, torch.rand(2, *shape))
    assert h.shape == (2, *pair.code)
    assert pair.code[1:] == tuple(math.ceil(side / 4) for side in shape[1:])
    assert out.shape == (2, p.width(shape[0]), *shape[1:])


@pytest.mark.parametrize("shape", [*IMAGES, *SEQUENCES])
@pytest.mark.parametrize("down", ["stride", "maxpool"])
@pytest.mark.parametrize("up", ["transposed", "upsample"])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("size", [None, 2])
def test_a_convolutional_pair_goes_down_by_halves_and_comes_back_to_the_same_size(
    shape, down, up, kernel, levels, size
):
    latent, likelihood = Gaussian(), Bernoulli()
    pair = conv(
        shape, size, latent, likelihood, channels=[4] * levels, kernel_size=kernel, downsampling=down, upsampling=up
    )
    sides = shape[1:]
    for _ in range(levels):
        sides = tuple(math.ceil(side / 2) for side in sides)
    assert pair.code == ((4, *sides) if size is None else (2,))
    h, out = passed(pair, latent, torch.rand(2, *shape))
    assert h.shape[1] == 2 * pair.code[0]
    assert out.shape == (2, *shape)


@pytest.mark.parametrize("shape", [*IMAGES, *SEQUENCES])
@pytest.mark.parametrize("channels", [[4], [5, 3, 70]])
def test_with_shortcuts_a_stage_of_zeros_gives_its_patches_as_channels(shape, channels):
    latent, likelihood = Deterministic(), Bernoulli()
    options = {"channels": channels, "upsampling": "transposed", "shortcuts": True}
    pair = conv(shape, None, latent, likelihood, **options)
    assert passed(pair, latent, torch.rand(2, *shape))[1].shape == (2, *shape)
    if channels == [4]:
        for p in [*pair.encoder.parameters(), *pair.decoder.parameters()]:
            torch.nn.init.zeros_(p)
        x = torch.rand(2, *shape)
        h, out = passed(pair, latent, x)
        patches = space_to_channels(padded(x, 2), 2)
        assert h.mean().item() == pytest.approx(patches.mean().item(), rel=1e-4) or patches.shape[1] % 4
        if patches.shape[1] == 4:
            assert h.equal(patches)
            torch.testing.assert_close(out, x)


def test_shortcuts_need_strides_and_transposed_convolutions():
    with pytest.raises(BadOption, match=r"^net\.shortcuts is set, but net\.downsampling=maxpool"):
        made("conv", (1, 8, 8), downsampling="maxpool", upsampling="transposed", shortcuts=True)


def test_an_even_kernel_halves_by_strides_alone():
    latent, likelihood = Gaussian(), Bernoulli()
    pair = conv((1, 16, 16), None, latent, likelihood, channels=[4, 3], kernel_size=4, upsampling="transposed")
    assert pair.code == (3, 4, 4)
    assert passed(pair, latent, torch.rand(2, 1, 16, 16))[1].shape == (2, 1, 16, 16)


def test_dropout_acts_in_training_only_and_drops_its_share():
    latent, likelihood = heads()
    pair = mlp((7,), 3, latent, likelihood, widths=(20_000,), dropout=0.3, activation="softplus", init="torch")
    x = torch.rand(1, 7)
    hidden = pair.encoder[:-1]
    # softplus is never zero, so each zero was dropped; the share of 20,000 draws is within 5 standard errors
    share = (hidden.train()(x) == 0).double().mean().item()
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 20_000)
    assert not bool((hidden.eval()(x) == 0).any())
    assert not pair.encoder.train()(x).equal(pair.encoder(x))
    z = torch.rand(1, 3)
    assert not pair.decoder.train()(z).equal(pair.decoder(z))
    assert pair.decoder.eval()(z).equal(pair.decoder(z))


def test_no_dropout_leaves_no_layer_behind():
    pair = made("mlp", (7,), dropout=0.0)
    assert not [m for m in [*pair.encoder.modules(), *pair.decoder.modules()] if isinstance(m, nn.Dropout)]


@pytest.mark.parametrize("latent", ONE_AND_TWO["latent"])
@pytest.mark.parametrize("widths", [[], [6], [12, 5]])
def test_a_tied_decoder_owns_its_biases_alone_and_its_gradient_flows_to_the_encoder(latent, widths):
    q, p = heads(latent)
    pair = mlp((2, 3, 4), 3, q, p, widths=widths, tied=True)
    assert [name.rsplit(".")[-1] for name, _ in pair.decoder.named_parameters()] == ["bias"] * (len(widths) + 1)
    assert [b.shape[0] for b in pair.decoder.parameters()] == [*reversed(widths), 24]
    pair.decoder(torch.rand(5, 3) + 1).square().sum().backward()
    weights = [m.weight for m in pair.encoder if isinstance(m, nn.Linear)]
    assert all(w.grad is not None and bool(w.grad.any()) for w in weights)
    # the decoder alone was run, so the encoder's own biases are not touched
    assert all(m.bias.grad is None for m in pair.encoder if isinstance(m, nn.Linear))


def test_a_tied_decoder_follows_when_the_encoder_changes_or_is_loaded():
    q, p = heads("deterministic")
    pair, other = (linear((7,), 3, q, p, tied=True) for _ in range(2))
    pair.encoder.load_state_dict(other.encoder.state_dict())
    z = torch.rand(4, 3)
    expected = z @ other.encoder[1].weight + pair.decoder[0].bias
    torch.testing.assert_close(pair.decoder(z), expected)


def test_the_linear_pair_has_one_matrix_on_each_side():
    pair = made("linear", (7,))
    assert [[tuple(p.shape) for p in side.parameters()] for side in pair[:2]] == [[(6, 7), (6,)], [(7, 3), (7,)]]
    assert not [m for m in [*pair.encoder.modules(), *pair.decoder.modules()] if isinstance(m, Activation)]


def test_the_decoder_mirrors_the_hidden_layers_of_the_encoder():
    pair = made("mlp", (4, 5), widths=[11, 9])
    layers = [[(m.in_features, m.out_features) for m in s if isinstance(m, nn.Linear)] for s in pair[:2]]
    assert layers == [[(20, 11), (11, 9), (9, 6)], [(3, 9), (9, 11), (11, 20)]]


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_activation_stands_behind_each_hidden_layer_and_not_behind_the_last(name):
    pair = made("mlp", (7,), widths=[11, 9], activation=name)
    for side in pair[:2]:
        assert [m.name for m in side if isinstance(m, Activation)] == [name, name]
        kinds = [type(m) for m in side if isinstance(m, nn.Linear | Activation)]
        assert kinds == [nn.Linear, Activation, nn.Linear, Activation, nn.Linear]


@pytest.mark.parametrize(
    ("name", "axes", "kind"),
    [
        ("batch", 0, nn.BatchNorm1d),
        ("batch", 1, nn.BatchNorm1d),
        ("batch", 2, nn.BatchNorm2d),
        ("layer", 0, nn.LayerNorm),
        ("layer", 1, nn.GroupNorm),
        ("layer", 2, nn.GroupNorm),
        ("group", 0, nn.GroupNorm),
        ("group", 1, nn.GroupNorm),
        ("group", 2, nn.GroupNorm),
    ],
)
def test_a_normalization_by_name_gives_values_of_mean_zero_and_variance_one(name, axes, kind):
    (layer,) = normalization(name, 48, axes=axes)
    assert type(layer) is kind
    h = 5 + 3 * torch.randn(16, 48, *[4] * axes, dtype=torch.float64)
    out = layer.double()(h)
    inside = tuple(range(2, 2 + axes))
    over = {"batch": (0, *inside), "layer": (1, *inside), "group": (2, *(axis + 1 for axis in inside))}[name]
    out = out.unflatten(1, (8, 6)) if name == "group" else out
    mean, variance = out.mean(over), out.var(over, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-12)
    # variance v / (v + eps) with eps = 1e-5, and v of six values may be small: v > 0.1 gives 1e-4
    torch.testing.assert_close(variance, torch.ones_like(variance), rtol=0, atol=1e-4)


def test_no_normalization_is_no_layer():
    assert normalization("none", 4, axes=0) == []


@pytest.mark.parametrize("width", [1, 4, 8])
def test_a_group_normalization_of_a_narrow_vector_keeps_something_of_it(width):
    (layer,) = normalization("group", width, axes=0)
    out = layer(torch.randn(16, width))
    # what is left of values of variance 1 is the rounding of x - x, over sqrt(eps) = 3e-3: about 1e-5
    assert bool((out.std(0) > 1e-2).any())


def test_a_convolutional_code_behind_a_group_normalization_depends_on_the_image():
    pair = made("conv", (1, 8, 8), norm="group")
    assert bool((pair.encoder(torch.rand(16, 1, 8, 8)).std(0) > 1e-3).any())


def test_a_convolutional_net_with_a_group_normalization_takes_one_image():
    pair = made("conv", (1, 8, 8), norm="group")
    assert pair.encoder.eval()(torch.rand(1, 1, 8, 8)).shape == (1, 6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_layer_is_the_function_of_its_name_and_prints_it(name):
    h = torch.randn(3, 4)
    assert Activation(name)(h).equal(ACTIVATIONS[name](h))
    assert repr(Activation(name)) == f"Activation({name})"


def test_a_transposed_layer_hides_its_source_from_the_state():
    source = nn.Linear(5, 4)
    layer = TiedLinear(source, 2)
    assert list(layer.state_dict()) == ["bias"]
    assert list(layer.modules()) == [layer]


@pytest.mark.parametrize(
    ("kind", "shape", "size", "options", "error", "message"),
    [
        ("mlp", (7,), None, {}, BadOption, r"^A fully connected net requires a vector code, but latent\.size is"),
        ("linear", (7,), None, {}, BadOption, r"^A fully connected net requires a vector code, but latent\.size"),
        ("mlp", (7,), 0, {}, BadOption, r"^latent\.size must be at least 1 and at most 1\.04858e\+06, but is 0\.$"),
        ("mlp", (7,), 3, {"widths": [4, 0]}, BadOption, r"^net\.widths must be at least 1 and at most .*, but is 0\.$"),
        ("mlp", (7,), 3, {"dropout": 1.0}, BadOption, r"^net\.dropout must be at least 0 and at most 0\.99, but is 1"),
        ("mlp", (7,), 3, {"dropout": -0.1}, BadOption, r"^net\.dropout must be at least 0 .*, but is -0\.1\.$"),
        ("mlp", (7,), 3, {"activation": "tahn"}, BadOption, r"^net\.activation cannot be 'tahn'; did you mean 'tanh'"),
        ("mlp", (7,), 3, {"norm": "bach"}, BadOption, r"^net\.norm cannot be 'bach'; did you mean 'batch'\? Allowed: "),
        ("mlp", (7,), 3, {"init": "glort"}, BadOption, r"^net\.init cannot be 'glort'; did you mean 'glorot'"),
        ("linear", (7,), 3, {"init": "x"}, BadOption, r"^net\.init cannot be 'x'\. Allowed: glorot, glorot_no"),
        ("conv", (7,), 3, {}, ShapeError, r"^A convolutional net requires images \(channels, height, width\) or seq"),
        (
            "conv",
            (3, 2, 7, 7),
            3,
            {},
            ShapeError,
            r"but one example is 3 frames of shape \(2, 7, 7\)\. Use net\.kind=mlp",
        ),
        ("conv", (1, 8, 8), 3, {"channels": []}, BadOption, r"^net\.channels is empty, but at least one stage is req"),
        ("conv", (1, 8, 8), 3, {"channels": [0]}, BadOption, r"^net\.channels must be at least 1 and at most 65536, b"),
        (
            "conv",
            (1, 8, 8),
            3,
            {"kernel_size": 1},
            BadOption,
            r"^net\.kernel_size must be at least 2 and at most 15, but is 1",
        ),
        (
            "conv",
            (1, 8, 8),
            3,
            {"kernel_size": 16},
            BadOption,
            r"^net\.kernel_size must be at least 2 and at most 15, but is 16",
        ),
        (
            "conv",
            (1, 8, 8),
            3,
            {"downsampling": "pool"},
            BadOption,
            r"^net\.downsampling cannot be 'pool'; did you mean 'maxpool'\?",
        ),
        (
            "conv",
            (1, 8, 8),
            3,
            {"upsampling": "deconv"},
            BadOption,
            r"^net\.upsampling cannot be 'deconv'.* Allowed: transposed, upsa",
        ),
        (
            "conv",
            (1, 8, 8),
            3,
            {"kernel_size": 4, "upsampling": "upsample"},
            BadOption,
            r"^net\.kernel_size=4 is even, but maxpool and upsample require an odd kernel size\. Set net\.kernel_size",
        ),
        (
            "conv",
            (1, 8, 8),
            3,
            {"kernel_size": 2, "downsampling": "maxpool"},
            BadOption,
            r"^net\.kernel_size=2 is even, .* Set net\.kernel_size=3, or ",
        ),
        ("conv", (1, 8, 8), 3, {"activation": "tahn"}, BadOption, r"^net\.activation cannot be 'tahn'; did you mean "),
        ("conv", (1, 8, 8), 3, {"norm": "x"}, BadOption, r"^net\.norm cannot be 'x'"),
        ("conv", (1, 8, 8), 3, {"init": "x"}, BadOption, r"^net\.init cannot be 'x'"),
        ("conv", (1, 8, 8), 0, {}, BadOption, r"^latent\.size must be at least 1 and at most 1\.04858e\+06, but is 0"),
        (
            "conv",
            (1, 5, 7),
            3,
            {"kernel_size": 2, "upsampling": "transposed"},
            ShapeError,
            r"^Images of 5x7 cannot be halved 3 times with kernel size 2\. Use fewer net\.channels, or an odd net\.ker",
        ),
    ],
)
def test_a_shape_or_an_option_without_meaning_is_refused_in_one_sentence(kind, shape, size, options, error, message):
    latent, likelihood = heads(size=3)
    with pytest.raises(error, match=message):
        NETS[kind](shape, size, latent, likelihood, **options)


def test_tied_weights_refuse_a_likelihood_of_more_than_one_feature_for_each_value():
    class Two(Bernoulli):
        def width(self, d: int) -> int:
            return 2 * d

    message = r"^Tied weights require a likelihood with one feature per value, but Two takes 14 features for 7 values"
    with pytest.raises(BadOption, match=message):
        mlp((7,), 3, Deterministic(), Two(), tied=True)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_a_group_normalization_of_a_narrow_vector_passes_a_gradient(width):
    (layer,) = normalization("group", width, axes=0)
    h = torch.randn(64, width, dtype=torch.float64, requires_grad=True)
    layer.double()(h).square().mul(torch.randn(64, width)).sum().backward()
    # of n values of variance 1 the square has a slope of order 1; of two it is eps / variance = 1e-5
    assert h.grad.abs().median() > 1e-2


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (2, 1, 9), (3, 9, 1)])
def test_no_stride_runs_along_an_axis_of_one_pixel(shape: tuple[int, ...]) -> None:
    """There most of a kernel sees padding only, and in bfloat16 torch leaves the gradient of such weights unset."""
    pair = conv(shape, None, Deterministic(), Bernoulli(), channels=(4, 4, 4, 4), upsampling="transposed")
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        large = inputs[0] if isinstance(layer, nn.Conv2d) else output
        seen.append((tuple(large.shape[2:]), layer.stride))  # type: ignore[arg-type]

    for layer in [*pair.encoder, *pair.decoder]:  # type: ignore[attr-defined]
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(watch)
    pair.decoder(pair.encoder(torch.rand(2, *shape)))
    assert len(seen) == 8
    assert all(n > 1 or stride == 1 for size, strides in seen for n, stride in zip(size, strides, strict=True))

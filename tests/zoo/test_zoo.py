"""The known recipes: that each builds for data of many shapes, and has the layers it is known for."""

import inspect
import math
import re

import pytest
import torch
from torch import nn

from isthmus import zoo
from isthmus.errors import BadOption, ShapeError, UnknownName
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.zoo import RECIPES, RecipeEntry, recipe

IMAGES = [(1, 28, 28), (3, 20, 33), (1, 8, 8)]
SEQUENCES = [(2, 7), (13, 50)]
ROW = (7,)
CONVOLUTIONAL = [n for n in RECIPES if recipe(n).net.kind in ("conv", "dcgan", "unet")]
OF_IMAGES = [n for n in RECIPES if recipe(n).net.kind == "spatial"]
every_recipe = pytest.mark.parametrize("name", RECIPES)


def linear_sizes(net: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]


def layers(net: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [m for m in net.modules() if type(m) is kind]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (n, s)
        for n in RECIPES
        for s in [*IMAGES, *SEQUENCES, ROW]
        if (s != ROW or n not in CONVOLUTIONAL) and (s in IMAGES or n not in OF_IMAGES)
    ]
    + [(n, (4, 3, 8, 9)) for n in OF_IMAGES],
)
def test_a_recipe_builds_for_data_of_any_shape_and_gives_a_loss_with_gradients(name, shape):
    objective = recipe(name).build(shape)
    assert isinstance(objective, Objective)
    model, x = objective.model, torch.rand(3, *shape)
    assert model.shape == shape
    assert model.encode(x).shape == (3, *model.code_shape)
    assert model.reconstruct(x).shape == x.shape
    loss = objective(x)
    assert loss.total.ndim == 0
    assert bool(torch.isfinite(loss.total))
    sum(loss.critics.values(), loss.total).backward()
    assert all(p.grad is not None for p in objective.parameters() if p.requires_grad)
    own = [objective._auxiliary] if objective._auxiliary else []
    assert list(loss.terms) == [objective.fidelity_name, *own, *recipe(name).penalties]


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [(n, "conv", s) for n in RECIPES if n not in CONVOLUTIONAL for s in SEQUENCES]
    + [(n, "mlp", (2, 3, 4, 5)) for n in RECIPES if n not in CONVOLUTIONAL],
)
def test_every_recipe_takes_sequences_with_a_convolutional_net_and_frames_with_a_dense_one(name, kind, shape):
    changed = recipe(name).with_options({"net.kind": kind} | ({"net.channels": [6, 4]} if kind == "conv" else {}))
    objective = changed.build(shape)
    x = torch.rand(3, *shape)
    loss = objective(x)
    assert bool(torch.isfinite(loss.total))
    sum(loss.critics.values(), loss.total).backward()
    assert all(p.grad is not None for p in objective.parameters() if p.requires_grad)
    assert objective.model.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_recipe_refuses_rows(name):
    with pytest.raises(
        ShapeError, match=r"^A (convolutional net|U-Net) requires images \(channels, height, width\) or sequences "
    ):
        recipe(name).build(ROW)


@every_recipe
def test_a_recipe_is_called_as_in_the_table_and_tells_its_formula_and_its_paper(name):
    entry = RECIPES[name]
    assert isinstance(entry, RecipeEntry)
    assert isinstance(entry.make(), Recipe)
    assert entry.make().name == name
    assert entry.make is getattr(zoo, name)
    assert entry.formula.strip()
    assert entry.summary.strip()
    assert re.search(r"\(\d{4}\)$", entry.paper) or entry.paper == "no paper: a mixture of parts"


@every_recipe
def test_the_function_of_a_recipe_names_its_formula_and_a_reference(name):
    doc = inspect.getdoc(RECIPES[name].make)
    assert "References:" in doc
    reference = " ".join(doc.split("References:")[1].split())
    assert re.search(r"\w \(.+, \d{4}\)", reference)


@every_recipe
def test_a_recipe_is_plain_data_and_the_same_every_time(name):
    assert recipe(name) == recipe(name)
    assert recipe(name) is not recipe(name)


@every_recipe
def test_the_same_seed_builds_the_same_weights(name):
    one, other = [], []
    for states in (one, other):
        torch.manual_seed(5)
        states.extend(recipe(name).build((1, 8, 8)).parameters())
    assert all(a.equal(b) for a, b in zip(one, other, strict=True))


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(
        UnknownName, match=r"^There is no recipe 'vea'; did you mean 'vae'\? Known: batch_top_k, beta_tc_vae"
    ):
        recipe("vea")


@pytest.mark.parametrize("tied", [False, True])
def test_the_linear_autoencoder_has_one_matrix_on_each_side_squared_error_and_no_activation(tied):
    model = zoo.linear(latent=5, tied=tied).build((1, 28, 28)).model
    assert linear_sizes(model.encoder) == [(784, 5)]
    assert linear_sizes(model.decoder) == ([] if tied else [(5, 784)])
    assert sum(p.numel() for p in model.parameters()) == 784 * 5 * (1 if tied else 2) + 5 + 784
    x = torch.rand(2, 1, 28, 28)
    # half the squared error and a constant, at sigma = 1
    half = 0.5 * (x - model.reconstruct(x)).square().sum().item() / 2
    got = Objective(model)(x).total.item()
    assert got == pytest.approx(half + 784 * 0.5 * math.log(2 * math.pi), rel=1e-5)
    # an affine map: differences do not depend on where they start
    a, b = torch.rand(2, 2, 1, 28, 28)
    moved = model.reconstruct(a + b) - model.reconstruct(b)
    torch.testing.assert_close(moved, model.reconstruct(a) - model.reconstruct(torch.zeros_like(a)), atol=1e-4, rtol=0)


def test_logistic_pca_wires_a_linear_code_to_logistic_outputs():
    model = zoo.logistic_pca().build((1, 28, 28)).model
    assert linear_sizes(model) == [(784, 30), (30, 784)]
    x = torch.rand(2, 1, 28, 28)
    z = x.flatten(1) @ model.encoder[1].weight.T + model.encoder[1].bias
    torch.testing.assert_close(model.encode(x), z.detach(), atol=1e-5, rtol=0)
    r = torch.sigmoid(z @ model.decoder[0].weight.T + model.decoder[0].bias).reshape(x.shape)
    torch.testing.assert_close(model.reconstruct(x), r.detach(), atol=1e-5, rtol=0)
    cross_entropy = nn.functional.binary_cross_entropy(r, x, reduction="sum").item() / 2
    assert Objective(model)(x).total.item() == pytest.approx(cross_entropy, rel=1e-5)


def test_the_simple_autoencoder_is_784_32_784_with_a_relu_code():
    model = zoo.simple().build((1, 28, 28)).model
    assert linear_sizes(model.encoder) == [(784, 32)]
    assert linear_sizes(model.decoder) == [(32, 784)]
    x = torch.rand(5, 1, 28, 28)
    torch.testing.assert_close(model.encode(x), model.encoder(x).detach().clamp_min(0))
    assert model.encode(x).min() == 0


def test_the_deep_autoencoder_is_784_128_64_32_and_back():
    model = zoo.deep().build((1, 28, 28)).model
    assert linear_sizes(model.encoder) == [(784, 128), (128, 64), (64, 32)]
    assert linear_sizes(model.decoder) == [(32, 64), (64, 128), (128, 784)]
    x = torch.rand(5, 1, 28, 28)
    assert model.encode(x).min() < 0  # a linear code


def test_the_tied_autoencoder_has_a_decoder_of_biases_alone():
    model = zoo.tied().build((1, 28, 28)).model
    assert linear_sizes(model.encoder) == [(784, 256), (256, 32)]
    assert [tuple(p.shape) for p in model.decoder.parameters()] == [(256,), (784,)]
    assert {n.rsplit(".")[-1] for n in model.decoder.state_dict()} == {"bias"}
    x = torch.rand(2, 1, 28, 28)
    w1, w2 = (m.weight for m in layers(model.encoder, nn.Linear))
    logits = torch.relu(model.encode(x) @ w2) @ w1  # biases start at zero
    torch.testing.assert_close(model.reconstruct(x).flatten(1), torch.sigmoid(logits).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (7,), (3, 5, 4)])
def test_the_overcomplete_code_is_twice_as_wide_as_the_data(shape):
    model = zoo.overcomplete().build(shape).model
    assert model.code_shape == (2 * math.prod(shape),)
    assert zoo.overcomplete(1.5).build((8,)).model.code_shape == (12,)


def test_the_convolutional_autoencoder_has_a_code_of_8_4_4_and_the_parameters_of_its_layers():
    model = zoo.conv().build((1, 28, 28)).model
    assert model.code_shape == (8, 4, 4)
    # a 3x3 convolution from a to b maps: 9ab weights and b biases
    encoder = [(1, 16), (16, 8), (8, 8)]
    decoder = [(8, 8), (8, 8), (8, 16), (16, 1)]
    for net, maps in ((model.encoder, encoder), (model.decoder, decoder)):
        convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
        assert [(m.in_channels, m.out_channels) for m in convolutions] == maps
        assert sum(p.numel() for p in net.parameters()) == sum(9 * a * b + b for a, b in maps)
    assert sum(p.numel() for p in model.parameters()) == 4385
    assert len(layers(model.encoder, nn.MaxPool2d)) == 3
    assert model.encode(torch.rand(2, 1, 28, 28)).min() == 0


def test_the_transposed_autoencoder_has_four_strided_and_four_transposed_convolutions_and_a_dense_code():
    model = zoo.transposed_conv().build((1, 28, 28)).model
    down, up = layers(model.encoder, nn.Conv2d), layers(model.decoder, nn.ConvTranspose2d)
    assert [(m.in_channels, m.out_channels) for m in down] == [(1, 32), (32, 64), (64, 128), (128, 128)]
    assert [(m.in_channels, m.out_channels) for m in up] == [(128, 128), (128, 64), (64, 32), (32, 1)]
    assert {m.stride for m in [*down, *up]} == {(2, 2)}
    assert not layers(model.encoder, nn.ConvTranspose2d)
    assert not layers(model.decoder, nn.Conv2d)
    assert model.code_shape == (64,)


def test_the_variational_autoencoder_has_a_gaussian_code_a_divergence_and_samples():
    objective = zoo.vae(latent=3, hidden=(20,)).build((1, 28, 28))
    model = objective.model
    assert linear_sizes(model) == [(784, 20), (20, 6), (3, 20), (20, 784)]
    assert objective.weights(0, 10) == {"kl": 1.0}
    assert model.code_shape == (3,)
    assert model.sample(4).shape == (4, 1, 28, 28)
    assert linear_sizes(zoo.vae().build((1, 28, 28)).model.encoder) == [(784, 512), (512, 32)]


@pytest.mark.parametrize(
    ("make", "options", "path", "expected"),
    [
        (zoo.linear, {"latent": 3}, "size", 3),
        (zoo.logistic_pca, {"latent": 3}, "size", 3),
        (zoo.simple, {"latent": 3}, "size", 3),
        (zoo.deep, {"latent": 3}, "size", 3),
        (zoo.tied, {"latent": 3}, "size", 3),
        (zoo.transposed_conv, {"latent": 3}, "size", 3),
        (zoo.vae, {"latent": 3}, "size", 3),
        (zoo.overcomplete, {"ratio": 3.0}, "ratio", 3.0),
    ],
)
def test_the_argument_of_a_recipe_is_the_size_of_its_code(make, options, path, expected):
    assert getattr(make(**options).latent, path) == expected


@pytest.mark.parametrize(("make", "option"), [(zoo.deep, "hidden"), (zoo.tied, "hidden"), (zoo.vae, "hidden")])
def test_the_hidden_layers_of_a_recipe_are_those_asked_for(make, option):
    assert make(**{option: (9, 8)}).to_dict()["net"]["widths"] == [9, 8]


@pytest.mark.parametrize("make", [zoo.conv, zoo.transposed_conv])
def test_the_maps_of_a_recipe_are_those_asked_for(make):
    assert make(channels=(4, 5)).to_dict()["net"]["channels"] == [4, 5]


@pytest.mark.parametrize("make", [lambda: zoo.vae(latent=0), lambda: zoo.conv(channels=("a",))])
def test_a_size_without_meaning_is_refused_as_everywhere(make):
    with pytest.raises(BadOption):
        make()

"""The denoising recipes, from a file of faces to a run, and the residual blocks that they are made of."""

import numpy as np
import pytest
import torch
from torch import nn

import isthmus
from isthmus import latents, likelihoods, nets, zoo
from isthmus.errors import BadOption
from isthmus.parts.nets.residual import Residual
from isthmus.runs.loading import load
from isthmus.training.augmentation import augmentation

CONVOLUTIONAL = ["conv_denoising", "conv_denoising_overcomplete"]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def faces(channels: int, kind: type) -> np.ndarray:
    """Twelve smooth pictures of 10x9 pixels, channels last, that differ in where they are bright."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:10, :9]
    waves = [np.sin(down / a + across / b + c) for a, b, c in rng.uniform(1, 4, (12 * channels, 3))]
    x = (np.stack(waves).reshape(12, channels, 10, 9).transpose(0, 2, 3, 1) + 1) / 2
    x = x[..., 0] if channels == 1 else x
    return (x * 255).astype(np.uint8) if kind is np.uint8 else x.astype(kind)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_a_file_of_training_and_test_faces_makes_a_run_that_restores_pictures(name, channels, kind, tmp_path):
    x = faces(channels, kind)
    np.savez(tmp_path / "faces.npz", x_train=x[:8], x_test=x[8:])
    run = isthmus.fit(name, tmp_path / "faces.npz", epochs=1, out=tmp_path / "run", options={"net.channels": "4"})
    assert len(run.history) == 1
    assert run.metadata.counts["test"] == 4
    restored = run.reconstruct(x)
    assert restored.shape == x.shape
    assert load(tmp_path / "run").reconstruct(x) == pytest.approx(restored, abs=1e-6)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_denoiser_learns_to_take_noise_away(name):
    x = np.repeat(faces(1, np.float32), 4, 0)
    options = {
        "net.channels": "8",
        "training.steps": 300,
        "training.learning_rate": 1e-2,
        "data.test": 0,
        "data.validation": 0,
    }
    run = isthmus.fit(name, x, options=options)
    clean = torch.from_numpy(x[:12])[:, None]
    noisy = (clean + 0.2 * torch.randn_like(clean)).clamp(0, 1)
    before, after = ((y - clean).square().mean().item() for y in (noisy, run.model.reconstruct(noisy)))
    # an untrained or merely copying net leaves all of the noise; 3 dB is half of its power
    assert after < before / 2


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_denoiser_sees_noise_as_a_picture_file_keeps_it_and_aims_at_the_clean_picture(name):
    model = zoo.recipe(name).build((1, 12, 12)).model.train()
    x = torch.rand(200, 1, 12, 12)
    trace = model(x)
    assert trace.x.equal(x)
    assert trace.x_in.aminmax() == (0.0, 1.0)
    inside = trace.x_in[(x > 0.4) & (x < 0.6)] - x[(x > 0.4) & (x < 0.6)]
    # cut at 2 sigma or more, a normal of 0.2 keeps at least 88 % of its spread
    assert 0.88 * 0.2 < inside.std().item() < 0.2


def test_the_overcomplete_code_is_larger_than_the_picture():
    shape = (1, 64, 64)
    code = zoo.conv_denoising_overcomplete().build(shape).model.code_shape
    assert np.prod(code) == 16 * np.prod(shape)


def test_the_classic_denoiser_has_one_tied_sigmoid_layer_and_a_quarter_of_holes():
    model = zoo.denoising(latent=20).build((1, 8, 8)).model
    assert [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)] == [(64, 20)]
    code = model.encode(torch.rand(5, 1, 8, 8))
    assert bool(((code > 0) & (code < 1)).all())
    assert zoo.denoising().corruption.model_extra["fraction"] == 0.25
    assert len(zoo.denoising(hidden=(30, 25)).build((1, 8, 8)).players()["autoencoder"]) == 2 * 3 + 3


def test_the_dropout_recipe_silences_hidden_values_in_training_only():
    model = zoo.dropout(p=0.25).build((1, 8, 8)).model
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in drops] == [0.25, 0.25]
    x = torch.rand(4, 1, 8, 8)
    assert model.train()(x).x_in.equal(x)
    assert not model(x).z.equal(model(x).z)
    assert model.eval()(x).z.equal(model(x).z)


OPTIONS = [
    {"residual_blocks": blocks, "channels": channels, "norm": norm, **sides}
    for blocks, channels, norm in ((1, (6,), "none"), (2, (4, 6), "batch"), (1, (4, 6, 5), "layer"))
    for sides in (
        {},
        {"kernel_size": 4, "upsampling": "transposed"},
        {"downsampling": "maxpool", "upsampling": "upsample"},
    )
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14)])
def test_residual_blocks_deepen_both_nets_and_start_as_the_identity(options, size, shape):
    latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    pair = nets.conv(shape, size, latent, likelihood, **options, init="he")
    code = latent(pair.encoder(torch.rand(4, *shape))).mean
    assert code.shape[1:] == pair.code
    assert pair.decoder(code).shape == (4, *shape)
    for net in (pair.encoder, pair.decoder):
        found = [m for m in net.modules() if isinstance(m, Residual)]
        assert len(found) == options["residual_blocks"] * len(options["channels"])
        for block in found:
            width = block.inner[-1].in_channels
            h = torch.randn(2, width, 4, 5)
            assert block.eval()(h).equal(h)
            assert block.inner[-1].weight.shape == (width, width, 3, 3)


def test_a_residual_block_adds_two_convolutions_each_behind_what_was_asked():
    block = Residual(3, lambda _: [nn.ReLU()]).double()
    one, two = (m for m in block.modules() if isinstance(m, nn.Conv2d))
    h = torch.randn(2, 3, 5, 4).double()
    assert block(h).equal(h)
    nn.init.normal_(two.weight)
    # the same two products, so no rounding differs
    assert block(h).equal(h + two(torch.relu(one(torch.relu(h)))))


def test_every_weight_of_a_net_with_blocks_moves_once_the_blocks_have_begun_to():
    objective = zoo.conv_denoising(channels=(4,)).build((1, 8, 8))
    for block in (m for m in objective.modules() if isinstance(m, Residual)):
        nn.init.normal_(block.inner[-1].weight, std=0.1)
    objective(torch.rand(3, 1, 8, 8)).total.backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in objective.parameters())


def test_without_blocks_the_net_is_as_it_was():
    torch.manual_seed(1)
    plain = nets.conv((1, 8, 8), None, latents.Deterministic(), likelihoods.Bernoulli(), upsampling="transposed")
    assert not [m for net in plain[:2] for m in net.modules() if isinstance(m, Residual)]
    assert isinstance(plain.decoder[0], nn.ConvTranspose2d)


def test_a_negative_number_of_blocks_is_refused():
    with pytest.raises(BadOption, match=r"^net.residual_blocks must be at least 0 and at most 100, but is -1\.$"):
        nets.conv((1, 8, 8), None, latents.Deterministic(), likelihoods.Bernoulli(), residual_blocks=-1)


@pytest.mark.parametrize("name", ["denoising", "dropout", *CONVOLUTIONAL])
def test_a_denoiser_compares_its_code_with_no_prior(name):
    assert not zoo.recipe(name).penalties
    assert not zoo.recipe(name).build((1, 8, 8)).model.generative


@pytest.mark.parametrize("name", ["blind_spot_denoiser", "recorrupted_denoiser"])
def test_changes_of_noisy_images_keep_every_pixel_once_so_that_none_tells_the_noise_of_another(name: str) -> None:
    x = torch.rand(20, 1, 12, 12)
    changed = augmentation(zoo.recipe(name).data)(x, torch.Generator().manual_seed(0))
    assert not changed.equal(x)
    assert changed.flatten(1).sort().values.equal(x.flatten(1).sort().values)

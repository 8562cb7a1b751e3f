"""Convolutions of sequences: equal to those of images one pixel wide, with the same weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from isthmus import latents, likelihoods
from isthmus.errors import ShapeError
from isthmus.parts.nets import conv
from isthmus.parts.nets.conv import Upsample, UpsampledConv1d
from isthmus.parts.nets.layers import INITIAL_WEIGHTS, NORMS, Pair
from isthmus.parts.nets.residual import Residual

EPS = torch.finfo(torch.float64).eps


def made(shape: tuple[int, ...], size: int | None, **options: object) -> Pair:
    pair = conv(shape, size, latents.Deterministic(), likelihoods.Gaussian(), **options)
    pair.encoder.double(), pair.decoder.double()
    return pair


def middle(weight: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A weight of a sequence as one of images: on an axis of one pixel only the middle of a kernel sees the pixel."""
    if weight.ndim == like.ndim:
        return weight
    wide = torch.zeros_like(like)
    wide[..., like.shape[-1] // 2] = weight
    return wide


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("down", "up", "blocks", "kernel"),
    [("stride", "transposed", 0, 3), ("stride", "transposed", 1, 7), ("maxpool", "upsample", 1, 5)],
)
@pytest.mark.parametrize(("length", "size"), [(1, 3), (2, None), (7, 3), (50, None), (257, 4)])
def test_a_net_of_sequences_is_that_of_images_one_pixel_wide_with_its_gradients(
    length, size, down, up, blocks, kernel, norm
):
    options = {"downsampling": down, "upsampling": up, "residual_blocks": blocks, "kernel_size": kernel, "norm": norm}
    channels = [4] if length == 2 else [6, 4]
    narrow = made((2, length), size, channels=channels, **options)
    wide = made((2, length, 1), size, channels=channels, **options)
    x = torch.randn(3, 2, length, dtype=torch.float64)
    found = []
    for side, other in zip(narrow[:2], wide[:2], strict=True):
        for p, q in zip(side.parameters(), other.parameters(), strict=True):
            nn.init.normal_(p, std=0.3)
            with torch.no_grad():
                q.copy_(middle(p, q))
    for pair, given in ((narrow, x), (wide, x[..., None])):
        out = pair.decoder(pair.encoder(given)).reshape(3, 2, length)
        pull = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape)
        (out * pull).sum().backward()
        found.append((out, [*pair.encoder.parameters(), *pair.decoder.parameters()]))
    (ours, own), (expected, theirs) = found
    # layers of at most 60 terms, of a size that grows by layer: relative to the largest value
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e4 * EPS * max(1.0, float(expected.detach().abs().max())))
    for p, q in zip(own, theirs, strict=True):
        gradient = q.grad if p.ndim == q.ndim else q.grad[..., q.shape[-1] // 2]
        torch.testing.assert_close(p.grad, gradient, rtol=0, atol=1e5 * EPS * max(1.0, float(gradient.abs().max())))


@pytest.mark.parametrize("length", [5, 6])
def test_an_upsampled_sequence_repeats_each_step_and_is_cut_at_the_end(length):
    h = torch.randn(2, 3, 3, dtype=torch.float64)
    out = Upsample((length,))(h)
    assert out.shape == (2, 3, length)
    for step in range(length):
        assert out[..., step].equal(h[..., step // 2])


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_a_convolution_that_repeats_steps_is_the_two_layers_with_their_gradients(kernel):
    layer = UpsampledConv1d(3, 2, kernel).double()
    nn.init.normal_(layer.bias)
    results = []
    for enlarge in (False, True):
        h = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        large = F.conv1d(Upsample((10,))(h), layer.weight, layer.bias, padding=kernel // 2) if enlarge else layer(h)
        pull = torch.randn(large.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        results.append([large, *torch.autograd.grad((large * pull).sum(), [h, layer.weight, layer.bias])])
    for ours, expected in zip(*results, strict=True):
        # sums of at most 50 terms of order 1
        torch.testing.assert_close(ours, expected, rtol=0, atol=50 * 8 * EPS)


@pytest.mark.parametrize(
    ("shape", "channels", "kernel", "inside"),
    [
        ((1, 8), (2,), 3, True),
        ((2, 8), (3,), 3, False),  # four maps out of three: no gain
        ((1, 7), (4,), 3, False),  # the end is cut
        ((1, 4), (4,), 7, False),  # weights that would only see padding
        ((1, 8), (4,), 7, True),
    ],
)
def test_steps_are_repeated_inside_the_last_convolution_where_that_is_cheaper(shape, channels, kernel, inside):
    pair = made(shape, None, channels=channels, kernel_size=kernel, downsampling="maxpool", upsampling="upsample")
    assert isinstance(list(pair.decoder)[-1], UpsampledConv1d) == inside


@pytest.mark.parametrize("up", ["transposed", "upsample"])
@pytest.mark.parametrize("down", ["stride", "maxpool"])
def test_every_level_of_the_decoder_has_the_length_of_its_level_in_the_encoder(down, up):
    for length in [*range(1, 34), 257]:
        pair = made((1, length), None, channels=[2, 2, 2], downsampling=down, upsampling=up)
        lengths = [length]
        for _ in range(3):
            lengths.append(math.ceil(lengths[-1] / 2))
        for net, width, expected in ((pair.encoder, 1, lengths), (pair.decoder, 2, lengths[::-1])):
            h, seen = torch.rand(2, width, expected[0], dtype=torch.float64), [expected[0]]
            for layer in net:
                h = layer(h)
                seen += [h.shape[2]] if h.shape[2] != seen[-1] else []
            assert seen == list(dict.fromkeys(expected)), (length, net)


def test_a_residual_block_of_sequences_starts_as_the_identity():
    h = torch.randn(2, 3, 7)
    assert Residual(3, lambda width: [nn.ReLU()], axes=1)(h).equal(h)


@pytest.mark.parametrize("name", sorted(set(INITIAL_WEIGHTS) - {"torch", "sparse", "orthogonal"}))
def test_initial_weights_of_sequences_have_the_spread_of_those_of_images(name):
    # fan in and fan out of a kernel of 9 steps are those of a kernel of 3x3 pixels
    options = {"channels": [40, 40], "init": name}
    narrow = made((3, 64), None, kernel_size=9, **options)
    wide = made((3, 16, 16), None, kernel_size=3, **options)
    for p, q in zip(
        [*narrow.encoder.parameters(), *narrow.decoder.parameters()],
        [*wide.encoder.parameters(), *wide.decoder.parameters()],
        strict=True,
    ):
        assert p.numel() == q.numel()
        if p.ndim == 1:
            assert not p.any()
            assert not q.any()
        else:
            # the standard deviations of n values of a normal distribution differ by 1 / sqrt(n), relative: five of them
            assert abs(p.std().item() / q.std().item() - 1) < 5 / math.sqrt(p.numel())


def test_a_table_is_told_how_its_columns_become_steps():
    with pytest.raises(ShapeError, match=r"data\.shape=28,28.*data\.layout=NT.*data\.window=100"):
        made((12,), None)


def test_frames_are_refused_in_one_sentence():
    with pytest.raises(ShapeError, match=r"one example is 5 frames of shape \(3, 8, 8\)\. Use net\.kind=mlp"):
        made((5, 3, 8, 8), None)


def test_a_sequence_too_short_for_an_even_kernel_is_refused_by_its_length():
    with pytest.raises(ShapeError, match="Sequences of length 2 cannot be halved 3 times with kernel size 4"):
        made((1, 2), None, channels=[2, 2, 2], kernel_size=4, upsampling="transposed")

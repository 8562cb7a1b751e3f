"""Fully connected layers between the innermost feature map and the code."""

import pytest
import torch
from torch import nn

from isthmus.errors import BadOption
from isthmus.parts import latents, likelihoods, nets


def linear_sizes(net: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]


def test_dense_layers_lie_between_the_feature_map_and_the_code_and_the_decoder_reverses_them():
    pair = nets.conv((1, 8, 8), 3, latents.Gaussian(), likelihoods.Bernoulli(), channels=(4, 5), dense=(7, 6))
    # 5 maps of 2x2; a Gaussian latent takes a mean and a log scale
    assert linear_sizes(pair.encoder) == [(20, 7), (7, 6), (6, 6)]
    assert linear_sizes(pair.decoder) == [(3, 6), (6, 7), (7, 20)]
    x = torch.rand(2, 1, 8, 8)
    assert pair.encoder(x).shape == (2, 6)
    assert pair.decoder(torch.rand(2, 3)).shape == x.shape


def test_dense_layers_have_the_activation_between_them_but_none_at_the_code():
    pair = nets.conv((1, 8, 8), 3, latents.Deterministic(), likelihoods.Bernoulli(), dense=(7,), activation="tanh")
    *_, first, activation, last = pair.encoder
    assert torch.equal(activation(torch.tensor([2.0])), torch.tensor([2.0]).tanh())
    h = torch.randn(4, first.in_features)
    torch.testing.assert_close(nn.Sequential(first, activation, last)(h), last(first(h).tanh()))


def test_dense_layers_without_a_vector_code_are_refused():
    with pytest.raises(BadOption, match=r"^net.dense=7,6 requires a vector code, but latent.size is not set\."):
        nets.conv((1, 8, 8), None, latents.Deterministic(), likelihoods.Bernoulli(), dense=(7, 6))
    with pytest.raises(BadOption, match=r"^net.dense must be at least 1 "):
        nets.conv((1, 8, 8), 3, latents.Deterministic(), likelihoods.Bernoulli(), dense=(0,))

"""Sparsity by counting, and the encoder's Jacobian against autograd's."""

import pytest
import torch
from torch import nn

from isthmus import Autoencoder, exact, latents, likelihoods, zoo
from isthmus.errors import IncompatibleParts
from isthmus.metrics import codes
from isthmus.metrics.codes import saturation, sensitivity, sparsity
from isthmus.models.inputs import CHUNK


def wired(latent: nn.Module, inputs: int = 4, width: int = 4) -> Autoencoder:
    """An encoder that hands the input over, so that the code is what the latent makes of it."""
    return Autoencoder(nn.Identity(), nn.Linear(width, inputs), latent, likelihoods.Gaussian(), shape=(inputs,))


def test_l0_counts_the_values_that_are_not_zero_and_dead_ones_are_zero_on_every_example() -> None:
    x = torch.tensor([[1.0, -1.0, 0.0, -3.0], [2.0, 1e-30, 0.0, -3.0], [0.0, -1.0, 5.0, -3.0]])
    figures = sparsity(wired(latents.Deterministic("relu")), x)
    assert figures == {"l0": pytest.approx(4 / 3), "dead_fraction": pytest.approx(1 / 4)}


def test_negative_values_of_a_code_are_in_use() -> None:
    figures = sparsity(wired(latents.Deterministic()), torch.tensor([[0.0, -1.0, 0.0, 2.0]]))
    assert figures == {"l0": 2.0, "dead_fraction": 0.5}


def test_units_are_counted_over_all_chunks() -> None:
    x = torch.zeros(CHUNK + 1, 4)
    x[0, 0] = x[CHUNK, 1] = 1.0
    figures = sparsity(wired(latents.Deterministic()), x)
    assert figures == {"l0": pytest.approx(2 / (CHUNK + 1)), "dead_fraction": 0.5}


def test_top_k_leaves_k_values() -> None:
    model = zoo.recipe("deep").with_options({"latent.kind": "top_k", "latent.k": 3}).build((30,)).model.eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.abs_()
    assert sparsity(model, torch.rand(20, 30))["l0"] == 3.0


def test_a_map_of_codes_is_counted_by_value() -> None:
    model = zoo.recipe("conv").build((1, 8, 8)).model.eval()
    x = torch.rand(12, 1, 8, 8)
    z = model.encode(x)
    figures = sparsity(model, x)
    assert figures["l0"] == pytest.approx((z != 0).sum().item() / 12)
    assert figures["dead_fraction"] == pytest.approx((z == 0).all(0).double().mean().item())


def test_dense_codes_and_codes_on_a_grid_have_no_sparsity() -> None:
    assert sparsity(zoo.recipe("deep").build((30,)).model.eval(), torch.rand(20, 30)) == {}
    assert sparsity(zoo.recipe("fsq").build((1, 8, 8)).model.eval(), torch.rand(20, 1, 8, 8)) == {}


def test_the_jacobian_of_a_linear_encoder_has_the_norm_of_its_weights() -> None:
    model = exact.pca(torch.randn(50, 7, dtype=torch.float64), 3)
    # three orthonormal rows: the Frobenius norm is the root of three
    assert sensitivity(model, torch.randn(9, 7, dtype=torch.float64)) == {"jacobian_norm": pytest.approx(3**0.5)}


@pytest.mark.parametrize("recipe", ["vae", "conv"])
def test_the_jacobian_norm_is_the_mean_over_examples_of_autograd_s(recipe: str) -> None:
    model = zoo.recipe(recipe).build((1, 8, 8)).model.double().eval()
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    norms = [
        torch.autograd.functional.jacobian(lambda v: model.posterior(v).mean, row[None]).norm().item() for row in x
    ]
    assert sensitivity(model, x)["jacobian_norm"] == pytest.approx(sum(norms) / 5, rel=1e-10)


def test_the_jacobian_is_measured_on_the_first_500_examples_and_fewer_for_long_codes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(codes, "jacobian_norm", lambda _f, x: (seen.append(len(x)), torch.zeros(len(x)))[1])
    for width in (4, 131, 132, 2048, 2049):
        sensitivity(wired(latents.Deterministic(), width, width), torch.zeros(600, width))
    assert seen == [500, 500, 2**16 // 132, 32]


def test_a_code_with_steps_has_no_jacobian() -> None:
    model = zoo.recipe("vq_vae").build((1, 8, 8)).model.eval()
    assert sensitivity(model, torch.rand(3, 1, 8, 8)) == {}


def test_measuring_leaves_no_gradient_and_no_mode_behind() -> None:
    model = zoo.recipe("vae").build((6,)).model.train()
    sensitivity(model, torch.rand(3, 6))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_saturation_counts_the_values_near_either_end() -> None:
    model = wired(latents.Deterministic("sigmoid"))
    shares = torch.tensor([[0.01, 0.049, 0.051, 0.5], [0.949, 0.951, 0.999, 0.2]])
    assert saturation(model, torch.logit(shares)) == pytest.approx(4 / 8)
    assert saturation(model, torch.logit(shares), margin=0.25) == pytest.approx(7 / 8)


def test_saturation_is_a_mean_over_all_chunks() -> None:
    x = torch.zeros(CHUNK + 1, 4)
    x[CHUNK] = 9.0
    assert saturation(wired(latents.Deterministic("sigmoid")), x) == pytest.approx(1 / (CHUNK + 1))


def test_a_code_without_ends_cannot_saturate() -> None:
    with pytest.raises(IncompatibleParts, match=r"a code in \[0, 1\], which latent Deterministic does not pro"):
        saturation(wired(latents.Deterministic("relu")), torch.rand(3, 4))

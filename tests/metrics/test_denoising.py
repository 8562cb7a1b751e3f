"""Figures of denoising against their formulas, with a corruption that anyone can follow."""

import math

import pytest
import torch
from torch import Tensor, nn

from isthmus import Autoencoder, Objective, evaluate, latents, likelihoods, zoo
from isthmus import functional as F
from isthmus.metrics.denoising import corrupted, denoising, is_denoising
from isthmus.models.inputs import CHUNK
from isthmus.parts.protocols import Corrupted

X = torch.rand(9, 1, 12, 12, generator=torch.Generator().manual_seed(0))


class Raise(nn.Module):
    """Adds a number times the run's progress, so images may leave [0, 1]."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        return Corrupted(x + self.by * progress)


class Noise(nn.Module):
    def forward(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        return Corrupted(x + torch.randn_like(x))


class Lower(nn.Module):
    """A network that takes a number off its input."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.by


def model(corruption: nn.Module | None, by: float = 0.5, shape: tuple[int, ...] = (1, 12, 12)) -> Autoencoder:
    return Autoencoder(
        Lower(by), nn.Identity(), latents.Deterministic(), likelihoods.Gaussian(), corruption, shape=shape
    ).eval()


def test_corrupted_and_restored_are_each_compared_with_the_clean_image() -> None:
    figures = denoising(model(Raise(0.6), 0.5), X)
    cut, restored = (X + 0.6).clamp(0, 1), (X + 0.1).clamp(0, 1)
    assert figures["mse_corrupted"] == pytest.approx(0.36, rel=1e-5)
    assert figures["mse_restored"] == pytest.approx(0.01, rel=1e-4)
    mse = (X - cut).square().mean((1, 2, 3))
    assert figures["psnr_corrupted"] == pytest.approx((-10 * mse.log10()).mean().item(), rel=1e-5)
    assert figures["psnr_corrupted"] != pytest.approx(-10 * math.log10(0.36), rel=1e-2)
    mse = (X - restored).square().mean((1, 2, 3))
    assert figures["psnr_restored"] == pytest.approx((-10 * mse.log10()).mean().item(), rel=1e-5)
    assert figures["ssim_corrupted"] == pytest.approx(F.ssim(X, cut).mean().item(), rel=1e-5)
    assert figures["ssim_restored"] == pytest.approx(F.ssim(X, restored).mean().item(), rel=1e-5)


def test_a_model_that_undoes_the_corruption_restores_all_of_it() -> None:
    figures = denoising(model(Raise(0.25), 0.25), X)
    # x + 1/4 - 1/4 rounds once, within 6e-8 of a number below 2: far above the 100 dB that stand for a perfect image
    assert figures["psnr_restored"] == pytest.approx(100)
    assert figures["ssim_restored"] == pytest.approx(1, abs=1e-5)


def test_draws_follow_the_seed_and_leave_the_generator_alone() -> None:
    noisy = model(Noise())
    before = torch.random.get_rng_state()
    assert torch.equal(corrupted(noisy, X, seed=3), corrupted(noisy, X, seed=3))
    assert not torch.equal(corrupted(noisy, X, seed=3), corrupted(noisy, X, seed=4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert denoising(noisy, X, seed=3) == denoising(noisy, X, seed=3)
    assert denoising(noisy, X, seed=3) != denoising(noisy, X, seed=4)


def test_evaluation_hands_its_seed_to_the_corruption() -> None:
    objective = Objective(model(Noise()))
    first, second = (evaluate(objective, X, seed=seed)["mse_corrupted"] for seed in (3, 4))
    assert first == denoising(objective.model, X, seed=3)["mse_corrupted"]
    assert first != second


def test_chunks_are_joined_by_count() -> None:
    x = torch.rand(CHUNK + 1, 5)
    figures = denoising(model(Raise(1.0), 0.0, (5,)), x)
    assert figures == {"mse_corrupted": pytest.approx(1.0), "mse_restored": pytest.approx(1.0)}


def test_data_that_is_no_picture_has_errors_alone() -> None:
    assert denoising(model(Raise(0.5)), X * 2).keys() == {"mse_corrupted", "mse_restored"}
    # one example of the last chunk is enough
    mixed = torch.cat([X[:1].expand(CHUNK, *X.shape[1:]), X[:1] * 2])
    assert denoising(model(Raise(0.5)), mixed).keys() == {"mse_corrupted", "mse_restored"}


def test_only_runs_with_a_corruption_get_these_figures() -> None:
    names = {f"{kind}_{which}" for kind in ("mse", "psnr", "ssim") for which in ("corrupted", "restored")}
    assert names <= evaluate(Objective(model(Raise(0.5))), X).keys()
    assert not names & evaluate(Objective(model(None)), X).keys()
    assert is_denoising(model(Noise()))
    assert not is_denoising(model(None))


def test_the_reconstruction_of_a_denoising_run_is_that_of_the_clean_input() -> None:
    figures = evaluate(Objective(model(Raise(0.6), 0.5)), X)
    assert figures["mse"] == pytest.approx(0.25, rel=1e-5)


def test_a_run_that_masks_is_measured_by_its_recipe() -> None:
    objective = zoo.recipe("deep").with_options({"corruption.kind": "masking"}).build((1, 12, 12)).eval()
    figures = evaluate(objective, X)
    assert figures["psnr_corrupted"] < 100
    assert figures["mse_corrupted"] > 0


def test_the_error_to_clean_images_is_estimated_from_the_noise_alone() -> None:
    # another seed than that of the evaluation, whose noise would be that of the examples
    torch.manual_seed(5)
    clean = torch.rand(200, 1, 40, 40)
    noisy = clean + 0.3 * torch.randn_like(clean)
    shrunk = zoo.linear().with_options(
        {"likelihood.kind": "gaussian", "corruption.kind": "recorruption", "corruption.scale": 0.3}
    )
    objective = shrunk.build((1, 40, 40))
    model = objective.model
    # a network that halves its input has a known error
    model.encoder, model.decoder = nn.Identity(), Halve()
    found = evaluate(objective, noisy)
    assert "psnr_restored" not in found
    expected = (0.5 * clean - clean).square().mean() + 0.25 * 0.3**2 * (1 + 0.5**2)
    # five standard errors of a mean of squares of normal values, whose variance is the error and that of the target
    error = 2**0.5 * (expected.item() + 0.3**2 * (1 + 0.5**-2)) / clean.numel() ** 0.5
    assert found["mse_estimated"] == pytest.approx(expected.item(), abs=5 * error)


class Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2

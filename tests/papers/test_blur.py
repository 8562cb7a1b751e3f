"""A blurred image is found to be blurred, and the whole at toy size."""

import torch

from isthmus.papers import blur
from isthmus.papers.reproduction import reproduce


def test_smoothing_lowers_sharpness_and_high_power_and_noise_raises_them():
    torch.manual_seed(0)
    x = torch.rand(20, 1, 32, 32)
    smooth = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    noisy = smooth + 0.5 * torch.randn_like(x)
    others = dict.fromkeys(blur.NAMES.keys() - {"ae", "vae", "draw"}, smooth)
    found = blur.measured({"images": x, "ae": x, "vae": smooth, "draw": noisy, **others})
    assert found["ae"]["sharpness"] == found["ae"]["high"] == 1
    assert found["vae"]["sharpness"] < 0.3
    assert found["vae"]["high"] < 0.3
    assert found["draw"]["high"] > 2
    assert "psnr" not in found["prior"]
    assert found["vae"]["psnr"] > found["draw"]["psnr"]


def test_the_story_at_toy_size_has_faces_and_spectra(shrunken):
    results = reproduce(blur.PAPER, shrunken(blur))
    assert set(results["pictures"]) == {"faces.png", "spectra.png"}
    assert len(results["rows"]) == 3 * len(blur.NAMES) - len(blur.SAMPLES)

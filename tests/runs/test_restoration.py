"""Pictures of any size are restored in their own size, depth and colors; arrays of other sizes too."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import isthmus as it
from isthmus.cli.app import main
from isthmus.errors import ShapeError
from isthmus.runs.run import Run

RNG = np.random.default_rng(0)
SMALL = {"net.channels": (4, 4), "net.residual_blocks": 1, "training.steps": 3}


def trained(shape: tuple[int, ...]) -> Run:
    x = RNG.integers(0, 256, (24, *shape), dtype=np.uint8)
    return it.fit("denoiser", x, options=SMALL)


@pytest.fixture(scope="module")
def gray() -> Run:
    return trained((16, 12))


@pytest.fixture(scope="module")
def color() -> Run:
    return trained((16, 12, 3))


def picture(path: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_folder_of_pictures_of_all_sizes(color: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = color.save(tmp_path / "run")
    shapes = {"a.png": (40, 30, 3), "b/c.png": (7, 90, 3), "gray.png": (20, 21)}
    pixels = {name: picture(tmp_path / "in" / name, shape) for name, shape in shapes.items()}
    assert main(["denoise", str(run), str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert "(3 pictures)" in capsys.readouterr().out
    for name, shape in shapes.items():
        made = np.asarray(Image.open(tmp_path / "out" / name))
        # the run restores colors, so a gray picture has three equal channels before
        assert made.shape == (shape if len(shape) == 3 else (*shape, 3))
        x = pixels[name] if len(shape) == 3 else np.repeat(pixels[name][..., None], 3, -1)
        expected = color.denoise(x[None])[0]
        assert np.abs(made / 255 - expected.clip(0, 1)).max() <= 0.5 / 255 + 1e-6


def test_one_picture_becomes_one_picture_of_its_depth(gray: Run, tmp_path: Path) -> None:
    run = gray.save(tmp_path / "run")
    pixels = picture(tmp_path / "scan.png", (33, 50), np.uint16)
    assert main(["denoise", str(run), str(tmp_path / "scan.png"), str(tmp_path / "clean.png")]) == 0
    made = np.asarray(Image.open(tmp_path / "clean.png"))
    assert made.shape == (33, 50)
    assert made.max() > 255
    # the net has taken three steps from the identity
    assert np.abs(made / 65_535 - pixels / 65_535).mean() < 0.3


def test_an_array_of_another_size_is_restored_and_missing_pixels_are_filled(gray: Run) -> None:
    x = RNG.random((3, 25, 40), dtype=np.float32)
    assert gray.denoise(x).shape == x.shape
    assert gray.denoise(x[:, :16, :12]).shape == (3, 16, 12)
    assert np.allclose(gray.denoise(iter([x[:2, :16, :12]])), gray.denoise(x[:2, :16, :12]), atol=1e-6)
    with pytest.raises(ShapeError, match="trained on examples of shape"):
        gray.denoise(iter([x]))
    holes = RNG.random(x.shape) < 0.3
    found = gray.denoise(np.where(holes, np.nan, x))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[~holes], x[~holes], atol=1e-6)


def test_a_run_reports_what_it_restores_and_draws_it(gray: Run, tmp_path: Path) -> None:
    metrics = gray.evaluate()
    assert all(np.isfinite(value) for value in metrics.values())
    # the net has taken three steps from interpolation, which is far better than black pixels and noise
    assert metrics["mse_restored"] < metrics["mse_corrupted"]
    figure = gray.plot("denoised")
    assert figure.axes


def test_the_noise_level_can_be_given(gray: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = RNG.random((2, 16, 12), dtype=np.float32)
    strong, weak = (gray.denoise(x, noise_level=level) for level in (0.5, 0.0))
    assert not np.allclose(strong, weak)
    run, plain = (
        gray.save(tmp_path / "run"),
        it.fit("deep", RNG.random((30, 16, 12)), epochs=1).save(tmp_path / "plain"),
    )
    np.save(tmp_path / "x.npy", x)
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy")]
    assert main(["denoise", str(run), *paths, "--noise-level", "0.5"]) == 0
    np.testing.assert_allclose(np.load(paths[1]), strong, atol=1e-6)
    assert main(["denoise", str(run), *paths, "--noise-level", "-1"]) == 2
    assert main(["denoise", str(plain), *paths, "--noise-level", "0.5"]) == 2
    assert "does not see it" in capsys.readouterr().err


def test_a_network_of_one_size_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = RNG.integers(0, 256, (24, 8, 8), dtype=np.uint8)
    run = it.fit("conv_denoising", x, options={"training.steps": 2}).save(tmp_path / "run")
    picture(tmp_path / "in" / "a.png", (9, 9))
    picture(tmp_path / "in" / "A.png", (8, 8))
    assert main(["denoise", str(run), str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    assert "trained on examples of shape (1, 8, 8)" in capsys.readouterr().err
    # those of its size are written
    picture(tmp_path / "in" / "a.png", (8, 8))
    assert main(["denoise", str(run), str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).shape == (8, 8)


@pytest.mark.parametrize("where", ["same", "empty"])
def test_what_cannot_be_written_or_read(
    gray: Run, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = gray.save(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "same" / "a.png", (9, 9))
    out = "same" if where == "same" else "out"
    assert main(["denoise", str(run), str(tmp_path / where), str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert "is what is read" in said if where == "same" else "holds no picture" in said
    assert not (tmp_path / "out").exists()

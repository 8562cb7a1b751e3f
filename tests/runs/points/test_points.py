"""Feature points of runs: every frame of a video keeps its identity, whatever the run was trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus as it
from isthmus.cli.app import main
from isthmus.errors import IncompatibleParts
from isthmus.functional import expected_points, presence

RNG = np.random.default_rng(0)
OPTIONS = {"latent.size": 8, "net.channels": [6], "net.hidden": [16], "net.resolution": 6, "training.steps": 12}
WINDOWS = {"data.window": 3, "data.stride": 1, "penalties.slowness.kind": "slowness"}


def video(length: int, channels: int = 3) -> np.ndarray:
    """A bright square that moves over noise, (length, 16, 18, channels), bytes."""
    frames = RNG.integers(0, 90, (length, 16, 18, channels), dtype=np.uint8)
    for t in range(length):
        frames[t, 5:9, t % 12 : t % 12 + 4] = 220
    return frames


CLIPS = np.stack([video(9) for _ in range(4)])


@pytest.fixture(scope="module")
def on_frames() -> it.Run:
    return it.fit("spatial_mlp", CLIPS.reshape(-1, 16, 18, 3), options=OPTIONS)


@pytest.fixture(scope="module")
def on_windows() -> it.Run:
    return it.fit("spatial_mlp", CLIPS, options=OPTIONS | WINDOWS)


def test_points_are_those_of_the_attention_of_each_frame(on_frames):
    frames = CLIPS.reshape(-1, 16, 18, 3)
    found = on_frames.points(frames)
    attention = on_frames.model.encoder.attention(on_frames.to_tensor(frames)).detach()
    xy = expected_points(attention)
    np.testing.assert_allclose(found.xy, xy, atol=1e-6)
    np.testing.assert_allclose(found.presence, presence(attention, xy), atol=1e-6)
    np.testing.assert_allclose(found.xy.reshape(36, 8), on_frames.encode(frames), atol=1e-6)
    assert found.numbers == (1, 2, 3, 4)


def test_a_run_on_windows_encodes_every_frame_once_also_those_at_the_ends(on_windows):
    z = on_windows.encode(CLIPS)
    assert z.shape == (36, 8)
    found = on_windows.points(CLIPS)
    assert found.starts == (0, 9, 18, 27)
    assert found.names.tolist() == [f"{n}:{t}" for n in range(4) for t in range(9)]
    np.testing.assert_allclose(found.xy.reshape(36, 8), z, atol=1e-6)
    # the model itself still takes windows, whose frames have the same codes
    window = on_windows.model.encode(CLIPS[0, :3][None])
    assert window.shape == (1, 8, 3)
    np.testing.assert_allclose(window[0].T, z[:3], atol=1e-6)


def test_codes_of_single_frames_are_decoded(on_windows):
    z = on_windows.encode(CLIPS)
    x = on_windows.decode(z)
    assert x.shape == (36, 16, 18, 3)
    windows = on_windows.model.decode(z[:3].T[None])
    np.testing.assert_allclose(np.moveaxis(windows[0], 1, -1), x[:3], atol=1e-6)


def test_a_recording_shorter_than_a_window_is_encoded_too(on_windows):
    assert on_windows.encode(CLIPS[:, :2]).shape == (8, 8)


def test_the_drawn_movers_are_recordings(tmp_path: Path):
    run = it.fit("spatial_mlp", "movers", options=OPTIONS | {"training.steps": 2})
    assert run.metadata.shape == (3, 60, 60)
    found = run.points("movers")
    assert len(found) == 192 * 20
    assert found.starts == tuple(range(0, 3840, 20))


@pytest.mark.parametrize("kind", ["frames", "windows"])
def test_the_command_writes_tables_arrays_animations_and_pictures(kind, on_frames, on_windows, tmp_path: Path, capsys):
    run, data = (on_frames, CLIPS[0]) if kind == "frames" else (on_windows, CLIPS[:1])
    folder, source = str(run.save(tmp_path / "run")), str(tmp_path / "video.npy")
    np.save(source, data)
    for name in ("p.csv", "p.parquet", "p.npz", "p.gif", "p.mp4", "p.png"):
        assert main(["points", folder, source, str(tmp_path / name), "--keep", "2"]) == 0
        assert "(9 x 2 x 2)" in capsys.readouterr().out
    table, points = pd.read_csv(tmp_path / "p.csv"), run.points(data).best(2)
    first = points.numbers[0]
    assert list(table)[1:4] == [f"x{first}", f"y{first}", f"presence{first}"]
    np.testing.assert_allclose(table[f"x{first}"], points.xy[:, 0, 0], rtol=1e-6)
    assert table.iloc[:, 0].tolist() == list(range(9))
    with np.load(tmp_path / "p.npz") as arrays:
        np.testing.assert_array_equal(arrays["presence"], points.presence)
        assert arrays["numbers"].tolist() == list(points.numbers)


def test_smoothed_points_are_those_of_the_smoother(on_frames, tmp_path: Path):
    folder, source = str(on_frames.save(tmp_path / "run")), str(tmp_path / "video.npy")
    np.save(source, CLIPS[0])
    assert main(["points", folder, source, str(tmp_path / "p.csv"), "--smooth", "--threshold", "0.1"]) == 0
    smoothed = on_frames.points(CLIPS[0]).smoothed(0.1)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["y2"], smoothed.xy[:, 1, 1], rtol=1e-5, atol=1e-6)


def test_plot_draws_points_and_animates_the_video(on_windows, tmp_path: Path, capsys):
    folder, source = str(on_windows.save(tmp_path / "run")), str(tmp_path / "video.npy")
    np.save(source, CLIPS)
    assert main(["plot", folder, source, "--only", "points"]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(path).name for path in written] == ["points.png", "points.gif"]
    assert all(Path(path).is_file() for path in written)
    # there is no video to read again
    assert main(["plot", folder, "--only", "points"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["p.txt"], "Points are not written as 'p.txt'. Use one of .csv, .parquet, .npz, .gif, .mp4, .png."),
        (["p.csv", "--keep", "5"], "number of points to keep must be at least 1 and at most 4, but is 5"),
        (["p.csv", "--threshold", "2"], "threshold of presence must be at least 0 and at most 1, but is 2"),
        (["p.gif", "--frames", "0"], "number of frames must be at least 1"),
        (["nowhere/p.csv"], "does not exist. Create it, or write to another path."),
    ],
)
def test_what_cannot_be_written_is_refused(arguments, words, on_frames, tmp_path: Path, capsys):
    folder, source = str(on_frames.save(tmp_path / "run")), str(tmp_path / "video.npy")
    np.save(source, CLIPS[0])
    out, *more = arguments
    assert main(["points", folder, source, str(tmp_path / out), *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / out).exists()


def test_other_networks_have_no_points():
    run = it.fit("deep", CLIPS[0][..., 0], options={"training.steps": 2})
    with pytest.raises(IncompatibleParts, match=r"require the positions of a spatial softmax.*net\.kind=spatial"):
        run.points(CLIPS[0][..., 0])


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels):
    data = np.stack([video(9, channels) for _ in range(3)])
    run = it.fit("spatial_mlp", data, options=OPTIONS | WINDOWS | {"data.layout": "NFHWC"})
    assert run.points(data).xy.shape == (27, 4, 2)
    assert run.encode(data).shape == (27, 8)

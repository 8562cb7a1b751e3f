"""Videos: the frames that were written, with their times, from every container; and what cannot be read in a line."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.preparing import prepare
from isthmus.data.sources.windows import Windows
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

av = pytest.importorskip("av", reason="PyAV is not installed")

FRAMES = np.zeros((12, 32, 48, 3), np.uint8)
"""A red bar that grows from the left, above a gray level that rises."""
for number in range(12):
    FRAMES[number, :16, : 4 * number] = (255, 0, 0)
    FRAMES[number, 16:] = 20 * number


def opened(data: object, **options: object) -> Dataset:
    dataset = open_data(data, DataOptions(**options))
    assert isinstance(dataset, Dataset)
    return dataset


def frames_of(data: object, **options: object) -> np.ndarray:
    source = opened(data, **options).train
    return source.read(0, len(source)).values


def write(path: Path, frames: np.ndarray, codec: str, pixels: str, *, rate: int = 25, sound: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        noise = container.add_stream("aac", rate=8000) if sound else None
        for values in frames:
            frame = av.VideoFrame.from_ndarray(values, format="rgb24" if values.ndim == 3 else "gray")
            container.mux(stream.encode(frame))
        if noise is not None:
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            heard.sample_rate = 8000
            container.mux(noise.encode(heard))
            container.mux(noise.encode(None))
        container.mux(stream.encode(None))
    return path


def uncompressed_avi(frames: np.ndarray, rate: int = 10) -> bytes:
    """An AVI of plain BGR rows from the bottom, written byte by byte."""
    count, height, width = frames.shape[:3]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    size = 3 * height * width
    main = struct.pack("<14I", 10**6 // rate, size * rate, 0, 0x10, count, 0, 1, size, width, height, 0, 0, 0, 0)
    head = b"vidsDIB " + struct.pack("<12I", 0, 0, 0, 1, rate, 0, count, size, 0, 0, 0, 0)
    form = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", form))
    lists = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + stream)
    movie = b"".join(chunk(b"00db", values[::-1, :, ::-1].tobytes()) for values in frames)
    return chunk(b"RIFF", b"AVI " + lists + chunk(b"LIST", b"movi" + movie))


def test_an_uncompressed_video_is_read_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "plain.avi"
    path.write_bytes(uncompressed_avi(FRAMES))
    made = opened(path)
    np.testing.assert_array_equal(made.train.read(0, 12).values, FRAMES)
    assert made.train.names_of(np.arange(12)).tolist() == [round(n / 10, 6) for n in range(12)]
    assert (made.train.row_title, made.train.axes, made.train.brightest) == ("time", "HWC", 255)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "off"),
    [
        ("a.mkv", "ffv1", "bgr0", 0),
        ("a.mp4", "libx264", "yuv420p", 45),
        ("a.m4v", "mpeg4", "yuv420p", 45),
        ("a.mov", "png", "rgb24", 0),
        ("a.avi", "mjpeg", "yuvj420p", 60),
        ("a.webm", "libvpx-vp9", "yuv420p", 45),
        ("deep.mkv", "ffv1", "gbrp10le", 1),
    ],
)
def test_frames_are_those_that_were_written(name: str, codec: str, pixels: str, off: int, tmp_path: Path) -> None:
    found = frames_of(write(tmp_path / name, FRAMES, codec, pixels))
    assert found.shape == FRAMES.shape
    error = np.abs(found.astype(int) - FRAMES)
    assert error.mean() <= off / 10
    # the colors of single pixels at edges are those of their neighbors
    assert np.percentile(error, 95) <= off


def test_a_gray_video_has_gray_frames(tmp_path: Path) -> None:
    found = frames_of(write(tmp_path / "g.mkv", FRAMES[..., 1], "ffv1", "gray"))
    np.testing.assert_array_equal(found, FRAMES[..., 1])


def test_sound_is_ignored(tmp_path: Path) -> None:
    assert frames_of(write(tmp_path / "a.mp4", FRAMES, "libx264", "yuv420p", sound=True)).shape == FRAMES.shape


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)], ids=["90", "180", "270"]
)
def test_frames_are_turned_as_the_file_says(matrix: tuple[int, ...], turns: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mov", FRAMES, "png", "rgb24")
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    np.testing.assert_array_equal(frames_of(path), np.rot90(FRAMES, turns, axes=(1, 2)))


def test_frames_get_the_size_of_the_options(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", FRAMES, "ffv1", "bgr0")
    assert frames_of(path, size=(8, 12), resize="stretch").shape == (12, 8, 12, 3)
    # a bar of 4 n columns of 48 is one of n of 12
    found = frames_of(path, size=(8, 12), resize="stretch")[6, 1, :, 0]
    assert (found[:5].tolist(), found[7:].tolist()) == ([255] * 5, [0] * 5)


def test_windows_of_a_video_are_frames_with_the_time_of_the_first(tmp_path: Path) -> None:
    made = opened(write(tmp_path / "a.mkv", FRAMES, "ffv1", "bgr0", rate=10), window=3, stride=4)
    assert isinstance(made.train, Windows)
    np.testing.assert_array_equal(made.train.read(1, 2).values[0], FRAMES[4:7])
    assert made.train.names_of(np.arange(3)).tolist() == [0.0, 0.4, 0.8]
    assert prepare(tmp_path / "a.mkv", DataOptions(window=3, stride=3), 0).shape == (3, 3, 32, 48)


def folder(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, FRAMES[:count], "ffv1", "bgr0", rate=10)
    return root


def test_a_folder_of_videos_is_one_of_recordings(tmp_path: Path) -> None:
    data = folder(tmp_path / "f", {"run/a.mkv": 7, "run/b.mkv": 2, "walk/a.mkv": 6})
    made = opened(data, window=3, stride=2)
    assert made.train.names_of(np.arange(5)).tolist() == [
        "run/a.mkv:0.0",
        "run/a.mkv:0.2",
        "run/a.mkv:0.4",
        "walk/a.mkv:0.0",
        "walk/a.mkv:0.2",
    ]
    assert made.train.labels_of(np.arange(5)).tolist() == ["run"] * 3 + ["walk"] * 2
    np.testing.assert_array_equal(made.train.read(4, 5).values[0], FRAMES[2:5])
    assert [file.name for file in made.provenance.files] == ["run/a.mkv", "run/b.mkv", "walk/a.mkv"]


def test_frames_of_one_video_are_in_one_split(tmp_path: Path) -> None:
    data = folder(tmp_path / "f", {f"{number}.mkv": 3 + number % 2 for number in range(8)})
    assert opened(data).train.groups().tolist() == np.repeat(np.arange(8), [3, 4] * 4).tolist()
    made = prepare(data, DataOptions(test=0.3), 0)
    videos = [{name.partition(":")[0] for name in part.names.tolist()} for part in made.splits.values()]
    assert sum(map(len, made.splits.values())) == 28
    assert len(set.union(*videos)) == sum(map(len, videos)) == 8


def test_videos_of_several_sizes_need_one(tmp_path: Path) -> None:
    folder(tmp_path, {"a.mkv": 3})
    write(tmp_path / "b.mkv", FRAMES[:3, :16], "ffv1", "bgr0")
    with pytest.raises(BadData, match=r"2 sizes .*\(16x48, 32x48 \.\.\.\)\. Set data\.size"):
        opened(tmp_path)
    assert opened(tmp_path, size=(16, 24), resize="pad").train.shape == (16, 24, 3)


def test_frames_of_a_gif_are_those_of_another_library(tmp_path: Path) -> None:
    images = [Image.fromarray(values) for values in FRAMES]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100)
    made = opened(tmp_path / "a.gif", window=3, stride=3)
    with Image.open(tmp_path / "a.gif") as image:
        wanted = []
        for number in range(image.n_frames):
            image.seek(number)
            wanted.append(np.asarray(image.convert("RGB")))
    assert len(wanted) == 12
    np.testing.assert_array_equal(made.train.read(0, 4).values, np.array(wanted).reshape(4, 3, 32, 48, 3))
    assert made.train.names_of(np.array([1])).tolist() == ["a.gif#3"]


def lying(content: bytes, kind: bytes, place: int, count: int) -> bytes:
    made = bytearray(content)
    start = made.index(kind) + 4 + place
    made[start : start + 4] = struct.pack(">I", count)
    return bytes(made)


def damaged(case: str, folder: Path) -> bytes:
    whole = write(folder / "whole.mp4", FRAMES, "libx264", "yuv420p").read_bytes()
    if case == "more frames than bytes":
        # frames of one byte each, so that the table of their sizes is not in the file
        return lying(lying(whole, b"stsz", 4, 1), b"stsz", 8, 20_000_000)
    cases = {
        "text": b"no video at all, but long enough",
        "playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "no table": whole[:60],
        "avi without its end": uncompressed_avi(FRAMES)[:30_000],
        "huge frames": write(folder / "b.avi", FRAMES, "rawvideo", "bgr24").read_bytes()[:0]
        or uncompressed_avi(FRAMES).replace(struct.pack("<Iii", 40, 48, 32), struct.pack("<Iii", 40, 60_000, 60_000)),
        "only a header": uncompressed_avi(FRAMES[:0]),
    }
    return cases[case]


@pytest.mark.parametrize(
    ("case", "match"),
    [
        ("text", "is no MP4, MOV, AVI, MKV or WebM file"),
        ("playlist", "is no MP4, MOV, AVI, MKV or WebM file"),
        ("empty", "is no MP4, MOV, AVI, MKV or WebM file"),
        ("half", "cannot be read as a video"),
        ("no table", "cannot be read as a video|holds 0 frames|no stream"),
        ("avi without its end", r"holds [0-9]+ frames, but declares 12\. It is truncated"),
        ("huge frames", r"60000 x 60000 pixels, which are too large|cannot be read|no stream"),
        ("only a header", "holds 0 frames"),
        ("more frames than bytes", r"declares more frames than its [0-9,]+ bytes can hold"),
    ],
)
def test_what_is_no_whole_video_is_refused_in_one_sentence(case: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(damaged(case, tmp_path))
    start = time.monotonic()
    with pytest.raises(BadData, match=match) as caught:
        opened(path)
    assert time.monotonic() - start < 2
    assert "\n" not in str(caught.value)
    assert "bad.mp4" in str(caught.value)


def test_a_video_that_expands_like_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isthmus.data.formats import video

    path = write(tmp_path / "a.mp4", np.zeros((300, 64, 64, 3), np.uint8), "libx264", "yuv420p")
    monkeypatch.setattr(video, "FREE", 2**20)
    monkeypatch.setattr(video, "GROWTH", 100)
    monkeypatch.setattr(video, "_decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(BadData, match="as a decompression bomb does"):
        opened(path)


def test_a_video_that_ends_early_is_noted(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mkv", FRAMES, "ffv1", "bgr0").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: 2 * len(whole) // 3])
    made = opened(tmp_path / "cut.mkv")
    assert 2 < len(made.train) < 12
    assert any("it may be truncated" in note for note in made.notes)
    assert not opened(tmp_path / "a.mkv").notes


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[video\]'"):
        opened(tmp_path / "a.mp4")


def test_videos_are_not_streamed(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="cannot be streamed"):
        opened(write(tmp_path / "a.mkv", FRAMES, "ffv1", "bgr0"), memory="stream")

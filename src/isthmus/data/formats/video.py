"""Decoding of videos through PyAV: all frames of the first stream of pictures, as they are shown, with their times."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import FREE, check_size, reading
from isthmus.data.formats.mp4 import declared_frames
from isthmus.data.formats.pictures.common import brought, common_format
from isthmus.data.formats.pictures.header import PictureFormat, PictureHeader
from isthmus.data.storage.base import File
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
GROWTH = 10_000
"""Largest ratio of all pixels to the size of the file, beyond ``FREE``; that of a still screen is some thousand."""
SMALLEST, ALWAYS = 4, 1000
"""Bytes that a frame takes in a file at least, and number of frames that any file may have."""
USUAL_RATE, ENDED = 25, 0.9
"""Frames per second where a file states no rate, and share of the declared duration that a complete video has."""
AHEAD = 1000
"""Packets that are counted between two checks."""
COMPLETE = 0.99
"""Share of the declared frames that a complete file has."""


class Video(NamedTuple):
    """The frames of a video.

    Attributes:
        frames: uint8, (F, H, W) or (F, H, W, 3).
        times: time at which each is shown, in seconds.
        format: size and channels of a frame.
        notes: what is odd about it, one sentence each.
    """

    frames: Array
    times: Array
    format: PictureFormat
    notes: tuple[str, ...] = ()


def read_video(file: File, options: DataOptions) -> Video:
    """All frames of a video, in color unless its stream is gray, turned as the file says, in the size of the options.

    Deeper colors become 8 bits; sound is ignored.

    Raises:
        BadData: the file is damaged, truncated or too large, or is no video.
        MissingExtra: PyAV is not installed.
    """
    _check_extra(file.name)
    with reading(file.name, "a video"):
        with _opened(file) as (container, stream):
            count = _counted(container, stream, file)
        with _opened(file) as (container, stream):
            rate = float(stream.average_rate or USUAL_RATE)
            found = _decoded(container.decode(stream), count, file.name, options, rate)
            declared, last = (container.duration or 0) / 1e6, float(found.times[-1] - found.times[0]) + 1 / rate
    if last >= ENDED * declared:
        return found
    note = f"The pictures of {file.name!r} end after {last:.4g} s of {declared:.4g} s; it may be truncated."
    return found._replace(notes=(note,))


def _check_extra(name: str) -> None:
    try:
        import av  # noqa: F401
    except ImportError as fault:
        raise MissingExtra(
            f"Reading {name!r} requires PyAV, which is not installed. Install it with pip install 'isthmus[video]'."
        ) from fault


@contextmanager
def _opened(file: File) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """An opened video and its first stream of pictures.

    Raises:
        BadData: it is of another kind, has no pictures, or too large ones.
    """
    import av

    with file.open() as raw:
        kind = _container(raw.read(12))
        if kind is None:
            raise BadData(f"{file.name!r} is no MP4, MOV, AVI, MKV or WebM file. Convert it to one, or to pictures.")
        if kind == "mov" and declared_frames(raw, file.size) > max(ALWAYS, file.size):
            raise BadData(f"{file.name!r} declares more frames than its {file.size:,} bytes can hold. It is damaged.")
        raw.seek(0)
        # the container is named, as a playlist would be followed to other files and addresses
        with _readable(file.name), av.open(raw, "r", format=kind, metadata_errors="ignore") as container:
            streams = [stream for stream in container.streams.video if not _is_cover(stream)]
            if not streams:
                raise BadData(f"{file.name!r} has no stream of pictures. Pass a video.")
            height, width = streams[0].codec_context.height, streams[0].codec_context.width
            if 3 * height * width > FREE:
                raise BadData(f"{file.name!r} declares frames of {width} x {height} pixels, which are too large.")
            yield container, streams[0]


@contextmanager
def _readable(name: str) -> "Iterator[None]":
    """Convert an error of the decoder, without the number that its messages have.

    Raises:
        BadData: it is damaged.
    """
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as fault:
        # FFmpeg answers a size that no file can have with ENOMEM, without asking for the memory
        why = "a size in it is damaged" if isinstance(fault, MemoryError) else str(fault.strerror).lower()
        raise BadData(
            f"{name!r} cannot be read as a video: {why}. Check that the file is complete, or create it again."
        ) from (None if isinstance(fault, MemoryError) else fault)


def _container(head: bytes) -> str | None:
    """The name of the container by the first bytes of a file."""
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    return "mov" if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide") else None


def _is_cover(stream: "VideoStream") -> bool:
    """Whether a stream is only the picture of a cover."""
    return "attached_pic" in str(stream.disposition).lower()


def _counted(container: "InputContainer", stream: "VideoStream", file: File) -> int:
    """The number of frames by their packets, of which none is decoded.

    Raises:
        BadData: there are none, fewer than declared, or more than a file of this size can hold.
    """
    pixels, count = stream.codec_context.height * stream.codec_context.width * 3, 0
    for packet in container.demux(stream):
        count += packet.size > 0
        if count % AHEAD == 0:
            _check_count(count, pixels, file)
    _check_count(count, pixels, file)
    if not count or count < COMPLETE * stream.frames:
        declared = f", but declares {stream.frames:,}" if stream.frames else ""
        raise BadData(f"{file.name!r} holds {count:,} frames{declared}. It is truncated or damaged; copy it again.")
    return count


def _check_count(count: int, pixels: int, file: File) -> None:
    """Refuse so many frames that the file expands like a decompression bomb.

    Raises:
        BadData: it does.
    """
    needed = count * pixels
    if count > max(ALWAYS, file.size // SMALLEST) or needed > max(FREE, GROWTH * file.size):
        raise BadData(
            f"{file.name!r} would expand from {file.size:,} bytes to over {needed:,}, more than {GROWTH:,} times or "
            "more frames than it can hold, as a decompression bomb does. If it is genuine, save its frames as pictures."
        )


def _decoded(found: "Iterator[VideoFrame]", count: int, name: str, options: DataOptions, rate: float) -> Video:
    """The frames, of which there are at most ``count``.

    Raises:
        BadData: they are too large for memory, of several sizes, or none can be decoded.
    """
    times = np.empty(count)
    values: Array | None = None
    header = wanted = None
    done = 0
    for number, frame in enumerate(found):
        if number == count:
            break
        picture = _shown(frame)
        own = PictureHeader(picture.shape[0], picture.shape[1], 1 if picture.ndim == 2 else 3)
        if values is None or header is None or wanted is None:
            header, wanted = own, common_format(Counter({own: count}), options, f"The video {name!r}")
            check_size(count * int(np.prod(wanted.shape)), f"{name!r} (data.size makes frames smaller)")
            values = np.empty((count, *wanted.shape), wanted.dtype)
        if own != header:
            raise BadData(f"{name!r} has frames of several sizes. Save its parts as separate videos.")
        values[number] = brought(picture, own, wanted)
        times[number] = round(number / rate if frame.time is None else frame.time, 6)
        done = number + 1
    if values is None or wanted is None:
        raise BadData(f"No frame of {name!r} can be decoded. Check that it is complete.")
    return Video(values[:done], times[:done], wanted)


def _shown(frame: "VideoFrame") -> Array:
    """A frame as it is shown, (H, W) or (H, W, 3)."""
    values: Any = frame.to_ndarray(format="gray" if frame.format.name.startswith("gray") else "rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.asarray(np.rot90(values, turns) if turns else values)

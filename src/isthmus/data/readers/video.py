"""Reader of videos; their frames are examples, or those of ``data.window`` consecutive ones together."""

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.video import ENDINGS, read_video
from isthmus.data.memory import refuse_streaming
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.arrays import Examples
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def read_video_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """The frames of a video in memory, called by their time in seconds."""
    refuse_labels(file.name, options, schema)
    refuse_streaming(file.name, options)
    frames, times, wanted, notes = read_video(file, options)
    source = Examples(
        frames,
        names=times,
        name=file.name,
        file=file.name,
        row_title="time",
        brightest=wanted.brightest,
        axes=wanted.axes,
    )
    provenance = Provenance(str(file.path or file.name), (file.record(),))
    return Dataset(file.name, source, provenance=provenance, notes=notes)


FORMATS = (
    Format(
        "Video",
        ENDINGS,
        read_video_file,
        "frames",
        "PyAV",
        "video",
        options=("window", "stride", "size", "resize"),
        limits="MP4, MOV, AVI, MKV and WebM; 8 bits per color, no sound, in memory",
    ),
)

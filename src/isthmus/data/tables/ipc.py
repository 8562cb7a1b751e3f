"""Arrow IPC files and streams as tables: Feather, and what Hugging Face's data sets write.

All messages are scanned before any is decompressed: the buffers of a compressed one say how large they become. What
was read is validated before it is used, because offsets and indices inside a file are trusted by all else.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.data.storage.base import File
from isthmus.data.tables.arrow import check_names, frame_of, kinds
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FILE, FIRST, LEGACY = b"ARROW1\0\0", 8, b"FEA1"
"""First bytes of an Arrow file, after which a stream begins, and those of a Feather file of version 1."""
DICTIONARY = 2
"""Number of the kind of messages whose header contains that of a batch."""
MOST_MESSAGES = 2**20


def read_ipc(file: File, options: DataOptions) -> "pd.DataFrame":
    """The table of an Arrow IPC file or stream, with the index that pandas stored in it.

    Columns of lists, structures or bytes are not read: each holds empty ones, by which it is refused unless it is
    excluded.

    Raises:
        BadData: the file is damaged or too large, or two columns have the same name.
    """
    import pyarrow as pa

    with reading(file.name, "an Arrow table"):
        check_growth(file.size, file.packed, repr(file.name))
        with file.open() as stream:
            data = stream.read()
        if data.startswith(LEGACY):
            raise BadData(
                f"{file.name!r} is a Feather file of version 1, which is not read. Write it again, as Feather 2."
            )
        start = FIRST if data.startswith(FILE) else 0
        buffer = pa.py_buffer(data).slice(start)
        rows, unpacked = _scanned(pa.ipc.MessageReader.open_stream(buffer))
        with pa.ipc.open_stream(buffer) as reader:
            check_names(reader.schema, file.name)
            flat, _, nested = kinds(reader.schema, set(options.exclude))
            check_growth(max(unpacked, 8 * rows * len(reader.schema)), file.packed, repr(file.name))
            batches = list(_validated(reader, flat, file))
            table = pa.Table.from_batches(batches, pa.schema(map(reader.schema.field, flat), reader.schema.metadata))
        if start:
            _check_footer(data, len(batches), file)
        return frame_of(table, nested)


def _validated(reader: Any, flat: list[str], file: File) -> "Iterator[pa.RecordBatch]":
    """The batches with the columns of single values only."""
    written = 0
    for batch in reader:
        batch.validate(full=True)
        chosen = batch.select(flat)
        written += sum(_length(column) for column in chosen.columns)
        check_growth(written, file.packed, repr(file.name))
        yield chosen


def _length(column: "pa.Array") -> int:
    """Number of bytes of texts that are stored as views of each other, once they are written out."""
    from pyarrow import types

    if not (types.is_string_view(column.type) or types.is_binary_view(column.type)):
        return 0
    views = np.frombuffer(column.buffers()[1], np.int32)[: 4 * (column.offset + len(column)) : 4]
    return int(views[column.offset :].astype(np.int64).sum())


def _check_footer(data: bytes, batches: int, file: File) -> None:
    """Refuse an Arrow file whose footer counts other batches than the stream before it has, such as a truncated one.

    Raises:
        BadData: it does.
    """
    import pyarrow as pa

    counted = pa.ipc.open_file(pa.py_buffer(data)).num_record_batches
    if counted != batches:
        raise BadData(
            f"The footer of {file.name!r} counts {counted:,} batches of rows, but it holds {batches:,}. The file is "
            "damaged; create it again."
        )


def _scanned(reader: Any) -> tuple[int, int]:
    """Number of rows, and of bytes once they are decompressed, by the messages of a stream.

    Raises:
        BadData: they are too many.
    """
    rows = unpacked = 0
    for _ in range(MOST_MESSAGES):
        try:
            message = reader.read_next_message()
        except StopIteration:
            return rows, unpacked
        if message.type in ("record batch", "dictionary"):
            length, sizes = _buffers(memoryview(message.metadata), memoryview(message.body or b""))
            rows, unpacked = rows + length * (message.type == "record batch"), unpacked + sizes
            check_size(unpacked, "The table")
    raise BadData(f"An Arrow stream has over {MOST_MESSAGES:,} messages. Write it in fewer, larger batches.")


def _buffers(metadata: memoryview, body: memoryview) -> tuple[int, int]:
    """Number of rows of a message with buffers, and their size in bytes once they are decompressed.

    The metadata is a flatbuffer: a table of Arrow's ``Message.fbs``, with a union of kinds of headers.
    """
    message = _Table.root(metadata)
    header = message.table(2)
    batch = header.table(1) if message.byte(1) == DICTIONARY else header
    packed, total = batch.has(3), 0
    for offset, length in batch.pairs(2):
        size = length
        if packed and length:
            # the size of the decompressed buffer, or -1 if it was left as it is
            (size,) = struct.unpack_from("<q", body, offset)
            size = length - 8 if size == -1 else size
        if size < 0 or length < 0 or offset < 0 or offset + length > len(body):
            raise ValueError("a buffer lies outside its message")
        total += size
    return batch.long(0), total


class _Table:
    """A table of a flatbuffer, whose fields are found by their number; one that is absent is 0.

    Raises:
        struct.error: a field lies outside the buffer.
    """

    def __init__(self, data: memoryview, place: int) -> None:
        self.data, self.place = data, place
        self.fields = place - self._read("<i", place)
        self.size = self._read("<H", self.fields)

    @classmethod
    def root(cls, data: memoryview) -> "_Table":
        (place,) = struct.unpack_from("<I", data, 0)
        return cls(data, place)

    def _read(self, code: str, place: int) -> int:
        if place < 0:
            raise ValueError("a field lies outside its message")
        (value,) = struct.unpack_from(code, self.data, place)
        return int(value)

    def _field(self, number: int) -> int:
        entry = 4 + 2 * number
        offset = self._read("<H", self.fields + entry) if entry < self.size else 0
        return self.place + offset if offset else 0

    def has(self, number: int) -> bool:
        return self._field(number) != 0

    def byte(self, number: int) -> int:
        return self._read("<B", self._field(number)) if self.has(number) else 0

    def long(self, number: int) -> int:
        return self._read("<q", self._field(number)) if self.has(number) else 0

    def _target(self, number: int) -> int:
        field = self._field(number)
        return field + self._read("<I", field)

    def table(self, number: int) -> "_Table":
        return _Table(self.data, self._target(number))

    def pairs(self, number: int) -> Iterator[tuple[int, int]]:
        """The entries of a vector of two 64-bit integers each."""
        if self.has(number):
            place = self._target(number)
            for entry in range(self._read("<I", place)):
                yield self._read("<q", place + 4 + 16 * entry), self._read("<q", place + 12 + 16 * entry)

"""Readers of tables."""

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.memory import is_streamed, refuse_streaming
from isthmus.data.readers.datasets import dataset_of_frame
from isthmus.data.readers.format import Format
from isthmus.data.sources.parquet import ParquetFile
from isthmus.data.storage.base import File
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.reading import PARQUET_ENDINGS, TEXT_ENDINGS, check_extra, read_table
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def read_table_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A table: in memory, or a ``.parquet`` file read by row groups if it is to be streamed."""
    check_extra(file.name)
    if file.suffix == ".parquet" and file.path is not None:
        known = schema or schema_of_parquet(file.path, options)
        source = ParquetFile(file.path, known, options.missing, training=schema is None)
        if is_streamed(len(source) * known.width, options):
            provenance = Provenance(file.origin, source.files())
            return Dataset(file.name, source, provenance=provenance, schema=known, notes=known.notes, streamed=True)
    else:
        refuse_streaming(file.name, options)
    frame, notes = read_table(file, options, "" if schema is None else schema.decimal)
    return dataset_of_frame(frame, options, file.name, schema, file=file, notes=notes)


FORMATS = (
    Format(
        "CSV",
        TEXT_ENDINGS,
        read_table_file,
        "table",
        "pandas",
        "tabular",
        guessed="separator, decimal mark, thousands, encoding, comments, header, columns that name rows",
        options=("delimiter", "decimal", "thousands", "encoding", "comment", "header", "index"),
    ),
    Format("Parquet", PARQUET_ENDINGS, read_table_file, "table", "pyarrow", "tabular", options=("index",)),
)

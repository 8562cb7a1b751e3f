"""Data: a catalogue of named sets, readers for paths, seeded splits, and preparation for a model.

``prepare`` needs torch and is imported by its own path, ``isthmus.data.prepare``.
"""

from isthmus.data.base import Dataset, Examples, Provenance, SourceFile
from isthmus.data.catalogue import CATALOGUE, Row, load, rows
from isthmus.data.splits import Split, split

__all__ = [
    "CATALOGUE",
    "Dataset",
    "Examples",
    "Provenance",
    "Row",
    "SourceFile",
    "Split",
    "load",
    "rows",
    "split",
]

"""Data: named data sets, file formats, tables and Python objects, as one pipeline to model inputs (``preparing``)."""

from isthmus.data.base import Provenance, SourceFile
from isthmus.data.catalogue.table import CATALOGUE, DatasetSummary, load_dataset, rows
from isthmus.data.dataset import Dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.splits import SplitRows, split

__all__ = [
    "CATALOGUE",
    "DataContract",
    "Dataset",
    "DatasetSummary",
    "Examples",
    "Provenance",
    "SourceFile",
    "SplitRows",
    "load_dataset",
    "rows",
    "split",
]

"""Data: named data sets, file formats, splits, scaling and streaming; ``loading.prepare`` combines them."""

from isthmus.data.base import Dataset, Examples, Provenance, SourceFile
from isthmus.data.catalogue.table import CATALOGUE, DatasetSummary, load_dataset, rows
from isthmus.data.transforms.splits import Splits, split

__all__ = [
    "CATALOGUE",
    "Dataset",
    "DatasetSummary",
    "Examples",
    "Provenance",
    "SourceFile",
    "Splits",
    "load_dataset",
    "rows",
    "split",
]

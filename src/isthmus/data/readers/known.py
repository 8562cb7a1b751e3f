"""All file formats, in the order in which a name is compared with their extensions."""

from isthmus.data.readers import arrays, records, sparse, tables
from isthmus.data.readers.format import Format

FORMATS: tuple[Format, ...] = (*tables.FORMATS, *records.FORMATS, *arrays.FORMATS, *sparse.FORMATS)

NOT_READ = {
    (".xls", ".xlsb", ".ods", ".numbers"): "Save it as .xlsx, or its sheet as .csv.",
    (".sav", ".por", ".sas7bdat", ".xpt", ".dta", ".rds", ".rdata"): "Save it as .csv, .parquet or .feather.",
    (".pkl", ".pickle", ".joblib"): "It may run a program when it is read. Save its arrays as .npy or .npz.",
}
"""Extensions of known formats that are not read, and what to do."""


def advice_on(name: str) -> str:
    """What to do with a file of a known format that is not read; empty for others.

    >>> advice_on("a.XLS")
    'Save it as .xlsx, or its sheet as .csv.'
    """
    return next((advice for endings, advice in NOT_READ.items() if name.lower().endswith(endings)), "")


def format_of(name: str) -> Format | None:
    """The format of a file by its name, or ``None``.

    >>> format_of("a.CSV.gz").name, format_of("a.exe")
    ('CSV', None)
    """
    return next((known for known in FORMATS if known.matches(name)), None)

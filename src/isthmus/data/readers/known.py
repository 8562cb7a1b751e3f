"""All file formats, in the order in which a name is compared with their extensions."""

from isthmus.data.readers import arrays, pictures, records, sparse, stores, tables, video
from isthmus.data.readers.format import Format
from isthmus.data.storage.base import plain_name

FORMATS: tuple[Format, ...] = (
    *tables.FORMATS,
    *records.FORMATS,
    *arrays.FORMATS,
    *stores.FORMATS,
    *sparse.FORMATS,
    *pictures.FORMATS,
    *video.FORMATS,
)
MAGIC = {
    b"\x93NUMPY": ".npy",
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"\x89HDF\r\n\x1a\n": ".h5",
    b"MATLAB 5.0": ".mat",
    b"SIMPLE  =": ".fits",
    b"CDF\1": ".nc",
    b"CDF\2": ".nc",
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
"""First bytes of formats, with an extension of each."""
IDX_KINDS = (8, 9, 11, 12, 13, 14)
NOT_READ = {
    (".xls", ".xlsb", ".ods", ".numbers"): "Save it as .xlsx, or its sheet as .csv.",
    (".sav", ".por", ".sas7bdat", ".xpt", ".dta", ".rds", ".rdata"): "Save it as .csv, .parquet or .feather.",
    (".heic", ".heif", ".svg", ".psd", ".ico", ".nef", ".cr2", ".cr3", ".arw", ".dng", ".raf"): (
        "Save it as PNG, JPEG or TIFF."
    ),
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


def is_archive(name: str) -> bool:
    """Whether a file is a zip or tar archive by its extension, and not of a format that is one itself.

    >>> is_archive("train.zip"), is_archive("a.TGZ"), is_archive("a.zarr.zip"), is_archive("a.gz")
    (True, True, False, False)
    """
    return plain_name(name).lower().endswith((".tar", ".zip")) and format_of(name) is None


def ending_by_start(head: bytes) -> str:
    """The extension of a file by its first bytes, or an empty string: some formats cannot be recognized.

    >>> ending_by_start(b"PAR1...."), ending_by_start(b"a,b")
    ('.parquet', '')
    """
    if head[:2] == b"\0\0" and len(head) > 3 and head[2] in IDX_KINDS and 1 <= head[3] <= 4:
        return f".idx{head[3]}"
    return next((ending for magic, ending in MAGIC.items() if head.startswith(magic)), "")


def known_words() -> str:
    """What can be read, for messages.

    >>> known_words()[:31]
    'Known are CSV (.csv), Parquet ('
    """
    names = ", ".join(f"{known.name} ({known.endings[0]})" for known in FORMATS)
    return f"Known are {names}, each also compressed or in a .zip or .tar archive, and folders and archives of pictures"

"""All file formats, in the order in which a name is compared with their extensions."""

from isthmus.data.readers import arrays, stores, tables
from isthmus.data.readers.format import Format

FORMATS: tuple[Format, ...] = (*tables.FORMATS, *arrays.FORMATS, *stores.FORMATS)
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


def format_of(name: str) -> Format | None:
    """The format of a file by its name, or ``None``.

    >>> format_of("a.CSV.gz").name, format_of("a.exe")
    ('CSV', None)
    """
    return next((known for known in FORMATS if known.matches(name)), None)


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

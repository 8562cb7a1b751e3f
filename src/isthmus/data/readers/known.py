"""All file formats, in the order in which a name is compared with their extensions."""

from isthmus.data.readers import arrays, stores, tables
from isthmus.data.readers.format import Format

FORMATS: tuple[Format, ...] = (*tables.FORMATS, *arrays.FORMATS, *stores.FORMATS)


def format_of(name: str) -> Format | None:
    """The format of a file by its name, or ``None``.

    >>> format_of("a.CSV.gz").name, format_of("a.exe")
    ('CSV', None)
    """
    return next((known for known in FORMATS if known.matches(name)), None)

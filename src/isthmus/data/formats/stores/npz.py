"""NumPy archives (``.npz``): a zip file of ``.npy`` arrays."""

import zipfile

from isthmus.data.base import Array
from isthmus.data.formats.binary import npz_layout, read_npz_member
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import Info
from isthmus.data.formats.stores.members import start_of_member
from isthmus.data.formats.stores.regions import Region, RegionStore
from isthmus.data.storage.base import File


class NpzStore(RegionStore):
    """The arrays of a ``.npz`` file; those that are not compressed can be read by rows.

    Raises:
        BadData: the file is damaged.
    """

    kind = "a .npz archive"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        with reading(self.name, self.kind), file.open() as stream, zipfile.ZipFile(stream) as archive:
            found, self.left_out = npz_layout(archive, self.name)
            for key, (shape, dtype, start) in found.items():
                if start is None:
                    self.add(key, Info(shape, dtype))
                else:
                    first = start_of_member(stream, archive.getinfo(f"{key}.npy")) + start
                    self.add_region(key, shape, Region(first, dtype))

    def can_stream(self, key: str) -> bool:
        """Whether ranges of rows of an array can be read."""
        return key in self.regions

    def read(self, key: str) -> Array:
        """One array, with its checksum."""
        self.check_arrays(key)
        with reading(self.name, self.kind), self.file.open() as stream, zipfile.ZipFile(stream) as archive:
            return read_npz_member(archive, key)

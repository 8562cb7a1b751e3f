"""NumPy archives (``.npz``): a zip file of ``.npy`` arrays."""

import zipfile

from isthmus.data.base import Array
from isthmus.data.formats.binary import npz_layout, read_npz_member
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.storage.base import File


class NpzStore(ArrayStore):
    """The arrays of a ``.npz`` file.

    Raises:
        BadData: the file is damaged, or holds a pickle or a member that is not an array.
    """

    kind = "a .npz archive"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        with reading(self.name, self.kind), file.open() as stream, zipfile.ZipFile(stream) as archive:
            found, self.left_out = npz_layout(archive, self.name)
        for key, (shape, dtype) in found.items():
            self.add(key, Info(shape, dtype))

    def read(self, key: str) -> Array:
        """One array."""
        self.check_arrays(key)
        with reading(self.name, self.kind), self.file.open() as stream, zipfile.ZipFile(stream) as archive:
            return read_npz_member(archive, key)

    @property
    def is_sparse(self) -> bool:
        """Whether the arrays are those of one sparse matrix, as ``scipy.sparse.save_npz`` writes it."""
        return {"format", "shape", "data"} <= set(self.arrays)

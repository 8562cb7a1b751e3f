"""Readers: from a path to a data set, one :class:`~isthmus.data.readers.format.Format` for each kind of file."""

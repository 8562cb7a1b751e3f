"""All pages of a file as the channels of one picture, as microscopes and satellites store them."""

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.header import Color, Picture, PictureHeader
from isthmus.errors import BadData

MOST_STACKED = 1024
"""Largest number of pages that become channels."""


class StackedPicture(Picture):
    """The pages of a picture as the channels of one, in order; those of a colored page are three.

    Args:
        picture: the opened picture.
        name: its name, for messages.

    Raises:
        BadData: the pages differ in size or in the meaning of their values, or there are too many.
    """

    def __init__(self, picture: Picture, name: str) -> None:
        self.picture, self.pages = picture, 1
        if picture.pages > MOST_STACKED:
            raise BadData(
                f"{name!r} has {picture.pages:,} pages, but data.pages=channels takes at most {MOST_STACKED:,}. Set "
                "data.pages=all, or leave it out."
            )
        # only the pages of a TIFF file differ from each other
        several = range(picture.pages if hasattr(picture, "directories") else 1)
        self.headers = [picture.header(page) for page in several]
        if len({header._replace(pages=1, alpha=False) for header in self.headers}) > 1:
            raise BadData(
                f"{name!r} has pages of different sizes or types, which cannot be channels of one picture. Set "
                "data.pages=first or data.pages=all."
            )

    def header(self, page: int = 0) -> PictureHeader:
        """What the headers of all pages say."""
        first = self.headers[0]
        alpha = any(header.alpha for header in self.headers)
        return first._replace(channels=first.channels * self.picture.pages, pages=1, alpha=alpha)

    def pixels(self, page: int, background: Color) -> Array:
        """All pages, (height, width, channels)."""
        pages = [self.picture.pixels(number, background) for number in range(self.picture.pages)]
        return np.concatenate([one[..., None] if one.ndim == 2 else one for one in pages], axis=-1)

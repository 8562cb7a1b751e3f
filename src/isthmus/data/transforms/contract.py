"""The data contract: all that was decided on the training data, stored with the run and applied to all other data.

    source -> layout -> schema -> split -> transform -> sampler

New data never decides anything: an example becomes the same model input alone, in any file and beside any others.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.sources.base import Source
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.axes import PICTURES, Kind, kind_of, orders_of, unit_axis
from isthmus.data.transforms.layout import Layout, layout_like
from isthmus.data.transforms.scaling import BRIGHTEST, BRIGHTEST_OF, Scaling
from isthmus.errors import BadData

UNSCALED = Scaling("none", (0.0,), (1.0,))
KEYS = {"byte", "brightest", "row", "axes", "missing", "fill", "schema"}
OF_PICTURES = ("HW", "HWC")
"""Axes that files and images of Pillow know, unlike arrays."""
MOST = 2**20
"""Largest number of entries of a list in a stored contract."""


@dataclass(frozen=True)
class DataContract:
    """How raw examples become model inputs.

    Args:
        shape: shape of an example as model input, (D,), (C, T), (C, H, W) or (F, C, H, W).
        scaling: scaling of the values.
        byte: value of an 8-bit image that stands for 1 in the training data: 255 if that is brightness, of any number
            of bits; 1 for plain numbers.
        brightest: value of full brightness in the training data, such as 65,535, whatever the scaling; 1 for gray
            levels in [0, 1], and ``None`` if the values are not brightness.
        row: shape to which the rows of a table are reshaped, if any.
        axes: letters of the axes of a raw training example, such as ``HWC``; empty if they are not known.
        missing: values that mean that a cell is missing, beside NaN.
        fill: what the encoder sees in place of a missing cell, in model units: one number, or one per feature or
            channel.
        schema: columns of a table, if they have names.
    """

    shape: tuple[int, ...]
    scaling: Scaling = UNSCALED
    byte: float = 1.0
    brightest: float | None = None
    row: tuple[int, ...] | None = None
    axes: str = ""
    missing: tuple[float, ...] = ()
    fill: tuple[float, ...] = (0.0,)
    schema: Schema | None = None

    @property
    def kind(self) -> Kind:
        """Whether examples are rows of a table, sequences, images or frames."""
        return kind_of(self.shape)

    @property
    def images(self) -> bool:
        """Whether examples are images."""
        return self.kind == "images"

    @property
    def on_pixels(self) -> bool:
        """Whether the model was trained on pixels divided by full brightness, without the option ``data.scale``."""
        scaling = self.scaling
        return scaling.kind == "auto" and len(scaling.scale) == 1 and scaling.scale[0] > 1

    @property
    def on_brightness(self) -> bool:
        """Whether the model was trained on images of pixels, or of gray levels in [0, 1]."""
        return self.kind in PICTURES and (self.on_pixels or self.byte == BRIGHTEST)

    @property
    def scale_of_pixels(self) -> bool:
        """Whether a scale was fitted to pixels of whole numbers."""
        return self.brightest not in (None, 1.0) and self.scaling.kind in ("minmax", "standard")

    @property
    def pixel_words(self) -> str:
        """Which pixels the model was trained on, such as ``8-bit pixels divided by 255``."""
        brightest = self.brightest or self.scaling.scale[0]
        bits = {BRIGHTEST_OF["uint8"]: "8-bit ", BRIGHTEST_OF["uint16"]: "16-bit "}.get(brightest, "")
        return f"{bits}pixels divided by {brightest:,.0f}" if self.on_pixels else f"{bits}pixels"

    def layout_for(self, source: Source) -> Layout:
        """The meaning of the axes of new data.

        Raises:
            ShapeError: examples of another shape.
        """
        return layout_like(source, self.shape, self.row, self.axes)

    def scaling_for(self, source: Source) -> Scaling:
        """The scaling of a source: the unit depends on its data type and on the run, never on the values.

        For a model trained on pixels or on gray levels in [0, 1], brightness that the format of pictures states is
        divided by it, 8-bit images by 255 and 16-bit ones by 65,535. Other whole numbers are in the units of the
        training pixels, and other numbers in [0, 1]. With a scale fitted to brightness, that of other depths is
        brought to the depth of the training data first.
        """
        stated = source.brightest
        if self.kind in PICTURES:
            stated = stated or BRIGHTEST_OF.get(source.dtype.name)
        if stated is not None and (self.on_pixels or self.on_brightness or self.scaling.kind == "pixels"):
            return Scaling(self.scaling.kind, (0.0,), (stated,))
        unit = self.in_unit_interval(source)
        if self.on_pixels and unit:
            return Scaling("auto", (0.0,), (1.0,))
        stated = 1.0 if unit else stated
        if stated is None or self.brightest in (None, stated):
            return self.scaling
        return self.scaling.in_units(stated / self.brightest)

    def in_unit_interval(self, source: Source) -> bool:
        """Whether the values of a source must lie in [0, 1], because pixels were trained on and these are none.

        Arrays of real numbers may be in the units of the training pixels if a scale was fitted to them.
        """
        if source.brightest is not None or source.dtype.kind in "ui":
            return False
        return self.on_pixels or (self.brightest not in (None, 1.0) and source.axes in OF_PICTURES)

    def brightness(self, x: Tensor) -> Tensor:
        """Model inputs as fractions of full brightness, for a model that was trained on brightness."""
        return x if self.on_pixels or self.brightest is None else self.scaling.invert(x) / self.brightest

    def fill_tensor(self) -> Tensor:
        """``fill`` as a tensor that broadcasts to (1, *shape)."""
        values, axis = torch.tensor(self.fill), unit_axis(self.shape)
        after = len(self.shape) if axis is None or len(values) == 1 else len(self.shape) - axis + 1
        return values.reshape(-1, *(1,) * (after - 1))

    def without_sentinels(self, values: Array) -> Array:
        """Raw values with NaN in place of those that mean missing; categories and truth values have none of these."""
        if not self.missing:
            return values
        found = np.isin(values, np.array(self.missing))
        if self.schema is not None:
            found &= [column.kind == "number" for column in self.schema.columns for _ in column.features]
        floats = values.astype(np.float64) if values.dtype.kind != "f" else values.copy()
        floats[found] = np.nan
        return floats

    def to_dict(self) -> dict[str, Any]:
        """What run.json does not store elsewhere (shape and scaling have places of their own)."""
        return {
            "byte": self.byte,
            "brightest": self.brightest,
            "row": None if self.row is None else list(self.row),
            "axes": self.axes,
            "missing": list(self.missing),
            "fill": list(self.fill),
            "schema": None if self.schema is None else self.schema.to_dict(),
        }

    @classmethod
    def from_dict(cls, shape: tuple[int, ...], scaling: Scaling, values: Mapping[str, Any]) -> "DataContract":
        """The contract of a run; a run that was written before contracts has none of ``values``.

        Raises:
            BadData: values that ``to_dict`` does not produce.
        """
        plain = cls(tuple(shape), scaling)
        if not values:
            return replace(plain, byte=BRIGHTEST if plain.images and scaling.kind == "auto" else 1.0)
        values = {"axes": "", "brightest": None} | dict(values)
        if set(values) != KEYS or not (values["schema"] is None or isinstance(values["schema"], dict)):
            raise BadData(f"A data contract has the keys {', '.join(sorted(KEYS))}. Use that of a run.")
        numbers = {key: _numbers(values[key], key) for key in ("missing", "fill")}
        row, byte = values["row"], values["byte"]
        if byte not in (1, BRIGHTEST) or (row is not None and not 1 <= len(_numbers(row, "row")) <= 3):
            raise BadData("A data contract has a byte of 1 or 255, and a row of at most 3 lengths. Use that of a run.")
        brightest = values["brightest"]
        if brightest is not None and not (_numbers([brightest], "brightest") and brightest > 0):
            raise BadData("The brightest value of a data contract must be above 0. Use that of a run.")
        axes = values["axes"]
        known = [sorted(letters) for letters in orders_of(plain.kind)]
        if axes and (not isinstance(axes, str) or sorted(axes) not in known):
            raise BadData("The axes of a data contract must be those of its examples. Use that of a run.")
        return replace(
            plain,
            byte=float(byte),
            brightest=None if brightest is None else float(brightest),
            axes=axes,
            row=None if row is None else tuple(max(1, int(n)) for n in row),
            missing=numbers["missing"],
            fill=numbers["fill"] or (0.0,),
            schema=None if values["schema"] is None else Schema.from_dict(values["schema"]),
        )


def _numbers(values: object, key: str) -> tuple[float, ...]:
    """A list of numbers from JSON."""
    if not isinstance(values, list) or len(values) > MOST or not all(type(v) in (int, float) for v in values):
        raise BadData(f"The {key} of a data contract must be a list of numbers. Use that of a run.")
    numbers = [float(v) for v in values if abs(v) <= sys.float_info.max]
    if len(numbers) < len(values):
        raise BadData(f"The {key} of a data contract must be finite. Use that of a run.")
    return tuple(numbers)

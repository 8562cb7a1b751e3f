"""Denoised pictures of any size, each written as a picture again.

A network that takes any size (``net.kind=unet``) restores large pictures in tiles; any other run takes pictures of the
size it was trained on.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.formats.pictures import EXTENSIONS, PictureHeader, read_header
from isthmus.data.sources.base import Source
from isthmus.data.storage.disk import DiskTree
from isthmus.errors import BadData, BadOption, MissingExtra, ShapeError, check_range
from isthmus.files.atomic import replacing
from isthmus.models.blind_spots import restored_blindly
from isthmus.models.tiling import Progress, part_of, restored, takes_any_size
from isthmus.parts.corruptions import makes_missing
from isthmus.parts.fidelities import Emphasized
from isthmus.runs.data import Inputs, NewData, Use, inputs_for, opened_freely
from isthmus.runs.run import Run

PICTURE = ".png"
"""Format of the pictures that are written."""


def at_size(run: Run, size: tuple[int, ...]) -> Run:
    """The run for examples of another height and width, or length."""
    shape = (run.metadata.shape[0], *size)
    return replace(run, metadata=replace(run.metadata, shape=shape))


def sized_inputs(run: Run, data: NewData, use: Use) -> tuple[Run, Inputs]:
    """The run for examples of the size of ``data``, if its network takes any size, and these as model inputs.

    Raises:
        IsthmusError: data that cannot be read, or of a shape that the network does not take.
    """
    try:
        return run, inputs_for(run, data, use)
    except ShapeError:
        # chunks of an iterator were read, and cannot be read again
        if not takes_any_size(run.model) or isinstance(data, Iterator):
            raise
    own = _for_source(run, opened_freely(run, data).train)
    return own, inputs_for(own, data, use)


def _for_source(run: Run, source: Source) -> Run:
    """The run for examples of the size of a source; the run itself where they have other axes."""
    channels, axes, given = run.metadata.shape[0], len(run.metadata.shape) - 1, tuple(source.shape)
    if len(given) == axes:
        return at_size(run, given)
    if len(given) == axes + 1:
        last = source.axes.endswith("C") or (given[-1] == channels and given[0] != channels)
        return at_size(run, given[:-1] if last else given[1:])
    return run


def restore(run: Run, x: Tensor, *, noise_level: float | None = None, progress: Progress | None = None) -> Tensor:
    """Restored model inputs: in tiles if the network takes any size, averaged over mirror images it was trained on."""
    if not takes_any_size(run.model):
        return run.model.reconstruct(x)
    flips = run.recipe.data.random_flip and x.ndim == 4
    noise = None if noise_level is None else noise_level / run.unit
    act = restored_blindly if has_blind_spots(run) else restored
    return act(run.model, x, flips=flips, noise=noise, progress=progress)


def has_blind_spots(run: Run) -> bool:
    """Whether the network was trained to predict hidden values from all others, as for noisy images alone."""
    hides = makes_missing(run.model.corruption)
    return hides and isinstance(run.objective.fidelity, Emphasized) and run.objective.fidelity.intact == 0


def check_noise_level(run: Run, noise_level: float | None) -> None:
    """Refuse a noise level that is no standard deviation, or that the network does not see.

    Raises:
        BadOption: it is one of these.
    """
    if noise_level is None:
        return
    check_range("The noise level", noise_level, 0, 1e6)
    if not getattr(run.model.encoder, "noise_input", False) and not has_blind_spots(run):
        raise BadOption(
            "The noise level is given, but the network of this run does not see it. Leave it out, or train with "
            "net.kind=unet and net.noise_input=true, as the recipe denoiser does."
        )


def is_picture(path: Path) -> bool:
    """Whether a path names a picture by its extension."""
    return path.suffix.lower() in EXTENSIONS


def are_pictures_wanted(source: str, out: Path) -> bool:
    """Whether pictures are to be written as pictures: one as one, or those of a folder in a folder."""
    given = Path(source)
    if given.is_file():
        return is_picture(given) and out.suffix.lower() == PICTURE
    return given.is_dir() and not out.suffix


def pictures_in(source: Path) -> list[Path]:
    """The pictures of a folder, in any depth, in natural order; or a single one.

    Raises:
        BadData: there is none, or the folder has a link that leads out of it.
    """
    if source.is_file():
        return [source]
    tree = DiskTree(source)
    found = [path for name in tree.names(np.arange(len(tree))) if is_picture(path := source / name)]
    if not found:
        raise BadData(
            f"The folder {str(source)!r} holds no picture; known are {', '.join(EXTENSIONS)}. Pass a folder of these."
        )
    return found


def denoise_pictures(
    run: Run, source: Path, out: Path, *, noise_level: float | None = None, progress: Progress | None = None
) -> list[Path]:
    """Write the restored pictures of a file or folder; those of a folder under the same names in the folder ``out``.

    Raises:
        BadData: a picture that cannot be read, or of another size than the network takes.
        BadOption: the run was not trained on images; or ``out`` is the folder that is read.
    """
    if run.metadata.kind != "images":
        raise BadOption(
            f"The run was trained on {run.metadata.kind}, not on images. Write the results to a file such as "
            f"{out.name}.npy."
        )
    check_noise_level(run, noise_level)
    if out.resolve() == source.resolve():
        raise BadOption(f"{str(out)!r} is what is read. Write to another path, so that the originals are kept.")
    # all headers first, so that a picture that cannot be taken is refused before any work
    found = {path: _header(run, path) for path in pictures_in(source)}
    written = []
    for number, (path, header) in enumerate(found.items()):
        target = out if source.is_file() else (out / path.relative_to(source)).with_suffix(PICTURE)
        made = _restored(run, path, header, noise_level, part_of(progress, number, len(found)))
        write_picture(target, made, header.dtype)
        written.append(target)
    return written


def _header(run: Run, path: Path) -> PictureHeader:
    """What the header of a picture says.

    Raises:
        ShapeError: it has another size than the network takes.
    """
    with path.open("rb") as stream:
        header = read_header(stream, path.name)
    size, own = (header.height, header.width), tuple(run.metadata.shape[1:])
    if size != own and not takes_any_size(run.model):
        raise ShapeError(
            f"{path.name!r} has {size[0]}x{size[1]} pixels, but the model was trained on examples of shape "
            f"{run.metadata.shape} and takes no others. Use a run of the recipe denoiser, which takes any size."
        )
    return header


def _restored(
    run: Run, path: Path, header: PictureHeader, noise_level: float | None, progress: Progress | None
) -> Array:
    """A restored picture with values in [0, 1], (H, W) or (H, W, C)."""
    own = at_size(run, (header.height, header.width))
    x = inputs_for(own, str(path), "noisy").x
    assert isinstance(x, Tensor)
    made = own.contract.brightness(restore(own, x[:1], noise_level=noise_level, progress=progress))[0].clamp(0, 1).cpu()
    values: Array = (made[0] if len(made) == 1 else made.movedim(0, -1)).numpy()
    return values


def write_picture(path: Path, values: Array, dtype: np.dtype[Any]) -> None:
    """Write values in [0, 1] as a PNG file of 8 bits, or of 16 where the data type has more than 8.

    Raises:
        MissingExtra: 16 bits in color without imagecodecs.
    """
    from PIL import Image

    deep = dtype.itemsize > 1
    most = 65_535 if deep else 255
    pixels = np.rint(values * most).astype(np.uint16 if deep else np.uint8)
    with replacing(path) as temporary:
        if not deep or pixels.ndim == 2:
            Image.fromarray(pixels).save(temporary, format="PNG")
            return
        try:
            import imagecodecs
        except ImportError as fault:
            raise MissingExtra(
                "Writing color pictures of 16 bits requires imagecodecs, which is not installed. Install it with "
                "pip install 'isthmus[images]'."
            ) from fault
        temporary.write_bytes(imagecodecs.png_encode(pixels))

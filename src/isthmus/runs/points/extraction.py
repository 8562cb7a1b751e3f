"""Feature points of a run with a spatial softmax: of every frame of a video, also by a run on windows of frames."""

from dataclasses import replace

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.errors import BadData, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import chunks
from isthmus.parts.hooks import HasAttention
from isthmus.runs.data import Inputs, NewData, inputs_for
from isthmus.runs.points.tracks import FeaturePoints
from isthmus.runs.run import Run

FRAMES = 250
"""Frames at a time: attention maps are larger than frames."""


def has_points(run: Run) -> bool:
    """Whether the code of a run is feature points."""
    return isinstance(run.model.encoder, HasAttention)


def encodes_frames(run: Run) -> bool:
    """Whether a run on windows encodes each frame by itself."""
    return has_points(run) and len(run.metadata.shape) == 4


def by_frames(run: Run) -> Run:
    """A run on windows as one on windows of one frame, if it encodes each frame by itself; any other as it is."""
    if not encodes_frames(run):
        return run
    # shorter than any window that a run is trained on, which validation would refuse
    data = run.recipe.data.model_copy(update={"window": 1, "stride": None})
    recipe = run.recipe.model_copy(update={"data": data})
    return replace(run, recipe=recipe, metadata=replace(run.metadata, shape=(1, *run.metadata.shape[1:])))


def frame_model(run: Run) -> Autoencoder:
    """The model of a run on windows for windows of one frame."""
    with inference(run.model):
        return run.model.for_shape((1, *run.metadata.shape[1:]))


def frames_of_codes(run: Run, codes: Tensor) -> Tensor:
    """Decoded codes (N, d) of single frames, (N, C, H, W)."""
    return frame_model(run).decode(codes[..., None])[:, 0]


def frames_for(run: Run, data: NewData) -> Inputs:
    """Model inputs of every frame of ``data``, in order, with their names and recordings; see :func:`pictures`.

    Raises:
        IncompatibleParts: the run has no feature points.
        IsthmusError: data that cannot be read or does not match the run.
    """
    if not has_points(run):
        raise IncompatibleParts(
            "Feature points require the positions of a spatial softmax, which this run does not have. Train the recipe "
            "spatial_mlp, or set net.kind=spatial."
        )
    return inputs_for(by_frames(run), data, "input")


def pictures(x: Tensor) -> Tensor:
    """Frames (N, C, H, W) of model inputs that are frames, or windows of one frame."""
    return x.flatten(0, 1) if x.ndim == 5 else x


def feature_points(run: Run, data: NewData) -> FeaturePoints:
    """The feature points of every frame of ``data``.

    Raises:
        BadData: an invalid frame, which cannot be skipped as points are followed from frame to frame.
        IsthmusError: as for :func:`frames_for`.
    """
    return points_of(run, frames_for(run, data))


def points_of(run: Run, frames: Inputs) -> FeaturePoints:
    """The feature points of frames that were opened by :func:`frames_for`."""
    encoder = run.model.encoder
    assert isinstance(encoder, HasAttention)
    xy, presence = [], []
    with inference(run.model):
        for x in chunks(frames.x, FRAMES):
            attention = encoder.attention(run.model.encodable(pictures(x).to(run.model.like)))
            points = F.expected_points(attention)
            xy.append(points.cpu())
            presence.append(F.presence(attention, points).cpu())
    skipped = len(frames.x) - sum(map(len, xy))
    if skipped:
        raise BadData(
            f"{skipped:,} frames of {frames.name!r} are invalid, but points are followed from frame to frame. Repair "
            "them, or remove them from the data."
        )
    title = frames.row_title or "frame"
    return FeaturePoints(torch.cat(xy).numpy(), torch.cat(presence).numpy(), frames.starts, frames.names, title)

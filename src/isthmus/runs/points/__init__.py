"""Feature points of the frames of videos: found by a run, followed in time, ranked, written and drawn."""

from isthmus.runs.points.extraction import feature_points
from isthmus.runs.points.tracks import FeaturePoints

__all__ = ["FeaturePoints", "feature_points"]

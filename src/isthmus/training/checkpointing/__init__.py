"""Checkpoints: the state of a run, and the files that contain it."""

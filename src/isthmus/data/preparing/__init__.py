"""Preparation of a data set, a source or a stream for a run: splits as tensors, scaled and checked."""

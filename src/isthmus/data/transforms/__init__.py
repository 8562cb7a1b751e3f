"""Transforms of raw examples to model inputs: checks, splits, scaling, and the handling of invalid examples."""

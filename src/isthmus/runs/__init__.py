"""Runs: a trained model with everything needed to use it again; training, saving, loading and inference."""

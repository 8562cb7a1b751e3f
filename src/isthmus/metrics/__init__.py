"""Metrics: what a trained model is worth, in stated units."""

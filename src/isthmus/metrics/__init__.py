"""Metrics: evaluation of trained models, with stated units."""

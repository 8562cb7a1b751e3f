"""Comparison of generative models: features of a judge, measures of samples and reconstructions, sheets and a page."""

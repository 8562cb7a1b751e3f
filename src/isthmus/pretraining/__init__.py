"""Greedy layer-wise pretraining of deep autoencoders."""

"""Training: one engine for every autoencoder, its batches, optimisers, history and machine settings."""

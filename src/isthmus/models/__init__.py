"""Models: the autoencoder built from parts, the training objective, and the recipe that describes both."""

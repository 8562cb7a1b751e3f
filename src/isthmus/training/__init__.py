"""Training: the engine, batches, optimizers, checkpoints and history."""

"""One update of the weights from a batch: operation by operation, or as one compiled function."""

"""What was understood of a data set, as plain data, to be read before training on it."""

"""Streaming of data that is not read into memory: sources by format, and lazy tensors over them."""

"""How examples reach a model: on demand from their source, from a stream, or all of them in memory."""

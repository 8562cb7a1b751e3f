"""Where files lie: on disk, in archives, at remote addresses; each is opened as a stream, and nothing is unpacked."""

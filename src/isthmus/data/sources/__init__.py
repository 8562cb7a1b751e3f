"""Sources: raw examples with their identity, read by ranges of rows, whether they are in memory or on disk."""

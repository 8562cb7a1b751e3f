"""The named data sets: their table, loaders, generators, checksums and downloads."""

"""File formats: decoding of files to arrays, with every size checked before memory is allocated."""

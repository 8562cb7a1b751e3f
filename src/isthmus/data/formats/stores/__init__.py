"""Files of named arrays: shapes are known from their headers, and each array is read when it is asked for."""

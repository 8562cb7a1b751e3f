"""Tables: text files and Parquet files as data frames, and the schema that makes a matrix of any of them."""

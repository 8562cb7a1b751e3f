"""Pages of the documentation site that are generated from the code. Plain Python: Sphinx is not needed to make them."""

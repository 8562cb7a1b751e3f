"""Fuzzing of everything that reads what a stranger wrote: the makers of odd inputs, the readers, and the judge."""

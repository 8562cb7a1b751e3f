"""Why a step cannot be compiled."""


class CannotCapture(Exception):
    """A step that cannot be written as one graph, with the reason as a clause; it then runs operation by operation."""

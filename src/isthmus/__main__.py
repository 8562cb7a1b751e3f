"""``python -m isthmus`` is the command ``isthmus``."""

from isthmus.cli.app import script

script()

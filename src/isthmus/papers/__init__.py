"""Published figures, each remade by one command: the paper's table as data, its run as a short story.

Every module here has ``PAPER`` and is listed in :data:`PAPERS`; nothing in it computes what the library does not.
"""

import importlib

from isthmus.errors import unknown
from isthmus.papers.sitting import Paper

PAPERS = (
    "encoder",
    "hinton2006",
    "vincent2008",
    "rifai2011",
    "makhzani2013",
    "sutskever2013",
    "kingma2014",
    "burda2016",
    "keras_tutorial",
    "higgins2017",
    "tolstikhin2018",
    "labels",
)
"""Modules of this folder, by the key of their paper."""


def paper(name: str) -> Paper:
    """The paper called ``name``.

    Raises:
        UnknownName: no such paper.
    """
    if name not in PAPERS:
        raise unknown("reproduced paper", name, PAPERS)
    found: Paper = importlib.import_module(f"isthmus.papers.{name}").PAPER
    return found

"""Reproductions of published results: one module per paper, with its settings and its published values.

Every module has a ``PAPER`` and is listed in :data:`PAPERS`; the methods themselves are those of the library.
"""

import importlib

from isthmus.errors import unknown
from isthmus.papers.reproduction import Paper

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
    "planes",
    "blur",
)
"""Keys of the papers, which are the names of their modules."""


def paper(name: str) -> Paper:
    """The paper called ``name``.

    Raises:
        UnknownName: there is no such paper.
    """
    if name not in PAPERS:
        raise unknown("reproduced paper", name, PAPERS)
    found: Paper = importlib.import_module(f"isthmus.papers.{name}").PAPER
    return found

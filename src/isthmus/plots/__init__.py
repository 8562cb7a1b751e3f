"""Figures from arrays: what a model saw, made, learned and how it got there.

No function here knows a model, and none draws on a screen: each takes plain arrays and returns a
``matplotlib.figure.Figure``, which ``save`` writes as a PNG. Pictures are ``(N, C, H, W)`` in [0, 1], channels
first (values outside are clipped for display only); tables are ``(N, D)``. Matplotlib's global state
(``pyplot``, ``rcParams``) is never touched, so figures may be made from any thread.
"""

from isthmus.plots.canvas import save
from isthmus.plots.field import field
from isthmus.plots.grids import followed
from isthmus.plots.history import curves
from isthmus.plots.latent import codes, codes_beside, manifold
from isthmus.plots.lines import lines
from isthmus.plots.paths import interpolation, traversals
from isthmus.plots.pictures import denoised, filters, reconstructions, samples, strip

__all__ = [
    "codes",
    "codes_beside",
    "curves",
    "denoised",
    "field",
    "filters",
    "followed",
    "interpolation",
    "lines",
    "manifold",
    "reconstructions",
    "samples",
    "save",
    "strip",
    "traversals",
]

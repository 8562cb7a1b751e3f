"""Figures from arrays: data, reconstructions, samples, filters, latent codes and training curves.

The functions depend on no model and draw on no screen: each takes plain arrays and returns a
``matplotlib.figure.Figure``, which ``save`` writes as a PNG, or an :class:`Animation`. Images are ``(N, C, H, W)`` in
[0, 1], channels first (other values are clipped for display only); tables are ``(N, D)``. Matplotlib's global state
(``pyplot``, ``rcParams``) is never changed, so figures may be made from any thread.
"""

from isthmus.plots.animation import Animation, trails
from isthmus.plots.canvas import save
from isthmus.plots.field import field
from isthmus.plots.grids import followed
from isthmus.plots.history import curves
from isthmus.plots.latent import bilinear, codes, codes_beside, manifold
from isthmus.plots.lines import lines
from isthmus.plots.paths import interpolation, traversals
from isthmus.plots.pictures import denoised, filters, reconstructions, samples, strip

__all__ = [
    "Animation",
    "bilinear",
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
    "trails",
    "traversals",
]

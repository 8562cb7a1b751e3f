r"""Known autoencoders: each recipe is a short function that combines parts into a :class:`Recipe`.

Every recipe adapts to the shape of the data. ``isthmus recipes`` prints the table :data:`RECIPES`.
"""

from isthmus.errors import unknown
from isthmus.models.recipe import Recipe
from isthmus.zoo import classic, closed, discrete, disentangled, generative, likelihood, mixed, variational, wasserstein
from isthmus.zoo.classic import conv, deep, linear, logistic_pca, overcomplete, simple, tied, transposed_conv
from isthmus.zoo.closed import pca, probabilistic_pca, wiener
from isthmus.zoo.contractive import ENTRIES as CONTRACTIVE
from isthmus.zoo.contractive import contractive, contractive_h
from isthmus.zoo.denoising import ENTRIES as DENOISING
from isthmus.zoo.denoising import (
    blind_spot_denoiser,
    conv_denoising,
    conv_denoising_overcomplete,
    denoiser,
    denoising,
    dropout,
    recorrupted_denoiser,
)
from isthmus.zoo.discrete import categorical_vae, fsq, vq_vae
from isthmus.zoo.disentangled import beta_tc_vae, dip_vae, factor_vae
from isthmus.zoo.entries import RecipeEntry
from isthmus.zoo.feature_points import ENTRIES as FEATURE_POINTS
from isthmus.zoo.feature_points import spatial, spatial_mlp
from isthmus.zoo.generative import deepsim, gan, rae, vae_gan, vae_perceptual
from isthmus.zoo.likelihood import sigma_vae
from isthmus.zoo.mixed import robust_wae, sparse_denoising_vae, top_k_inpainting
from isthmus.zoo.sparse import ENTRIES as SPARSE
from isthmus.zoo.sparse import batch_top_k, jump_relu, k_sparse, sparse_kl, sparse_l1, top_k
from isthmus.zoo.variational import beta_vae, capacity_vae, conv_vae, iwae, vae, vamp_vae
from isthmus.zoo.wasserstein import sliced_wae, wae_gan, wae_mmd

RECIPES: dict[str, RecipeEntry] = (
    closed.ENTRIES
    | classic.ENTRIES
    | variational.ENTRIES
    | likelihood.ENTRIES
    | CONTRACTIVE
    | DENOISING
    | SPARSE
    | discrete.ENTRIES
    | disentangled.ENTRIES
    | wasserstein.ENTRIES
    | generative.ENTRIES
    | FEATURE_POINTS
    | mixed.ENTRIES
)
"""Known recipes by name."""

ALIASES = {
    "ae": "deep",
    "autoencoder": "deep",
    "dae": "denoising",
    "sae": "sparse_l1",
    "cae": "contractive",
    "aae": "wae_gan",
    "dcgan": "gan",
    "dsae": "spatial",
    "regularized_autoencoder": "rae",
}
"""Usual abbreviations: the recipe that each stands for."""

__all__ = [
    "ALIASES",
    "RECIPES",
    "RecipeEntry",
    "batch_top_k",
    "beta_tc_vae",
    "beta_vae",
    "blind_spot_denoiser",
    "capacity_vae",
    "categorical_vae",
    "contractive",
    "contractive_h",
    "conv",
    "conv_denoising",
    "conv_denoising_overcomplete",
    "conv_vae",
    "deep",
    "deepsim",
    "denoiser",
    "denoising",
    "dip_vae",
    "dropout",
    "factor_vae",
    "fsq",
    "gan",
    "iwae",
    "jump_relu",
    "k_sparse",
    "linear",
    "logistic_pca",
    "overcomplete",
    "pca",
    "probabilistic_pca",
    "rae",
    "recipe",
    "recorrupted_denoiser",
    "robust_wae",
    "sigma_vae",
    "simple",
    "sliced_wae",
    "sparse_denoising_vae",
    "sparse_kl",
    "sparse_l1",
    "spatial",
    "spatial_mlp",
    "tied",
    "top_k",
    "top_k_inpainting",
    "transposed_conv",
    "vae",
    "vae_gan",
    "vae_perceptual",
    "vamp_vae",
    "vq_vae",
    "wae_gan",
    "wae_mmd",
    "wiener",
]


def recipe(name: str) -> Recipe:
    """The recipe called ``name`` (or by one of its :data:`ALIASES`, in any case), with its default options.

    Raises:
        UnknownName: there is no such recipe.

    >>> recipe("vae").latent.kind
    'gaussian'
    """
    key = name if name in RECIPES else name.lower().replace("-", "_")
    key = ALIASES.get(key, key)
    if key not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[key].make()

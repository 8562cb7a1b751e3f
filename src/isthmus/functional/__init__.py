r"""Formulas as pure functions of tensors, with stated unit, sign and reduction.

Functions sum over features, never average, and return one value per example; the caller averages over examples. Units
are nats unless stated otherwise.
"""

from isthmus.functional.basics import (
    ACTIVATIONS,
    active_units,
    binary_entropy,
    log_mean_exp,
    per_example,
    psnr,
    slerp,
    squared_error,
)
from isthmus.functional.directions import DIRECTIONS, logistic_direction, mean_direction, neighboring_codes
from isthmus.functional.gaussians import (
    entropy_full_gaussian,
    entropy_gaussian,
    fitted_gaussian,
    kl_full_gaussian,
    kl_full_standard_normal,
    kl_gaussian,
    kl_standard_normal,
    kl_standard_normal_by_dimension,
    squared_wasserstein,
    squared_wasserstein_full,
)
from isthmus.functional.images import affine, noise_level, power_spectrum, sharpness, shifted, ssim
from isthmus.functional.inpainting import interpolate_missing
from isthmus.functional.jacobians import (
    chain_factor,
    jacobian_norm,
    jacobian_rows,
    squared_jacobian_norm,
    squared_layer_norm,
    squared_product_norm,
    value_and_slope,
)
from isthmus.functional.kalman import Track, fitted_motion, kalman_filter, kalman_smoother
from isthmus.functional.neighbors import PrecisionRecall, nearest_distance, precision_recall
from isthmus.functional.samples import (
    AggregateDensity,
    kernel_matrix,
    log_aggregate_posterior,
    random_directions,
    sliced_wasserstein,
    squared_mmd,
    total_correlation,
)
from isthmus.functional.spatial import cell_centers, expected_points, presence, spatial_softmax

__all__ = [
    "ACTIVATIONS",
    "DIRECTIONS",
    "AggregateDensity",
    "PrecisionRecall",
    "Track",
    "active_units",
    "affine",
    "binary_entropy",
    "cell_centers",
    "chain_factor",
    "entropy_full_gaussian",
    "entropy_gaussian",
    "expected_points",
    "fitted_gaussian",
    "fitted_motion",
    "interpolate_missing",
    "jacobian_norm",
    "jacobian_rows",
    "kalman_filter",
    "kalman_smoother",
    "kernel_matrix",
    "kl_full_gaussian",
    "kl_full_standard_normal",
    "kl_gaussian",
    "kl_standard_normal",
    "kl_standard_normal_by_dimension",
    "log_aggregate_posterior",
    "log_mean_exp",
    "logistic_direction",
    "mean_direction",
    "nearest_distance",
    "neighboring_codes",
    "noise_level",
    "per_example",
    "power_spectrum",
    "precision_recall",
    "presence",
    "psnr",
    "random_directions",
    "sharpness",
    "shifted",
    "slerp",
    "sliced_wasserstein",
    "spatial_softmax",
    "squared_error",
    "squared_jacobian_norm",
    "squared_layer_norm",
    "squared_mmd",
    "squared_product_norm",
    "squared_wasserstein",
    "squared_wasserstein_full",
    "ssim",
    "total_correlation",
    "value_and_slope",
]

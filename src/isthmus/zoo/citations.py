"""The papers behind recipes and parts: what to cite for a model that was put together here."""

from collections.abc import Iterable

from isthmus.models.recipe import Recipe
from isthmus.zoo import RECIPES
from isthmus.zoo.bibliography import papers

PARTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("latent", "gaussian"): ("kingma2014",),
    ("latent", "full_gaussian"): ("kingma2019",),
    ("latent", "top_k"): ("gao2025",),
    ("latent", "batch_top_k"): ("bussmann2024",),
    ("latent", "jump_relu"): ("rajamanoharan2024",),
    ("latent", "k_sparse"): ("makhzani2014",),
    ("latent", "categorical"): ("jang2017", "maddison2017"),
    ("latent", "quantized"): ("oord2017",),
    ("latent", "finite_scalar"): ("mentzer2024",),
    ("likelihood", "shared_gaussian"): ("rybkin2021",),
    ("likelihood", "optimal_gaussian"): ("rybkin2021",),
    ("likelihood", "pixel_gaussian"): ("mattei2018",),
    ("likelihood", "continuous_bernoulli"): ("loaiza2019",),
    ("likelihood", "student_t"): ("lange1989",),
    ("likelihood", "categorical"): ("oord2016",),
    ("likelihood", "discretized_logistics"): ("salimans2017",),
    ("corruption", "masking"): ("vincent2008",),
    ("corruption", "gaussian"): ("vincent2010",),
    ("corruption", "salt_and_pepper"): ("vincent2010",),
    ("corruption", "blocks"): ("he2022",),
    ("fidelity", "emphasized"): ("vincent2010",),
    ("fidelity", "importance"): ("burda2016",),
    ("prior", "vamp"): ("tomczak2018",),
    ("penalty", "kl"): ("kingma2014",),
    ("penalty", "capacity"): ("burgess2018",),
    ("penalty", "kl_sparsity"): ("ng2011",),
    ("penalty", "contractive"): ("rifai2011",),
    ("penalty", "contractive_h"): ("rifai2011b",),
    ("penalty", "total_correlation"): ("chen2018",),
    ("penalty", "factor"): ("kim2018",),
    ("penalty", "dip"): ("kumar2018",),
    ("penalty", "mmd"): ("tolstikhin2018", "gretton2012"),
    ("penalty", "wasserstein2"): ("dowson1982",),
    ("penalty", "adversarial"): ("makhzani2016", "tolstikhin2018", "mescheder2018"),
    ("penalty", "sliced"): ("kolouri2019",),
}
"""Keys of the papers behind each kind of part, by family and kind; parts without a paper of their own are left out."""


def keys(recipe: Recipe) -> list[str]:
    """Keys of the papers behind a recipe and its parts, its own paper first, each once."""
    found: list[str] = []
    if recipe.name in RECIPES:
        found += RECIPES[recipe.name].cites
    parts = [recipe.latent, recipe.likelihood, recipe.corruption, recipe.fidelity, *recipe.penalties.values()]
    if recipe.penalties or recipe.fidelity.kind == "importance":
        parts.append(recipe.prior)
    for part in parts:
        found += PARTS.get((part.family, part.kind), ())
    if (
        recipe.fidelity.kind == "importance"
        and (recipe.fidelity.model_extra or {}).get("gradient") == "doubly_reparameterized"
    ):
        found.append("tucker2019")
    return list(dict.fromkeys(found))


def bibtex(found: Iterable[str]) -> str:
    """The entries behind ``found``, as the text of a .bib file."""
    return "\n\n".join(papers()[key].bibtex for key in found) + "\n"

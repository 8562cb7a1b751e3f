"""Former names of options and kinds: no longer accepted; the error message gives the new name."""

FORMER_OPTIONS: dict[str, str] = {
    "training.batch": "training.batch_size",
    "training.rate": "training.learning_rate",
    "training.optimiser": "training.optimizer",
    "training.clip": "training.gradient_clip",
    "training.checkpoint": "training.checkpoint_interval",
    "training.searches": "training.line_searches",
    "pretraining.batch": "pretraining.batch_size",
    "pretraining.rate": "pretraining.learning_rate",
    "pretraining.weight_cost": "pretraining.weight_decay",
    "data.binarise": "data.binarize",
    "data.shift": "data.random_shift",
    "data.on_bad": "data.on_bad_data",
    "data.patch": "data.patch_size",
    "data.patches": "data.patches_per_image",
    "net.weights": "net.init",
    "net.kernel": "net.kernel_size",
    "net.down": "net.downsampling",
    "net.up": "net.upsampling",
    "net.blocks": "net.residual_blocks",
    "latent.codes": "latent.codebook_size",
    "latent.dimension": "latent.codebook_dim",
    "latent.revive": "latent.restart_after",
    "latent.aux": "latent.aux_weight",
    "latent.l0": "latent.l0_weight",
    "latent.memory": "latent.averaging_steps",
    "likelihood.least": "likelihood.min_scale",
    "corruption.block": "corruption.block_size",
    "penalty.critic_share": "penalty.critic_lr_ratio",
    "penalty.smoothness": "penalty.gradient_penalty",
}
"""New names by former name, as family.option."""

FORMER_KINDS: dict[str, str] = {
    "latent.quantised": "quantized",
    "likelihood.discretised_logistics": "discretized_logistics",
    "fidelity.emphasised": "emphasized",
}
"""New kinds by family and former kind."""


def new_option(path: str) -> str | None:
    """The new path of an option with a former name; ``None`` for all other paths.

    >>> new_option("training.rate"), new_option("penalties.gan.critic_share"), new_option("training.epochs")
    ('training.learning_rate', 'penalties.gan.critic_lr_ratio', None)
    """
    family, _, option = path.rpartition(".")
    known = "penalty" if family.startswith("penalties.") else family
    found = FORMER_OPTIONS.get(f"{known}.{option}")
    return f"{family}.{found.rpartition('.')[2]}" if found else None

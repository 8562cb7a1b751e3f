"""From raw examples to model inputs: layout, split, scaling and the handling of invalid examples."""

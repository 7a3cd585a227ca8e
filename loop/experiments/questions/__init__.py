"""The questions, one a file: each has an EXPERIMENT, which `loop.experiments.registry` finds."""

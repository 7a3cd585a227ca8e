"""Mirrors of a run for people to look at, and nothing else: metrics.jsonl beside each fit, and Weights & Biases."""

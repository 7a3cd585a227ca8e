"""Mirrors of a run for people to look at: metrics.jsonl beside each stage, and Weights & Biases (docs/tracking.md). Nothing reads W&B."""

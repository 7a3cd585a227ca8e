"""Mirrors of what happens: metrics.jsonl in each stage's folder, and Weights & Biases."""

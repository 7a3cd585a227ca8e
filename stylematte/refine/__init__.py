"""The connectivity prior on alphas (arXiv 2501.16147): trust the band at the body's border, the rest is 0 or 1."""

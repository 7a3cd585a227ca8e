"""Fitting a generator: the Lightning module, its losses and regularisers, EMA, and its batches."""

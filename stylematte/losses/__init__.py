"""Losses on alpha mattes: pure functions, one value per sample."""

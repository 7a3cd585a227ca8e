"""StyleMatte as its authors released it, quirks included, so that their weights give their numbers."""

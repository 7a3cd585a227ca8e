"""Data of the matting network: from a data root to training batches."""

"""Pictures of the matter: from a data root to training batches."""

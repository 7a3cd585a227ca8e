"""What the fit stages share: one Lightning trainer, its progress, and what the batches of a matter are made of."""

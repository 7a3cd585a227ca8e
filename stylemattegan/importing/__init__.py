"""Official StyleGAN3 snapshots read without running them, and RGB networks made RGBA."""

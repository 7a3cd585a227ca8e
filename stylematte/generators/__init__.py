"""Generators of RGBA cut-outs that need no GAN: files, chroma keying, composites, layer diffusion; and their ingest."""

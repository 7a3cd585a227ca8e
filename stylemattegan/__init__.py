"""StyleMatteGAN: latent -> RGBA cut-out. Knows the ground of `stylematte`, not the matter."""

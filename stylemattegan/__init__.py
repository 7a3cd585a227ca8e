"""StyleMatteGAN: latent -> RGBA cut-out. Knows the base of `stylematte`, not the matter."""

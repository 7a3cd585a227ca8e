"""Augmentation of what the discriminator sees: geometry, colour, and the pipe that draws both."""

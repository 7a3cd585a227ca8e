"""GAN inversion: where given pictures are in a generator (W, W+, feature space), and how well it gives them back."""

from stylemattegan.inversion.code import Code, code_of
from stylemattegan.inversion.fit import Inverted, invert
from stylemattegan.inversion.perceptual import Perceptual, of_backbone, random_pyramid
from stylemattegan.inversion.targets import Targets, target, whole
from stylemattegan.latent_config import InvertConfig

__all__ = [
    "Code",
    "InvertConfig",
    "Inverted",
    "Perceptual",
    "Targets",
    "code_of",
    "invert",
    "of_backbone",
    "random_pyramid",
    "target",
    "whole",
]

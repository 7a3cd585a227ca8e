"""Latent -> RGBA (StyleGAN3) and RGBA -> realness (StyleGAN2 residual discriminator)."""

from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.mapping import MappingNetwork
from stylemattegan.networks.synthesis import SynthesisInput, SynthesisLayer, SynthesisNetwork

__all__ = ["Discriminator", "Generator", "MappingNetwork", "SynthesisInput", "SynthesisLayer", "SynthesisNetwork"]

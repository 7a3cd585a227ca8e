"""The configuration's schema, what the generator's alpha answers to: a second discriminator, and honest statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from loop.config_matter import BackboneConfig


class SecondKind(str, Enum):
    none = "none"
    composite = "composite"
    projected = "projected"


@dataclass
class SecondConfig:
    """A second discriminator that sees cut-outs over real backgrounds (docs/generator-second.md)."""

    kind: SecondKind = SecondKind.none
    """none: as if it did not exist. composite: a residual discriminator as wide as the first. projected: small heads on
    a frozen backbone."""
    weight: float = 1.0
    """Of what it tells the generator, against the first one's 1."""
    warmup_kimg: float = 0.0
    """Thousands of pictures over which the weight rises from 0, in the first round."""
    r1_gamma: float = 0.2
    """Its R1, every generator.fit.r1_every steps; projected takes it at the features. 0 = off."""
    plain: float = 0.0
    """Share of its pictures over one plain colour instead of a photo."""
    foreground: float = 0.0
    """Share over the cut-out's own mean colour: there the foreground is judged and the outline hardly shows."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Of kind projected: any timm model that the matter could use, plain ViTs too; weights is a local file."""
    random_backbone: bool = False
    """Says that a backbone without weights is meant: its features are frozen at random."""
    input_size: int = 0
    """Pictures are brought to this size for the backbone; 0 = their own, rounded up to its stride."""


@dataclass
class HonestConfig:
    """Weights of terms on the generated alpha's statistics; 0 = off."""

    mean: float = 0.0
    """A picture's mean alpha outside the interval of the real batch's: squared distance. Try 10."""
    band: float = 0.0
    """The share of half-transparent alpha against the real batch's: ((a - b) / (a + b))^2. Try 1."""

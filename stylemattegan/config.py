"""Configuration of a generator: its networks, its fits, the composite discriminator, the alpha regulariser."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from stylematte.config import BackboneConfig, FitConfig


@dataclass
class GeneratorNetworkConfig:
    z_dim: int = 64
    w_dim: int = 64
    mapping_layers: int = 2
    channel_base: int = 2048
    channel_max: int = 64
    num_layers: int = 14
    num_critical: int = 2
    margin_size: int = 10
    d_channel_base: int = 2048
    d_channel_max: int = 64
    magnitude_ema_nimg: float = 20000.0
    """Half-life, in images, of the magnitude EMA."""
    w_avg_beta: float = 0.998


class GeneratorLoss(str, Enum):
    """The game of G and D."""

    logistic = "logistic"
    relativistic = "relativistic"


class AugmentSet(str, Enum):
    """Published names of sets of augmentations."""

    blit = "blit"
    geom = "geom"
    color = "color"
    filter = "filter"
    noise = "noise"
    cutout = "cutout"
    bg = "bg"
    bgc = "bgc"
    bgcf = "bgcf"
    bgcfn = "bgcfn"
    bgcfnc = "bgcfnc"


@dataclass
class GeneratorFitConfig(FitConfig):
    loss: GeneratorLoss = GeneratorLoss.logistic
    """logistic: non-saturating, with R1. relativistic: every generated picture against a real one, with R1 and R2
    (R3GAN); it wants an r1_gamma of its own, and r1_every=1 as published."""
    glr: float = 2.5e-3
    dlr: float = 2e-3
    warmup: int = 0
    """Steps of linear warm-up of both learning rates: a warm-started fit begins with an empty Adam."""
    later_lr: float = 0.3
    """Factor on both learning rates of a fit that goes on from the last round's: at full rate it would forget it."""
    decay: float = 0.5
    """Share of the fit, at its end, in which both learning rates fall to 1/50 on half a cosine; 0 = never. A round
    keeps the last weights, and at a constant rate G and D circle: where they stop is luck."""
    r1_gamma: float = 0.5
    """Weight of R1, and of R2 with the relativistic loss; 0 = none."""
    r1_every: int = 16
    """Steps between two penalties, each as much heavier; 1 = a term of D's loss at every step."""
    path_weight: float = 0.0
    """Of the path length penalty, StyleGAN2's 2.0; StyleGAN3 has none."""
    path_every: int = 4
    path_shrink: int = 2
    """The penalty is measured on a batch this many times smaller."""
    path_decay: float = 0.01
    """How fast the mean path length follows, per penalty."""
    style_mixing: float = 0.0
    """Share of the pictures made of two styles, StyleGAN2's 0.9; StyleGAN3 has none."""
    blur_sigma: float = 0.0
    """Pixels: what D sees is blurred so much at the start of a first fit. Config R wants 10."""
    blur_kimg: float = 0.0
    """Thousands of images in which that blur fades away; R's is 200 at a batch of 32, in proportion to it."""
    freeze_d: int = 0
    """Convolutions of D, counted from the picture, that a fit keeps as it found them when it goes on from another."""
    ema_kimg: float = 2.0
    """Half-life of G_ema in thousands of images."""
    ema_rampup: float = 0.05
    ada_target: float = 0.6
    ada_kimg: float = 50.0
    """Thousands of images in which the augmentation probability may go from 0 to 1."""
    augment_p: float = 0.0
    """Start value of the augmentation probability."""
    augment_max: float = 0.8
    augment_set: AugmentSet = AugmentSet.bgc
    """bgc: blitting, geometry, colour. More letters: octave filter, noise, cutout. bg: no change of colour at all."""
    ada: bool = True
    snapshots: int = 4
    """Judged of each fit, at equal distances, its end among them; the nearest to the training set stands. 1 = the end
    alone. Each takes the disk of a generator."""
    mirror: bool = True
    pseudo_share: float = 0.5
    """At most this share of the places goes to pseudo-labelled photos when real cut-outs exist."""


class CompositeDiscriminatorKind(str, Enum):
    none = "none"
    composite = "composite"
    projected = "projected"


@dataclass
class CompositeDiscriminatorConfig:
    """A second discriminator that sees cut-outs over real backgrounds (docs/generator-composite-discriminator.md)."""

    kind: CompositeDiscriminatorKind = CompositeDiscriminatorKind.none
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
class AlphaRegularizerConfig:
    """Weights of terms on the generated alpha's statistics; 0 = off."""

    mean: float = 0.0
    """A picture's mean alpha outside the interval of the real batch's: squared distance. Try 10."""
    band: float = 0.0
    """The share of half-transparent alpha against the real batch's: ((a - b) / (a + b))^2. Try 1."""


@dataclass
class GeneratorConfig:
    network: GeneratorNetworkConfig = field(default_factory=GeneratorNetworkConfig)
    fit: GeneratorFitConfig = field(default_factory=GeneratorFitConfig)
    composite_discriminator: CompositeDiscriminatorConfig = field(default_factory=CompositeDiscriminatorConfig)
    alpha_regularizer: AlphaRegularizerConfig = field(default_factory=AlphaRegularizerConfig)
    init_from: dict[str, str] = field(default_factory=dict)
    """Domain -> the folder of a generator (import-generator, export) that its first fit goes on from. Its architecture
    takes the place of `network`, but for magnitude_ema_nimg and w_avg_beta."""
    select_images: int = 512
    """Pictures sampled to measure the feature distance to the training set."""

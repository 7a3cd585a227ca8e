"""Configuration of a generator: its networks, its fits, the composite discriminator, the alpha regulariser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from stylematte.config import BackboneConfig, FitConfig
from stylematte.fields import ranged


@dataclass
class GeneratorNetworkConfig:
    z_dim: int = ranged(64, 1)
    """Length of the latent z."""
    w_dim: int = ranged(64, 1)
    """Length of the style w."""
    mapping_layers: int = ranged(2, 1)
    """Layers from z to w; StyleGAN3 has 2."""
    channel_base: int = ranged(2048, 1)
    """Width of G: a layer at resolution r has channel_base / r channels."""
    channel_max: int = ranged(64, 1)
    """The most channels a layer of G has."""
    num_layers: int = ranged(14, 2)
    """Layers of the synthesis network beside input and toRGB; StyleGAN3 has 14 at 256 x 256 and more."""
    num_critical: int = ranged(2, 1)
    """Layers at the end that are sampled critically; StyleGAN3 has 2. A small picture may want fewer."""
    margin_size: int = ranged(10, 1)
    """Pixels that layers work on outside the picture; StyleGAN3 has 10."""
    first_cutoff: float = ranged(2.0, 0.1)
    """Cycles per picture of the finest wave that G's input has; StyleGAN3 has 2. What is finer, the layers make of it,
    at first as contours: in a fit as short as minutes an input with finer waves learns eyes and ears sooner."""
    first_stopband: float = ranged(2**2.1, 0.1)
    """Where the first layers' filters end; more than first_cutoff. StyleGAN3 has 2^2.1."""
    d_channel_base: int = ranged(2048, 1)
    """Width of D, as channel_base is of G."""
    d_channel_max: int = ranged(64, 1)
    """The most channels a layer of D has."""
    magnitude_ema_nimg: float = ranged(20000.0, 1)
    """Half-life, in images, of the magnitude EMA."""
    w_avg_beta: float = ranged(0.998, 0, 1)
    """Decay per step of the mean style that truncation pulls to."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.first_stopband <= self.first_cutoff:
            yield f"first_stopband={self.first_stopband}: expected more than first_cutoff={self.first_cutoff}"
        if self.num_layers <= self.num_critical:
            yield (
                f"num_layers={self.num_layers}: expected more than num_critical={self.num_critical}, which is 1 or more"
            )


class GeneratorLoss(str, Enum):
    """The game of G and D."""

    logistic = "logistic"
    relativistic = "relativistic"


class Precision(str, Enum):
    """What the layers of a generator's fit compute in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


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
class ReconstructionConfig:
    """A fit that begins by reconstructing its cut-outs from latents of their own (docs/generator-training.md). Of a
    first fit alone: one that goes on from another knows no such latents."""

    steps: int = ranged(0, 0)
    """The fit's first steps, in which G learns that and nothing else; 0 = none, and no latents at all."""
    speed: float = ranged(3.0, 0.01, 100)
    """The learning rate of G at their beginning, as a multiple of glr; it falls to 1 on half a cosine. Without an
    adversary a high rate does no harm, and as it falls, details appear."""
    d_steps: int = ranged(0, 0)
    """Steps after them in which D alone learns: it has seen nothing yet."""
    share: float = ranged(0.5, 0, 1)
    """Of each later batch that is reconstructed, too."""
    weight: float = ranged(1.0, 0)
    """Of that term beside the adversarial one."""
    lr: float = ranged(1e-2, 1e-9, 1)
    """Learning rate of the latents."""
    jitter: float = ranged(0.0, 0, 10)
    """Standard deviation of noise on the latents, whose numbers have a root mean square of 1: what lies around a
    cut-out's latent is to look like it, too. 0 = none."""


@dataclass
class GeneratorFitConfig(FitConfig):
    loss: GeneratorLoss = GeneratorLoss.logistic
    """logistic: non-saturating, with R1. relativistic: every generated picture against a real one, with R1 and R2
    (R3GAN); it wants an r1_gamma of its own, and r1_every=1 as published."""
    precision: Precision = Precision.fp32
    """fp16, bf16: the layers of the four finest octaves of G and D compute in 16 bits, as in StyleGAN3; all else stays
    float32: mapping, Fourier features, demodulation, running means, penalties, weights, averages, and what is sampled
    later. fp16 needs a GPU. On a CPU bf16 pays for wide networks (docs/generator-training.md)."""
    glr: float = ranged(2.5e-3, 1e-9, 1)
    """Learning rate of G."""
    dlr: float = ranged(2e-3, 1e-9, 1)
    """Learning rate of D."""
    warmup: int = ranged(0, 0)
    """Steps of linear warm-up of both learning rates: a warm-started fit begins with an empty Adam."""
    later_lr: float = ranged(0.3, 1e-6, 10)
    """Factor on both learning rates of a fit that goes on from the last round's: at full rate it would forget it."""
    decay: float = ranged(0.5, 0, 1)
    """Share of the fit, at its end, in which both learning rates fall to 1/50 on half a cosine; 0 = never. A round
    keeps the last weights, and at a constant rate G and D circle: where they stop is luck."""
    r1_gamma: float = ranged(0.5, 0)
    """Weight of R1, and of R2 with the relativistic loss; 0 = none."""
    r1_every: int = ranged(16, 1)
    """Steps between two penalties, each as much heavier; 1 = a term of D's loss at every step."""
    path_weight: float = ranged(0.0, 0)
    """Of the path length penalty, StyleGAN2's 2.0; StyleGAN3 has none."""
    path_every: int = ranged(4, 1)
    """Steps between two path length penalties."""
    path_shrink: int = ranged(2, 1)
    """The penalty is measured on a batch this many times smaller."""
    path_decay: float = ranged(0.01, 1e-6, 1)
    """How fast the mean path length follows, per penalty."""
    style_mixing: float = ranged(0.0, 0, 1)
    """Share of the pictures made of two styles, StyleGAN2's 0.9; StyleGAN3 has none."""
    blur_sigma: float = ranged(0.0, 0)
    """Pixels: what D sees is blurred so much at the start of a first fit. Config R wants 10."""
    blur_kimg: float = ranged(0.0, 0)
    """Thousands of images in which that blur fades away; R's is 200 at a batch of 32, in proportion to it."""
    freeze_d: int = ranged(0, 0)
    """Convolutions of D, counted from the picture, that a fit keeps as it found them when it goes on from another."""
    ema_kimg: float = ranged(2.0, 0)
    """Half-life of G_ema in thousands of images."""
    ema_rampup: float = ranged(0.05, 0)
    """The half-life of G_ema is at most this share of the pictures shown so far: an early average forgets the start
    sooner."""
    ada_target: float = ranged(0.6, -1, 1)
    """The mean sign of D's logits on real pictures that the augmentation probability is steered to."""
    ada_kimg: float = ranged(50.0, 1e-3)
    """Thousands of images in which the augmentation probability may go from 0 to 1."""
    augment_p: float = ranged(0.0, 0, 1)
    """Start value of the augmentation probability."""
    augment_max: float = ranged(0.8, 0, 1)
    """The probability never exceeds it: at p near 1 a generator learns the augmentations."""
    augment_set: AugmentSet = AugmentSet.bgc
    """bgc: blitting, geometry, colour. More letters: octave filter, noise, cutout. bg: no change of colour at all."""
    ada: bool = True
    """false: the probability stays at augment_p."""
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    snapshots: int = ranged(4, 1)
    """Measured of each fit, at equal distances, its end among them; the nearest to the training set is selected. 1 =
    the end alone. Each takes the disk of a generator."""
    mirror: bool = True
    """Also show every cut-out mirrored, at random."""
    pseudo_share: float = ranged(0.5, 0, 1)
    """At most this share of a batch are pseudo-labelled photos when real cut-outs exist."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if bool(self.blur_sigma) != bool(self.blur_kimg):
            yield f"blur_sigma={self.blur_sigma} and blur_kimg={self.blur_kimg}: a blur needs both, or neither"
        if self.reconstruction.steps + self.reconstruction.d_steps > self.steps:
            yield (
                f"reconstruction.steps={self.reconstruction.steps} and d_steps={self.reconstruction.d_steps}: "
                f"expected no more than steps={self.steps} together"
            )
        if self.batch % 4:
            groups = "the discriminator compares groups of 4 on each device"
            yield f"batch={self.batch}: expected a multiple of 4 ({groups})"


class CompositeDiscriminatorKind(str, Enum):
    none = "none"
    composite = "composite"
    projected = "projected"


@dataclass
class CompositeDiscriminatorConfig:
    """Another discriminator, which sees cut-outs over real backgrounds (docs/generator-composite-discriminator.md)."""

    kind: CompositeDiscriminatorKind = CompositeDiscriminatorKind.none
    """none: as if it did not exist. composite: a residual discriminator as wide as the first. projected: small heads on
    a frozen backbone."""
    weight: float = ranged(1.0, 0)
    """Of its loss for the generator, against the first one's 1."""
    warmup_kimg: float = ranged(0.0, 0)
    """Thousands of pictures over which the weight rises from 0, in the first round."""
    r1_gamma: float = ranged(0.2, 0)
    """Its R1, every generator.fit.r1_every steps; projected takes it at the features. 0 = off."""
    plain: float = ranged(0.0, 0)
    """Share of its pictures over one plain colour instead of a photo."""
    foreground: float = ranged(0.0, 0)
    """Share over the cut-out's own mean colour: there the foreground counts and the outline hardly shows."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Of kind projected: any timm model that the matter could use, plain ViTs too; weights is a local file."""
    random_backbone: bool = False
    """Says that a backbone without weights is meant: its features are frozen at random."""
    input_size: int = ranged(0, 0)
    """Pictures are brought to this size for the backbone; 0 = their own, rounded up to its stride."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.plain + self.foreground > 1:
            yield f": plain and foreground add up to {self.plain + self.foreground:g}: expected 1 or less"
        if self.input_size % 32:
            yield f"input_size={self.input_size}: expected a multiple of 32, or 0"


@dataclass
class AlphaRegularizerConfig:
    """Weights of terms on the generated alpha's statistics; 0 = off."""

    mean: float = ranged(0.0, 0)
    """A picture's mean alpha outside the interval of the real batch's: squared distance. Try 10."""
    band: float = ranged(0.0, 0)
    """The share of half-transparent alpha against the real batch's: ((a - b) / (a + b))^2. Try 1."""

    @property
    def is_on(self) -> bool:
        return self.mean > 0 or self.band > 0


@dataclass
class GeneratorConfig:
    network: GeneratorNetworkConfig = field(default_factory=GeneratorNetworkConfig)
    fit: GeneratorFitConfig = field(default_factory=GeneratorFitConfig)
    composite_discriminator: CompositeDiscriminatorConfig = field(default_factory=CompositeDiscriminatorConfig)
    alpha_regularizer: AlphaRegularizerConfig = field(default_factory=AlphaRegularizerConfig)
    init_from: dict[str, str] = field(default_factory=dict)
    """Domain -> the folder of a generator (import-generator, export) that its first fit goes on from. Its architecture
    replaces `network`, but for magnitude_ema_nimg and w_avg_beta."""
    select_images: int = ranged(512, 16)
    """Pictures sampled to measure the feature distance to the training set."""


class Metric(str, Enum):
    """What `stylemattegan.measure` measures of a generator."""

    frechet = "frechet"
    """Fréchet distance; FID if the features are Inception's."""
    kid = "kid"
    """Kernel distance."""
    pr = "pr"
    """Precision and recall, density and coverage."""
    cutout = "cutout"
    """Distances of composites, colour and alpha apart, and of the bands of the alphas."""
    ppl = "ppl"
    """Path length in w."""
    eq = "eq"
    """Equivariance to translation and rotation."""


AGAINST_REAL = (Metric.frechet, Metric.kid, Metric.pr, Metric.cutout)
ALONE = (Metric.ppl, Metric.eq)

"""The configuration's schema, the matter's part: its network, its fits, and how it learns without alphas."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass
class BackboneConfig:
    name: str = "swin_tiny_patch4_window7_224"
    """Any timm model with features_only."""
    weights: str | None = None
    """A local .safetensors or .pth file; null = random. Nothing is ever downloaded."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Passed to timm.create_model (embed_dim, depths, ...)."""


@dataclass
class MatterLossConfig:
    """Weights. `known` and what follows judge pictures with a trimap alone, the others pictures with an alpha."""

    l1: float = 1.0
    laplacian: float = 0.5
    gradient: float = 0.5
    composition: float = 1.0
    semantic: float = 0.0
    """What is foreground at all, learned by a head at 1/16 of the size (detail): against gross failures."""
    known: float = 1.0
    """The known region of a trimap: mean absolute difference over its known pixels."""
    ddc: float = 2.0
    """Its unknown region: alpha may change where colours do. About 2 for a small network from random weights; the
    paper's 10 suits a pretrained ViT at 512 x 512 and spoils a small one (a matte gone flat stops the fit by name). At
    64 x 64 no weight was better than the known region alone: docs/without-alpha.md."""
    closed_form: float = 0.0
    """Its unknown region against the closed-form matte that `prepare` then solves (0.02 s a picture at 64 x 64).
    Tight trimaps: set 0.5, it beats every local loss (unknown-region SAD .070 against .107 with ddc alone). Wide ones,
    and those of coarse masks: leave it at 0, nothing local carries colour that far."""


class DdcVariant(str, Enum):
    ddc = "ddc"
    scaled = "scaled"
    hinge = "hinge"


class DdcBorder(str, Enum):
    zero = "zero"
    replicate = "replicate"
    exclude = "exclude"


class DdcRegion(str, Enum):
    all = "all"
    unknown = "unknown"


@dataclass
class DdcConfig:
    """How `losses.ddc` is measured. The paper: ddc, 11, 11, zero, all, include_self, warmup 0, weight 10."""

    variant: DdcVariant = DdcVariant.scaled
    """scaled multiplies the alpha difference by the local contrast. With it the true alpha scores better than its
    hard-edged self on 5 of 5 real portraits (ddc: 1 of 5), and a small network got .107 and .097 with it at about the
    same weight (ddc: .124 and .105; unknown-region SAD, two seeds). hinge came as close (.107, one seed)."""
    window: int = 11
    """Side of the square, in pixels, in which similar colours are looked for; odd."""
    neighbours: int = 11
    border: DdcBorder = DdcBorder.exclude
    """What lies outside the picture. zero compares with black and pulls dark frames towards alpha 0."""
    include_self: bool = False
    """Whether a pixel is among its own neighbours; it says nothing about itself."""
    region: DdcRegion = DdcRegion.unknown
    """unknown: where the trimap says nothing. all pulls at the known region, too."""
    warmup: int | None = None
    """Steps over which its weight rises from 0; null = half of the fit. At full weight from the start, a network that
    knows nothing yet learns to be flat."""


@dataclass
class FitConfig:
    steps: int = 1000
    """Optimizer steps of one fit."""
    tick: int = 50
    """Steps between checkpoints; a stop signal waits at most this long."""
    batch: int = 16
    """Global batch, over all devices."""
    workers: int = 0
    """Data loading processes per device."""


class PhotometryPlace(str, Enum):
    cpu = "cpu"
    device = "device"


@dataclass
class MatterFitConfig(FitConfig):
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    """Steps of linear warm-up, then cosine to lr/100."""
    ema: float = 0.995
    clip: float = 1.0
    """Gradient norm clip; 0 = off."""
    real_weight: float = 0.5
    """Share of the loss that real pictures keep once generated pairs join; 0.5 to 1. At 1 no pair joins (control)."""
    mask_share: float = 0.0
    """Share of a domain's real places given to pictures of kind `mask` if it has labelled ones, too."""
    trimap_share: float = 0.25
    """The same for pictures of kind `trimap`."""
    unlabelled_share: float = 0.0
    """The same for photos of kind `none` (matter.later): the known regions of their trimaps are what the accepted
    matter is sure of, written by `label`."""
    new_background: float = 0.5
    """Probability that a real picture's foreground is put on a new background."""
    trimap_shown: float = 0.0
    """Probability that the network is shown a sample's trimap, widened at random (detail): between 0 and 1 one network
    learns to matte with a trimap and without."""
    photometry: PhotometryPlace = PhotometryPlace.cpu
    """Who changes colours, blurs, adds noise and JPEG: the loading processes, or kornia where the network is. device
    halves the work of loading and is for GPUs. Same kinds and ranges, other random numbers."""
    losses: MatterLossConfig = field(default_factory=MatterLossConfig)
    ddc: DdcConfig = field(default_factory=DdcConfig)


class MatterVariant(str, Enum):
    fpn = "fpn"
    released = "released"
    detail = "detail"


@dataclass
class MatterConfig:
    variant: MatterVariant = MatterVariant.fpn
    """fpn: a small decoder and a guided filter. released: the authors' network (channels a multiple of 32 from 64 on,
    theirs 256). detail: a learned path to full resolution, which sees colour edges and takes a trimap."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    channels: int = 128
    """Width of the decoder."""
    filter_radius: int = 1
    filter_eps: float = 1e-4
    """Of the guided filter (fpn, released)."""
    detail_channels: int = 16
    """Width of the detail path at full resolution (detail)."""
    gradient_checkpointing: bool = False
    """Less memory, a third more time (detail)."""
    channels_last: bool = False
    """How tensors lie in memory (detail)."""
    compile: bool = False
    """Fits run through torch.compile: minutes at their start, less time a step. Needs a C++ compiler."""
    first: MatterFitConfig = field(default_factory=MatterFitConfig)
    """Round 0: on real pairs alone, from random (or backbone.weights)."""
    later: MatterFitConfig = field(default_factory=MatterFitConfig)
    """Rounds 1, 2, ...: warm-started from the accepted matter."""

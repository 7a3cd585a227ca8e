"""Configuration of a matter: which network, how it is fitted, and how it learns where there is no alpha.

Dataclasses only; nothing here imports torch. Ranges stand beside the fields (`stylematte.fields`). A network variant is
one dataclass of options here and one line in VARIANTS that names its class.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, NamedTuple, TypeVar

from stylematte.fields import from_plain, impossible, ranged

RESERVED = frozenset(
    {
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "pretrained_filter_fn"),
        *("checkpoint_path", "cache_dir", "features_only", "out_indices", "feature_cfg"),
        *("scriptable", "exportable", "no_jit"),
    }
)
"""What timm.create_model takes and never hands to the model: not for a backbone's kwargs."""
FRACTIONS = ("rate", "ratio", "eps", "init", "scale", "drop", "momentum", "temperature")
"""Parts of the names of kwargs that need not be whole."""
WIDEST = 65536
PUBLISHED = "timm"
"""As backbone.weights: those that timm publishes for the model."""


@dataclass
class BackboneConfig:
    name: str = "swin_tiny_patch4_window7_224"
    """Any timm model with features_only."""
    weights: str | None = None
    """A local .safetensors or .pth file; null = random; timm = what timm publishes for this model, from the Hugging
    Face hub's cache or downloaded into it before any work begins. Nothing else is ever downloaded."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Passed to timm.create_model (embed_dim, depths, ...)."""
    mean: list[float] | None = None
    """Of R, G, B in [0, 1], subtracted from pictures; null = timm's for this model where weights are given, else
    ImageNet's."""
    std: list[float] | None = None
    """By which they are then divided; null as with mean."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        for key in sorted(RESERVED & self.kwargs.keys()):
            yield f"kwargs.{key}: may not be given; use backbone.weights, a local file or timm"
        for key, value in self.kwargs.items():
            whole = not any(part in key for part in FRACTIONS)
            for number in _numbers(value):
                if not 0 <= number <= WIDEST or (whole and number != int(number)):
                    kind = "a whole number" if whole else "a number"
                    yield f"kwargs.{key}={value}: expected {kind} from 0 to {WIDEST}"
                    break
        for name, given, low in (("mean", self.mean, 0.0), ("std", self.std, 0.001)):
            if given is not None and not (len(given) == 3 and all(low <= value <= 1 for value in given)):
                yield f"{name}={given}: expected three numbers from {low} to 1, of R, G and B"
        if (self.mean is None) != (self.std is None):
            yield f"mean={self.mean}, std={self.std}: give both, or neither"


def _numbers(value: Any) -> Iterator[float]:
    """Those in a value of nested lists."""
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


@dataclass
class NetworkConfig:
    """What every network variant has: its name in VARIANTS, and the backbone under it."""

    variant: str = "fpn"
    """fpn: a small decoder and a guided filter. released: the authors' network. detail: a learned path to full
    resolution, which sees colour edges and takes a trimap."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)

    takes_trimap: ClassVar[bool] = False
    """Whether `forward` takes a trimap beside the picture, and a semantic head can be had (field `semantic_head`)."""
    switches: ClassVar[tuple[str, ...]] = ()
    """Fields that change nothing of the alpha that given weights give: they may differ from one fit to the next."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        yield from ()


@dataclass
class FpnConfig(NetworkConfig):
    """StyleMatte with a small decoder: backbone, FPN, guided filter. Trains anywhere."""

    variant: str = "fpn"
    channels: int = ranged(128, 8)
    """Width of the decoder."""
    filter_radius: int = ranged(1, 1)
    """Of the guided filter, in pixels of its low resolution."""
    filter_eps: float = ranged(1e-4, 1e-12, 1)
    """Of the guided filter: variance of the picture below which it smooths."""


@dataclass
class ReleasedConfig(FpnConfig):
    """The authors' network, for their weights. Theirs has 256 channels."""

    variant: str = "released"
    encoder_layers: int = ranged(6, 0)
    """Layers of deformable attention. Fewer are for tests: the authors' weights have 6."""
    feedforward: int = ranged(1024, 1)
    """Hidden width of these layers. Less is for tests: the authors' weights have 1024."""

    def problems(self) -> Iterator[str]:
        if self.channels < 64 or self.channels % 32:
            yield f"channels={self.channels}: the released network needs a multiple of 32 from 64 on"


@dataclass
class DetailConfig(NetworkConfig):
    """A learned path to full resolution beside the backbone's maps (plain ViTs too), which may be shown a trimap."""

    variant: str = "detail"
    channels: int = ranged(128, 8)
    """Width of the decoder."""
    detail_channels: int = ranged(16, 1)
    """Width of the path at full resolution."""
    gradient_checkpointing: bool = False
    """Less memory, a third more time."""
    channels_last: bool = False
    """How tensors lie in memory."""
    semantic_head: bool = False
    """A second output at 1/16 of the size: what is foreground at all. A fit with losses.semantic turns it on."""

    takes_trimap: ClassVar[bool] = True
    switches: ClassVar[tuple[str, ...]] = ("gradient_checkpointing", "channels_last", "semantic_head")
    """They cost or save time and memory, or add an output that is learned beside alpha."""


class Variant(NamedTuple):
    options: type[NetworkConfig]
    network: str
    """"module:Class"; the class is made of an instance of `options` and imported when it is built."""


VARIANTS: dict[str, Variant] = {
    "fpn": Variant(FpnConfig, "stylematte.networks.stylematte:StyleMatte"),
    "released": Variant(ReleasedConfig, "stylematte.networks.released.network:ReleasedStyleMatte"),
    "detail": Variant(DetailConfig, "stylematte.networks.detail:DetailStyleMatte"),
}


def variant(name: str) -> Variant:
    """The registered variant of that name. Raises ValueError with the names there are."""
    if name not in VARIANTS:
        near = difflib.get_close_matches(str(name), VARIANTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VARIANTS)}"
        raise ValueError(f"variant {name!r}: no such network; {hint}")
    return VARIANTS[name]


C = TypeVar("C", bound=NetworkConfig)


def checked(config: C) -> C:
    """A copy of `config` for a network to keep. Raises ValueError with what of it is impossible, in one line."""
    if wrong := list(impossible(config)):
        raise ValueError(f"network {config.variant}: {'; '.join(wrong)}")
    return copy.deepcopy(config)


def network_from_plain(plain: Mapping[str, Any]) -> NetworkConfig:
    """The options of whichever variant plain["variant"] names. Raises ValueError."""
    return from_plain(variant(plain.get("variant", "fpn")).options, plain)


@dataclass
class MatterLossConfig:
    """Weights. `known` and what follows apply to pictures with a trimap alone, the others to pictures with an alpha."""

    l1: float = ranged(1.0, 0)
    """Mean absolute difference of alpha."""
    laplacian: float = ranged(0.5, 0)
    """Difference of Laplacian pyramids: edges at every scale (Hou and Liu 2019)."""
    gradient: float = ranged(0.5, 0)
    """Difference of alpha's gradients: sharp hair."""
    composition: float = ranged(1.0, 0)
    """Difference of the pictures that both alphas compose from the same foreground and background."""
    semantic: float = ranged(0.0, 0)
    """What is foreground at all, learned by a head at 1/16 of the size (detail): against gross failures."""
    known: float = ranged(1.0, 0)
    """The known region of a trimap: mean absolute difference over its known pixels."""
    ddc: float = ranged(2.0, 0)
    """Its unknown region: alpha may change where colours do. About 2 for a small network from random weights; the
    paper's 10 suits a pretrained ViT at 512 x 512 and spoils a small one (a matte gone flat stops the fit by name). At
    64 x 64 no weight was better than the known region alone: docs/without-alpha.md."""
    closed_form: float = ranged(0.0, 0)
    """Its unknown region against the closed-form matte that `prepare` then solves (0.02 s a picture at 64 x 64).
    Tight trimaps: set 0.5, it beats every local loss (unknown-region SAD .070 against .107 with ddc alone). Wide ones,
    and those of coarse masks: leave it at 0, nothing local carries colour that far."""

    @classmethod
    def only(cls, **weights: float) -> MatterLossConfig:
        """These weights, and 0 for every other term."""
        return cls(**{**{item.name: 0.0 for item in fields(cls)}, **weights})


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
    window: int = ranged(11, 3, 101)
    """Side of the square, in pixels, in which similar colours are looked for; odd."""
    neighbours: int = ranged(11, 1)
    """How many of the nearest colours a pixel's alpha is compared with."""
    border: DdcBorder = DdcBorder.exclude
    """What lies outside the picture. zero compares with black and pulls dark frames towards alpha 0."""
    include_self: bool = False
    """Whether a pixel is among its own neighbours; it says nothing about itself."""
    region: DdcRegion = DdcRegion.unknown
    """unknown: where the trimap says nothing. all pulls at the known region, too."""
    warmup: int | None = ranged(None, 0)
    """Steps over which its weight rises from 0; null = half of the fit. At full weight from the start, a network that
    knows nothing yet learns to be flat."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        half = self.window // 2 + 1
        most = half**2 - 1 if self.border is DdcBorder.exclude else self.window**2 - 1
        if self.window % 2 == 0:
            yield f"window={self.window}: expected an odd number, 3 or more"
        elif self.neighbours > most:
            yield f"neighbours={self.neighbours}: expected a number from 1 to {most}"


@dataclass
class FitConfig:
    steps: int = ranged(1000, 1)
    """Optimizer steps of one fit."""
    tick: int = ranged(50, 1)
    """Steps between checkpoints; a stop signal waits at most this long."""
    batch: int = ranged(16, 1)
    """Global batch, over all devices."""
    workers: int = ranged(0, 0)
    """Data loading processes per device."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.tick > 0 and self.steps % self.tick:
            yield f"steps={self.steps}: expected a multiple of tick={self.tick}"


class PhotometryPlace(str, Enum):
    cpu = "cpu"
    device = "device"


class Placement(str, Enum):
    free = "free"
    labelled = "labelled"
    everywhere = "everywhere"


@dataclass
class MatterFitConfig(FitConfig):
    steps: int = ranged(1000, 0)
    """Optimizer steps of one fit. matter.first.steps=0: no fit, matter.init_from is round 0's matter as it is."""
    lr: float = ranged(1e-3, 1e-9, 1)
    """Of AdamW, after the warm-up."""
    backbone_lr: float = ranged(1.0, 0, 10)
    """The backbone's learning rate, as a multiple of lr: 0.1 or less keeps what pretrained weights know."""
    layer_decay: float = ranged(1.0, 0.1, 1)
    """Factor on the backbone's learning rate from each of its layers to the one before: 0.65 to 0.9 for ViTs."""
    freeze_backbone: int = ranged(0, 0)
    """Steps at the beginning in which the backbone stays as it is, BatchNorm statistics and drop-path included."""
    weight_decay: float = ranged(1e-2, 0)
    """Of AdamW, on matrices and kernels; norms and biases have none."""
    warmup: int = ranged(50, 0)
    """Steps of linear warm-up, then cosine to lr/100."""
    ema: float = ranged(0.995, 0, 0.99999)
    """Decay per step of the averaged weights, which are what a fit gives."""
    clip: float = ranged(1.0, 0)
    """Gradient norm clip; 0 = off."""
    mask_share: float = ranged(0.0, 0, 1)
    """Share of a domain's real pictures in a batch that are of kind `mask`, if it has labelled ones, too."""
    trimap_share: float = ranged(0.25, 0, 1)
    """The same for pictures of kind `trimap`."""
    shares: dict[str, float] = field(default_factory=dict)
    """Relative shares of real pictures by domain and extra subject, e.g. {animals: 0.5}; a domain not named has 1, an
    extra subject 0.5. A dozen pictures at a share of 1 are learned by heart."""
    new_background: float = ranged(0.5, 0, 1)
    """Probability that a real picture's foreground is put on a new background."""
    hard_background: float = ranged(0.0, 0, 1)
    """Probability that a new background has the mean colour of a visible part of the subject: flat, or with a slight
    slope and noise. The subject can then be told from it by its shape alone."""
    placement: Placement = Placement.free
    """Where cut-outs and pairs stand on their new backgrounds. free: their own place, size and place changed at random.
    labelled: position and size of a labelled subject of the domain, drawn anew each time, with jitter. everywhere: the
    foregrounds of labelled pictures on new backgrounds, too (without any road, -7 and -12 % SAD: docs/roads.md), which
    is all that it is in round 0."""
    crop_share: float = ranged(0.5, 0, 1)
    """With data.max_side: share of a batch's real pictures that are crops at native scale, most around the transition
    band of alpha; the others are views at low scale. Prediction sees photos, or tiles, at the crops' scale; at 0 it
    sees them whole at matter.size."""
    zoom: float = ranged(1.0, 1, 64)
    """With data.max_side: the views at low scale show a square part of the picture, of its longest side over 1 to this
    (even in the logarithm). At 1 they show all. Above it subjects of every size are seen, heads and whole bodies."""
    trimap_shown: float = ranged(0.0, 0, 1)
    """Probability that the network is shown a sample's trimap, widened at random (detail): between 0 and 1 one network
    learns to matte with a trimap and without."""
    photometry: PhotometryPlace = PhotometryPlace.cpu
    """Who changes colours, blurs, adds noise and JPEG: the loading processes, or kornia where the network is. device
    halves the work of loading and is for GPUs. Same kinds and ranges, other random numbers."""
    validations: int = ranged(0, 0)
    """Times in the fit that the averaged network is measured on held-out pictures (at most 24 of each domain): a curve,
    a sheet of mattes and the best weights, in `validation/` of the fit's folder. Changes nothing of what is learned."""
    pick: bool = False
    """The fit gives the best weights of its validations, not the last. They were chosen by held-out pictures, so the
    round's own figures flatter a little."""
    losses: MatterLossConfig = field(default_factory=MatterLossConfig)
    ddc: DdcConfig = field(default_factory=DdcConfig)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not any(
            value > 0
            for value in (self.losses.l1, self.losses.laplacian, self.losses.gradient, self.losses.composition)
        ):
            yield "losses: every weight of l1, laplacian, gradient and composition is 0; one must be positive"
        if self.pick and not self.validations:
            yield "pick=True: there is nothing to pick from; set validations to 5 or more"
        if self.losses.known == 0:
            yield "losses.known=0.0: expected a positive weight, else nothing keeps a matte learned from trimaps"

    def needs_trimap_input(self) -> dict[str, float]:
        """What of this fit only a network with `takes_trimap` can do, and has been asked for: key -> value."""
        asked = {"trimap_shown": self.trimap_shown, "losses.semantic": self.losses.semantic}
        return {key: value for key, value in asked.items() if value}


@dataclass
class RoadsConfig:
    """Relative weights of the ways from an unlabelled photo to the matter, in what labelled pictures leave of the loss.

    No picture gets more of it than a real one of its domain; what a road cannot use, real pictures keep.
    """

    photos: float = ranged(0.0, 0)
    """The photo itself, with the accepted matter's alpha as target: weighted per pixel by the agreement of its views
    and per picture by its confidence."""
    cutouts: float = ranged(0.0, 0)
    """The subject of the photo, as the accepted matter cuts it out, on new backgrounds."""
    pairs: float = ranged(1.0, 0)
    """The generator's kept pairs on new backgrounds."""
    trimaps: float = ranged(0.0, 0)
    """The photo with a trimap of what the accepted matter is sure of; losses.known, ddc and closed_form apply."""

    def read_labels(self) -> bool:
        """Whether a fit needs what `label` writes of single photos."""
        return self.photos > 0 or self.cutouts > 0 or self.trimaps > 0

    def open(self) -> dict[str, float]:
        """The roads with a weight above 0."""
        weights = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: weight for name, weight in weights.items() if weight > 0}


class Start(str, Enum):
    accepted = "accepted"
    fresh = "fresh"


class Pools(str, Enum):
    accumulate = "accumulate"
    latest = "latest"


@dataclass
class LaterMatterFitConfig(MatterFitConfig):
    """A fit from round 1 on: what labelling and generating have made joins the real pictures."""

    real_weight: float = ranged(0.5, 0.5, 1)
    """Share of the loss that real pictures keep, and they keep more where the roads have few. At 1 nothing else joins
    (control)."""
    roads: RoadsConfig = field(default_factory=RoadsConfig)
    student_photometry: float = ranged(2.0, 0.1, 4)
    """On road `photos`, how many times as strong as elsewhere colour changes, blur, noise and JPEG are. The accepted
    matter saw the photo as it is; its student has to say the same of a worse one (noisy student, 1911.04252)."""
    start: Start = Start.accepted
    """The weights a fit begins with: the accepted matter's, or as in round 0 (matter.init_from,
    network.backbone.weights, or random)."""
    pools: Pools = Pools.accumulate
    """Kept pairs of all rounds so far, or of this round alone (latest)."""
    pair_age: float = ranged(1.0, 0, 1)
    """Loss weight of a kept pair for each round that it is older than the newest: 1 = all alike, 0.5 = half for each.
    The pairs' share of the loss as a whole does not change, and real pictures keep theirs."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.steps == 0:
            yield "steps=0: expected 1 or more; only matter.first can do without a fit"

    def without_the_loop(self) -> MatterFitConfig:
        """The same fit without what only the loop knows of."""
        return MatterFitConfig(**{item.name: getattr(self, item.name) for item in fields(MatterFitConfig)})


@dataclass
class MatterConfig:
    network: NetworkConfig = field(default_factory=FpnConfig)
    """matter.network.variant chooses which keys there are: fpn, released or detail."""
    init_from: str | None = None
    """A matter that round 0 starts from: a matter folder, an export, a run (its best one), or what
    `stylematte import-weights` wrote. matter.network must be as it is there."""
    size: int | None = ranged(None, 16)
    """Side of the squares that fits see, in pixels; null = data.size. Another one needs data.max_side."""
    compile: bool = False
    """Fits run through torch.compile: minutes at their start, less time a step. Needs a C++ compiler."""
    first: MatterFitConfig = field(default_factory=MatterFitConfig)
    """Round 0: on real pairs alone, from init_from, or random (or network.backbone.weights)."""
    later: LaterMatterFitConfig = field(default_factory=LaterMatterFitConfig)
    """Rounds 1, 2, ...: what labelling and generating made joins; matter.later.start says from which weights."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.first.steps == 0 and self.init_from is None:
            yield "first.steps=0: round 0 without a fit needs a matter; set matter.init_from"
        if self.init_from is not None and self.network.backbone.weights is not None:
            yield "init_from: brings its own backbone; set matter.network.backbone.weights=null"

"""The configuration's schema: every key, its type, its default and what it means.

`loop.config.load` turns a YAML file and key=value words into one of these; `loop.config.checks` refuses
impossible values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from loop.engine.config import LaunchConfig
from stylematte.config import MatterConfig
from stylematte.fields import ranged
from stylematte.refine.rules import RefineRules
from stylemattegan.config import GeneratorConfig
from stylemattegan.latent_config import EnhanceConfig, GateConfig, InvertConfig


class WandbMode(str, Enum):
    offline = "offline"
    online = "online"
    disabled = "disabled"


@dataclass
class RunConfig:
    dir: str = "runs/default"
    """The run folder. Everything the loop writes is below it."""
    seed: int = ranged(0, 0)
    """Everything random in a run is a function of it and of a position."""
    rounds: int = ranged(2, 0)
    """Rounds after round 0 (round 0 trains the matter on real pairs alone)."""
    control: bool = False
    """Beside the loop, from round 1 on, fit the same matter on real pairs alone, with as many steps and pictures in
    each round: the loop is worth what it gains over this control, not over round 0. Costs a matter's fit a round."""


@dataclass
class DrawnConfig:
    """How many pictures the drawn data set has, per domain (used when data.root is null)."""

    alpha: int = ranged(96, 2)
    """Labelled training pictures."""
    heldout: int = ranged(24, 2)
    """Labelled pictures kept for measurement."""
    none: int = ranged(128, 2)
    """Unlabelled photos."""
    backgrounds: int = ranged(64, 2)
    """Background pictures, shared by all domains."""
    seed: int = ranged(1, 0)
    """Other numbers draw other pictures."""
    oracle: bool = False
    """Oracle for experiments: the unlabelled photos come with their true alpha, as labelled training pictures."""


@dataclass
class HeldoutConfig:
    """Percent of the pictures of each kind that are held out, by a hash of the file name."""

    alpha: int = ranged(40, 0, 90)
    """Of pictures with a true alpha."""
    pseudo_alpha: int = ranged(40, 0, 90)
    """Of pictures with somebody's pseudo-alpha; 0 = measure against true ones alone."""


class MaskAs(str, Enum):
    """What a hard mask teaches the matter."""

    trimap = "trimap"
    alpha = "alpha"


@dataclass
class TrimapConfig:
    """How a mask becomes a trimap: unknown around its edge, in units of the square root of the subject's area."""

    radius: float = ranged(0.05, 0, 0.5)
    """Inside the mask; 0.05 of a subject 100 pixels across is 5 pixels."""
    outward: float | None = ranged(None, 0, 1)
    """Outside the mask; null = as inside. Hair reaches past a mask, so shaggy subjects want more."""


@dataclass
class RootConfig:
    """One of several data roots (docs/datasets.md)."""

    root: str = ""
    """Folder with manifest.csv, a published data set as it was unpacked, image/ and alpha/, or pictures alone."""
    domain: str | None = None
    """Domain (or extra subject) of all its pictures; null = as its manifest or layout says."""
    kind: str | None = None
    """Of all its pictures, in place of what its manifest or layout says (pseudo-alpha, mask, none, background ...)."""
    layout: str = "auto"
    """How it lies on disk; auto = found by its folders."""
    share: float | None = ranged(None, 0)
    """Relative weight of its labelled pictures in their domain; null = as many as there are. For all roots or none."""


@dataclass
class DataConfig:
    root: str | None = None
    """Folder with manifest.csv, or a published data set as it was unpacked; null draws the pictures by code. A list of
    folders, or of {root, domain, kind, layout, share}, is data.roots."""
    roots: list[RootConfig] = field(default_factory=list)
    """Several data roots."""
    backgrounds: str | None = None
    """Folder of pictures without a subject, searched to the bottom, for composites, beside rows of kind background."""
    size: int = 64
    """Pictures are brought to size x size: longest side scaled, rest padded by reflection. The generator's size."""
    max_side: int = ranged(0, 0)
    """0: the matter learns from those squares. Else pictures keep their resolution up to this longest side (2048), and
    the matter learns from crops at native scale and whole views, matter.size a side (docs/datasets.md)."""
    domains: dict[str, str] = field(default_factory=dict)
    """Domain name -> the manifest's `subject`, e.g. {portraits: portrait, animals: animal}."""
    extra_subjects: list[str] = field(default_factory=list)
    """Subjects that train the matter but belong to no domain (never measured, never seen by a generator)."""
    learn_from: dict[str, list[str]] = field(default_factory=dict)
    """Domain -> the kinds that may train, e.g. {animals: [mask, trimap, none]}; a domain not named here uses all.
    Other training pictures are excluded, from the generators too; held-out ones stay."""
    weaken: list[str] = field(default_factory=list)
    """Domains whose training alphas are cut down to hard masks first: what is lost without alphas? Held-out stay."""
    mask_as: MaskAs = MaskAs.trimap
    """trimap: a mask is sure only away from its edge (the known region and ddc learn from it). alpha: it is believed
    to the pixel, so the matter learns hard edges."""
    trimap: TrimapConfig = field(default_factory=TrimapConfig)
    drawn: DrawnConfig = field(default_factory=DrawnConfig)
    heldout: HeldoutConfig = field(default_factory=HeldoutConfig)
    max_per_source: int = ranged(0, 0)
    """Use at most this many pictures of each (subject, kind); 0 = all. For quick looks."""

    def all_roots(self) -> list[RootConfig]:
        """What is read: none if pictures are drawn by code."""
        roots = ([] if self.root is None else [RootConfig(self.root)]) + list(self.roots)
        behind = (
            [] if self.backgrounds is None else [RootConfig(self.backgrounds, kind="background", layout="pictures")]
        )
        return roots + behind if roots else []

    def root_shares(self) -> list[float | None]:
        """Of `all_roots`, by their number; none if no root has one."""
        shares = [root.share for root in self.all_roots()]
        return shares if any(shares) else []


@dataclass
class LabelConfig:
    min_confidence: float = ranged(0.9, 0, 1)
    """Photos whose flip/scale agreement is lower are left out."""
    min_foreground: float = ranged(0.03, 0, 1)
    """Photos with a smaller share of foreground are left out: nothing is there."""
    max_foreground: float = ranged(0.95, 0, 1)
    """Photos with a larger share are left out: no background is to be seen."""
    min_fill: float = ranged(0.0, 0, 1)
    """Cut-outs that fill less of the square around their subject are not shown to the generator: people who stand among
    faces, animals at full length among heads. Few pictures teach it one framing, not several. The roads of matter.later
    keep them."""
    ensemble: bool = False
    """The alpha is the mean of eight views (mirrored, larger, in other light) instead of two; labels take four times as
    long. docs/roads.md has what it is worth."""
    sharpen: float = ranged(1.0, 1, 10)
    """Power that draws the alpha to 0 or 1 where the matter leans to one of them; 1 leaves it as it is."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.min_foreground >= self.max_foreground:
            yield f"min_foreground={self.min_foreground}: expected less than max_foreground={self.max_foreground}"


class PairSource(str, Enum):
    """Who makes the cut-outs that become pairs."""

    generator = "generator"
    drawn = "drawn"
    chroma = "chroma"
    spoilt = "spoilt"


@dataclass
class SynthesizeConfig:
    source: PairSource = PairSource.generator
    """drawn: an oracle for experiments on drawn pictures, flawless cut-outs in the generators' place. chroma: the same
    subjects before a green or blue screen, keyed and despilled. spoilt: their alphas with what layer-diffusion
    generators do wrong (`stylematte.refine.artefacts.spoil`)."""
    count: int = ranged(400, 1)
    """Cut-outs of each domain and round."""
    psi: tuple[float, float] = (0.5, 1.0)
    """Truncation is drawn uniformly from this interval; it must not contain 0."""
    count_by_round: list[int] = field(default_factory=list)
    """Of the rounds 1, 2, ... in place of count; the last one holds. [] = count in every round."""
    psi_by_round: list[list[float]] = field(default_factory=list)
    """Intervals of the rounds 1, 2, ... in place of psi; the last one holds: a young generator draws best near its
    mean, a grown one may show what is rare. [] = psi in every round."""
    batch: int = ranged(16, 1)
    """Pictures drawn at once; they do not depend on it."""
    per_shard: int = ranged(0, 0)
    """What is drawn and what is kept of it are tar shards of so many pictures (docs/pools.md): a killed stage goes on
    shard by shard, and a folder holds a few files instead of thousands. 0 = a PNG for each picture."""

    def count_in(self, round_: int) -> int:
        """Of that round, from 1."""
        return self.count_by_round[min(round_, len(self.count_by_round)) - 1] if self.count_by_round else self.count

    def psi_in(self, round_: int) -> tuple[float, float]:
        """The interval of that round, from 1."""
        if not self.psi_by_round:
            return self.psi
        low, high = self.psi_by_round[min(round_, len(self.psi_by_round)) - 1]
        return low, high

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        low, high = self.psi
        if not 0 < low <= high < float("inf"):
            yield f"psi=[{low}, {high}]: expected 0 < low <= high (at psi 0 every sample is the same picture)"
        if any(count < 1 for count in self.count_by_round):
            yield f"count_by_round={self.count_by_round}: expected numbers of 1 or more"
        if not all(len(psi) == 2 and 0 < psi[0] <= psi[1] < float("inf") for psi in self.psi_by_round):
            yield f"psi_by_round={self.psi_by_round}: expected intervals [low, high] with 0 < low <= high"


@dataclass
class SelectConfig:
    max_disagreement: float = ranged(0.08, 0, 1)
    """Mean absolute difference between the generator's alpha and the matter's on new backgrounds."""
    backgrounds: int = ranged(2, 1)
    """New backgrounds on which the matter is asked, the mean of which counts."""
    min_foreground: float = ranged(0.05, 0, 1)
    """Pairs with a smaller share of foreground are refused."""
    max_foreground: float = ranged(0.9, 0, 1)
    """Pairs with a larger share are refused."""
    min_body: float = ranged(0.95, 0, 1)
    """Share of the foreground in its largest connected body."""
    max_similarity: float = ranged(0.985, -1, 1)
    """Correlation of two small RGBA thumbnails above which the later one is a near-duplicate."""
    max_cut_sides: int = ranged(4, 0, 4)
    """Sides of the frame that may cut the subject: a person is cut by one, rarely by two; 4 = never asked."""
    max_real_similarity: float = ranged(1.0, -1, 1)
    """As max_similarity, with the cut-outs that the generator learned from, mirrored ones too: above it a pair is
    memorised. 1 = never asked."""
    min_hash_bits: int = ranged(0, 0, 64)
    """Of 128 bits of a perceptual hash those that differ from any pair kept before, mirrored ones too: fewer is a
    near-duplicate. 0 = never asked."""
    min_real_hash_bits: int = ranged(0, 0, 64)
    """The same with the cut-outs that the generator learned from: fewer is memorised. 0 = never asked."""
    min_feature_distance: float = ranged(0.0, 0)
    """Distance of the accepted matter's features from any pair kept before; 1 is how far apart a training cut-out and
    the nearest other one are, in the median. Less is a near-duplicate. 0 = never asked."""
    min_real_feature_distance: float = ranged(0.0, 0)
    """The same from the cut-outs that the generator learned from: less is memorised. 0 = never asked."""
    min_detail: float = ranged(0.0, 0, 1)
    """A pair with less than this share of the detail that the cut-outs its generator learned from have in the median is
    blurred: a matter agrees with whatever is one opaque body, a bean too. 0 = never asked."""
    cover: bool = False
    """Where `keep` leaves some, take them evenly from around the cut-outs that the generator learned from, the best
    agreeing of each neighbourhood first, instead of the best agreeing of all."""
    previous: bool = False
    """Ask the accepted matter of the round before, too: it must agree as well, and counts as a view of reliability."""
    reliability: bool = False
    """Ask the matter for four views of each kept pair and write how far each pixel's alpha may be believed, 1 minus the
    largest difference of any two views and the generator's alpha; `fit_matter` weights its loss on the pair by it."""
    keep: int = ranged(0, 0)
    """Keep at most this many (the best agreeing ones); 0 = all that pass."""

    def compares_hashes(self) -> bool:
        return self.min_hash_bits > 0 or self.min_real_hash_bits > 0

    def compares_features(self) -> bool:
        return self.cover or self.min_feature_distance > 0 or self.min_real_feature_distance > 0

    def reads_training_pictures(self) -> bool:
        looks = self.max_real_similarity < 1 or self.min_real_hash_bits > 0 or self.min_detail > 0
        return looks or self.compares_features()

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.min_foreground >= self.max_foreground:
            yield f"min_foreground={self.min_foreground}: expected less than max_foreground={self.max_foreground}"
        if self.cover and not self.keep:
            yield "cover=true: expected a keep of 1 or more, for there is nothing to choose from all that pass"


@dataclass
class EnhancementConfig:
    """Pictures moved in latent space to where the accepted matter mattes them easily (docs/enhancement.md)."""

    generated: list[str] = field(default_factory=list)
    """Domains whose weakest generated samples are enhanced: those that `select` refused for disagreement."""
    real: list[str] = field(default_factory=list)
    """Domains whose least sure unlabelled photos are inverted and enhanced."""
    count: int = ranged(32, 1)
    """Pictures of each kind, domain and round, at most."""
    batch: int = ranged(8, 1)
    """Pictures moved at once."""
    weight: float = ranged(1.0, 1e-6)
    """Of the pairs in the matter's fit, relative to those of matter.later.roads."""
    move: EnhanceConfig = field(default_factory=EnhanceConfig)
    invert: InvertConfig = field(default_factory=InvertConfig)
    gate: GateConfig = field(default_factory=GateConfig)

    def domains(self) -> set[str]:
        """In which the stage is on."""
        return {*self.generated, *self.real}


@dataclass
class RefineConfig:
    """Which domains' alphas are refined by the connectivity prior (docs/refinement.md); none by default."""

    cutouts: list[str] = field(default_factory=list)
    """Domains whose photos' cut-outs are refined after `label`, before a generator learns from them."""
    pairs: list[str] = field(default_factory=list)
    """Domains whose generated cut-outs are refined before `select`."""
    rules: RefineRules = field(default_factory=RefineRules)
    """When a refined alpha is accepted."""
    rules_of: dict[str, RefineRules] = field(default_factory=dict)
    """Domain -> rules of its own, in place of `rules`: {animals: {max_half_seen: 0.6}}."""

    def rules_for(self, domain: str) -> RefineRules:
        return self.rules_of.get(domain, self.rules)


@dataclass
class WatchConfig:
    """The collapse watch. A value beyond a threshold stops the run (exit code 4); null = measured, never stops."""

    images: int = ranged(2000, 2)
    """Generated and real pictures that are looked at, at most."""
    min_spread: float | None = ranged(0.05, 0)
    """Standard deviation of generated thumbnails over that of the training set's; healthy: 0.68 to 1.02, a
    generator that has just begun: 0.18, one that draws one picture: 0."""
    min_truncated_spread: float | None = ranged(0.25, 0)
    """Standard deviation of generated thumbnails over that of the same seeds at psi 1; psi 0.5 to 1: 0.83 to 0.86, psi
    0.1: 0.09 to 0.17."""
    min_area_spread: float | None = ranged(0.03, 0)
    """As min_spread, of the subjects' areas alone; healthy: 0.53 to 0.58, just begun: 0.13, one picture: 0."""
    min_precision: float | None = ranged(None, 0, 1)
    """Share of generated pictures near real ones; young loops: 0 to 0.3, so off."""
    min_recall: float | None = ranged(None, 0, 1)
    """Share of real pictures near generated ones; young loops: 0 to 0.1, so off."""
    min_coverage: float | None = ranged(None, 0, 1)
    """Share of real pictures with a generated one among their neighbours; young loops: 0 to 0.13, so off."""
    max_area_ratio: float | None = ranged(3.0, 1)
    """Factor, up or down, between the mean area of generated and real subjects."""
    max_width_ratio: float | None = ranged(None, 1)
    """Factor, up or down, between the transition widths of generated and real alphas; just begun: 5 to 80, so off."""
    max_soft_ratio: float | None = ranged(None, 1)
    """Factor, up or down, between the soft shares of generated and real subjects; young ones draw haze, so off."""
    max_holes: float | None = ranged(0.5, 0, 1)
    """Share of holes in generated subjects."""
    max_disagreement: float | None = ranged(0.5, 0, 1)
    """Mean difference of the generator's alphas and the matter's, over all candidates; healthy: 0.08 to 0.13."""
    max_refused: float | None = ranged(None, 0, 1)
    """Share of pairs that `select` refuses; young loops: up to 0.97, so off."""
    min_matter_foreground: float | None = ranged(0.25, 0)
    """Mean foreground that the matter sees over that of labelled pictures; healthy: 0.97 to 1.01."""
    min_matter_background: float | None = ranged(0.25, 0)
    """Mean background that the matter sees over that of labelled pictures; healthy: 0.99 to 1.03."""
    min_matter_confidence: float | None = ranged(0.3, 0, 1)
    """Mean confidence of the labels of photos of kind `none`, kept or not; healthy: 0.91 to 0.94."""


@dataclass
class AcceptConfig:
    margin: float = ranged(0.05, 0)
    """Not worse: the upper bound of the relative change of SAD may be at most this."""
    must_improve: list[str] = field(default_factory=list)
    """Domains in which the upper bound must be below 0."""
    confidence: float = ranged(0.95, 0.5, 0.999)
    """Of the intervals that a verdict rests on."""
    resamples: int = ranged(10000, 100)
    """Of the paired bootstrap."""
    stop_after: int = ranged(0, 0)
    """Stop the run (exit code 4) after this many refused rounds in a row; 0 = never."""


@dataclass
class TrackingConfig:
    wandb: WandbMode = WandbMode.offline
    """offline writes W&B's files for a later `wandb sync`; online sends them; disabled writes none."""
    project: str = "stylematte"
    """Of W&B."""
    code: bool = True
    """W&B records the git remote, the commit and the changes not committed, as by default; false: nothing of these."""
    previews: int = ranged(8, 0)
    """How often a fit shows the mirrors what it can do: held-out SAD and mattes, or generated cut-outs."""
    upload: bool = False
    """Send the files of each round's matter and generators to W&B; else its artifacts only name where they lie."""
    tensorboard: bool = False
    """Also write TensorBoard events below RUN/tensorboard (needs the extra `tensorboard`)."""


@dataclass
class Config:
    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    matter: MatterConfig = field(default_factory=MatterConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    synthesize: SynthesizeConfig = field(default_factory=SynthesizeConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    enhance: EnhancementConfig = field(default_factory=EnhancementConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    accept: AcceptConfig = field(default_factory=AcceptConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

"""The configuration's schema: every key, its type, its default and what it means.

`loop.config.load` turns a YAML file and key=value words into one of these; `loop.config.checks` refuses
impossible values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from stylematte.config import MatterConfig
from stylemattegan.config import GeneratorConfig


class Launch(str, Enum):
    """Where a stage's process runs."""

    inline = "inline"
    torchrun = "torchrun"


class WandbMode(str, Enum):
    offline = "offline"
    online = "online"
    disabled = "disabled"


@dataclass
class RunConfig:
    dir: str = "runs/default"
    """The run folder. Everything the loop writes is below it."""
    seed: int = 0
    rounds: int = 2
    """Rounds after round 0 (round 0 trains the matter on real pairs alone)."""


@dataclass
class DrawnConfig:
    """How many pictures the drawn data set has, per domain (used when data.root is null)."""

    alpha: int = 96
    """Labelled training pictures."""
    heldout: int = 24
    """Labelled pictures kept for measurement."""
    none: int = 128
    """Unlabelled photos."""
    backgrounds: int = 64
    """Background pictures, shared by all domains."""
    seed: int = 1


@dataclass
class HeldoutConfig:
    """Percent of the pictures of each kind that are held out, by a hash of the file name."""

    alpha: int = 40
    pseudo_alpha: int = 40


class MaskAs(str, Enum):
    """What a hard mask teaches the matter."""

    trimap = "trimap"
    alpha = "alpha"


@dataclass
class TrimapConfig:
    """How a mask becomes a trimap: unknown around its edge, in units of the square root of the subject's area."""

    radius: float = 0.05
    outward: float | None = None
    """Outside the mask; null = as inside. Hair reaches past a mask, so shaggy subjects want more."""


@dataclass
class DataConfig:
    root: str | None = None
    """Folder with manifest.csv; null draws the pictures by code."""
    size: int = 64
    """Pictures are brought to size x size: longest side scaled, rest padded by reflection."""
    domains: dict[str, str] = field(default_factory=dict)
    """Domain name -> the manifest's `subject`, e.g. {portraits: portrait, animals: animal}."""
    extra_subjects: list[str] = field(default_factory=list)
    """Subjects that train the matter but belong to no domain (never measured, never seen by a generator)."""
    learn_from: dict[str, list[str]] = field(default_factory=dict)
    """Domain -> the kinds that may train, e.g. {animals: [mask, trimap, none]}; a domain not named here uses all.
    Other training pictures are set aside, from the generators too; held-out ones stay."""
    weaken: list[str] = field(default_factory=list)
    """Domains whose training alphas are cut down to hard masks first: what is lost without alphas? Held-out stay."""
    mask_as: MaskAs = MaskAs.trimap
    """trimap: a mask is sure only away from its edge (the known region and ddc learn from it). alpha: it is believed
    to the pixel, so the matter learns hard edges."""
    trimap: TrimapConfig = field(default_factory=TrimapConfig)
    drawn: DrawnConfig = field(default_factory=DrawnConfig)
    heldout: HeldoutConfig = field(default_factory=HeldoutConfig)
    max_per_source: int = 0
    """Use at most this many pictures of each (subject, kind); 0 = all. For quick looks."""


@dataclass
class LabelConfig:
    min_confidence: float = 0.9
    """Photos whose flip/scale agreement is lower are left out."""
    min_foreground: float = 0.03
    max_foreground: float = 0.95


@dataclass
class SynthesizeConfig:
    count: int = 400
    psi: tuple[float, float] = (0.5, 1.0)
    """Truncation is drawn uniformly from this interval; it must not contain 0."""
    batch: int = 16


@dataclass
class SelectConfig:
    max_disagreement: float = 0.08
    """Mean absolute difference between the generator's alpha and the matter's on new backgrounds."""
    backgrounds: int = 2
    min_foreground: float = 0.05
    max_foreground: float = 0.9
    min_body: float = 0.95
    """Share of the foreground in its largest connected body."""
    max_similarity: float = 0.985
    """Correlation of two small RGBA thumbnails above which the later one is a near-duplicate."""
    keep: int = 0
    """Keep at most this many (the best agreeing ones); 0 = all that pass."""


@dataclass
class AcceptConfig:
    margin: float = 0.05
    """Not worse: the upper bound of the relative change of SAD may be at most this."""
    must_improve: list[str] = field(default_factory=list)
    """Domains in which the upper bound must be below 0."""
    confidence: float = 0.95
    resamples: int = 10000
    stop_after: int = 0
    """Stop the run (exit code 4) after this many refused rounds in a row; 0 = never."""


@dataclass
class LaunchConfig:
    kind: Launch = Launch.inline
    devices: int = 1
    """Processes of each fit."""
    at_once: int = 1
    """Steps that may run at the same time when none needs the other, such as the generator fits of two domains. They
    share the CPU cores and the GPUs. With kind=inline only fits run apart, each in a process of its own."""
    accelerator: str = "auto"
    """auto, cpu or gpu."""
    precision: str = "32-true"
    """Of the matter's fits: 32-true or bf16-mixed. Generators are always fitted in 32-true."""
    heartbeat_timeout: float = 900.0
    """Seconds without a sign of life after which a fit is stopped and tried again."""
    stop_grace: float = 120.0
    """Seconds a fit may take to reach its next checkpoint after a stop signal."""
    retries: int = 2
    ask_above: float = 180.0
    """`run` asks before it makes results again that took more seconds than this together; --redo is a yes."""


@dataclass
class TrackingConfig:
    wandb: WandbMode = WandbMode.offline
    project: str = "stylematte"


@dataclass
class Config:
    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    matter: MatterConfig = field(default_factory=MatterConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    synthesize: SynthesizeConfig = field(default_factory=SynthesizeConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    accept: AcceptConfig = field(default_factory=AcceptConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

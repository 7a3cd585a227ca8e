"""What each stage reads of the configuration: one dataclass a stage, made by `loop.plan`, read back in the stage.

Its canonical JSON is part of the step's key: what stands here wakes the stage when it changes, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from loop.config.reviews import Review
from loop.config.schema import (
    AcceptConfig,
    DrawnConfig,
    HeldoutConfig,
    LabelConfig,
    MaskAs,
    RootConfig,
    SelectConfig,
    TrimapConfig,
)
from stylematte.config import MatterFitConfig, NetworkConfig, RoadsConfig, network_from_plain
from stylematte.fields import from_plain
from stylematte.refine.rules import RefineRules
from stylemattegan.config import (
    AlphaRegularizerConfig,
    CompositeDiscriminatorConfig,
    GeneratorFitConfig,
    GeneratorNetworkConfig,
)
from stylemattegan.latent_config import EnhanceConfig, GateConfig, InvertConfig

T = TypeVar("T")


def read(kind: type[T], config: Any) -> T:
    """A stage's `ctx.config`, plain JSON, as the dataclass it was made of. Raises ValueError naming the field."""
    return from_plain(kind, config, {NetworkConfig: network_from_plain})


@dataclass(frozen=True)
class PrepareStep:
    roots: list[RootConfig]
    """None: pictures are drawn by code."""
    fingerprint: str
    """Of the folders: a touched file wakes the stage."""
    size: int
    domains: dict[str, str]
    extra_subjects: list[str]
    learn_from: dict[str, list[str]]
    weaken: list[str]
    trimap: TrimapConfig
    drawn: DrawnConfig
    heldout: HeldoutConfig
    max_per_source: int
    closed_form: bool
    """Whether a fit wants closed-form mattes in the unknown regions of trimaps."""
    max_side: int = 0
    """0: squares of `size`."""


@dataclass(frozen=True)
class LabelStep:
    domain: str
    size: int
    rules: LabelConfig
    trimaps: bool
    """Whether to write trimaps of what the matter is sure of, for matter.later.roads.trimaps."""
    targets: bool
    """Whether to write alphas and foregrounds, for matter.later.roads.photos and cutouts."""
    agreement: bool
    """Whether to write how far each pixel of an alpha may be believed, for matter.later.roads.photos."""


@dataclass(frozen=True)
class GatherCutoutsStep:
    root: str
    fingerprint: str
    """Of the folder `root`: a touched file wakes the stage."""
    size: int


@dataclass(frozen=True)
class FitGeneratorStep:
    round: int
    domain: str
    size: int
    network: GeneratorNetworkConfig
    fit: GeneratorFitConfig
    init_from: str | None = None
    """Folder of a generator that the domain's first fit goes on from. Later fits need it too: it says how the networks
    are built, and is gone back to if the first fit failed."""
    init_digests: Mapping[str, str] = field(default_factory=dict)
    composite_discriminator: CompositeDiscriminatorConfig | None = None
    """None: there is none, and what its section says does not enter the key."""
    backbone_digest: str | None = None
    alpha_regularizer: AlphaRegularizerConfig | None = None


@dataclass(frozen=True)
class SelectGeneratorStep:
    images: int


@dataclass(frozen=True)
class SynthesizeStep:
    round: int
    domain: str
    count: int
    psi: tuple[float, float]
    batch: int
    per_shard: int = 0


@dataclass(frozen=True)
class DrawPairsStep:
    round: int
    domain: str
    subject: str
    size: int
    count: int
    keyed: bool = False
    """Before a green or blue screen, and keyed."""
    spoilt: bool = False
    """Their alphas with artefacts of generators."""


@dataclass(frozen=True)
class RefineStep:
    """Of `refine_cutouts` and of `refine_pairs`."""

    rules: RefineRules


@dataclass(frozen=True)
class SelectStep:
    size: int
    rules: SelectConfig
    per_shard: int = 0
    reviews: Mapping[str, Review] = field(default_factory=dict)
    """Candidate -> what was decided by hand; not in the key where nothing was."""


@dataclass(frozen=True)
class EnhanceStep:
    domain: str
    generated: bool
    real: bool
    count: int
    batch: int
    move: EnhanceConfig
    invert: InvertConfig
    gate: GateConfig


@dataclass(frozen=True)
class WatchStep:
    images: int


@dataclass(frozen=True)
class FitMatterStep:
    round: int
    size: int
    domains: list[str]
    extra_subjects: list[str]
    network: NetworkConfig
    fit: MatterFitConfig
    compile: bool
    precision: str
    mask_as: MaskAs
    real_weight: float
    """Share of the loss that real pictures keep; 1: nothing else joins."""
    roads: RoadsConfig
    student_photometry: float
    pair_age: float = 1.0
    """Weight of a kept pair for each round of its age."""
    backbone_digest: str | None = None
    """Of network.backbone.weights, where the fit begins with them."""
    init_from: str | None = None
    """Folder of the matter that the fit begins with, if it is none of the run's."""
    init_digests: Mapping[str, str] = field(default_factory=dict)
    """Of its files: tensors and description."""
    max_side: int = 0
    """0: pictures are squares of `size`; else of any size up to this longest side, and crops are of `size`."""
    root_shares: list[float | None] = field(default_factory=list)
    """Of the data roots, if they have any."""
    enhanced: float = 0.0
    """Weight of enhanced pairs, relative to those of the roads; 0: there are none."""


@dataclass(frozen=True)
class EvaluateStep:
    domains: list[str]


@dataclass(frozen=True)
class CompareStep:
    domains: list[str]
    confidence: float
    """Of the intervals."""
    resamples: int
    """Of the paired bootstrap."""


@dataclass(frozen=True)
class AcceptStep:
    round: int
    domains: list[str]
    rules: AcceptConfig

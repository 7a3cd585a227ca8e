"""What no single section can see: values that contradict another section, the files they name, or this machine.

Ranges stand beside the fields, and what a section can say of itself in its `problems()`; `stylematte.fields.impossible`
collects both. Each problem is one line with the cure.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from loop.config.checks_composite_discriminator import composite_discriminator
from loop.config.checks_init import initial_generators
from loop.config.found import kinds_in
from loop.config.schema import Config, DataConfig, PairSource
from loop.engine.config import Launch
from stylematte.config import PUBLISHED, FitConfig, MatterFitConfig
from stylematte.data.released import NAMES
from stylematte.data.roots import FLAT
from stylematte.fields import impossible
from stylematte.rounds import find_matter
from stylemattegan.config import Precision

TRAINING_KINDS = ("alpha", "pseudo-alpha", "mask", "trimap", "none")
ROOT_KINDS = (*TRAINING_KINDS, "foreground", "background")
DRAWN_SUBJECTS = ("portrait", "animal")


def impossible_values(config: Config) -> list[str]:
    """One line for each impossible value; an empty list when everything can work."""
    problems = [
        *impossible(config),
        *_run(config),
        *_data(config),
        *_oracles(config),
        *_learning_kinds(config),
        *_refine(config),
        *_matter(config),
        *_fits(config),
        *_enhance(config),
        *_generator(config),
        *composite_discriminator(config),
        *initial_generators(config),
        *_accept(config),
        *_launch(config),
    ]
    # Of pictures that are not drawn nobody needs to count any.
    return [line for line in problems if not config.data.all_roots() or not line.startswith("data.drawn.")]


def _run(config: Config) -> Iterator[str]:
    if not config.run.dir.strip():
        yield "run.dir is empty: expected a folder such as runs/portraits-01"


def _data(config: Config) -> Iterator[str]:
    data = config.data
    if not data.domains:
        yield "data.domains is empty: expected for example {portraits: portrait, animals: animal}"
    for name, subject in data.domains.items():
        if not name.replace("-", "").replace("_", "").isalnum():
            yield f"data.domains.{name}: a domain names a folder, so use letters, digits, - and _ only"
        taken = {"prepare", "fit_matter", "evaluate", "accept", *(["control"] if config.run.control else [])}
        if name in taken or name in data.extra_subjects:
            yield f"data.domains.{name}: this name is taken; choose another"
        if not data.all_roots() and subject not in DRAWN_SUBJECTS:
            yield f"data.domains.{name}={subject}: only 'portrait' and 'animal' can be drawn; else set data.root"
    if data.size < 16 or data.size & (data.size - 1):
        yield f"data.size={data.size}: the generator needs a power of two, 16 or more (64, 128, 256 ...)"
    if data.root is not None and not Path(data.root).expanduser().is_dir():
        yield f"data.root={data.root}: no such folder; expected one with a manifest.csv (null draws pictures by code)"
    yield from _roots(data)


def _roots(data: DataConfig) -> Iterator[str]:
    """What several data roots, and the folder of backgrounds, contradict."""
    if data.root is not None and data.roots:
        yield "data.root and data.roots: give one of them; data.root=[a, b] is a list of roots"
    for number, root in enumerate(data.roots):
        name = f"data.roots[{number}]"
        if not root.root or not Path(root.root).expanduser().is_dir():
            yield f"{name}.root={root.root}: no such folder"
        if root.domain is not None and root.domain not in (*data.domains, *data.extra_subjects):
            yield f"{name}.domain={root.domain}: expected one of data.domains or data.extra_subjects"
        if root.kind is not None and root.kind not in ROOT_KINDS:
            yield f"{name}.kind={root.kind}: expected {', '.join(ROOT_KINDS)}"
        if root.layout not in ("auto", FLAT, *NAMES):
            yield f"{name}.layout={root.layout}: expected auto, {FLAT}, {', '.join(NAMES)}"
    shares = [root.share for root in data.roots if root.kind not in ("none", "background")]
    if any(share is not None for share in shares) and None in shares:
        yield "data.roots: give each labelled root a share, or none"
    if data.backgrounds is not None and not Path(data.backgrounds).expanduser().is_dir():
        yield f"data.backgrounds={data.backgrounds}: no such folder"
    if data.backgrounds is not None and data.root is None and not data.roots:
        yield f"data.backgrounds={data.backgrounds}: needs data.root; drawn pictures have drawn backgrounds"


def _oracles(config: Config) -> Iterator[str]:
    """What only drawn pictures know."""
    if not config.data.all_roots():
        return
    cure = f"data.root={config.data.root or 'a list'} has real ones; set data.root=null, or leave it out"
    if config.data.drawn.oracle:
        yield f"oracle: data.drawn.oracle=true needs drawn pictures, whose truth is known; {cure}"
    if config.synthesize.source is not PairSource.generator:
        yield f"oracle: synthesize.source={config.synthesize.source.value} needs drawn pictures; {cure}"


def _learning_kinds(config: Config) -> Iterator[str]:
    data = config.data
    for key, domains in (("learn_from", list(data.learn_from)), ("weaken", data.weaken)):
        for domain in domains:
            if domain not in data.domains:
                yield f"data.{key}: '{domain}' is not one of data.domains ({', '.join(data.domains)})"
    for domain, kinds in data.learn_from.items():
        for kind in kinds:
            if kind not in TRAINING_KINDS:
                near = difflib.get_close_matches(kind, TRAINING_KINDS, n=1)
                hint = f". Did you mean: '{near[0]}'?" if near else ""
                yield f"data.learn_from.{domain}: unknown kind '{kind}', expected {', '.join(TRAINING_KINDS)}{hint}"
        if not kinds and config.run.rounds:
            yield (
                f"data.learn_from.{domain}=[]: its generator would have nothing to learn from; "
                "give it a kind (none = photos without labels), or set run.rounds=0"
            )


def _refine(config: Config) -> Iterator[str]:
    refine = config.refine
    for key, domains in (("cutouts", refine.cutouts), ("pairs", refine.pairs), ("rules_of", list(refine.rules_of))):
        for domain in domains:
            if domain not in config.data.domains:
                yield f"refine.{key}: '{domain}' is not one of data.domains ({', '.join(config.data.domains)})"


def _matter(config: Config) -> Iterator[str]:
    matter = config.matter
    if matter.size not in (None, config.data.size) and not config.data.max_side:
        yield (
            f"matter.size={matter.size}: pictures are squares of data.size={config.data.size}; set data.max_side=2048 "
            "to learn from crops of another size"
        )
    if 0 < config.data.max_side < max(matter.size or 0, config.data.size):
        yield f"data.max_side={config.data.max_side}: expected 0, or at least data.size and matter.size"
    compiler = os.environ.get("CXX", "g++")  # what torch.compile calls
    if matter.compile and shutil.which(compiler) is None:
        yield f"matter.compile=True: no C++ compiler ({compiler} not found): install g++ or set CXX, or false"
    weights = matter.network.backbone.weights
    if weights not in (None, PUBLISHED) and not Path(weights).expanduser().is_file():
        yield (
            f"matter.network.backbone.weights={weights}: no such file; download it yourself or set null for random "
            "weights"
        )
    given = matter.init_from
    if given is not None and find_matter(Path(given).expanduser()) is None:
        yield (
            f"matter.init_from={given}: holds no matter; expected a run after round 0, an export, or a folder with "
            "matter.safetensors and matter.json (stylematte import-weights writes one)"
        )
    for name, fit in (("first", matter.first), ("later", matter.later)):
        if fit.zoom > 1 and not config.data.max_side:
            yield f"matter.{name}.zoom={fit.zoom:g}: pictures are squares of data.size; set data.max_side=512 or more"
        for key, value in {} if matter.network.takes_trimap else fit.needs_trimap_input().items():
            yield (
                f"matter.{name}.{key}={value}: the {matter.network.variant} network cannot do that; "
                "set matter.network.variant=detail"
            )


def _fits(config: Config) -> Iterator[str]:
    matter = config.matter
    fits: dict[str, FitConfig] = {"matter.first": matter.first, "matter.later": matter.later}
    for name, fit in {**fits, "generator.fit": config.generator.fit}.items():
        if config.launch.devices > 0 and fit.batch % config.launch.devices:
            yield f"{name}.batch={fit.batch}: expected a multiple of launch.devices={config.launch.devices}"
    if matter.first.steps:
        yield from _every_source("matter.first", matter.first, config)
    if config.run.rounds:
        later = matter.later
        yield from _every_source("matter.later", later, config, _roads(config))


def _roads(config: Config) -> int:
    """Sources that a domain has beside its real pictures, at most."""
    later = config.matter.later
    return len(later.roads.open()) + bool(config.enhance.domains()) if later.real_weight < 1 else 0


def _enhance(config: Config) -> Iterator[str]:
    later = config.matter.later
    for kind in ("generated", "real"):
        for domain in getattr(config.enhance, kind):
            if domain not in config.data.domains:
                yield f"enhance.{kind}: '{domain}' is not one of data.domains ({', '.join(config.data.domains)})"
    drawn = config.synthesize.source is PairSource.generator
    if config.enhance.domains() and not (drawn and later.roads.pairs > 0 and later.real_weight < 1):
        yield (
            "enhance: moves pictures in a generator, and none is fitted; it needs synthesize.source=generator, "
            "matter.later.roads.pairs above 0 and real_weight below 1"
        )


def _every_source(name: str, fit: MatterFitConfig, config: Config, roads: int = 0) -> Iterator[str]:
    """Every source is in every batch: labelled, mask and trimap pictures of each domain, those of each road, extra
    subjects. Labelled ones get what masks and trimaps leave. Whether there are trimaps, the manifest says."""
    kinds = kinds_in(config.data)
    asked = {"mask": fit.mask_share, "trimap": fit.trimap_share}
    total = sum(share for kind, share in asked.items() if kind in kinds)
    if total > 1:
        yield f"{name}: mask_share and trimap_share add up to {total:g}: expected 1 or less"
    named = [*config.data.domains, *config.data.extra_subjects]
    for key, share in fit.shares.items():
        if key not in named:
            yield f"{name}.shares: '{key}' is not one of data.domains and data.extra_subjects ({', '.join(named)})"
        elif share < 0:
            yield f"{name}.shares.{key}={share:g}: expected 0 or more"
    if named and all(fit.shares.get(key) == 0 for key in named):
        yield f"{name}.shares: every share is 0; one must be positive"
    weak = (fit.mask_share > 0) + (fit.trimap_share > 0 and "trimap" in kinds)
    groups = max(0, sum(root.share is not None for root in config.data.roots) - len(config.data.domains))
    sources = groups + len(config.data.domains) * (1 + weak + roads) + len(config.data.extra_subjects)
    if fit.batch < sources:
        yield f"{name}.batch={fit.batch}: expected {sources} or more, at least one for each source of pictures"


def _generator(config: Config) -> Iterator[str]:
    network, fit, devices = config.generator.network, config.generator.fit, max(config.launch.devices, 1)
    for key in ("channel_base", "d_channel_base"):
        if getattr(network, key) < config.data.size:
            yield (
                f"generator.network.{key}={getattr(network, key)}: expected data.size={config.data.size} or more, "
                "else the finest layers have no channels"
            )
    if fit.precision is Precision.fp16 and config.launch.accelerator == "cpu":
        yield "generator.fit.precision=fp16: launch.accelerator=cpu has no float16 worth having; use bf16 or fp32"
    if fit.path_weight > 0 and fit.path_shrink > 0 and fit.batch % (fit.path_shrink * devices):
        yield (
            f"generator.fit.path_shrink={fit.path_shrink}: expected a whole number that divides "
            f"generator.fit.batch={fit.batch} on each device"
        )
    if devices > 1 and fit.batch % (4 * devices):
        yield (
            f"generator.fit.batch={fit.batch}: expected a multiple of {4 * devices} "
            "(the discriminator compares groups of 4 on each device)"
        )


def _accept(config: Config) -> Iterator[str]:
    for domain in config.accept.must_improve:
        if domain not in config.data.domains:
            yield f"accept.must_improve: '{domain}' is not one of data.domains ({', '.join(config.data.domains)})"


def _launch(config: Config) -> Iterator[str]:
    launch = config.launch
    if launch.accelerator not in {"auto", "cpu", "gpu"}:
        yield f"launch.accelerator={launch.accelerator}: expected auto, cpu or gpu"
    if launch.precision not in {"32-true", "bf16-mixed"}:
        yield f"launch.precision={launch.precision}: expected 32-true or bf16-mixed"
    if launch.kind is Launch.inline and launch.devices > 1:
        yield f"launch.devices={launch.devices}: several devices need launch.kind=torchrun"

"""Which steps a run has and what feeds what. Data, no work, no reading of files. Start reading here.

    round 0:   prepare -> fit_matter -> evaluate -> accept
    round r:   per domain   label -> fit_generator -> select_generator -> synthesize -> select -> watch
               then once    fit_matter (real pairs + kept pairs of rounds 1..r) -> evaluate -> accept

Real pairs are what `prepare` wrote: photos with an alpha, and photos with a trimap (their own, or made of their mask).
With matter.later.unlabelled_share, `fit_matter` also reads each domain's `label`: photos that nobody labelled, with
trimaps of what the accepted matter is sure of.

`watch` writes nothing; `fit_matter` has it as an input so that a collapsed pool stops the run before it is learnt from.

Between rounds only weights and pools travel: the accepted matter, the selected generator, the kept pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loop.config.fingerprints import Fingerprints
from loop.config.schema import Config
from loop.config.steps import (
    AcceptStep,
    EvaluateStep,
    FitGeneratorStep,
    FitMatterStep,
    GatherCutoutsStep,
    LabelStep,
    PrepareStep,
    SelectGeneratorStep,
    SelectStep,
    SynthesizeStep,
    WatchStep,
)
from loop.engine.step import Step
from stylematte.config import BackboneConfig
from stylematte.fields import to_plain
from stylemattegan.config import CompositeDiscriminatorConfig, CompositeDiscriminatorKind

PREPARE = "00/prepare"

# Raise a stage's number when its output changes for equal inputs: every run then makes it (and what follows) again.
VERSIONS = {
    "prepare": 3,
    "label": 4,
    "gather_cutouts": 1,
    "fit_generator": 5,
    "select_generator": 5,
    "synthesize": 3,
    "select": 1,
    "watch": 1,
    "fit_matter": 4,
    "evaluate": 3,
    "accept": 2,
}
FITS = {"fit_matter", "fit_generator"}


def plan(config: Config, files: Fingerprints) -> list[Step]:
    """Every step of the run in an order in which it can be done. files: `loop.config.fingerprints.fingerprints`."""
    steps = [_step(config, "prepare", 0, None, {}, _prepare(config, files)), *_gated_fit(config, files, 0, {})]
    for round_ in range(1, config.run.rounds + 1):
        for domain in config.data.domains:
            steps += _domain_steps(config, files, round_, domain)
        pairs = {
            f"pairs/{earlier:02d}/{domain}": f"{earlier:02d}/{domain}/select"
            for earlier in range(1, round_ + 1)
            for domain in config.data.domains
        }
        labels = {f"labels/{domain}": f"{round_:02d}/{domain}/label" for domain in config.data.domains}
        watched = {f"watch/{domain}": f"{round_:02d}/{domain}/watch" for domain in config.data.domains}
        learnt = pairs | (labels if config.matter.later.unlabelled_share else {})
        steps += _gated_fit(config, files, round_, learnt | watched)
    return steps


def plan_generator_alone(config: Config, name: str, cutouts: str, fingerprint: str) -> list[Step]:
    """A generator on a folder of RGBA pictures and no loop around it: in round 0, where no other generator is."""
    gather = GatherCutoutsStep(cutouts, fingerprint, config.data.size)
    fit = FitGeneratorStep(
        round=0,
        domain=name,
        size=config.data.size,
        network=config.generator.network,
        fit=config.generator.fit,
        alpha_regularizer=config.generator.alpha_regularizer if config.generator.alpha_regularizer.is_on else None,
    )
    return [
        _step(config, "gather_cutouts", 0, name, {}, gather),
        _step(config, "fit_generator", 0, name, {"labels": f"00/{name}/gather_cutouts"}, fit),
    ]


def _prepare(config: Config, files: Fingerprints) -> PrepareStep:
    data = config.data
    return PrepareStep(
        root=data.root,
        fingerprint=files.data,
        size=data.size,
        domains=data.domains,
        extra_subjects=data.extra_subjects,
        learn_from=data.learn_from,
        weaken=data.weaken,
        trimap=data.trimap,
        drawn=data.drawn,
        heldout=data.heldout,
        max_per_source=data.max_per_source,
        closed_form=any(fit.losses.closed_form > 0 for fit in (config.matter.first, config.matter.later)),
    )


def _domain_steps(config: Config, files: Fingerprints, round_: int, domain: str) -> list[Step]:
    here = f"{round_:02d}/{domain}"
    matter = f"{round_ - 1:02d}/accept"
    previous = {"previous": f"{round_ - 1:02d}/{domain}/select_generator"} if round_ > 1 else {}
    training = {"data": PREPARE, "labels": f"{here}/label"}
    # Features are round 0's and their scale round 1's in every round, so that all distances can be compared.
    measure = {"generator": f"{here}/fit_generator", "features": "00/accept", "scale": f"01/{domain}/label"}
    watched = {
        "labels": f"{here}/label",
        "generator": f"{here}/select_generator",
        "pool": f"{here}/synthesize",
        "pairs": f"{here}/select",
        "features": "00/accept",
    }
    label = LabelStep(domain, config.data.size, config.label, trimaps=config.matter.later.unlabelled_share > 0)
    drawn = config.synthesize
    steps: list[tuple[str, dict[str, str], Any]] = [
        ("label", {"data": PREPARE, "matter": matter}, label),
        ("fit_generator", training | previous, _fit_generator(config, files, round_, domain)),
        ("select_generator", training | measure | previous, SelectGeneratorStep(config.generator.select_images)),
        (
            "synthesize",
            {"generator": f"{here}/select_generator"},
            SynthesizeStep(round_, domain, drawn.count, drawn.psi, drawn.batch),
        ),
        (
            "select",
            {"data": PREPARE, "matter": matter, "pool": f"{here}/synthesize"},
            SelectStep(config.data.size, config.select),
        ),
        ("watch", watched, WatchStep(config.watch.images)),
    ]
    return [_step(config, stage, round_, domain, inputs, read) for stage, inputs, read in steps]


def _fit_generator(config: Config, files: Fingerprints, round_: int, domain: str) -> FitGeneratorStep:
    generator = config.generator
    return FitGeneratorStep(
        round=round_,
        domain=domain,
        size=config.data.size,
        network=generator.network,
        fit=generator.fit,
        init_from=generator.init_from.get(domain),
        init_digests=files.initial.get(domain, {}),
        composite_discriminator=_as_read(generator.composite_discriminator),
        backbone_digest=files.composite_backbone,
        alpha_regularizer=generator.alpha_regularizer if generator.alpha_regularizer.is_on else None,
    )


def _as_read(composite: CompositeDiscriminatorConfig) -> CompositeDiscriminatorConfig | None:
    """None if it is off; without what its kind does not read, so that nothing else enters the key."""
    if composite.kind is CompositeDiscriminatorKind.none:
        return None
    if composite.kind is CompositeDiscriminatorKind.projected:
        return composite
    return replace(composite, backbone=BackboneConfig(), random_backbone=False, input_size=0)


def _gated_fit(config: Config, files: Fingerprints, round_: int, pools: Mapping[str, str]) -> list[Step]:
    """A matter's fit, its held-out scores, and whether it is accepted. pools: what it learns from beside data."""
    here = f"{round_:02d}"
    matter = config.matter
    fit = FitMatterStep(
        round=round_,
        size=config.data.size,
        domains=list(config.data.domains),
        extra_subjects=config.data.extra_subjects,
        network=matter.network,
        fit=matter.later.without_the_loop() if round_ else matter.first,
        compile=matter.compile,
        precision=config.launch.precision,
        mask_as=config.data.mask_as,
        real_weight=matter.later.real_weight if round_ else 1.0,
        unlabelled_share=matter.later.unlabelled_share if round_ else 0.0,
        backbone_digest=None if round_ else files.backbone,
    )
    # How often refusals stop a run is no property of a verdict: it stays out of the key.
    accept = AcceptStep(round_, list(config.data.domains), replace(config.accept, stop_after=0))
    before = {"matter": f"{round_ - 1:02d}/accept", **pools} if round_ else {}
    gate = {"best": f"{round_ - 1:02d}/accept", "first": "00/accept"} if round_ else {}
    return [
        _step(config, "fit_matter", round_, None, {"data": PREPARE, **before}, fit),
        _step(
            config,
            "evaluate",
            round_,
            None,
            {"data": PREPARE, "matter": f"{here}/fit_matter"},
            EvaluateStep(list(config.data.domains)),
        ),
        _step(
            config,
            "accept",
            round_,
            None,
            {"candidate": f"{here}/fit_matter", "scores": f"{here}/evaluate", **gate},
            accept,
        ),
    ]


def _step(config: Config, stage: str, round_: int, domain: str | None, inputs: dict[str, str], read: Any) -> Step:
    """read: the stage's dataclass of `loop.config.steps`."""
    id_ = "/".join(part for part in (f"{round_:02d}", domain, stage) if part)
    digest = hashlib.sha256(f"{config.run.seed}\x1f{id_}".encode()).digest()
    return Step(
        id=id_,
        stage=stage,
        round=round_,
        domain=domain,
        inputs=inputs,
        config=to_plain(read),
        seed=int.from_bytes(digest[:6], "big"),
        fit=stage in FITS,
        version=VERSIONS[stage],
    )

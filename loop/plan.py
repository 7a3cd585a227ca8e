"""Which steps a run has and what feeds what. Data, no work, no reading of files. Start reading here.

    round 0:   prepare -> fit_matter -> evaluate -> accept
    round r:   per domain   label -> fit_generator -> select_generator -> synthesize -> select -> watch
               then once    fit_matter (real pairs + kept pairs of rounds 1..r) -> evaluate -> accept

Real pairs are what `prepare` wrote: photos with an alpha, and photos with a trimap (their own, or made of their mask).
What else `fit_matter` learns from, matter.later.roads says: the kept pairs, of all rounds so far or of its own
(matter.later.pools), and what each domain's `label` wrote of the photos that nobody labelled. It begins with the
accepted matter, or as round 0 does (matter.later.start): with matter.init_from, or with fresh weights.
Of the domains in refine.cutouts, `refine_cutouts` comes after `label` and what it writes goes to the generator; of
those in refine.pairs, `refine_pairs` comes before `select`.
Only steps that something reads are there: where no road reads pairs no generator is fitted, and where nothing reads
photos nothing is labelled.

With enhance.generated or enhance.real a domain has, after `select`, a step `enhance`: weak samples and photos are moved
in latent space to where the matter mattes them easily, and join the fit where the gate accepts them.

`watch` writes nothing; `fit_matter` has it as an input: a collapsed pool stops the run before it is learned from.

With run.control each later round ends with what it would have been without the loop, a chain of its own:
    round r:   control/fit_matter (real pairs alone) -> control/evaluate -> control/compare (its scores and the loop's)

Between rounds only weights and pools travel: the accepted matter, the selected generator, the kept pairs.

What was decided by hand joins last: reviews of pairs (`reviewed`), and rounds that were rolled back (`_drawn_anew`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loop.config.fingerprints import Fingerprints
from loop.config.reviews import Reviews
from loop.config.schema import Config, PairSource
from loop.config.steps import (
    AcceptStep,
    CompareStep,
    DrawPairsStep,
    EnhanceStep,
    EvaluateStep,
    FitGeneratorStep,
    FitMatterStep,
    GatherCutoutsStep,
    LabelStep,
    PrepareStep,
    RefineStep,
    SelectGeneratorStep,
    SelectStep,
    SynthesizeStep,
    WatchStep,
)
from loop.engine.step import Step
from stylematte.config import BackboneConfig, Placement, Pools, RoadsConfig, Start
from stylematte.fields import to_plain
from stylemattegan.config import CompositeDiscriminatorConfig, CompositeDiscriminatorKind

PREPARE = "00/prepare"
CONTROL = "control"
"""The folder of the control's steps, in each round beside those of the domains."""

# Raise a stage's number when its output changes for equal inputs: every run then makes it (and what follows) again.
VERSIONS = {
    "prepare": 4,
    "label": 6,
    "gather_cutouts": 1,
    "refine_cutouts": 2,
    "fit_generator": 6,
    "select_generator": 6,
    "synthesize": 3,
    "draw_pairs": 1,
    "refine_pairs": 2,
    "select": 3,
    "enhance": 3,
    "watch": 1,
    "fit_matter": 5,
    "evaluate": 5,
    "accept": 3,
    "compare": 1,
}
FITS = {"fit_matter", "fit_generator"}
SEEDLESS = {"prepare", "refine_cutouts", "refine_pairs"}
"""Stages without anything random: runs of other seeds share their results."""


def plan(config: Config, files: Fingerprints) -> list[Step]:
    """Every step of the run in an order in which it can be done. files: `loop.config.fingerprints.fingerprints`."""
    steps = [_step(config, "prepare", 0, None, {}, _prepare(config, files)), *_gated_fit(config, files, 0, {})]
    for round_ in range(1, config.run.rounds + 1):
        for domain in config.data.domains:
            steps += _domain_steps(config, files, round_, domain)
        steps += _gated_fit(config, files, round_, _pools(config, round_))
        steps += _control(config, files, round_) if config.run.control else []
    return [reviewed(_drawn_anew(step, files), files.reviews) for step in steps]


def reviewed(step: Step, reviews: Reviews) -> Step:
    """`step` with the reviews that its stage honours; without any its key is what it was before there were reviews."""
    if step.stage != "select":
        return step
    config = {name: value for name, value in step.config.items() if name != "reviews"}
    here = to_plain(reviews.get(step.id, {}))
    return replace(step, config=config | {"reviews": here} if here else config)


def _drawn_anew(step: Step, files: Fingerprints) -> Step:
    """`step` with another seed for each time that its round was rolled back."""
    times = sum(round_ < step.round for round_ in files.rollbacks)
    if not times or step.stage in SEEDLESS:
        return step
    digest = hashlib.sha256(f"{step.seed}\x1f{times}".encode()).digest()
    return replace(step, seed=int.from_bytes(digest[:6], "big"))


def reads_pairs(config: Config) -> bool:
    """Whether the matter learns from pairs that a generator (or an oracle in its place) has made."""
    return config.matter.later.real_weight < 1 and config.matter.later.roads.pairs > 0


def reads_labels(config: Config) -> bool:
    """Whether the matter learns from what `label` writes of single photos."""
    return config.matter.later.real_weight < 1 and config.matter.later.roads.read_labels()


def fits_generators(config: Config) -> bool:
    """Whether anything reads what a generator draws."""
    return reads_pairs(config) and config.synthesize.source is PairSource.generator


def _pools(config: Config, round_: int) -> dict[str, str]:
    """What the matter of that round learns from beside real pictures: input name -> step."""
    domains = list(config.data.domains)
    first = round_ if config.matter.later.pools is Pools.latest else 1
    pools: dict[str, str] = {}
    if reads_pairs(config):
        for earlier in range(first, round_ + 1):
            pools |= {f"pairs/{earlier:02d}/{domain}": f"{earlier:02d}/{domain}/select" for domain in domains}
    if fits_generators(config):
        pools |= {
            f"enhanced/{earlier:02d}/{domain}": f"{earlier:02d}/{domain}/enhance"
            for earlier in range(first, round_ + 1)
            for domain in domains
            if domain in config.enhance.domains()
        }
        pools |= {f"watch/{domain}": f"{round_:02d}/{domain}/watch" for domain in domains}
    if reads_labels(config):
        pools |= {f"labels/{domain}": f"{round_:02d}/{domain}/label" for domain in domains}
    return pools


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
        roots=data.all_roots(),
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
        max_side=data.max_side,
    )


def _domain_steps(config: Config, files: Fingerprints, round_: int, domain: str) -> list[Step]:
    here = f"{round_:02d}/{domain}"
    matter = f"{round_ - 1:02d}/accept"
    previous = {"previous": f"{round_ - 1:02d}/{domain}/select_generator"} if round_ > 1 else {}
    cutouts = "refine_cutouts" if domain in config.refine.cutouts else "label"
    training = {"data": PREPARE, "labels": f"{here}/{cutouts}"}
    # Features are round 0's and their scale round 1's in every round, so that all distances can be compared.
    measure = {"generator": f"{here}/fit_generator", "features": "00/accept", "scale": f"01/{domain}/{cutouts}"}
    watched = {
        "labels": f"{here}/{cutouts}",
        "generator": f"{here}/select_generator",
        "pool": f"{here}/synthesize",
        "pairs": f"{here}/select",
        "features": "00/accept",
    }
    enhanced = {
        "data": PREPARE,
        "matter": matter,
        **{name: watched[name] for name in ("labels", "generator", "pool", "pairs")},
    }
    roads = config.matter.later.roads
    label = LabelStep(
        domain,
        config.data.size,
        config.label,
        trimaps=roads.trimaps > 0,
        targets=roads.photos > 0 or roads.cutouts > 0,
        agreement=roads.photos > 0,
    )
    drawn, refine = config.synthesize, RefineStep(config.refine.rules_for(domain))
    steps: list[tuple[str, dict[str, str], Any]] = []
    if reads_labels(config) or fits_generators(config):
        steps.append(("label", {"data": PREPARE, "matter": matter}, label))
    generator: list[tuple[str, dict[str, str], Any]] = [
        *([("refine_cutouts", {"labels": f"{here}/label"}, refine)] if domain in config.refine.cutouts else []),
        ("fit_generator", training | previous, _fit_generator(config, files, round_, domain)),
        ("select_generator", training | measure | previous, SelectGeneratorStep(config.generator.select_images)),
        (
            "synthesize",
            {"generator": f"{here}/select_generator"},
            SynthesizeStep(round_, domain, drawn.count_in(round_), drawn.psi_in(round_), drawn.batch, drawn.per_shard),
        ),
    ]
    oracle = DrawPairsStep(round_, domain, config.data.domains[domain], config.data.size, drawn.count_in(round_))
    oracle = replace(oracle, keyed=drawn.source is PairSource.chroma, spoilt=drawn.source is PairSource.spoilt)
    if reads_pairs(config):
        steps += generator if fits_generators(config) else [("draw_pairs", {}, oracle)]
        if domain in config.refine.pairs:
            steps.append(("refine_pairs", {"pool": f"{here}/{steps[-1][0]}"}, refine))
        pool = {"data": PREPARE, "matter": matter, "pool": f"{here}/{steps[-1][0]}"}
        if config.select.reads_training_pictures() and fits_generators(config):
            pool |= {"labels": f"{here}/{cutouts}"}
        if config.select.previous and round_ > 1:
            pool |= {"previous": f"{round_ - 2:02d}/accept"}
        steps.append(("select", pool, SelectStep(config.data.size, config.select, drawn.per_shard)))
    if fits_generators(config) and domain in config.enhance.domains():
        steps.append(("enhance", enhanced, _enhance(config, domain)))
    if fits_generators(config):
        steps.append(("watch", watched, WatchStep(config.watch.images)))
    return [_step(config, stage, round_, domain, inputs, read) for stage, inputs, read in steps]


def _enhance(config: Config, domain: str) -> EnhanceStep:
    asked = config.enhance
    return EnhanceStep(
        domain=domain,
        generated=domain in asked.generated,
        real=domain in asked.real,
        count=asked.count,
        batch=asked.batch,
        move=asked.move,
        invert=asked.invert,
        gate=asked.gate,
    )


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
    # How often refusals stop a run is no property of a verdict: it stays out of the key.
    accept = AcceptStep(round_, list(config.data.domains), replace(config.accept, stop_after=0))
    fit = _fit_matter(config, files, round_)
    start = {} if _starts_fresh(config, round_) else {"matter": f"{round_ - 1:02d}/accept"}
    gate = {"best": f"{round_ - 1:02d}/accept", "first": "00/accept"} if round_ else {}
    return [
        _step(config, "fit_matter", round_, None, {"data": PREPARE, **start, **pools}, fit),
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


def _starts_fresh(config: Config, round_: int) -> bool:
    """Whether that round's fit begins with weights that are none of the run's."""
    return not round_ or config.matter.later.start is Start.fresh


def _fit_matter(config: Config, files: Fingerprints, round_: int) -> FitMatterStep:
    matter, later = config.matter, config.matter.later
    fresh = _starts_fresh(config, round_)
    return FitMatterStep(
        round=round_,
        size=matter.size or config.data.size,
        domains=list(config.data.domains),
        extra_subjects=config.data.extra_subjects,
        network=matter.network,
        fit=later.without_the_loop() if round_ else matter.first,
        compile=matter.compile,
        precision=config.launch.precision,
        mask_as=config.data.mask_as,
        real_weight=later.real_weight if round_ else 1.0,
        roads=later.roads if round_ else RoadsConfig(),
        student_photometry=later.student_photometry if round_ and later.roads.photos > 0 else 1.0,
        pair_age=later.pair_age if round_ and reads_pairs(config) else 1.0,
        backbone_digest=files.backbone if fresh else None,
        init_from=files.matter if fresh else None,
        init_digests=files.matter_files if fresh else {},
        max_side=config.data.max_side,
        root_shares=config.data.root_shares(),
        enhanced=config.enhance.weight if round_ and config.enhance.domains() else 0.0,
    )


def _control(config: Config, files: Fingerprints, round_: int) -> list[Step]:
    """The round without the loop: the control's fit, its held-out scores, and how the loop's compare with them.

    The fit has the steps, batch and seed of the loop's in this round, so both see equally many pictures. It goes on
    from the control's of the last round (or starts fresh, as the loop's): there is no gate, `compare` takes the best.
    """
    last, here = f"{round_ - 1:02d}/{CONTROL}/fit_matter", f"{round_:02d}/{CONTROL}"
    start = {"matter": last, "fallback": "00/accept"} if round_ > 1 else {"matter": "00/accept"}
    start = {} if _starts_fresh(config, round_) else start
    # What is said of roads that are closed stays out of the key; how real pictures are shown is not the loop's merit.
    loops = _fit_matter(config, files, round_)
    everywhere = loops.fit.placement is Placement.everywhere
    fit = replace(
        loops,
        fit=replace(loops.fit, placement=Placement.everywhere if everywhere else Placement.free),
        real_weight=1.0,
        roads=RoadsConfig(),
        student_photometry=1.0,
        pair_age=1.0,
        enhanced=0.0,
    )
    compare = CompareStep(list(config.data.domains), config.accept.confidence, config.accept.resamples)
    scores = {f"loop/{earlier:02d}": f"{earlier:02d}/evaluate" for earlier in range(round_ + 1)}
    scores |= {f"control/{later:02d}": f"{later:02d}/{CONTROL}/evaluate" for later in range(1, round_ + 1)}
    steps: list[tuple[str, dict[str, str], Any]] = [
        ("fit_matter", {"data": PREPARE, **start}, fit),
        ("evaluate", {"data": PREPARE, "matter": f"{here}/fit_matter"}, EvaluateStep(list(config.data.domains))),
        ("compare", {"verdict": f"{round_:02d}/accept", **scores}, compare),
    ]
    seeds = {"fit_matter": f"{round_:02d}/fit_matter"}
    return [_step(config, stage, round_, CONTROL, inputs, read, seeds.get(stage)) for stage, inputs, read in steps]


def _step(
    config: Config,
    stage: str,
    round_: int,
    domain: str | None,
    inputs: dict[str, str],
    read: Any,
    seed_of: str | None = None,
) -> Step:
    """read: the stage's dataclass of `loop.config.steps`. seed_of: the step whose seed it has, if not its own."""
    id_ = "/".join(part for part in (f"{round_:02d}", domain, stage) if part)
    digest = hashlib.sha256(f"{config.run.seed}\x1f{seed_of or id_}".encode()).digest()
    return Step(
        id=id_,
        stage=stage,
        round=round_,
        domain=domain,
        inputs=inputs,
        config=to_plain(read),
        seed=0 if stage in SEEDLESS else int.from_bytes(digest[:6], "big"),
        fit=stage in FITS,
        version=VERSIONS[stage],
    )

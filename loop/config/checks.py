"""Values that have the right type and still cannot work. Each problem is one line with the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from loop.config.checks_composite_discriminator import composite_discriminator
from loop.config.checks_init import initial_generators
from loop.config.checks_matter import matter_switches
from loop.config.fingerprints import kinds_in
from loop.config.schema import Config
from stylematte.config import FitConfig, MatterFitConfig
from stylemattegan.config import GeneratorFitConfig

TRAINING_KINDS = ("alpha", "pseudo-alpha", "mask", "trimap", "none")


def impossible_values(config: Config) -> list[str]:
    """One line for each impossible value; an empty list when everything can work."""
    return [
        *_run(config),
        *_data(config),
        *_fits(config),
        *_generator(config),
        *composite_discriminator(config),
        *initial_generators(config),
        *_thresholds(config),
        *_launch(config),
    ]


def _at_least(name: str, value: float, low: float) -> Iterator[str]:
    if not value >= low:
        yield f"{name}={value}: expected {low} or more"


def _within(name: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name}={value}: expected a number from {low} to {high}"


def _run(config: Config) -> Iterator[str]:
    yield from _at_least("run.rounds", config.run.rounds, 0)
    yield from _at_least("run.seed", config.run.seed, 0)
    if not config.run.dir.strip():
        yield "run.dir is empty: expected a folder such as runs/portraits-01"


def _data(config: Config) -> Iterator[str]:
    data = config.data
    if not data.domains:
        yield "data.domains is empty: expected for example {portraits: portrait, animals: animal}"
    for name in data.domains:
        if not name.replace("-", "").replace("_", "").isalnum():
            yield f"data.domains.{name}: a domain names a folder, so use letters, digits, - and _ only"
        if name in {"prepare", "fit_matter", "evaluate", "accept"} or name in data.extra_subjects:
            yield f"data.domains.{name}: this name is taken; choose another"
    size = data.size
    if size < 16 or size & (size - 1):
        yield f"data.size={size}: the generator needs a power of two, 16 or more (64, 128, 256 ...)"
    if data.root is not None and not Path(data.root).expanduser().is_dir():
        yield f"data.root={data.root}: no such folder; expected one with a manifest.csv (null draws pictures by code)"
    yield from _within("data.heldout.alpha", data.heldout.alpha, 0, 90)
    yield from _within("data.heldout.pseudo_alpha", data.heldout.pseudo_alpha, 0, 90)
    yield from _at_least("data.max_per_source", data.max_per_source, 0)
    yield from _learning_kinds(config)
    if data.root is None:
        for key in ("alpha", "heldout", "none", "backgrounds"):
            yield from _at_least(f"data.drawn.{key}", getattr(data.drawn, key), 2)
        for name, subject in data.domains.items():
            if subject not in {"portrait", "animal"}:
                yield f"data.domains.{name}={subject}: only 'portrait' and 'animal' can be drawn; else set data.root"


def _learning_kinds(config: Config) -> Iterator[str]:
    data = config.data
    yield from _within("data.trimap.radius", data.trimap.radius, 0, 0.5)
    if data.trimap.outward is not None:
        yield from _within("data.trimap.outward", data.trimap.outward, 0, 1)
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


def _fit(name: str, fit: FitConfig, devices: int) -> Iterator[str]:
    yield from _at_least(f"{name}.steps", fit.steps, 1)
    yield from _at_least(f"{name}.tick", fit.tick, 1)
    yield from _at_least(f"{name}.workers", fit.workers, 0)
    yield from _at_least(f"{name}.batch", fit.batch, 1)
    if fit.tick > 0 and fit.steps % fit.tick:
        yield f"{name}.steps={fit.steps}: expected a multiple of {name}.tick={fit.tick}"
    if devices > 0 and fit.batch % devices:
        yield f"{name}.batch={fit.batch}: expected a multiple of launch.devices={devices}"


def _matter_fit(name: str, fit: MatterFitConfig) -> Iterator[str]:
    yield from _within(f"{name}.lr", fit.lr, 1e-9, 1)
    yield from _within(f"{name}.ema", fit.ema, 0, 0.99999)
    yield from _within(f"{name}.real_weight", fit.real_weight, 0.5, 1)
    yield from _within(f"{name}.mask_share", fit.mask_share, 0, 1)
    yield from _within(f"{name}.new_background", fit.new_background, 0, 1)
    yield from _within(f"{name}.trimap_shown", fit.trimap_shown, 0, 1)
    yield from _at_least(f"{name}.warmup", fit.warmup, 0)
    yield from _at_least(f"{name}.weight_decay", fit.weight_decay, 0)
    yield from _at_least(f"{name}.clip", fit.clip, 0)
    weights = {key: getattr(fit.losses, key) for key in ("l1", "laplacian", "gradient", "composition")}
    for key in (*weights, "semantic", "known", "ddc", "closed_form"):
        yield from _at_least(f"{name}.losses.{key}", getattr(fit.losses, key), 0)
    if not any(value > 0 for value in weights.values()):
        yield f"{name}.losses: every weight of l1, laplacian, gradient and composition is 0; one must be positive"
    yield from _trimap_learning(name, fit)


def _trimap_learning(name: str, fit: MatterFitConfig) -> Iterator[str]:
    if fit.losses.known == 0:
        yield f"{name}.losses.known=0.0: expected a positive weight, else nothing keeps a matte learned from trimaps"
    if fit.ddc.window < 3 or fit.ddc.window % 2 == 0:
        yield f"{name}.ddc.window={fit.ddc.window}: expected an odd number, 3 or more"
    elif fit.ddc.border.value == "exclude":
        corner = (fit.ddc.window // 2 + 1) ** 2 - 1
        yield from _within(f"{name}.ddc.neighbours", fit.ddc.neighbours, 1, corner)
    else:
        yield from _within(f"{name}.ddc.neighbours", fit.ddc.neighbours, 1, fit.ddc.window**2 - 1)
    if fit.ddc.warmup is not None:
        yield from _at_least(f"{name}.ddc.warmup", fit.ddc.warmup, 0)
    for key in ("trimap_share", "unlabelled_share"):
        yield from _within(f"{name}.{key}", getattr(fit, key), 0, 1)
    if name == "matter.first" and fit.unlabelled_share:
        yield f"{name}.unlabelled_share={fit.unlabelled_share}: nothing has labelled photos before round 1"


def _shares(name: str, fit: MatterFitConfig, kinds: set[str]) -> Iterator[str]:
    """Labelled pictures keep what masks, trimaps and unlabelled photos leave."""
    asked = {"mask": fit.mask_share, "trimap": fit.trimap_share, "none": fit.unlabelled_share}
    total = sum(share for kind, share in asked.items() if kind in kinds)
    if total > 1:
        yield f"{name}: mask_share, trimap_share and unlabelled_share add up to {total:g}: expected 1 or less"


def _places(name: str, fit: MatterFitConfig, config: Config, generated: bool) -> Iterator[str]:
    """Every source has a place in every batch: labelled, mask, trimap, unlabelled and generated pictures of each
    domain, extra subjects. Whether there are trimaps, the manifest says."""
    kinds = kinds_in(config.data.root)
    yield from _shares(name, fit, kinds)
    weak = (fit.mask_share > 0) + (fit.trimap_share > 0 and "trimap" in kinds) + (fit.unlabelled_share > 0)
    sources = len(config.data.domains) * (1 + weak + generated) + len(config.data.extra_subjects)
    if fit.batch < sources:
        yield f"{name}.batch={fit.batch}: expected {sources} or more, a place for each source of pictures"


def _fits(config: Config) -> Iterator[str]:
    devices = config.launch.devices
    yield from _fit("matter.first", config.matter.first, devices)
    yield from _fit("matter.later", config.matter.later, devices)
    yield from _fit("generator.fit", config.generator.fit, devices)
    yield from _matter_fit("matter.first", config.matter.first)
    yield from _matter_fit("matter.later", config.matter.later)
    yield from _places("matter.first", config.matter.first, config, generated=False)
    if config.run.rounds:
        yield from _places("matter.later", config.matter.later, config, generated=config.matter.later.real_weight < 1)
    yield from matter_switches(config.matter)
    yield from _at_least("matter.channels", config.matter.channels, 8)
    yield from _at_least("matter.filter_radius", config.matter.filter_radius, 1)
    yield from _at_least("matter.detail_channels", config.matter.detail_channels, 1)
    if config.matter.variant.value == "released" and (config.matter.channels < 64 or config.matter.channels % 32):
        yield f"matter.channels={config.matter.channels}: the released network needs a multiple of 32 from 64 on"
    yield from _within("matter.filter_eps", config.matter.filter_eps, 1e-12, 1)
    weights = config.matter.backbone.weights
    if weights is not None and not Path(weights).expanduser().is_file():
        yield f"matter.backbone.weights={weights}: no such file; download it yourself or set null for random weights"


def _generator(config: Config) -> Iterator[str]:
    network, fit = config.generator.network, config.generator.fit
    for key in ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max", "d_channel_base", "d_channel_max"):
        yield from _at_least(f"generator.network.{key}", getattr(network, key), 1)
    if network.num_critical < 1 or network.num_layers <= network.num_critical:
        yield (
            f"generator.network.num_layers={network.num_layers}: expected more than "
            f"num_critical={network.num_critical}, which is 1 or more"
        )
    yield from _at_least("generator.network.margin_size", network.margin_size, 1)
    for key in ("channel_base", "d_channel_base"):
        if getattr(network, key) < config.data.size:
            yield (
                f"generator.network.{key}={getattr(network, key)}: expected data.size={config.data.size} or more, "
                "else the finest layers have no channels"
            )
    yield from _at_least("generator.network.magnitude_ema_nimg", network.magnitude_ema_nimg, 1)
    yield from _within("generator.network.w_avg_beta", network.w_avg_beta, 0, 1)
    yield from _generator_fit(fit, config.launch.devices)
    yield from _at_least("generator.select_images", config.generator.select_images, 16)


def _generator_fit(fit: GeneratorFitConfig, devices: int) -> Iterator[str]:
    yield from _within("generator.fit.glr", fit.glr, 1e-9, 1)
    yield from _within("generator.fit.dlr", fit.dlr, 1e-9, 1)
    yield from _at_least("generator.fit.r1_gamma", fit.r1_gamma, 0)
    yield from _at_least("generator.fit.r1_every", fit.r1_every, 1)
    yield from _at_least("generator.fit.path_weight", fit.path_weight, 0)
    yield from _at_least("generator.fit.path_every", fit.path_every, 1)
    yield from _within("generator.fit.path_decay", fit.path_decay, 1e-6, 1)
    yield from _within("generator.fit.style_mixing", fit.style_mixing, 0, 1)
    yield from _at_least("generator.fit.blur_sigma", fit.blur_sigma, 0)
    yield from _at_least("generator.fit.blur_kimg", fit.blur_kimg, 0)
    yield from _at_least("generator.fit.freeze_d", fit.freeze_d, 0)
    yield from _at_least("generator.fit.warmup", fit.warmup, 0)
    yield from _within("generator.fit.decay", fit.decay, 0, 1)
    yield from _at_least("generator.fit.snapshots", fit.snapshots, 1)
    yield from _within("generator.fit.later_lr", fit.later_lr, 1e-6, 10)
    yield from _at_least("generator.fit.ada_kimg", fit.ada_kimg, 1e-3)
    yield from _at_least("generator.fit.ema_kimg", fit.ema_kimg, 0)
    yield from _at_least("generator.fit.ema_rampup", fit.ema_rampup, 0)
    yield from _within("generator.fit.ada_target", fit.ada_target, -1, 1)
    yield from _within("generator.fit.augment_p", fit.augment_p, 0, 1)
    yield from _within("generator.fit.augment_max", fit.augment_max, 0, 1)
    yield from _within("generator.fit.pseudo_share", fit.pseudo_share, 0, 1)
    shrunk = fit.path_shrink * max(devices, 1)
    if fit.path_weight > 0 and (shrunk < 1 or fit.batch % shrunk):
        yield (
            f"generator.fit.path_shrink={fit.path_shrink}: expected a whole number that divides "
            f"generator.fit.batch={fit.batch} on each device"
        )
    if bool(fit.blur_sigma) != bool(fit.blur_kimg):
        yield (
            f"generator.fit.blur_sigma={fit.blur_sigma} and blur_kimg={fit.blur_kimg}: a blur needs both, or neither"
        )
    if fit.batch % 4 or (devices > 1 and fit.batch % (4 * devices)):
        yield (
            f"generator.fit.batch={fit.batch}: expected a multiple of {4 * max(devices, 1)} "
            "(the discriminator compares groups of 4 on each device)"
        )


def _thresholds(config: Config) -> Iterator[str]:
    low, high = config.synthesize.psi
    if not 0 < low <= high:
        yield f"synthesize.psi=[{low}, {high}]: expected 0 < low <= high (at psi 0 every sample is the same picture)"
    yield from _at_least("synthesize.count", config.synthesize.count, 1)
    yield from _at_least("synthesize.batch", config.synthesize.batch, 1)
    for section, cut in (("label", config.label), ("select", config.select)):
        if not 0 <= cut.min_foreground < cut.max_foreground <= 1:
            yield f"{section}.min_foreground={cut.min_foreground}: expected 0 <= min_foreground < max_foreground <= 1"
    yield from _within("label.min_confidence", config.label.min_confidence, 0, 1)
    yield from _within("select.max_disagreement", config.select.max_disagreement, 0, 1)
    yield from _within("select.min_body", config.select.min_body, 0, 1)
    yield from _within("select.max_similarity", config.select.max_similarity, -1, 1)
    yield from _at_least("select.backgrounds", config.select.backgrounds, 1)
    yield from _at_least("select.keep", config.select.keep, 0)
    yield from _at_least("accept.margin", config.accept.margin, 0)
    yield from _within("accept.confidence", config.accept.confidence, 0.5, 0.999)
    yield from _at_least("accept.stop_after", config.accept.stop_after, 0)
    yield from _at_least("accept.resamples", config.accept.resamples, 100)
    for domain in config.accept.must_improve:
        if domain not in config.data.domains:
            yield f"accept.must_improve: '{domain}' is not one of data.domains ({', '.join(config.data.domains)})"


def _launch(config: Config) -> Iterator[str]:
    launch = config.launch
    yield from _at_least("launch.devices", launch.devices, 1)
    yield from _at_least("launch.at_once", launch.at_once, 1)
    yield from _at_least("launch.retries", launch.retries, 0)
    yield from _at_least("launch.heartbeat_timeout", launch.heartbeat_timeout, 1)
    yield from _at_least("launch.stop_grace", launch.stop_grace, 0)
    yield from _at_least("launch.ask_above", launch.ask_above, 0)
    if launch.accelerator not in {"auto", "cpu", "gpu"}:
        yield f"launch.accelerator={launch.accelerator}: expected auto, cpu or gpu"
    if launch.precision not in {"32-true", "bf16-mixed"}:
        yield f"launch.precision={launch.precision}: expected 32-true or bf16-mixed"
    if launch.kind.value == "inline" and launch.devices > 1:
        yield f"launch.devices={launch.devices}: several devices need launch.kind=torchrun"

"""Fits a matter on real pictures and what labelling and generating made of the others; round 0 on real ones alone.

It begins with the accepted matter if that is among its inputs, else with the one given (matter.init_from), else with
fresh weights. Of no steps the given matter is the result.

Out: matter.safetensors, matter.json; with fit.validations also validation/ (`loop.fitting.validation`); or, when the
loss became NaN or the matte collapsed, stopped.json with the reason and no weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from loop.config.steps import FitMatterStep, read
from loop.engine.stage import Context, Metrics
from loop.fitting.checkpoints import sha256
from loop.fitting.mixture import matter_sources
from loop.fitting.previews import Previews, heldout
from loop.fitting.trainer import fit
from loop.fitting.validation import BEST, Validation, best, curve
from loop.fitting.validation import FOLDER as VALIDATION
from loop.pools import background_files
from stylematte.config import PhotometryPlace
from stylematte.data.datamodule import MatterData
from stylematte.errors import DataError
from stylematte.inference.matter import native_side, trained_at
from stylematte.inference.options import shown_by, sides_seen
from stylematte.module import Diverged, MatterModule
from stylematte.networks.start import build_network
from stylematte.networks.weights import matter_files, read_description, save_matter


def run(ctx: Context) -> Metrics:
    config = read(FitMatterStep, ctx.config)
    start = _start(ctx, config)
    if not config.fit.steps:
        return _as_given(ctx, config, start)
    sources = matter_sources(ctx, config)
    module = MatterModule(
        config.network,
        config.fit,
        ctx.seed,
        str(start) if start else None,
        compiled=config.compile,
    )
    data = MatterData(
        sources=sources,
        backgrounds=background_files(ctx.inputs["data"]),
        size=config.size,
        batch=config.fit.batch,
        steps_per_epoch=config.fit.tick,
        workers=config.fit.workers,
        seed=ctx.seed,
        new_background=config.fit.new_background,
        trimap_shown=config.fit.trimap_shown,
        photometry_on_device=config.fit.photometry is PhotometryPlace.device,
        hard_background=config.fit.hard_background,
        crop_share=config.fit.crop_share if config.max_side else None,
        zoom=config.fit.zoom,
    )
    sides = sides_seen(config.size, config.max_side, config.fit.crop_share)
    meta = {"round": config.round, "steps": config.fit.steps, **sides, **_origin(start)}
    seen = Validation(ctx.scratch / VALIDATION, ctx.inputs["data"], config.domains, config.fit, meta)
    preview = Previews(ctx, config.fit, "heldout", heldout(ctx.inputs["data"], config.domains, shown_by(meta)))
    try:
        fit(module, data, ctx, config.fit, config.precision, [seen if config.fit.validations else preview])
    except Diverged as error:
        if ctx.is_first_rank:
            (ctx.out / "stopped.json").write_text(json.dumps({"reason": str(error)}))
        return {"diverged": str(error)}
    metrics: Metrics = {"steps": config.fit.steps, "sources": {source.name: len(source.rows) for source in sources}}
    if ctx.is_first_rank:
        save_matter(ctx.out, module.ema, meta=meta)
        if config.fit.validations:
            metrics |= _keep_validation(ctx, config)
    return metrics


def _keep_validation(ctx: Context, config: FitMatterStep) -> Metrics:
    """Curve, sheet and best weights into the result; with fit.pick the best weights are the result."""
    shutil.copytree(ctx.scratch / VALIDATION, ctx.out / VALIDATION)
    found = best(ctx.out / VALIDATION)
    if config.fit.pick:
        for file in matter_files(ctx.out / VALIDATION / BEST):
            shutil.copyfile(file, ctx.out / file.name)
    return {"best_step": found["step"], "best_SAD": found["SAD"], "last_SAD": curve(ctx.out / VALIDATION)[-1]["SAD"]}


def _start(ctx: Context, config: FitMatterStep) -> Path | None:
    """The matter the fit goes on from, if any: the fallback where the one before it in its chain diverged (control)."""
    start = ctx.inputs.get("matter")
    if start is None:
        return None if config.init_from is None else _as_planned(Path(config.init_from), config.init_digests)
    if (start / "matter.json").is_file():
        return start
    return ctx.inputs.get("fallback", start)


def _as_planned(folder: Path, digests: Mapping[str, str]) -> Path:
    for file, digest in zip(matter_files(folder), (digests["tensors"], digests["description"]), strict=True):
        if not file.is_file() or sha256(file) != digest:
            raise DataError(f"{file}: is not what it was when this run was planned; type the same command again")
    return folder


def _as_given(ctx: Context, config: FitMatterStep, start: Path | None) -> Metrics:
    """Round 0 without a fit: its matter is the one given, which later rounds are taught by and measured against."""
    assert start is not None, "the configuration's checks demand a matter to start from"
    network = build_network(config.network, ctx.seed, str(start))
    if ctx.is_first_rank:
        native = native_side(start)
        sides = {"size": trained_at(start), **({"max_side": native} if native else {})}
        save_matter(ctx.out, network, meta={"round": config.round, "steps": 0, **sides, **_origin(start)})
    return {"steps": 0, "given": True}


def _origin(start: Path | None) -> dict[str, str]:
    """What the matter that a fit begins with says of its weights' origin; theirs is a part of the new ones'."""
    meta = None if start is None else read_description(start).get("meta")
    if not isinstance(meta, dict):
        return {}
    return {key: meta[key] for key in ("licence", "source", "sha256") if isinstance(meta.get(key), str)}

"""Fits a matter on real pictures and what labelling and generating made of the others; round 0 on real ones alone.

It begins with the accepted matter if that is among its inputs, else with fresh weights.

Out: matter.safetensors, matter.json; or, when the loss became NaN or the matte collapsed, stopped.json with the reason
and no weights.
"""

from __future__ import annotations

import json
from pathlib import Path

from loop.config.steps import FitMatterStep, read
from loop.engine.stage import Context, Metrics
from loop.fitting.mixture import matter_sources
from loop.fitting.trainer import fit
from loop.pools import background_files
from stylematte.config import PhotometryPlace
from stylematte.data.datamodule import MatterData
from stylematte.module import Diverged, MatterModule
from stylematte.networks.weights import save_matter


def run(ctx: Context) -> Metrics:
    config = read(FitMatterStep, ctx.config)
    sources = matter_sources(ctx, config)
    start = _start(ctx)
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
    )
    try:
        fit(module, data, ctx, config.fit, config.precision)
    except Diverged as error:
        if ctx.is_first_rank:
            (ctx.out / "stopped.json").write_text(json.dumps({"reason": str(error)}))
        return {"diverged": str(error)}
    if ctx.is_first_rank:
        meta = {"round": config.round, "steps": config.fit.steps, "size": config.size}
        meta |= {"max_side": config.max_side} if config.max_side else {}
        save_matter(ctx.out, module.ema, meta=meta)
    return {"steps": config.fit.steps, "sources": {source.name: len(source.rows) for source in sources}}


def _start(ctx: Context) -> Path | None:
    """The matter the fit goes on from, if any: the fallback where the one before it in its chain diverged (control)."""
    start = ctx.inputs.get("matter")
    if start is None or (start / "matter.json").is_file():
        return start
    return ctx.inputs.get("fallback", start)

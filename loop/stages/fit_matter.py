"""Real pictures (with an alpha or a trimap) and kept pairs -> a matter (its EMA). Round 0 sees real ones alone.

Out: matter.safetensors, matter.json; or, when the loss became NaN or the matte collapsed, stopped.json with the reason
and no weights.
"""

from __future__ import annotations

import json

from loop.engine.stage import Context, Metrics
from loop.fitting.mixture import matter_sources
from loop.fitting.trainer import fit
from loop.pools import background_files
from stylematte.data.datamodule import MatterData
from stylematte.module import Diverged, MatterModule
from stylematte.networks.variants import OWN_ARGUMENTS
from stylematte.networks.weights import save_matter


def run(ctx: Context) -> Metrics:
    config, options = ctx.config, ctx.config["fit"]
    sources = matter_sources(ctx)
    network = {
        "backbone": config["backbone"]["name"],
        "backbone_kwargs": config["backbone"]["kwargs"],
        "backbone_weights": config["backbone"]["weights"],
        "variant": config["variant"],
        **{key: config[key] for key in OWN_ARGUMENTS[config["variant"]]},
    }
    former = ctx.inputs.get("matter")
    module = MatterModule(network, options, ctx.seed, str(former) if former else None, compiled=config["compile"])
    data = MatterData(
        sources=sources,
        backgrounds=background_files(ctx.inputs["data"]),
        size=config["size"],
        batch=options["batch"],
        steps_per_epoch=options["tick"],
        workers=options["workers"],
        seed=ctx.seed,
        new_background=options["new_background"],
        trimap_shown=options["trimap_shown"],
        photometry_on_device=options["photometry"] == "device",
    )
    try:
        fit(module, data, ctx)
    except Diverged as error:
        if ctx.is_first_rank:
            (ctx.out / "stopped.json").write_text(json.dumps({"reason": str(error)}))
        return {"diverged": str(error)}
    if ctx.is_first_rank:
        save_matter(
            ctx.out, module.ema, meta={"round": config["round"], "steps": options["steps"], "size": config["size"]}
        )
    return {"steps": options["steps"], "sources": {source.name: len(source.rows) for source in sources}}

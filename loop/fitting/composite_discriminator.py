"""The composite discriminator of a generator's fit, built as configured; its backbone comes from the matter's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from loop.engine.stage import Context
from loop.pools import background_files
from stylematte.config import BackboneConfig
from stylematte.fields import from_plain
from stylematte.networks.intermediate import build_encoder
from stylemattegan.training.composite_discriminator import CompositeDiscriminator, build_network
from stylemattegan.training.composites import Backgrounds


def composite_discriminator(ctx: Context, previous: Path | None) -> CompositeDiscriminator | None:
    """None unless the stage's config has `second`. previous: folder of the former round's generator, or None."""
    options, fit = ctx.config.get("composite_discriminator"), ctx.config["fit"]
    if options is None:
        return None
    widths = {name: ctx.config["network"][f"d_{name}"] for name in ("channel_base", "channel_max")}
    backbone = frozen_backbone(options["backbone"]) if options["kind"] == "projected" else None
    return CompositeDiscriminator(
        build_network(options["kind"], ctx.config["size"], ctx.seed, widths, backbone, options.get("input_size", 0)),
        Backgrounds(background_files(ctx.inputs["data"]), ctx.config["size"], options["plain"], options["foreground"]),
        weight=options["weight"],
        warmup=options["warmup_kimg"] * 1000,
        r1_gamma=options["r1_gamma"],
        r1_every=fit["r1_every"],
        batch=fit["batch"],
        seed=ctx.seed,
        former=previous,
    )


def frozen_backbone(options: dict[str, Any]) -> torch.nn.Module:
    """What is random in it is the same in every round and domain: a former round's heads go on with its features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_encoder(from_plain(BackboneConfig, options))

"""The composite discriminator of a generator's fit, built as configured; its backbone comes from the matter's side."""

from __future__ import annotations

from pathlib import Path

import torch

from loop.config.steps import FitGeneratorStep
from loop.engine.stage import Context
from loop.pools import background_files
from stylematte.config import BackboneConfig
from stylemattegan.config import CompositeDiscriminatorKind
from stylemattegan.training.composite_discriminator import CompositeDiscriminator, build_network
from stylemattegan.training.composites import Backgrounds


def composite_discriminator(
    ctx: Context, step: FitGeneratorStep, previous: Path | None
) -> CompositeDiscriminator | None:
    """None unless `step` has one. previous: folder of the last round's generator, or None."""
    config = step.composite_discriminator
    if config is None:
        return None
    projected = config.kind is CompositeDiscriminatorKind.projected
    backbone = frozen_backbone(config.backbone) if projected else None
    return CompositeDiscriminator(
        build_network(config, step.network, step.size, ctx.seed, backbone),
        Backgrounds(background_files(ctx.inputs["data"]), step.size, config.plain, config.foreground),
        config,
        r1_every=step.fit.r1_every,
        batch=step.fit.batch,
        seed=ctx.seed,
        previous=previous,
    )


def frozen_backbone(config: BackboneConfig) -> torch.nn.Module:
    """What is random in it is the same in every round and domain: the heads of later rounds go on with its features."""
    from stylematte.networks.intermediate import build_encoder  # timm: half a second that other fits do without

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_encoder(config)

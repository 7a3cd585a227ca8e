"""Impossible values of the composite discriminator that need other sections or files, one line each with the cure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loop.config.found import kinds_in
from loop.config.schema import Config
from stylemattegan.config import CompositeDiscriminatorConfig, CompositeDiscriminatorKind

KEY = "generator.composite_discriminator"


def composite_discriminator(config: Config) -> Iterator[str]:
    composite = config.generator.composite_discriminator
    if composite.kind is CompositeDiscriminatorKind.none:
        return
    roots = [root.root for root in config.data.all_roots()]
    there = roots and all(Path(root).expanduser().is_dir() for root in roots)
    if there and "background" not in kinds_in(config.data):
        yield (
            f"{KEY}.kind={composite.kind.value}: {', '.join(roots)} has no pictures of kind background "
            "to put cut-outs on; add some to manifest.csv, or set kind=none"
        )
    if composite.kind is CompositeDiscriminatorKind.projected:
        yield from _backbone(composite)


def _backbone(composite: CompositeDiscriminatorConfig) -> Iterator[str]:
    weights = composite.backbone.weights
    if weights is None and not composite.random_backbone:
        yield (
            f"{KEY}.backbone.weights is null: give a local .safetensors or .pth file (nothing is ever downloaded), "
            f"or say {KEY}.random_backbone=true"
        )
    if weights is not None and composite.random_backbone:
        yield f"{KEY}.random_backbone=true and backbone.weights are both given: choose one"
    if weights is not None and not Path(weights).expanduser().is_file():
        yield (
            f"{KEY}.backbone.weights={weights}: no such file; download it yourself, or set random_backbone=true instead"
        )

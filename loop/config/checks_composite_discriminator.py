"""Impossible values of the composite discriminator and the alpha regulariser, one line each with the cure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loop.config.fingerprints import kinds_in
from loop.config.schema import Config


def composite_discriminator(config: Config) -> Iterator[str]:
    second, honest = config.generator.composite_discriminator, config.generator.alpha_regularizer
    for key in ("weight", "warmup_kimg", "r1_gamma", "plain", "foreground", "input_size"):
        if not getattr(second, key) >= 0:
            yield f"generator.composite_discriminator.{key}={getattr(second, key)}: expected 0 or more"
    shares = second.plain + second.foreground
    if shares > 1:
        yield f"generator.composite_discriminator: plain and foreground add up to {shares:g}: expected 1 or less"
    for key in ("mean", "band"):
        if not getattr(honest, key) >= 0:
            yield f"generator.alpha_regularizer.{key}={getattr(honest, key)}: expected 0 or more"
    if second.kind.value == "none":
        return
    root = config.data.root
    if root is not None and Path(root).expanduser().is_dir() and "background" not in kinds_in(root):
        yield (
            f"generator.composite_discriminator.kind={second.kind.value}: {root} has no pictures of kind background "
            "to put cut-outs on; add some to manifest.csv, or set kind=none"
        )
    if second.kind.value == "projected":
        yield from _backbone(config)


def _backbone(config: Config) -> Iterator[str]:
    second = config.generator.composite_discriminator
    weights = second.backbone.weights
    if weights is None and not second.random_backbone:
        yield (
            "generator.composite_discriminator.backbone.weights is null: give a local .safetensors or .pth file "
            "(nothing is ever downloaded), or say generator.composite_discriminator.random_backbone=true"
        )
    if weights is not None and second.random_backbone:
        yield "generator.composite_discriminator.random_backbone=true and backbone.weights are both given: choose one"
    if weights is not None and not Path(weights).expanduser().is_file():
        yield (
            f"generator.composite_discriminator.backbone.weights={weights}: no such file; "
            "download it yourself, or set random_backbone=true instead"
        )
    if second.input_size % 32:
        yield f"generator.composite_discriminator.input_size={second.input_size}: expected a multiple of 32, or 0"

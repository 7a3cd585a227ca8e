"""Impossible values of generator.second and generator.honest, one line each with the cure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loop.config import Config
from loop.sources import kinds_in


def second_discriminator(config: Config) -> Iterator[str]:
    second, honest = config.generator.second, config.generator.honest
    for key in ("weight", "warmup_kimg", "r1_gamma", "plain", "foreground", "input_size"):
        if not getattr(second, key) >= 0:
            yield f"generator.second.{key}={getattr(second, key)}: expected 0 or more"
    shares = second.plain + second.foreground
    if shares > 1:
        yield f"generator.second: plain and foreground add up to {shares:g}: expected 1 or less"
    for key in ("mean", "band"):
        if not getattr(honest, key) >= 0:
            yield f"generator.honest.{key}={getattr(honest, key)}: expected 0 or more"
    if second.kind.value == "none":
        return
    root = config.data.root
    if root is not None and Path(root).expanduser().is_dir() and "background" not in kinds_in(root):
        yield (
            f"generator.second.kind={second.kind.value}: {root} has no pictures of kind background to put cut-outs on; "
            "add some to manifest.csv, or set kind=none"
        )
    if second.kind.value == "projected":
        yield from _backbone(config)


def _backbone(config: Config) -> Iterator[str]:
    second = config.generator.second
    weights = second.backbone.weights
    if weights is None and not second.random_backbone:
        yield (
            "generator.second.backbone.weights is null: give a local .safetensors or .pth file (nothing is ever "
            "downloaded), or say generator.second.random_backbone=true"
        )
    if weights is not None and second.random_backbone:
        yield "generator.second.random_backbone=true and backbone.weights are both given: choose one"
    if weights is not None and not Path(weights).expanduser().is_file():
        yield (
            f"generator.second.backbone.weights={weights}: no such file; "
            "download it yourself, or set random_backbone=true instead"
        )
    if second.input_size % 32:
        yield f"generator.second.input_size={second.input_size}: expected a multiple of 32, or 0"

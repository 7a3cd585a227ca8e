"""Composes held-out foregrounds (Composition-1k as it is delivered) with backgrounds, so that they can be measured on.

Each gets one background, chosen by its file's name; the composed picture has a true alpha and is of kind `alpha`. The
official test set composes 50 foregrounds with 20 backgrounds each: where its merged pictures are there, those are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stylematte.data.manifest import BACKGROUND, FOREGROUND, Record, name_hash
from stylematte.imagefile import read_alpha, read_rgb, resize, write_rgb
from stylematte.rgba import composite


def compose_heldout(folder: Path, records: Sequence[Record]) -> None:
    """Change held-out records of kind `foreground`, and their pictures, in place. Without backgrounds: plain grey."""
    behind = [record for record in records if record["kind"] == BACKGROUND]
    held_out = [each for each in behind if each["split"] == "heldout"] or behind
    for record in records:
        if record["kind"] != FOREGROUND or record["split"] != "heldout":
            continue
        colour, alpha = read_rgb(folder / record["foreground"]), read_alpha(folder / record["alpha"])
        background = torch.full_like(colour, 0.5)
        if held_out:
            chosen = held_out[name_hash(record["source"]) % len(held_out)]
            background = covering(read_rgb(folder / chosen["image"]), colour.shape[-2], colour.shape[-1])
        write_rgb(folder / record["image"], composite(colour, alpha, background))
        record["kind"] = "alpha"


def covering(picture: Tensor, height: int, width: int) -> Tensor:
    """(3, h, w) scaled to cover (height, width), its middle cut out."""
    scale = max(height / picture.shape[-2], width / picture.shape[-1])
    high, wide = (
        max(least, round(side * scale)) for least, side in zip((height, width), picture.shape[1:], strict=True)
    )
    top, left = (high - height) // 2, (wide - width) // 2
    return resize(picture, (high, wide))[:, top : top + height, left : left + width].contiguous()

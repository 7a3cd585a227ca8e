"""Drawing a loss on a picture: photo, matte and a heat map of the excess with a legend, side by side."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.imagefile import from_uint8, resize, to_uint8

SHORTEST, LONGEST = 300, 720  # a panel's longer side
GAP, TITLE, CAPTION, LEGEND = 12, 30, 24, 62
INK, PAPER = (40, 40, 40), (255, 255, 255)
HOT = ((0, 0, 0), (0.75, 0.05, 0.1), (1, 0.6, 0.1), (1, 1, 0.85))
COLD = ((0, 0, 0), (0.1, 0.2, 0.75), (0.3, 0.75, 1), (0.9, 1, 1))
OUTSIDE = 0.35  # grey of what the mean leaves out


def draw(image: Tensor, alpha: Tensor, excess: Tensor, outside: Tensor | None, title: str) -> Tensor:
    """(3, H', W') in [0, 1]. image (3, H, W); alpha, excess and outside (bool, not measured) (1, H, W)."""
    top = nice(float(excess.abs().flatten().kthvalue(max(1, int(0.995 * excess.numel()))).values))
    box = worst_box(excess)
    heat = colours(excess / top)
    if outside is not None:
        heat = torch.where(outside, OUTSIDE, heat)
    panels = [_panel(picture) for picture in (image, alpha.expand(3, -1, -1), heat)]
    captions = ("picture", "matte", "excess per pixel" + ("" if outside is None else " (grey: known)"))
    return _sheet(panels, captions, box, top, title, excess.shape[-1])


def nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not smaller: an end of a scale that can be read."""
    if value <= 0:
        return 1e-3
    power = 10.0 ** torch.tensor(value).log10().floor().item()
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-6))


def colours(values: Tensor) -> Tensor:
    """(1, H, W) in [-1, 1] -> (3, H, W): black at 0, through red and yellow above, through blue below."""
    position = values.abs().clamp(0, 1) * (len(HOT) - 1)
    low = position.floor().clamp(max=len(HOT) - 2).long()
    share = position - low
    hot, cold = (torch.tensor(table, dtype=torch.float32) for table in (HOT, COLD))
    mixed = [table[low] * (1 - share[..., None]) + table[low + 1] * share[..., None] for table in (hot, cold)]
    return torch.where(values[..., None] >= 0, *mixed)[0].permute(2, 0, 1)


def worst_box(excess: Tensor) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square with the largest mean excess; a tenth of the picture wide."""
    side = max(3, min(max(excess.shape[-2:]) // 10, min(excess.shape[-2:])))
    side = min(side, *excess.shape[-2:])
    means = F.avg_pool2d(excess[None], side, stride=1)[0, 0]
    top, left = divmod(int(means.argmax()), means.shape[1])
    return left, top, side


def _panel(picture: Tensor) -> Tensor:
    height, width = picture.shape[-2:]
    longer = max(height, width)
    if longer < SHORTEST:
        return picture.repeat_interleave(-(-SHORTEST // longer), 1).repeat_interleave(-(-SHORTEST // longer), 2)
    scale = min(1.0, LONGEST / longer)
    return resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def _sheet(
    panels: list[Tensor], captions: tuple[str, ...], box: tuple[int, int, int], top: float, title: str, width: int
) -> Tensor:
    from PIL import Image, ImageDraw, ImageFont

    high, wide = panels[0].shape[-2:]
    across = max(3 * wide + 4 * GAP, 760)
    sheet = Image.new("RGB", (across, TITLE + CAPTION + high + GAP + LEGEND), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    pen.text((GAP, 8), title, fill=INK, font=ImageFont.load_default(16))
    scale = wide / width
    for number, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left, upper = GAP + number * (wide + GAP), TITLE + CAPTION
        pen.text((left, TITLE + 3), caption, fill=INK, font=font)
        sheet.paste(Image.fromarray(to_uint8(panel.clamp(0, 1))), (left, upper))
        corner = (left + box[0] * scale, upper + box[1] * scale)
        pen.rectangle((*corner, *(position + box[2] * scale for position in corner)), outline=(60, 220, 60), width=2)
    _legend(sheet, pen, font, top, TITLE + CAPTION + high + GAP)
    return from_uint8(_array(sheet))


def _legend(sheet: Any, pen: Any, font: Any, top: float, upper: int) -> None:
    from PIL import Image

    long, left = 360, GAP
    ramp = colours(torch.linspace(-1, 1, long).expand(1, 14, long))
    sheet.paste(Image.fromarray(to_uint8(ramp)), (left, upper))
    for position, text, anchor in ((0, f"-{top:g}", "la"), (0.5, "0", "ma"), (1, f"+{top:g}", "ra")):
        pen.text((left + position * long, upper + 16), text, fill=INK, font=font, anchor=anchor)
    pen.text((left, upper + 34), "blue: alpha follows the colours", fill=INK, font=font)
    pen.text((left + long, upper + 34), "red: it does not", fill=INK, font=font, anchor="ra")
    words = ("black: as a constant matte", "green frame: where it hurts most", f"beyond {top:g}: brightest colour")
    for line, text in enumerate(words):
        pen.text((left + long + 2 * GAP, upper - 2 + 17 * line), text, fill=INK, font=font)


def _array(sheet: Any) -> Any:
    import numpy as np

    return np.asarray(sheet)

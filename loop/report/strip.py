"""One PNG about a run: training cut-outs, what the generators drew in each round, the matter on held-out photos."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stylematte.atomic import replace_file

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 1.5
MARGIN = 8  # pixels
CAPTION = 18  # pixels


class Sheet(NamedTuple):
    """A stage's contact sheet; of so many equal parts, one below the other, the first is shown."""

    caption: str
    path: Path
    parts: int


def build_strip(run_dir: Path, target: Path) -> Path:
    """Write the strip of the run in `run_dir` as a PNG. Raises ValueError if nothing has been generated yet."""
    from PIL import Image

    if not list(run_dir.glob("rounds/01/*/select_generator/sheet.png")):
        raise ValueError(f"{run_dir}: no generated pictures yet; a strip needs round 1")
    rows = [(sheet.caption, _shown(sheet)) for sheet in _sheets(run_dir) if sheet.path.is_file()]
    width = max(picture.width for _, picture in rows) + 2 * MARGIN
    height = sum(picture.height + CAPTION + MARGIN for _, picture in rows) + MARGIN
    strip = Image.new("RGB", (width, height), "white")
    _paste(strip, rows)
    png = io.BytesIO()
    strip.quantize(256, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    replace_file(target, png.getvalue())
    return target


def _sheets(run_dir: Path) -> list[Sheet]:
    """The first eight of sixteen cut-outs of every round, and the last round's probes."""
    rounds, found = run_dir / "rounds", []
    for domain in sorted(path.parent.name for path in rounds.glob("01/*/select_generator")):
        here = f"{domain}/select_generator"
        found.append(Sheet(f"{domain}: what the generator learned from", rounds / "01" / here / "real.png", 2))
        for path in sorted(rounds.glob(f"[0-9][0-9]/{here}/sheet.png")):
            found.append(Sheet(f"{domain}: drawn by the generator after round {int(path.parts[-4])}", path, 2))
    for path in sorted(rounds.glob("[0-9][0-9]/evaluate/probes.png"))[-1:]:
        found.append(Sheet(f"round {int(path.parts[-3])}: held-out photos, their cut-outs and alphas", path, 1))
    return found


def _shown(sheet: Sheet) -> Image:
    from PIL import Image

    with Image.open(sheet.path) as picture:
        part = picture.convert("RGB").crop((0, 0, picture.width, picture.height // sheet.parts))
    return part.resize((round(part.width * SCALE), round(part.height * SCALE)), Image.Resampling.LANCZOS)


def _paste(strip: Image, rows: list[tuple[str, Image]]) -> None:
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    top = MARGIN
    for caption, picture in rows:
        pen.text((MARGIN, top), caption, fill=(60, 60, 60), font=font)
        strip.paste(picture, (MARGIN, top + CAPTION))
        top += picture.height + CAPTION + MARGIN

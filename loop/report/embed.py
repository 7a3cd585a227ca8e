"""Picture files as data URIs, small enough that a report with hundreds of them stays one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

AS_THEY_ARE = 400_000  # bytes: smaller files are embedded unchanged


def data_uri(path: Path, most: int) -> tuple[str, int] | None:
    """The picture at `path`, at most `most` pixels wide, and its width; None when it is missing or unreadable."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width = picture.width
            if width <= most and path.stat().st_size <= AS_THEY_ARE and picture.format == "PNG":
                raw, kind = path.read_bytes(), "png"
            else:
                small = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
                small.thumbnail((most, 16 * most))
                width, kind, memory = small.width, "webp", io.BytesIO()
                small.save(memory, "WEBP", quality=88)
                raw = memory.getvalue()
    except (OSError, ValueError, SyntaxError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}", width

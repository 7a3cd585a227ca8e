"""Picture files as data URIs, so that the report is one file."""

from __future__ import annotations

import base64
import io
from html import escape
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


def sheet(path: Path, caption: str, most: int = 1200) -> str:
    """A contact sheet as a figure, shown at up to twice its size; a line of text when there is none."""
    found = data_uri(path, most)
    if found is None:
        return ""
    uri, width = found
    picture = (
        f'<img src="{uri}" alt="{escape(caption)}" style="width:min(100%,{min(2 * width, most)}px)" loading="lazy">'
    )
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def tile(path: Path | None, name: str, most: int = 256) -> str:
    """One small picture with its name below; an empty frame when it is missing."""
    found = data_uri(path, most) if path is not None else None
    body = f'<img src="{found[0]}" alt="{escape(name)}" loading="lazy">' if found else '<span class="gone">–</span>'
    return f'<div class="tile">{body}<small>{escape(name)}</small></div>'

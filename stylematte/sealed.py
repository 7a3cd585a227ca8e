"""Text files that end with the SHA-256 of what they say, as a comment, so that a flipped bit is noticed."""

from __future__ import annotations

import hashlib

MARK = "# SHA-256 of the lines above (delete this line if you change them): "


def sealed(text: str) -> str:
    """`text`, which ends with a newline, and the comment."""
    return f"{text}{MARK}{_digest(text)}\n"


def check_seal(text: str) -> None:
    """Raises ValueError where there is a comment and the lines above it are others. Text without one passes."""
    said, mark, digest = text.rpartition(MARK)
    if mark and digest != f"{_digest(said)}\n":
        raise ValueError("is damaged or was edited: delete its last line if you meant to change it, or put back a copy")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

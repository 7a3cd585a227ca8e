"""Words of a file from elsewhere made fit for a message: printable, short, on one line."""

from __future__ import annotations

LONGEST = 80


def shown(text: object, longest: int = LONGEST) -> str:
    """str(text) with control characters, marks of direction and lone surrogates escaped, cut at `longest`."""
    words = str(text)[: longest + 1]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    return safe if len(safe) <= longest else safe[: longest - 3] + "..."


def shown_value(value: object) -> str:
    """A number or a word as Python writes it, shortened; of anything else its kind alone, whatever it holds."""
    if isinstance(value, str):
        return repr(shown(value))
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return described(value)


def described(value: object) -> str:
    """The kind of a value: the name that a record notes, or "a list"."""
    origin = getattr(value, "origin", "")
    kind = {"LongText": "str", "memoryview": "bytes"}.get(type(value).__name__, type(value).__name__)
    return shown(origin) if origin else f"a {kind}"

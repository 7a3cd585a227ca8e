"""Which of the two implementations an op uses: "reference" (slow, obvious) or "fast" (equal, tested against it)."""

from __future__ import annotations

IMPLEMENTATIONS = ("reference", "fast")
_default = "fast"


def set_default(impl: str) -> None:
    """Choose the implementation of every op that is called without `impl`. For benchmarks and for doubts."""
    global _default
    _default = chosen(impl)


def chosen(impl: str | None = None) -> str:
    """`impl`, or the default if None. Raises ValueError for an unknown name."""
    if impl is None:
        return _default
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"unknown implementation {impl!r}: expected one of {', '.join(IMPLEMENTATIONS)}")
    return impl

"""Numbers as text for people: figures, relative changes, durations."""

from __future__ import annotations

from typing import Any


def num(value: Any) -> str:
    """A number for reading; a dash when there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–"
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.4g}"
    return f"{value:.3f}" if abs(value) >= 1 else f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.5f}"


def signed(share: float) -> str:
    """A relative change in percent, with a real minus sign."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def clock(seconds: float) -> str:
    """A duration for reading."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {int(seconds) % 60:02d} s"

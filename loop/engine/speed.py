"""How fast a stage goes: units a second over about the last minute of its progress."""

from __future__ import annotations

from collections import deque

from loop.engine.heartbeat import Progress

WINDOW = 60.0  # seconds


class Speed:
    """Begins anew with each phase: the units of two need not be the same."""

    def __init__(self) -> None:
        self.seen_at: deque[tuple[float, int]] = deque()
        self.phase: tuple[int, str] | None = None

    def seen(self, progress: Progress, now: float) -> float | None:
        """The speed at `now` (seconds); None before a second look."""
        phase = progress.total, progress.phase
        if phase != self.phase or (self.seen_at and progress.done < self.seen_at[-1][1]):
            self.seen_at.clear()
            self.phase = phase
        self.seen_at.append((now, progress.done))
        while len(self.seen_at) > 2 and now - self.seen_at[0][0] > WINDOW:
            self.seen_at.popleft()
        (first, before), (last, done) = self.seen_at[0], self.seen_at[-1]
        return None if done <= before or last <= first else (done - before) / (last - first)

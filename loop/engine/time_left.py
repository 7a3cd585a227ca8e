"""How long a run will still take: seconds that its finished steps took, for the amounts that the others have to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loop.engine.schedule import wall_seconds
from loop.engine.step import Step


class TimeLeft:
    """amount: how much a step has to do, in a unit that its stage shares over rounds (1.0 where there is none)."""

    def __init__(
        self, steps: Sequence[Step], amount: Callable[[Step], float], at_once: int, apart: Callable[[Step], bool]
    ) -> None:
        self.steps, self.amount, self.at_once, self.apart = list(steps), amount, at_once, apart
        self.by_id = {step.id: step for step in steps}
        self.finished: set[str] = set()
        self.rates: dict[str, tuple[int, float]] = {}
        """Stage -> the newest round that has one, and its seconds for one unit."""

    def took(self, step: Step, seconds: float) -> None:
        """A finished step. One that was resumed says only what its last part took, so of a round the slowest counts."""
        self.finished.add(step.id)
        rate = seconds / self._amount(step)
        newest, slowest = self.rates.get(step.stage, (-1, 0.0))
        if step.round > newest:
            self.rates[step.stage] = step.round, rate
        elif step.round == newest:
            self.rates[step.stage] = newest, max(slowest, rate)

    def of_step(
        self, step_id: str, seconds: float, done: int | None, total: int | None, speed: float | None
    ) -> float | None:
        """Of a step that has run for so many seconds: by what its stage took before, else by its progress."""
        expected = self._expected(self.by_id[step_id])
        by_speed = (total - done) / speed if speed and total is not None and done is not None else None
        if by_speed is not None and (expected is None or self.by_id[step_id].fit):
            return by_speed  # a fit is one phase, so its own speed knows best
        return None if expected is None else max(0.0, expected - seconds)

    def of_run(self, running: Mapping[str, tuple[float, float | None]]) -> tuple[float | None, list[str]]:
        """Seconds until all is done, and the stages of which nothing is known (not counted). running: step ->
        (seconds since it began, seconds left)."""
        rates = {stage: rate for stage, (_, rate) in self.rates.items()}
        for id_, (seconds, left) in running.items():
            if left is not None and self.by_id[id_].stage not in rates:
                rates[self.by_id[id_].stage] = (seconds + left) / self._amount(self.by_id[id_])
        seconds_left, unmeasured = dict[str, float](), dict[str, None]()
        for step in self.steps:
            rate = rates.get(step.stage)
            expected = None if rate is None else rate * self._amount(step)
            if step.id in running:
                expected = running[step.id][1]
            if expected is None and step.id not in self.finished:
                unmeasured[step.stage.rpartition(".")[2]] = None
            seconds_left[step.id] = 0.0 if step.id in self.finished else expected or 0.0
        if not rates:
            return None, list(unmeasured)
        return wall_seconds(self.steps, seconds_left, self.at_once, self.apart), list(unmeasured)

    def _expected(self, step: Step) -> float | None:
        rate = self.rates.get(step.stage)
        return None if rate is None else rate[1] * self._amount(step)

    def _amount(self, step: Step) -> float:
        return max(self.amount(step), 1e-9)

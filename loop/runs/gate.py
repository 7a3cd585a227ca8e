"""Watching the rounds of a run go by: each finished one is mirrored; refusals in a row and a collapse stop the run.

A round is over with its verdict; in a run with a control, with its comparison with the control.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loop.config.schema import Config
from loop.engine.execute import Event
from loop.engine.stage import StageFailed, StageRecord
from loop.engine.step import step_folder
from loop.plan import CONTROL
from loop.runs.collapse import collapse
from loop.runs.round_tables import round_tables
from loop.tracking.entries import Alert
from loop.tracking.rounds import RoundMirror


class GateStop(ValueError):
    """Several rounds in a row were refused, or the loop collapsed; nothing is broken, but going on would waste time."""


class Collapsed(GateStop):
    """A threshold of `watch` was broken."""


class RoundWatch:
    """A listener for `execute`. on_round: gets one line on each round that is made. Raises GateStop after
    accept.stop_after refused rounds in a row, and at once where a threshold of `watch` is broken."""

    def __init__(self, config: Config, run_dir: Path, on_round: Callable[[str], None]) -> None:
        self.config, self.run_dir, self.on_round = config, run_dir, on_round
        self.mirror = RoundMirror(config, run_dir)
        self.refused = 0
        self.finished: list[StageRecord] = []
        """Of the rounds under way."""
        self.verdicts: dict[int, dict[str, Any]] = {}
        """Round -> the metrics of its accept."""

    def __call__(self, event: Event) -> None:
        if event.record is None:
            return
        self.finished.append(event.record)
        round_ = event.step.round
        collapsed = None if event.step.domain == CONTROL else collapse(self.config.watch, event.record)
        if collapsed is not None:
            if event.kind == "done":
                alert = Alert(f"round {round_}: the loop collapsed", collapsed, "ERROR")
                self._log(round_, {"accepted": False, "reason": collapsed}, alert)
            raise Collapsed(collapsed)
        if event.step.stage == "accept":
            self.verdicts[round_] = event.record.metrics
        last = "compare" if self.config.run.control and round_ else "accept"
        if event.step.stage == last:
            self._round_over(event, self.verdicts[round_])

    def _round_over(self, event: Event, verdict: dict[str, Any]) -> None:
        if event.kind in {"done", "shared"}:
            self._mirror(event.step.round, verdict)
        self.finished = [record for record in self.finished if _round_of(record) > event.step.round]
        self.refused = 0 if verdict["accepted"] else self.refused + 1
        if self.config.accept.stop_after and self.refused >= self.config.accept.stop_after:
            raise GateStop(
                f"round {event.step.round}: {self.refused} rounds in a row were refused ({verdict['reason']}); "
                f"the best matter is that of round {verdict['best_round']}; raise accept.stop_after to go on"
            )

    def _mirror(self, round_: int, verdict: dict[str, Any]) -> None:
        evaluated = _metrics(step_folder(self.run_dir, f"{round_:02d}/evaluate"))
        sad = ", ".join(f"{domain} SAD {scores['SAD']:.4f}" for domain, scores in evaluated.items())
        word = "accepted" if verdict["accepted"] else "refused"
        self.on_round(f"round {round_} {word}: {sad}. {verdict.get('reason', '')}".rstrip())
        level = "INFO" if verdict["accepted"] else "WARN"
        self._log(round_, verdict, Alert(f"round {round_} {word}: {sad}", verdict.get("reason", ""), level))

    def failed(self, error: BaseException) -> None:
        """The run ended with that error: whoever follows the run hears of it."""
        if isinstance(error, StageFailed):
            self.mirror.alert(Alert("the run failed", str(error), "ERROR"))
        elif isinstance(error, GateStop) and not isinstance(error, Collapsed):
            self.mirror.alert(Alert("the run was stopped", str(error), "ERROR"))

    def _log(self, round_: int, verdict: dict[str, Any], alert: Alert | None = None) -> None:
        evaluated = _metrics(step_folder(self.run_dir, f"{round_:02d}/evaluate"))
        flat = {
            f"{domain}/{key}": v for domain, found in evaluated.items() for key, v in found.items() if key != "kind"
        }
        flat |= self._control(round_) | self._intervals(round_)
        stages = [record for record in self.finished if _round_of(record) <= round_]  # others may be ahead
        images = {"probes": step_folder(self.run_dir, f"{round_:02d}/evaluate") / "probes.png"}
        for domain in self.config.data.domains:
            watched = _metrics(step_folder(self.run_dir, f"{round_:02d}/{domain}/watch"))
            flat |= {f"{domain}/watch/{key}": value for key, value in watched.items()}
            selected = step_folder(self.run_dir, f"{round_:02d}/{domain}/select_generator")
            images[f"{domain}/generated"] = selected / "sheet.png"
            if (selected / "stage.json").is_file():
                measured = _metrics(selected)
                flat |= {f"{domain}/{k}": measured[k] for k in ("frechet", "kid") if measured.get(k) is not None}
        self.mirror.log(round_, flat, verdict, images, stages, lambda: round_tables(self.run_dir, round_), alert)

    def _control(self, round_: int) -> dict[str, float]:
        """The control's SAD in this round, and the change to its best one (below 0 the loop gains), by domain."""
        if not (self.config.run.control and round_):
            return {}
        here = step_folder(self.run_dir, f"{round_:02d}/{CONTROL}")
        gains, scores = _metrics(here / "compare"), _metrics(here / "evaluate")
        found = {f"{domain}/control_SAD": score["SAD"] for domain, score in scores.items()}
        for domain in self.config.data.domains:
            found |= {f"{domain}/{name}": value for name, value in gains.get(domain, {}).items()}
        return found

    def _intervals(self, round_: int) -> dict[str, float]:
        """The change to the best round's SAD that the verdict rests on, with its interval, by domain."""
        path = step_folder(self.run_dir, f"{round_:02d}/accept") / "verdict.json"
        intervals = json.loads(path.read_text())["intervals"] if path.is_file() else {}
        found: dict[str, float] = {}
        for domain, of_domain in intervals.items():
            change = of_domain["vs_best"]
            ends = {"": change["relative_change"], "_low": change["low"], "_high": change["high"]}
            found |= {f"{domain}/against_best{end}": value for end, value in ends.items() if value is not None}
        return found


def _round_of(record: StageRecord) -> int:
    return int(record.step.partition("/")[0])


def _metrics(folder: Path) -> dict[str, Any]:
    record = StageRecord.load(folder)
    return {} if record is None else record.metrics

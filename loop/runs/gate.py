"""Watching the rounds of a run go by: each finished one is mirrored; refusals in a row and a collapse stop the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loop.config.schema import Config
from loop.engine.execute import Event
from loop.engine.stage import StageRecord
from loop.engine.step import step_folder
from loop.runs.collapse import collapse
from loop.tracking.rounds import log_round


class GateStop(ValueError):
    """Several rounds in a row were refused, or the loop collapsed; nothing is broken, but going on would waste time."""


class RoundWatch:
    """A listener for `execute`. on_round: gets one line on each round that is made. Raises GateStop after
    accept.stop_after refused rounds in a row, and at once where a threshold of `watch` is broken."""

    def __init__(self, config: Config, run_dir: Path, on_round: Callable[[str], None]) -> None:
        self.config, self.run_dir, self.on_round = config, run_dir, on_round
        self.refused = 0
        self.finished: list[StageRecord] = []
        """Of the round under way."""

    def __call__(self, event: Event) -> None:
        if event.record is None:
            return
        self.finished.append(event.record)
        collapsed = collapse(self.config.watch, event.record)
        if collapsed is not None:
            if event.kind == "done":
                self._log(event.step.round, {"accepted": False, "reason": collapsed})
            raise GateStop(collapsed)
        if event.step.stage == "accept":
            self._round_over(event, event.record.metrics)

    def _round_over(self, event: Event, verdict: dict[str, Any]) -> None:
        if event.kind == "done":
            self._mirror(event.step.round, verdict)
        self.finished.clear()
        self.refused = 0 if verdict["accepted"] else self.refused + 1
        if self.config.accept.stop_after and self.refused >= self.config.accept.stop_after:
            raise GateStop(
                f"round {event.step.round}: {self.refused} rounds in a row were refused ({verdict['reason']}); "
                f"the accepted matter is that of round {verdict['accepted_round']}; raise accept.stop_after to go on"
            )

    def _mirror(self, round_: int, verdict: dict[str, Any]) -> None:
        evaluated = _metrics(step_folder(self.run_dir, f"{round_:02d}/evaluate"))
        sad = ", ".join(f"{domain} SAD {scores['SAD']:.4f}" for domain, scores in evaluated.items())
        word = "accepted" if verdict["accepted"] else "refused"
        self.on_round(f"round {round_} {word}: {sad}. {verdict.get('reason', '')}".rstrip())
        self._log(round_, verdict)

    def _log(self, round_: int, verdict: dict[str, Any]) -> None:
        evaluated = _metrics(step_folder(self.run_dir, f"{round_:02d}/evaluate"))
        flat = {
            f"{domain}/{key}": v for domain, found in evaluated.items() for key, v in found.items() if key != "kind"
        }
        images = {"probes": step_folder(self.run_dir, f"{round_:02d}/evaluate") / "probes.png"}
        for domain in self.config.data.domains:
            watched = _metrics(step_folder(self.run_dir, f"{round_:02d}/{domain}/watch"))
            flat |= {f"{domain}/watch/{key}": value for key, value in watched.items()}
            selected = step_folder(self.run_dir, f"{round_:02d}/{domain}/select_generator")
            images[f"{domain}/generated"] = selected / "sheet.png"
            if (selected / "stage.json").is_file():
                measured = _metrics(selected)
                flat |= {f"{domain}/{k}": measured[k] for k in ("frechet", "kid") if measured.get(k) is not None}
        log_round(self.config, self.run_dir, round_, flat, verdict, images, self.finished)


def _metrics(folder: Path) -> dict[str, Any]:
    record = StageRecord.load(folder)
    return {} if record is None else record.metrics

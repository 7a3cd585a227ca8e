"""What the report knows about a run, read from its files. Missing or half-written files are gaps, never errors."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loop.tracking.curves import METRICS, read_curves
from stylematte.jsonl import read_jsonl

Json = dict[str, Any]
FIGURES = ("SAD", "MSE", "MAD", "Grad", "Conn")


@dataclass
class Sifted:
    """How many cut-outs a stage kept, and how many it refused for which reason."""

    kept: int
    refused: dict[str, int]


@dataclass
class Round:
    """One round's results; each part is empty until its stage is done."""

    number: int
    folder: Path
    scores: dict[str, Json] = field(default_factory=dict)
    judged: dict[str, Json] = field(default_factory=dict)
    labels: dict[str, Sifted] = field(default_factory=dict)
    pairs: dict[str, Sifted] = field(default_factory=dict)
    verdict: Json | None = None
    stopped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """A run folder as plain data. `curves`: fit name -> round -> metric -> [(step, value), …]."""

    folder: Path
    config_text: str
    config: Json
    domains: list[str]
    planned: int
    rounds: list[Round]
    counts: Json
    left_out: list[Json]
    curves: dict[str, dict[int, dict[str, list[tuple[float, float]]]]]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def judged_rounds(self) -> list[Round]:
        return [round_ for round_ in self.rounds if round_.verdict is not None]

    @property
    def accepted(self) -> Round | None:
        """The round whose matter was accepted last."""
        if not self.judged_rounds:
            return None
        verdict = self.judged_rounds[-1].verdict or {}
        number = verdict.get("accepted_round", 0)
        return next((round_ for round_ in self.rounds if round_.number == number), None)


def read_run(folder: Path) -> Run:
    """Raises ValueError when `folder` holds no run at all; anything less than a whole run is read as far as it goes."""
    folder = Path(folder)
    if not (folder / "rounds").is_dir() and not (folder / "config.yaml").is_file():
        raise ValueError(f"{folder} is not a run folder: expected config.yaml and rounds/; give the run's --run.dir")
    text = _text(folder / "config.yaml")
    config = _yaml(text)
    planned = (config.get("run") or {}).get("rounds")
    rounds = [_round(path) for path in sorted((folder / "rounds").glob("[0-9]*")) if path.is_dir()]
    rounds = [round_ for round_ in rounds if planned is None or round_.number <= planned]
    named = list(((config.get("data") or {}).get("domains") or {}).keys())
    seen = [name for r in rounds for name in (*r.scores, *r.judged, *r.labels, *r.pairs)]
    prepared = folder / "rounds" / "00" / "prepare"
    return Run(
        folder=folder,
        config_text=text,
        config=config,
        domains=list(dict.fromkeys([*named, *seen])),
        planned=int(planned or 0),
        rounds=rounds,
        counts=_metrics(prepared).get("counts") or {},
        left_out=read_jsonl(prepared / "left_out.jsonl", growing=True),
        curves=_curves(rounds),
    )


def _round(folder: Path) -> Round:
    found = Round(number=int(folder.name), folder=folder)
    found.scores = {k: v for k, v in _metrics(folder / "evaluate").items() if isinstance(v, dict)}
    found.verdict = _json(folder / "accept" / "verdict.json") or None
    for record in _inside(folder, "stage.json"):
        step = record.parent.relative_to(folder).as_posix()
        if "/." in f"/{step}":
            continue  # scratch of a running stage
        seconds = _json(record).get("seconds")
        if isinstance(seconds, (int, float)):
            found.seconds[step] = float(seconds)
        stopped = _json(record.parent / "stopped.json").get("reason")
        if stopped:
            found.stopped[step] = str(stopped)
        domain, _, stage = step.rpartition("/")
        if stage == "select_generator":
            found.judged[domain] = _metrics(record.parent)
        elif stage == "label":
            found.labels[domain] = _sifted(record.parent)
        elif stage == "select":
            found.pairs[domain] = _sifted(record.parent)
    return found


def _sifted(folder: Path) -> Sifted:
    rows = read_jsonl(folder / "index.jsonl", growing=True)
    reasons = Counter(_rule(row) for row in rows if not row.get("kept"))
    return Sifted(sum(bool(row.get("kept")) for row in rows), dict(reasons.most_common()))


def _rule(row: Json) -> str:
    """The reason without its numbers, so that equal reasons count together."""
    if row.get("rule"):
        return str(row["rule"])
    return re.split(r"[\s,;:(=]+[-+]?\d", str(row.get("reason") or "no reason given"))[0].strip() or "other"


def _curves(rounds: list[Round]) -> dict[str, dict[int, dict[str, list[tuple[float, float]]]]]:
    """Finished fits, and for fits still running the file in their scratch folder `.<stage>.<key>`."""
    curves: dict[str, dict[int, dict[str, list[tuple[float, float]]]]] = {}
    for round_ in rounds:
        for file in _inside(round_.folder, METRICS):
            running = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}", file.parent.name)
            if file.parent.name.startswith(".") and not running:
                continue
            stage = running[1] if running else file.parent.name
            domain = file.parent.parent.relative_to(round_.folder).as_posix()
            by_round = curves.setdefault(stage if domain == "." else f"{domain} · {stage}", {})
            if not running or round_.number not in by_round:
                by_round[round_.number] = read_curves(file)
    return curves


def _inside(folder: Path, name: str) -> list[Path]:
    """Files of that name in the stages of a round and of its domains, finished stages last."""
    found = [*folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")]
    return sorted(found, key=lambda path: (not path.parent.name.startswith("."), path))


def _metrics(folder: Path) -> Json:
    found = _json(folder / "stage.json").get("metrics")
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> Json:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _yaml(text: str) -> Json:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}

"""Reads a run folder into a `loop.report.data.Run`. Missing or half-written files are gaps, never errors."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from loop.engine.files import bytes_below
from loop.report.data import (
    AgainstControl,
    Change,
    Control,
    Counts,
    Curves,
    Distances,
    LeftOut,
    Picture,
    Round,
    Run,
    Score,
    Sieve,
    Verdict,
)
from loop.tracking.curves import METRICS, read_curves
from loop.tracking.provenance import read_provenance
from stylematte.jsonl import read_jsonl

Record = dict[str, Any]
"""A JSON object as it was found: nothing in it is certain."""


def read_run(folder: Path) -> Run:
    """The run in `folder`, as far as it goes. Raises ValueError when `folder` holds no run at all."""
    folder = Path(folder)
    if not (folder / "rounds").is_dir() and not (folder / "config.yaml").is_file():
        raise ValueError(f"{folder} is not a run folder: expected config.yaml and rounds/; give the run's --run.dir")
    text = _text(folder / "config.yaml")
    config = _yaml(text)
    planned, has_control = _part(config, "run").get("rounds"), _part(config, "run").get("control") is True
    rounds = [_round(path) for path in sorted((folder / "rounds").glob("[0-9]*")) if path.is_dir()]
    rounds = [round_ for round_ in rounds if planned is None or round_.number <= planned]
    domains = _domains(config, rounds)
    for round_ in rounds if has_control else ():
        round_.control = _control(round_.folder / "control", domains)
    inputs = _inputs(folder)
    _in_order(list(inputs), rounds)
    prepared = folder / "rounds" / "00" / "prepare"
    left_out = read_jsonl(prepared / "left_out.jsonl", growing=True)
    return Run(
        name=folder.resolve().name,
        config_text=text,
        margin=_number(_part(config, "accept").get("margin")),
        domains=domains,
        planned=int(planned or 0),
        has_control=has_control,
        rounds=rounds,
        counts=_counts(prepared),
        left_out=[LeftOut(_word(row, "file"), _word(row, "reason")) for row in left_out],
        curves=_curves(rounds),
        augmentation_cap=_number(_part(_part(config, "generator"), "fit").get("augment_max")),
        free_bytes=shutil.disk_usage(folder).free,
        inputs=inputs,
        provenance=read_provenance(folder),
        used_bytes=max((bytes_below(round_.folder) for round_ in rounds[-2:]), default=0),
    )


def _inputs(folder: Path) -> dict[str, dict[str, str]]:
    """Step -> what it reads by name -> the step that made it, as the plan lists them, by manifest.json."""
    listed = _json(folder / "manifest.json").get("steps")
    steps = [step for step in listed if isinstance(step, dict)] if isinstance(listed, list) else []
    return {_word(step, "id"): {name: str(made) for name, made in _part(step, "inputs").items()} for step in steps}


def _in_order(ids: list[str], rounds: list[Round]) -> None:
    """The steps of each round as the plan lists them; others come last, as they were finished."""
    for round_ in rounds:
        place = {step: index for index, step in enumerate(ids)}
        last = len(ids)
        order = {
            step: (place.get(f"{round_.number:02d}/{step}", last), round_.ended.get(step, math.inf), step)
            for step in round_.seconds
        }
        round_.seconds = {step: round_.seconds[step] for step in sorted(order, key=order.__getitem__)}


def _domains(config: Record, rounds: list[Round]) -> list[str]:
    """Those that the configuration names, in its order, then others that have results."""
    seen = [name for r in rounds for name in (*r.scores, *r.distances, *r.labels, *r.pairs)]
    return list(dict.fromkeys([*_part(_part(config, "data"), "domains"), *seen]))


def _round(folder: Path) -> Round:
    evaluated = folder / "evaluate"
    scores = _scores(evaluated)
    rows = read_jsonl(evaluated / "per_picture.jsonl", growing=True)
    pictures = [_picture(evaluated, row) for row in rows if _is_number(row.get("SAD"))]
    found = Round(int(folder.name), folder, scores, pictures, verdict=_verdict(_json(folder / "accept/verdict.json")))
    for record in _inside(folder, "stage.json"):
        step = record.parent.relative_to(folder).as_posix()
        if "/." not in f"/{step}":  # not the scratch of a running stage
            _add_step(found, step, record)
    return found


def _add_step(round_: Round, step: str, record: Path) -> None:
    found, reason = _json(record), _json(record.parent / "stopped.json").get("reason")
    seconds = found.get("seconds")
    if _is_number(seconds):
        round_.seconds[step] = float(seconds)
        with suppress(ValueError):
            round_.ended[step] = datetime.fromisoformat(_word(found, "finished")).timestamp()
    if reason:
        round_.stopped[step] = str(reason)
    domain, _, stage = step.rpartition("/")
    if stage in ("watch", "label"):
        values = {name: value for name, value in _metrics(record.parent).items() if _is_number(value)}
        round_.watch.setdefault(domain, {}).update(values)
    if stage == "select_generator":
        round_.distances[domain] = _distances(_metrics(record.parent))
    elif stage == "label":
        round_.labels[domain] = _sieve(record.parent)
    elif stage == "enhance":
        round_.enhanced[domain] = _sieve(record.parent)
    elif stage == "refine_cutouts":
        round_.refined[domain] = _sieve(record.parent)
    elif stage == "select":
        round_.pairs[domain] = _sieve(record.parent)


def _scores(evaluated: Path) -> dict[str, Score]:
    return {domain: _score(record) for domain, record in _metrics(evaluated).items() if isinstance(record, dict)}


def _control(folder: Path, domains: list[str]) -> Control | None:
    """A round's control; None where nothing of it is there yet."""
    scores, record = _scores(folder / "evaluate"), _json(folder / "compare/gain.json")
    if not scores and not record:
        return None
    rounds = [_whole(record.get(name)) for name in ("best_round", "control_round")]
    gains, same_round = (_against(_part(record, name), domains) for name in ("gain", "same_round"))
    return Control(scores, rounds[0], rounds[1], gains, same_round)


def _against(record: Record, domains: list[str]) -> dict[str, AgainstControl]:
    found = {}
    for domain in domains:
        values = _part(record, domain)
        change = _change(values)
        sads = [_number(values.get(key)) for key in ("mean_new", "mean_best")] if change else [None]
        if change and sads[0] is not None and sads[1] is not None:
            found[domain] = AgainstControl(sads[0], sads[1], change, _whole(values.get("n")) or 0)
    return found


def _score(metrics: Record) -> Score:
    figures = {name: value for name, value in metrics.items() if name != "n" and _is_number(value)}
    kind = metrics.get("kind")
    return Score(figures, _whole(metrics.get("n")), None if kind is None else str(kind))


def _picture(folder: Path, row: Record) -> Picture:
    return Picture(
        id=_word(row, "id"),
        domain=_word(row, "domain"),
        kind=_word(row, "kind"),
        sad=row["SAD"],
        zero_sad=_number(row.get("zero_SAD")),
        photo=_file(folder, row.get("photo")),
        truth=_file(folder, row.get("truth")),
        prediction=_file(folder, row.get("prediction")),
    )


def _file(folder: Path, name: Any) -> Path | None:
    return folder / str(name) if name else None


def _distances(metrics: Record) -> Distances:
    numbers = {name: _number(metrics.get(name)) for name in ("frechet", "kid", "fitted_frechet")}
    return Distances(**numbers, selected=metrics.get("selected"))


def _verdict(record: Record) -> Verdict | None:
    if not record:
        return None
    changes = {}
    for domain, against in _part(record, "intervals").items():
        found = {name: _change(values) for name, values in against.items()} if isinstance(against, dict) else {}
        changes[domain] = {name: change for name, change in found.items() if change is not None}
    round_, best = _whole(record.get("accepted_round")) or 0, _whole(record.get("best_round"))
    best = round_ if best is None else best
    return Verdict(bool(record.get("accepted")), _word(record, "reason"), round_, best, changes)


def _change(values: Any) -> Change | None:
    found = [values.get(name) for name in ("relative_change", "low", "high")] if isinstance(values, dict) else []
    numbers = [value for value in found if _is_number(value)]
    return Change(*numbers) if len(numbers) == 3 else None


def _sieve(folder: Path) -> Sieve:
    rows = read_jsonl(folder / "index.jsonl", growing=True)
    reasons = Counter(_rule(row) for row in rows if not row.get("kept"))
    return Sieve(sum(bool(row.get("kept")) for row in rows), dict(reasons.most_common()))


def _rule(row: Record) -> str:
    """The reason without its numbers, so that equal reasons count together."""
    if row.get("rule"):
        return str(row["rule"])
    return re.split(r"[\s,;:(=]+[-+]?\d", str(row.get("reason") or "no reason given"))[0].strip() or "other"


def _counts(prepared: Path) -> Counts:
    counts: Counts = _part(_metrics(prepared), "counts")
    return counts


def _curves(rounds: list[Round]) -> Curves:
    """Finished fits, and for fits still running the file in their scratch folder `.<stage>.<key>`."""
    curves: Curves = {}
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
    # a domain's name has no dot before it, and what has one may be renamed while it is looked into
    found = [*folder.glob(f"*/{name}"), *folder.glob(f"[!.]*/*/{name}")]
    return sorted(found, key=lambda path: (not path.parent.name.startswith("."), path))


def _metrics(folder: Path) -> Record:
    return _part(_json(folder / "stage.json"), "metrics")


def _part(record: Mapping[str, Any], name: str) -> Record:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _word(record: Record, name: str) -> str:
    return str(record.get(name, ""))


def _number(value: Any) -> float | None:
    return value if _is_number(value) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _json(path: Path) -> Record:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _yaml(text: str) -> Record:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}

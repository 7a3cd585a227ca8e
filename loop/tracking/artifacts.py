"""Results of a run as W&B artifacts: data, labels, pools, generators, matters and verdicts, with what each was made of.

An artifact names the folder of a result, which stays where it is, and has a small file with the step and the beginning
of its key: equal results are one version, whoever logs it, and a result that was made anew is a new one.
The aliases of a version are round-N, and of an accepted matter `accepted`; W&B adds `latest`. The run of a fit uses
what the fit reads and logs what it makes; the loop run logs the rest, once a round is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loop.engine.files import write_atomically
from loop.engine.record import StageRecord
from loop.engine.step import step_folder
from loop.tracking.entries import FOLDER
from loop.tracking.wandb_run import WandbRun

KINDS = {
    "prepare": "data",
    "label": "labels",
    "synthesize": "pool",
    "draw_pairs": "pool",
    "select": "pairs",
    "fit_generator": "generator",
    "select_generator": "generator",
    "fit_matter": "matter",
    "accept": "verdict",
}
"""Stage -> type of its result's artifact; others are no artifacts."""
FITS = ("fit_generator", "fit_matter")
KEY = 8  # digits of a key that name a result


def use_read(run: WandbRun, run_dir: Path, inputs: Mapping[str, Path]) -> None:
    """What a fit reads, in its own W&B run: results of the run folder that are artifacts."""
    for folder in inputs.values():
        record = StageRecord.load(folder)
        if record is not None and record.stage in KINDS:
            run.artifact(made(run_dir, record.step, record.key[:KEY]), use=True)


def log_made(run: WandbRun, run_dir: Path, step_id: str, key: str) -> None:
    """The result of a fit, in its own W&B run. It is committed a moment later, under the same name."""
    run.artifact(made(run_dir, step_id, key))


def log_round(run: WandbRun, run_dir: Path, stages: Sequence[Mapping[str, str]], accepted: bool, upload: bool) -> None:
    """The results of a round, in the loop run. stages: {"id", "key"} of each. accepted: its matter was.

    upload: the files of its matter and of its selected generators are sent too, as artifacts of their own.
    """
    for stage in stages:
        name = stage["id"].rpartition("/")[2]
        matter = name == "fit_matter" and "/control/" not in stage["id"]
        if name in KINDS:
            aliases = ["accepted"] if accepted and (matter or name == "accept") else []
            found = made(run_dir, stage["id"], stage["key"], aliases)
            run.artifact(found, use=name in FITS)  # a fit's own run has logged it; here it is named
            if upload and (matter or name == "select_generator"):
                run.artifact(found | {"upload": True, "name": f"{found['name']}-files"})


def made(run_dir: Path, step_id: str, key: str, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """What `WandbRun.artifact` takes. Writes the small file that names the result."""
    stage, round_ = step_id.rpartition("/")[2], int(step_id.partition("/")[0])
    file = run_dir / FOLDER / step_id / "artifact.json"
    text = json.dumps({"step": step_id, "key": key}, sort_keys=True) + "\n"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)
    parts = [part for part in step_id.split("/")[1:-1]] + [stage]
    return {
        "name": re.sub(r"[^\w.-]", "_", "-".join(parts)),
        "type": KINDS[stage],
        "aliases": [f"round-{round_}", *aliases],
        "folder": str(step_folder(run_dir, step_id).resolve()),
        "file": str(file),
        "metadata": {"step": step_id, "key": key},
        "upload": False,
    }

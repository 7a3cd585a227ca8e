"""Pairs that a person has accepted or refused by hand: RUN/reviews.jsonl, a line a decision, of which the last counts.

The next `select` of that round and domain honours them: they are part of what it reads, so of its key and record. A
review is of a picture, not of a name: it counts while the candidate with that id has the bytes that were looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from stylematte.jsonl import read_jsonl
from stylematte.shards import is_member, read_member

FILE = "reviews.jsonl"


@dataclass(frozen=True)
class Review:
    kept: bool
    picture: str
    """Digest of the candidate's picture (`picture_digest`)."""
    reason: str = ""
    """Of a refusal."""


Reviews = Mapping[str, Mapping[str, Review]]
"""Step (of the stage `select`) -> id of a candidate -> what was decided."""


def read_reviews(run_dir: Path | None) -> dict[str, dict[str, Review]]:
    """Those that count; lines that are cut or of another form are passed over."""
    found: dict[str, dict[str, Review]] = {}
    for row in read_jsonl(run_dir / FILE, growing=True) if run_dir is not None else ():
        of_step = found.setdefault(str(row.get("step")), {})
        of_step.pop(str(row.get("id")), None)
        if isinstance(row.get("kept"), bool):
            review = Review(row["kept"], str(row.get("picture", "")), str(row.get("reason", "")))
            of_step[str(row.get("id"))] = review
    return {step: of_step for step, of_step in found.items() if of_step}


def write_review(run_dir: Path, step: str, id_: str, review: Review | None, by: str) -> None:
    """Append a decision; None takes an earlier one back."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    decided = {"kept": None} if review is None else asdict(review)
    row = {"step": step, "id": id_, **decided, "by": by, "at": at}
    descriptor = os.open(run_dir / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(row) + "\n").encode())
    finally:
        os.close(descriptor)


def picture_digest(path: Path) -> str:
    """SHA-256 (hex) of a picture's file, which may be a member of a shard. Raises OSError."""
    return hashlib.sha256(read_member(path) if is_member(path) else path.read_bytes()).hexdigest()

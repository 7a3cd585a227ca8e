"""The candidates of a round and domain for review by hand: what `select` made of each, what a person decided, pictures.

Before `select` has run they are those of its pool, of which nothing is decided yet.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from PIL import Image

from loop.config.reviews import Review, picture_digest, read_reviews, write_review
from loop.engine import audit, manifest
from loop.engine.step import step_folder
from loop.serve.folders import Unknown, domain_folder, inside, stamp
from stylematte.jsonl import read_jsonl
from stylematte.shards import is_member, read_member

Show = Literal["all", "kept", "refused", "reviewed"]
Kind = Literal["cutout", "alpha"]
Decision = Literal["accept", "refuse", "clear"]
POOLS = ("refine_pairs", "synthesize", "draw_pairs")
"""What `select` may read, where manifest.json does not say."""
WEBP_QUALITY = 85


class Candidates(NamedTuple):
    step: str
    """Of the stage `select`."""
    pool: Path
    rows: list[dict[str, Any]]
    """{id, kept, rule, reason, disagreement, review}; kept None before select, review None or {kept, reason}."""
    files: dict[str, str]
    """Id -> its picture in the pool, below the pool's folder."""
    version: str
    """Of the pool's pictures."""


def state(run: Path, round_: int, domain: str) -> tuple[int, ...]:
    """Changes when the candidates or their reviews do. Raises Unknown."""
    here = domain_folder(run, round_, domain)
    folders = ("select", *POOLS)
    return (*(stamp(here / name / "index.jsonl") for name in folders), stamp(run / "reviews.jsonl"))


def candidates(run: Path, round_: int, domain: str) -> Candidates:
    """Raises Unknown where the domain has no pool yet."""
    here = domain_folder(run, round_, domain)
    step = f"{round_:02d}/{domain}/select"
    pool = _pool(run, here, step)
    reviews = read_reviews(run).get(step, {})
    pooled = [row for row in read_jsonl(pool / "index.jsonl", growing=True) if row.get("rgba") and "id" in row]
    judged = {str(row.get("id")): row for row in read_jsonl(here / "select" / "index.jsonl", growing=True)}
    rows = [_row(row, judged.get(str(row["id"])), reviews.get(str(row["id"]))) for row in pooled]
    files = {str(row["id"]): str(row["rgba"]) for row in pooled}
    return Candidates(step, pool, rows, files, f"{stamp(pool / 'stage.json'):x}")


def _pool(run: Path, here: Path, step: str) -> Path:
    try:
        steps = json.loads((run / manifest.FILE).read_text(encoding="utf-8"))["steps"]
        made = next(each["inputs"]["pool"] for each in steps if each["id"] == step)
        found = [inside(run, step_folder(run, str(made)))]
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        found = [here / name for name in POOLS]
    for pool in found:
        if (pool / "index.jsonl").is_file():
            return pool
    raise Unknown("nothing was drawn there yet")


def _row(row: dict[str, Any], judged: dict[str, Any] | None, review: Review | None) -> dict[str, Any]:
    judged = judged or {}
    return {
        "id": str(row["id"]),
        "kept": bool(judged["kept"]) if "kept" in judged else None,
        "rule": judged.get("rule"),
        "reason": judged.get("reason"),
        "disagreement": judged.get("disagreement"),
        "review": None if review is None else {"kept": review.kept, "reason": review.reason},
    }


def shown(found: Candidates, show: Show, offset: int, limit: int) -> dict[str, Any]:
    """A page of them, in the pool's order."""
    rows = [row for row in found.rows if _is_shown(row, show)]
    counts = {each: sum(_is_shown(row, each) for row in found.rows) for each in get_args(Show)}
    return {
        "step": found.step,
        "version": found.version,
        "total": len(rows),
        "offset": offset,
        "pairs": rows[offset : offset + limit],
        "counts": counts,
    }


def _is_shown(row: dict[str, Any], show: str) -> bool:
    if show == "reviewed":
        return row["review"] is not None
    return show == "all" or row["kept"] is (show == "kept")


def picture(run: Path, found: Candidates, id_: str, kind: Kind, side: int) -> bytes:
    """WebP of a candidate, straight RGBA or its alpha, at most `side` pixels wide and high. Raises Unknown."""
    path = _file(run, found, id_)
    try:
        raw = read_member(path) if is_member(path) else path.read_bytes()
        with Image.open(io.BytesIO(raw)) as opened:
            small = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError):
        raise Unknown("the picture is gone or damaged") from None
    small.thumbnail((side, side))
    memory = io.BytesIO()
    (small if kind == "cutout" else small.getchannel("A")).save(memory, "WEBP", quality=WEBP_QUALITY)
    return memory.getvalue()


def decide(run: Path, found: Candidates, id_: str, decision: Decision, reason: str, by: str) -> dict[str, Any]:
    """Write a review of the picture as it is now; the review as it counts. Raises Unknown."""
    review = None
    if decision == "clear":
        _file(run, found, id_)
    else:
        try:
            digest = picture_digest(_file(run, found, id_))
        except OSError:
            raise Unknown("the picture is gone") from None
        review = Review(decision == "accept", digest, reason if decision == "refuse" else "")
    write_review(run, found.step, id_, review, by)
    audit.record(run, by, f"review: {decision}", step=found.step, id=id_, reason=reason)
    return {"id": id_, "review": None if review is None else {"kept": review.kept, "reason": review.reason}}


def _file(run: Path, found: Candidates, id_: str) -> Path:
    if id_ not in found.files:
        raise Unknown("there is no candidate of that id")
    path = found.pool / found.files[id_]
    if is_member(path):
        inside(run, path.parent)
        return path
    return inside(run, path)

"""Refines generated cut-outs by the connectivity prior before `select`; what breaks a rule is no candidate any more.

Out: rgba/*.png (all of them, refined), index.jsonl {the pool's row; kept, rule, reason, figures}, sheet.png (before,
after and difference of those that changed most).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from loop.config.steps import RefineStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.pools import Row, read_index, write_index
from stylematte.imagefile import read_rgba, write_rgb, write_rgba
from stylematte.refine.cutout import refine_cutout
from stylematte.refine.sheet import Change, change, sheet_of, worst

SHEET_MOST = 16


def run(ctx: Context) -> Metrics:
    return refine_pool(ctx, "pool", lambda row: bool(row["kept"]))


def refine_pool(ctx: Context, name: str, open_: Callable[[Row], bool]) -> Metrics:
    """The pool that is the input `name`, refined where `open_` says so of its row; others go on as they are."""
    step, pool = read(RefineStep, ctx.config), ctx.inputs[name]
    rows, changes = read_index(pool), list[Change]()
    (ctx.out / "rgba").mkdir()
    refined_rows = []
    for row in tracked(ctx, rows):
        if not row["kept"]:
            continue
        rgba = read_rgba(pool / row["rgba"])
        if not open_(row):
            write_rgba(ctx.out / row["rgba"], rgba)
            continue
        refined, (_, figures, verdict) = refine_cutout(rgba, step.rules)
        write_rgba(ctx.out / row["rgba"], refined)
        row |= {"kept": verdict.accepted, "rule": verdict.rule, "reason": verdict.reason, "figures": asdict(figures)}
        refined_rows.append(row)
        changes = worst([*changes, change(rgba[3:], refined[3:], figures.change)], SHEET_MOST)
    write_index(ctx.out, rows)
    sheet = sheet_of(changes)
    if sheet is not None:
        write_rgb(ctx.out / "sheet.png", sheet)
    return _metrics(refined_rows)


def _metrics(rows: list[Row]) -> Metrics:
    reasons: dict[str, int] = {}
    for row in rows:
        if not row["kept"]:
            reasons[row["rule"]] = reasons.get(row["rule"], 0) + 1
    means = {}
    for figure in ("change", "band_change", "core_deficit", "background_leak"):
        means[figure] = round(sum(row["figures"][figure] for row in rows) / max(len(rows), 1), 5)
    kept = sum(row["kept"] for row in rows)
    return {"candidates": len(rows), "kept": kept, "refused": dict(sorted(reasons.items())), **means}

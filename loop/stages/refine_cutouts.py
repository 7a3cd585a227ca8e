"""Refines the alphas that `label` gave to photos, before a generator learns from them; true alphas go on as they are.

Out: as of `refine_pairs`, with the rows of `label`.
"""

from __future__ import annotations

from loop.engine.stage import Context, Metrics
from loop.stages.refine_pairs import refine_pool
from stylematte.data.manifest import MEASURED


def run(ctx: Context) -> Metrics:
    return refine_pool(ctx, "labels", lambda row: row["kind"] not in MEASURED)

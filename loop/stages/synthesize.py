"""Samples cut-outs from the selected generator and records the seed and psi of each.

Psi comes from a continuous interval away from 0: StyleGAN3 has no noise inputs, so equal w is an equal picture, and
at psi 0 every w is equal. Out: rgba/*.png (straight), or shards/*.tar with synthesize.per_shard; index.jsonl {id, rgba,
kept, reason, seed, psi}.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from loop.config.steps import SynthesizeStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import Row, write_index
from loop.sharded import write_shards
from stylematte.imagefile import write_rgba
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import is_generator, load_generator
from stylemattegan.sample import psi_for_seed, sample

SEED_SPAN = 2**31


def run(ctx: Context) -> Metrics:
    config = read(SynthesizeStep, ctx.config)
    rows: list[Row] = []
    if not config.per_shard:
        (ctx.out / "rgba").mkdir()
    if is_generator(ctx.inputs["generator"]):
        G = load_generator(ctx.inputs["generator"]).to(device_for(ctx))
        first = ctx.seed % SEED_SPAN * config.count  # every round and domain has seeds of its own
        seeds = list(range(first, first + config.count))
        if config.per_shard:

            def drawn(start: int, stop: int) -> Iterator[tuple[Row, Tensor]]:
                for first in tracked(ctx, range(start, stop, config.batch)):
                    yield from _drawn(config, G, seeds[first : min(first + config.batch, stop)])

            rows = write_shards(ctx, len(seeds), config.per_shard, drawn)
        else:
            for start in tracked(ctx, range(0, len(seeds), config.batch)):
                rows += _batch(ctx, config, G, seeds[start : start + config.batch])
    write_index(ctx.out, rows)
    return {"count": len(rows)}


def _batch(ctx: Context, config: SynthesizeStep, G: Generator, seeds: list[int]) -> list[Row]:
    rows = []
    for row, rgba in _drawn(config, G, seeds):
        name = f"rgba/{row['seed']}.png"
        write_rgba(ctx.out / name, rgba)
        rows.append({**row, "rgba": name})
    return rows


def _drawn(config: SynthesizeStep, G: Generator, seeds: list[int]) -> Iterator[tuple[Row, Tensor]]:
    psis = [psi_for_seed(seed, config.psi) for seed in seeds]
    for seed, psi, rgba in zip(seeds, psis, sample(G, seeds, psis, config.batch), strict=True):
        id_ = f"{config.round:02d}/{config.domain}/{seed}"
        yield {"id": id_, "kept": True, "reason": None, "seed": seed, "psi": round(psi, 6)}, rgba

"""The oracle in `synthesize`'s place: as many flawless cut-outs, drawn by code, as the generator would have made.

They are framed as the generator's are (`frame_cutout`), and no picture of the data set is among them. What a generator
without a fault would teach, and so the most that its road can bring. Or, keyed, what a green screen would; or, spoilt,
what a generator with the faults of layer diffusion would. Out: rgba/*.png (straight), index.jsonl {id, rgba, kept,
reason, seed; if spoilt: artefacts, their names, and error, what is wrong of the alpha over the subject's area}.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from loop.config.steps import DrawPairsStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.pools import Row, write_index
from stylematte.data.drawn.dataset import draw
from stylematte.generators.chroma import Chroma
from stylematte.imagefile import write_rgba
from stylematte.refine.artefacts import spoil
from stylematte.rgba_generator import RGBASample
from stylematte.sampling import position_seed
from stylemattegan.framing import frame_cutout


def run(ctx: Context) -> Metrics:
    config = read(DrawPairsStep, ctx.config)
    rows: list[Row] = []
    (ctx.out / "rgba").mkdir()
    screen = Chroma(drawn=config.subject, size=config.size)
    for number in tracked(ctx, range(config.count)):
        seed = position_seed(ctx.seed, "pair", number)
        if config.keyed:
            rgba = next(iter(screen.sample(1, seed)))
            assert isinstance(rgba, RGBASample), "a drawn screen is seen"
            cutout = rgba.rgba
        else:
            drawn = draw(config.subject, seed, config.size)  # type: ignore[arg-type]  # checked with the configuration
            cutout = torch.cat([drawn.foreground, drawn.alpha])
        name = f"rgba/{number:06d}.png"
        framed = frame_cutout(cutout, config.size)
        id_ = f"{config.round:02d}/{config.domain}/{number:06d}"
        rows.append({"id": id_, "rgba": name, "kept": True, "reason": None, "seed": seed})
        if config.spoilt:
            framed, found = _spoilt(framed, seed)
            rows[-1] |= found
        write_rgba(ctx.out / name, framed)
    write_index(ctx.out, rows)
    return {"count": len(rows)}


def _spoilt(rgba: Tensor, seed: int) -> tuple[Tensor, Row]:
    truth = rgba[3].numpy()
    alpha, names = spoil(truth, np.random.default_rng(position_seed(seed, "spoilt")))
    error = float(np.abs(alpha - truth).sum() / truth.sum())
    return torch.cat([rgba[:3], torch.from_numpy(alpha)[None]]), {"artefacts": list(names), "error": round(error, 5)}

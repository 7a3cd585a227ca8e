"""The stage `fit_generator`: a domain's cut-outs -> its generator, warm-started from the last round's or from
generator.init_from.

Real cut-outs keep at least 1 - pseudo_share of every batch. The generator never sees its own pictures.
Out: G, D, G_ema and the composite discriminator D2 if there is one (.safetensors), generator.json, and the same in
snapshots/NNNNN/ as they were at that tick, for `select_generator` to choose among; when a loss became NaN:
stopped.json with the reason and the previous round's weights, or none in the first round.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from loop.config.steps import FitGeneratorStep, read
from loop.engine.stage import Context, Metrics
from loop.fitting.composite_discriminator import composite_discriminator
from loop.fitting.previews import Previews, fakes
from loop.fitting.trainer import fit
from loop.pools import read_index
from stylematte.data.manifest import MEASURED
from stylemattegan.config import GeneratorFitConfig, GeneratorNetworkConfig
from stylemattegan.networks.weights import copy_generator, is_generator, licence_note
from stylemattegan.training.cutouts import CutoutData
from stylemattegan.training.divergence import Diverged
from stylemattegan.training.module import GeneratorModule
from stylemattegan.training.reconstruction import Reconstruction
from stylemattegan.training.start import Networks, build_like

SNAPSHOTS = "snapshots"


class Snapshots(Callback):
    """Writes the networks as they are after every 1/count of the fit but the last, which is the fit's own result.

    What a tick writes depends on the tick alone, so a resumed fit writes the same once more.
    """

    def __init__(self, folder: Path, fit: GeneratorFitConfig, meta: dict[str, Any]) -> None:
        self.folder, self.tick, self.meta = folder, fit.tick, meta
        ticks = fit.steps // fit.tick
        self.ticks = {round(ticks * part / fit.snapshots) for part in range(1, fit.snapshots)} - {0, ticks}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        done = trainer.current_epoch + 1
        if done in self.ticks and trainer.is_global_zero:
            _save(self.folder / f"{done:05d}", pl_module, done * self.tick, self.meta)


def _save(folder: Path, module: GeneratorModule, steps: int, meta: dict[str, Any]) -> None:
    reached = {"kimg": steps * module.batch / 1000, "augment_p": module.ada.p}
    module.save(folder, meta | reached)


def run(ctx: Context) -> Metrics:
    step = read(FitGeneratorStep, ctx.config)
    labels = ctx.inputs["labels"]
    kept = [row for row in read_index(labels) if row["kept"]]
    real = [labels / row["rgba"] for row in kept if row["kind"] in MEASURED]
    pseudo = [labels / row["rgba"] for row in kept if row["kind"] not in MEASURED]
    previous = _previous(ctx)
    if not kept:
        return _fall_back(ctx, previous, "no cut-out to learn from: the matter's labels were all refused")
    module = GeneratorModule(
        _network(step, ctx.seed),
        step.fit,
        resolution=step.size,
        seed=ctx.seed,
        init_from=previous or step.init_from,
        composite_discriminator=composite_discriminator(ctx, step, previous),
        alpha_regularizer=step.alpha_regularizer,
        reconstruction=_reconstruction(step, real + pseudo, ctx.seed) if previous is None else None,
    )
    snapshots = ctx.scratch / SNAPSHOTS
    meta = {"round": step.round, **(licence_note(Path(step.init_from)) if step.init_from else {})}
    try:
        data = _data(step, real, pseudo, ctx.seed)
        # Lightning's own precision is none of it: layers of 16 bits cast for themselves (generator.fit.precision).
        seen = [Snapshots(snapshots, step.fit, meta), Previews(ctx, step.fit, "fakes", fakes)]
        fit(module, data, ctx, step.fit, "32-true", seen, SNAPSHOTS)
    except Diverged as error:
        return _fall_back(ctx, previous, str(error))
    if ctx.is_first_rank:
        if snapshots.is_dir():
            shutil.copytree(snapshots, ctx.out / SNAPSHOTS)
        _save(ctx.out, module, step.fit.steps, meta)
    return {"kimg": step.fit.steps * step.fit.batch / 1000, "real": len(real), "pseudo": len(pseudo)}


def _data(step: FitGeneratorStep, real: list[Path], pseudo: list[Path], seed: int) -> CutoutData:
    share = min(step.fit.pseudo_share, len(pseudo) / (len(real) + len(pseudo))) if real else 1.0
    return CutoutData(
        files=[real, pseudo],
        shares=[1 - share, share],
        resolution=step.size,
        batch=step.fit.batch,
        steps_per_epoch=step.fit.tick,
        seed=seed,
        mirror=step.fit.mirror,
        workers=step.fit.workers,
    )


def _reconstruction(step: FitGeneratorStep, files: list[Path], seed: int) -> Reconstruction | None:
    """How a fit from random weights begins, if it is to begin so."""
    if not step.fit.reconstruction.steps or step.init_from is not None:
        return None
    return Reconstruction(
        files,
        step.fit.reconstruction,
        resolution=step.size,
        z_dim=step.network.z_dim,
        batch=step.fit.batch,
        seed=seed,
        mirror=step.fit.mirror,
    )


def _network(step: FitGeneratorStep, seed: int) -> GeneratorNetworkConfig | Networks:
    """How the networks are built: as generator.init_from was, if it is given."""
    if step.init_from is None:
        return step.network
    return build_like(Path(step.init_from), step.network, step.size, step.fit.batch, seed)


def _previous(ctx: Context) -> Path | None:
    """The folder of the generator that the domain has had so far, if it has one."""
    folder = ctx.inputs.get("previous")
    return folder if folder is not None and is_generator(folder) else None


def _fall_back(ctx: Context, previous: Path | None, reason: str) -> Metrics:
    """The last round's generator goes on; without one the domain has none this round."""
    if ctx.is_first_rank:
        (ctx.out / "stopped.json").write_text(json.dumps({"reason": reason}))
        if previous is not None:
            copy_generator(previous, ctx.out)
    return {"diverged": reason}

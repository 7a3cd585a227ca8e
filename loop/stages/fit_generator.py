"""Cut-outs of one domain -> its generator, warm-started from the last round's, or from generator.init_from.

Real cut-outs keep at least 1 - pseudo_share of every batch. The generator never sees its own pictures.
Out: G, D, G_ema and the second discriminator D2 if there is one (.safetensors), generator.json, and the same in
snapshots/NNNNN/ as they were at that tick, for `select_generator` to choose among; when a loss became NaN:
stopped.json with the reason and the former round's weights, or none in the first round.
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
from loop.fitting.trainer import fit
from loop.pools import LABELLED, read_index
from stylemattegan.networks.weights import copy_generator, is_generator, licence_note, network_arguments, save_generator
from stylemattegan.training.cutouts import CutoutData
from stylemattegan.training.module import Diverged, GeneratorModule

SNAPSHOTS = "snapshots"


class Snapshots(Callback):
    """Writes the networks as they are after every 1/count of the fit but the last, which is the fit's own result.

    What a tick writes depends on the tick alone, so a resumed fit writes the same once more.
    """

    def __init__(self, folder: Path, fit: dict[str, Any], meta: dict[str, Any]) -> None:
        self.folder, self.fit, self.meta = folder, fit, meta
        ticks = fit["steps"] // fit["tick"]
        self.ticks = {round(ticks * part / fit["snapshots"]) for part in range(1, fit["snapshots"])} - {0, ticks}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        done = trainer.current_epoch + 1
        if done in self.ticks and trainer.is_global_zero:
            meta = {**self.meta, **_reached(pl_module, done * self.fit["tick"])}
            _save(self.folder / f"{done:05d}", pl_module, meta)


def _reached(module: GeneratorModule, steps: int) -> dict[str, float]:
    return {"kimg": steps * module.batch / 1000, "augment_p": module.ada.p}


def _save(folder: Path, module: GeneratorModule, meta: dict[str, Any]) -> None:
    save_generator(folder, module.G, module.D, module.G_ema, meta=meta)
    if module.composite_discriminator:
        module.composite_discriminator.save(folder)


def run(ctx: Context) -> Metrics:
    step = read(FitGeneratorStep, ctx.config)
    config, options = ctx.config, ctx.config["fit"]
    labels = ctx.inputs["labels"]
    kept = [row for row in read_index(labels) if row["kept"]]
    real = [labels / row["rgba"] for row in kept if row["kind"] in LABELLED]
    pseudo = [labels / row["rgba"] for row in kept if row["kind"] not in LABELLED]
    if not kept:
        return _fall_back(ctx, "no cut-out to learn from: the matter's labels were all refused")
    previous = ctx.inputs.get("previous")
    has_previous = previous is not None and is_generator(previous)
    start, network = _beginning(config, previous if has_previous else None)
    module = GeneratorModule(
        network=network,
        fit=options,
        resolution=config["size"],
        seed=ctx.seed,
        init_from=None if start is None else str(start),
        composite_discriminator=composite_discriminator(ctx, previous if has_previous else None),
        alpha_regularizer=config.get("alpha_regularizer"),
    )
    share = min(options["pseudo_share"], len(pseudo) / len(kept)) if real else 1.0
    data = CutoutData(
        files=[real, pseudo],
        shares=[1 - share, share],
        resolution=config["size"],
        batch=options["batch"],
        steps_per_epoch=options["tick"],
        seed=ctx.seed,
        mirror=options["mirror"],
        workers=options["workers"],
    )
    meta = {"round": config["round"], **(licence_note(Path(config["init_from"])) if config["init_from"] else {})}
    snapshots = ctx.scratch / SNAPSHOTS
    try:
        fit(module, data, ctx, step.fit, step.precision, [Snapshots(snapshots, options, meta)])
    except Diverged as error:
        return _fall_back(ctx, str(error))
    if ctx.is_first_rank:
        if snapshots.is_dir():
            shutil.copytree(snapshots, ctx.out / SNAPSHOTS)
        reached = _reached(module, options["steps"])
        _save(ctx.out, module, meta | reached)
    return {"kimg": options["steps"] * options["batch"] / 1000, "real": len(real), "pseudo": len(pseudo)}


def _beginning(config: Any, previous: Path | None) -> tuple[Path | None, dict[str, Any]]:
    """The folder to go on from, if any, and how the networks are built: as generator.init_from was, if it is given."""
    if not config["init_from"]:
        return previous, config["network"]
    given = Path(config["init_from"])
    return previous or given, network_arguments(given, config["network"])


def _fall_back(ctx: Context, reason: str) -> Metrics:
    """The last round's generator goes on; without one the domain has none this round."""
    previous = ctx.inputs.get("previous")
    if ctx.is_first_rank:
        (ctx.out / "stopped.json").write_text(json.dumps({"reason": reason}))
        if previous is not None and is_generator(previous):
            copy_generator(previous, ctx.out)
    return {"diverged": reason}

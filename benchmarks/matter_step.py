"""A training step of the matter beside the loading of its batch: which of the two waits, and where their time goes.

    python -m benchmarks.matter_step [--network quickstart detail] [--size 512] [--batch 4] [--workers 2] [--steps 3]
                                     [--precision 32-true] [--compiled] [--device auto] [--threads 1]

Pictures are drawn by code and prepared as a run prepares them; half of the photos get a new background, half of the
samples are shown a trimap. Step: forward, losses, backward, AdamW and the running average. Parts are process time on
one CPU thread (wall time with more, or on a GPU), so that a busy machine changes them little: a batch takes its
samples' time over the workers. At last what a fit does, in wall time: batches from the workers into steps, and how long
each step waited for its batch.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loop.config.load import load_config
from stylematte.averaging import update_ema
from stylematte.config import DetailConfig, NetworkConfig
from stylematte.data import augment, datamodule
from stylematte.data.datamodule import MatterData, MatterDataset, Source
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.data.folders import load_index, prepare
from stylematte.losses.terms import named_terms
from stylematte.module import MatterModule, ema_decay
from stylematte.rgba import MattingBatch
from stylematte.sampling import MixtureSampler

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
PICTURES, BACKGROUNDS = 6, 4
Clock = dict[str, list[float]]


def sources(folder: Path, size: int) -> tuple[list[Source], list[Path]]:
    """Photos with an alpha, and photos with a trimap (of a mask); backgrounds."""
    write_manifest_folder(folder / "root", size, ("portrait",), PICTURES, mask=2, none=0, backgrounds=BACKGROUNDS)
    prepare(folder / "root", folder / "data", size, {"portraits": "portrait"})
    rows = load_index(folder / "data")
    labelled = [row for row in rows if row["kind"] == "alpha"]
    masks = [row for row in rows if row["kind"] == "mask"]
    backgrounds = [row["image"] for row in rows if row["kind"] == "background"]
    return [Source("labelled", labelled, 0.75), Source("mask", masks, 0.25, by_trimap=True)], backgrounds


def timed(clock: Clock, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def timing(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return work(*args, **kwargs)
        finally:
            clock[name].append(time.process_time() - start)

    return timing


def loading_parts(dataset: MatterDataset, batches: list[Any]) -> dict[str, float]:
    """Seconds of process time for each sample, by part, in this process; the first pass fills the cache."""
    clock: Clock = defaultdict(list)
    start = time.process_time()
    dataset[batches[0]]
    first = time.process_time() - start
    apply, names = augment.Chance.apply, {id(getattr(dataset.augment, n)): n for n in ("geometry", "colour", "camera")}
    original = {key: getattr(module, key) for module, key in PARTS}
    augment.Chance.apply = lambda self, pipeline, **kw: timed(clock, names[id(pipeline)], apply)(self, pipeline, **kw)
    for module, key in PARTS:
        setattr(module, key, timed(clock, key, original[key]))
    try:
        start = time.process_time()
        for draws in batches[1:]:
            dataset[draws]
        total = time.process_time() - start
    finally:
        augment.Chance.apply = apply
        for module, key in PARTS:
            setattr(module, key, original[key])
    count = sum(len(draws) for draws in batches[1:])
    parts = {name: sum(times) / count for name, times in clock.items()}
    rest = total / count - sum(parts.values())
    return {**parts, "the rest": rest, "all": total / count, "with reading": first / len(batches[0])}


PARTS = (
    (augment, "place_cutout"),
    (augment, "crop_background"),
    (augment, "solve_background"),
    (datamodule, "widened_trimap"),
    (datamodule, "_stack"),
)


def networks(name: str) -> NetworkConfig:
    """quickstart: that configuration's small one. detail: full size, Swin-T."""
    return DetailConfig() if name == "detail" else load_config(QUICKSTART, []).matter.network


class Stepper:
    """The learning step of `MatterModule`, without Lightning, its phases timed."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        self.device, self.precision = torch.device(args.device), args.precision
        self.now = time.process_time if self.device.type == "cpu" and args.threads == 1 else time.perf_counter
        fit = load_config(QUICKSTART, []).matter.first
        fit = replace(fit, trimap_shown=0.5 if name == "detail" else 0.0)
        self.module = MatterModule(networks(name), fit, seed=0, compiled=args.compiled).to(self.device)
        self.optimizer = torch.optim.AdamW(self.module.network.parameters(), lr=1e-4)
        self.clock: Clock = defaultdict(list)

    def phase(self, name: str, work: Callable[[], Any]) -> Any:
        start = self.now()
        result = work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.clock[name].append(self.now() - start)
        return result

    def losses(self, batch: MattingBatch, alpha: Tensor) -> Tensor:
        weights = self.module.loss.weights_at(0)
        terms = named_terms(alpha, batch, weights, self.module.loss.ddc)
        return sum((weights[name] * terms[name].value.mean() for name in weights), torch.zeros((), device=self.device))

    def step(self, batch: MattingBatch) -> None:
        module, bf16 = self.module, self.precision == "bf16-mixed"
        batch = self.phase("to the device", lambda: MattingBatch(*(part.to(self.device) for part in batch)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            alpha, _ = self.phase("forward", lambda: module.predict(batch))
        loss = self.phase("losses", lambda: self.losses(batch, alpha))
        self.optimizer.zero_grad()
        self.phase("backward", loss.backward)
        self.phase("AdamW", self.optimizer.step)
        self.phase("average", lambda: update_ema(module.ema, module.network, ema_decay(1, 0.99)))


def fit(stepper: Stepper, loader: Iterator[MattingBatch], steps: int) -> tuple[float, float]:
    """Seconds of wall time of a step, and of waiting for its batch, on average, after two first steps."""
    waits, times = [], []
    for number in range(steps + 2):
        start = time.perf_counter()
        batch = next(loader)
        ready = time.perf_counter()
        if number == 2:
            stepper.clock.clear()
        stepper.step(batch)
        waits.append(ready - start)
        times.append(time.perf_counter() - ready)
    return sum(times[2:]) / steps, sum(waits[2:]) / steps


def tell(title: str, parts: dict[str, float]) -> None:
    print(title)
    for name, seconds in parts.items():
        print(f"  {name:>18} {seconds * 1000:9.1f} ms", flush=True)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        given, backgrounds = sources(Path(folder), args.size)
        data = MatterData(given, backgrounds, args.size, args.batch, 1000, args.workers, trimap_shown=0.5)
        dataset = MatterDataset(data.sources, backgrounds, args.size, 0.5, trimap_shown=0.5)
        draws = iter(MixtureSampler([len(s.rows) for s in given], data.slots, 1000, 0))
        parts = loading_parts(dataset, [next(draws) for _ in range(9)])
        tell("loading a sample:", parts)
        loading = parts["all"] * args.batch / max(1, args.workers)
        print(f"loading a batch of {args.batch} with {args.workers} workers: {loading * 1000:.0f} ms", flush=True)
        for name in args.network:
            stepper = Stepper(name, args)
            wall, wait = fit(stepper, iter(data.train_dataloader()), args.steps)
            phases = {key: sum(values) / len(values) for key, values in stepper.clock.items()}
            step = sum(phases.values())
            tell(f"{name}, a step:", {**phases, "all": step})
            ratio = f"a step takes {step / loading:.1f} times as long as its batch"
            print(
                f"{name}: {ratio}; in wall time {wall * 1000:.0f} ms, and {wait * 1000:.1f} ms of waiting", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=("quickstart", "detail"), default=["quickstart", "detail"])
    for name, default in (("size", 512), ("batch", 4), ("workers", 2), ("steps", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    run(parser.parse_args())


if __name__ == "__main__":
    main()

"""The matter's networks against each other: time and memory of a forward, and what each learns of the same pictures.

    python -m benchmarks.matter_variants speed [--sizes 512 1024] [--memory 2048] [--tile 1024] [--repeats 3]
    python -m benchmarks.matter_variants train DATA [--seeds 3] [--steps 250] [--size 96] [--batch 8] [--lr 1e-3]
                                             [--networks fpn released detail]

speed: full-size networks with random weights, one thread, a process for each; seconds are process time of the best run
after the first, memory is what the peak resident size grows by over the process with its network and picture.

train: small networks on the same small Swin, from random weights; every step gives all of them the same batch. DATA is
a folder with manifest.csv; its rows of kind alpha and pseudo-alpha train, but for those held out by their name. Lower
is better; unknown is where alpha is not 0 or 1 within 2 pixels. "detail + trimap" is one network that sees a trimap in
half of its batches, measured without and with one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIANTS = ("fpn", "released", "detail")


def peak_bytes() -> int:
    """The most memory that this process has had so far (VmHWM; the kernel's own count)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def measure(variant: str, size: int, repeats: int, tile: int) -> None:
    """In the child: one network, one size, in tiles or (0) in one piece; prints JSON."""
    import torch

    from stylematte.config import network_from_plain
    from stylematte.inference.tiles import in_tiles
    from stylematte.networks.variants import build_matter

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_matter(network_from_plain({"variant": variant})).eval()
    picture = torch.rand(1, 3, size, size)
    times = []
    with torch.inference_mode():
        network(picture[..., :64, :64])  # what torch loads on first use is not the network's
        before, grown = peak_bytes(), 0
        for run in range(repeats):
            start = time.process_time()
            in_tiles(network, picture, tile) if tile else network(picture)
            times.append(time.process_time() - start)
            grown = grown or (peak_bytes() - before if run == 0 else 0)
    print(json.dumps({"seconds": min(times), "bytes": grown, "total": peak_bytes()}))


def child(variant: str, size: int, repeats: int, tile: int = 0) -> dict[str, float]:
    words = ["measure", variant, str(size), str(repeats), str(tile)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.matter_variants", *words], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def speed(args: argparse.Namespace) -> None:
    print(f"{'size':>6} {'network':>9} {'seconds':>8} {'released / it':>14} {'memory':>10} {'process':>10}")
    for size in args.sizes:
        rows = {variant: child(variant, size, args.repeats) for variant in VARIANTS}
        for variant, row in rows.items():
            ratio = rows["released"]["seconds"] / row["seconds"]
            print_speed(size, variant, row, f"{ratio:.2f}x")
    for size in args.memory:
        print_speed(size, "detail", child("detail", size, 1), "")
        print_speed(size, "in tiles", child("detail", size, 1, args.tile), "")


def print_speed(size: int, variant: str, row: dict[str, float], ratio: str) -> None:
    grown, total = (f"{row[key] / 2**20:.0f} MiB" for key in ("bytes", "total"))
    print(f"{size:>4}^2 {variant:>9} {row['seconds']:8.2f} {ratio:>14} {grown:>10} {total:>10}", flush=True)


SMALL_SWIN = {"embed_dim": 32, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
SMALL: dict[str, dict[str, Any]] = {
    "fpn": {"variant": "fpn", "channels": 64},
    "released": {"variant": "released", "channels": 64, "encoder_layers": 3, "feedforward": 256},
    "detail": {"variant": "detail", "channels": 64, "detail_channels": 8},
    "detail + trimap": {"variant": "detail", "channels": 64, "detail_channels": 8},
}
LOSSES = {"l1": 1.0, "laplacian": 0.5, "gradient": 0.5, "composition": 1.0}
HELDOUT = {"alpha": 25.0, "pseudo-alpha": 25.0}
WARMUP, CLIP, WEIGHT_DECAY = 25, 1.0, 1e-2
GUIDED = ("detail + trimap", "detail + trimap, given one")


def prepared(root: Path, out: Path, size: int) -> tuple[list[dict[str, Any]], list[Path]]:
    """The measured pairs of `root` at size x size, with their split, and its backgrounds."""
    from stylematte.data.folders import centre_square, square
    from stylematte.data.manifest import BACKGROUND, MEASURED, assign_splits, read_manifest
    from stylematte.imagefile import read_alpha, read_rgb, resize, write_alpha, write_rgb
    from stylematte.ops.foreground import estimate_foreground

    records, backgrounds = [], []
    for number, row in enumerate(read_manifest(root)):
        if row.kind == BACKGROUND:
            backgrounds.append(out / "background" / f"{number}.png")
            write_rgb(backgrounds[-1], centre_square(read_rgb(root / row.file), size))
        if row.kind not in MEASURED or row.alpha is None:
            continue
        photo = read_rgb(root / row.file)
        alpha = square(resize(read_alpha(root / row.alpha), (photo.shape[-2], photo.shape[-1])), size)
        image = square(photo, size)
        record = {"id": str(number), "domain": row.subject, "kind": row.kind, "source": row.file}
        record |= {key: out / key / f"{number}.png" for key in ("image", "alpha", "foreground")}
        write_rgb(record["image"], image)
        write_alpha(record["alpha"], alpha)
        write_rgb(record["foreground"], estimate_foreground(image, alpha))
        records.append(record)
    assign_splits(records, sorted({record["domain"] for record in records}), HELDOUT)
    return records, backgrounds


class Learner:
    """One small network with its optimizer, as the loop's fits have them."""

    def __init__(self, name: str, seed: int, lr: float, steps: int) -> None:
        import torch

        from stylematte.config import network_from_plain
        from stylematte.module import learning_rate_factor, parameter_groups
        from stylematte.networks.variants import build_matter
        from stylematte.sampling import generator_at, position_seed

        self.name, self.trimaps = name, generator_at(seed, "trimap dropout")
        torch.manual_seed(position_seed(seed, "matter", "init"))
        backbone = {"name": "swin_tiny_patch4_window7_224", "kwargs": SMALL_SWIN}
        self.network = build_matter(network_from_plain({**SMALL[name], "backbone": backbone})).train()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, WEIGHT_DECAY), lr=lr)
        rate: Callable[[int], float] = lambda step: learning_rate_factor(step, WARMUP, steps)  # noqa: E731
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.seconds = 0.0

    def step(self, batch: Any) -> None:
        import torch

        from stylematte.losses import alpha as terms
        from stylematte.rgba import trimap_from_alpha

        start, extra = time.process_time(), []
        if self.name == GUIDED[0] and torch.rand((), generator=self.trimaps) < 0.5:
            radius = int(torch.randint(1, 5, (), generator=self.trimaps))
            extra = [trimap_from_alpha(batch.alpha, radius)]
        predicted = self.network(batch.image, *extra)
        losses = {name: getattr(terms, name)(predicted, batch.alpha) for name in LOSSES if name != "composition"}
        losses["composition"] = terms.composition(predicted, batch.foreground, batch.background, batch.image)
        self.optimizer.zero_grad()
        sum(weight * losses[name].mean() for name, weight in LOSSES.items()).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.schedule.step()
        self.seconds += time.process_time() - start


def scores(learner: Learner, records: list[dict[str, Any]], guided: bool) -> list[dict[str, float]]:
    """Figures of each held-out pair."""
    import torch

    from stylematte.imagefile import read_alpha, read_rgb
    from stylematte.metrics import score_pair
    from stylematte.rgba import trimap_from_alpha

    learner.network.eval()
    rows = []
    for record in records:
        image, alpha = read_rgb(record["image"])[None], read_alpha(record["alpha"])[None]
        trimap = trimap_from_alpha(alpha, 2)
        with torch.no_grad():
            predicted = learner.network(image, *([trimap] if guided else []))
        planes = (plane[0, 0].numpy() for plane in (predicted, alpha, trimap))
        rows.append(score_pair(*planes, only=("SAD", "SAD-T", "MAD-T")))
    return rows


def fit(seed: int, args: argparse.Namespace, records: Any, backgrounds: Any) -> dict[str, list[dict[str, float]]]:
    from stylematte.data.datamodule import MatterDataset, Source
    from stylematte.sampling import MixtureSampler

    train = [record for record in records if record["split"] == "train"]
    held = [record for record in records if record["split"] == "heldout"]
    data = MatterDataset([Source("pairs", train, 1.0)], backgrounds, args.size, new_background=0.5)
    learners = [Learner(name, seed, args.lr, args.steps) for name in args.networks]
    for draws in MixtureSampler([len(train)], [args.batch], args.steps, seed):
        batch = data[draws]
        for learner in learners:
            learner.step(batch)
    found = {learner.name: scores(learner, held, guided=False) for learner in learners}
    for learner in learners:
        if learner.name == GUIDED[0]:
            found[GUIDED[1]] = scores(learner, held, guided=True)
    spent = ", ".join(f"{learner.name} {learner.seconds:.0f} s" for learner in learners)
    sad = {name: sum(row["SAD-T"] for row in rows) / len(rows) for name, rows in found.items()}
    told = ", ".join(f"{name} {value:.4f}" for name, value in sad.items())
    print(f"seed {seed}: SAD-T {told} (trained in {spent})", flush=True)
    return found


def train(args: argparse.Namespace) -> None:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        records, backgrounds = prepared(args.data, Path(folder), args.size)
        held = sum(record["split"] == "heldout" for record in records)
        print(f"{len(records) - held} pairs to train on, {held} held out, {len(backgrounds)} backgrounds", flush=True)
        runs = [fit(seed, args, records, backgrounds) for seed in range(args.seeds)]
    parameters = {name: sum(p.numel() for p in Learner(name, 0, 1.0, 2).network.parameters()) for name in args.networks}
    table = {name: np.array([[row["SAD-T"] for row in run[name]] for run in runs]) for name in runs[0]}
    names = f"{'network':>26} {'parameters':>11} {'SAD-T':>8} {'of seeds':>24} {'MAD-T':>8} {'SAD':>8}"
    print(f"{names} {'worse than released':>20}")
    for name, values in table.items():
        mad, sad = (np.mean([[row[key] for row in run[name]] for run in runs]) for key in ("MAD-T", "SAD"))
        seeds = " ".join(f"{value:.4f}" for value in values.mean(1))
        worse = f"{(values > table['released']).sum()} of {values.size}" if name != "released" else ""
        size = f"{parameters[name.removesuffix(', given one')]:,}"
        print(f"{name:>26} {size:>11} {values.mean():8.4f} {seeds:>24} {mad:8.4f} {sad:8.4f} {worse:>20}")
    difference = (table["detail"] - table["released"]).mean(0)  # one number a picture
    rng = np.random.default_rng(0)
    means = difference[rng.integers(0, len(difference), (10_000, len(difference)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    interval = f"95 % of bootstraps over pictures [{low:+.4f}, {high:+.4f}]"
    print(f"detail - released, SAD-T: {difference.mean():+.4f}, {interval}")


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        return measure(sys.argv[2], *map(int, sys.argv[3:6]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    timing = commands.add_parser("speed")
    timing.add_argument("--sizes", type=int, nargs="*", default=[512, 1024])
    timing.add_argument("--memory", type=int, nargs="*", default=[2048], help="sizes at which detail alone runs once")
    timing.add_argument("--tile", type=int, default=1024, help="side of the tiles of detail's second run there")
    timing.add_argument("--repeats", type=int, default=3)
    timing.set_defaults(run=speed)
    training = commands.add_parser("train")
    training.add_argument("data", type=Path)
    for name, default in (("seeds", 3), ("steps", 250), ("size", 96), ("batch", 8)):
        training.add_argument(f"--{name}", type=int, default=default)
    training.add_argument("--lr", type=float, default=1e-3)
    training.add_argument("--networks", nargs="+", choices=list(SMALL), default=list(SMALL), help="released and detail")
    training.set_defaults(run=train)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()

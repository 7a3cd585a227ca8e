"""Native crops against squares: one small network, equal steps, scored at the pictures' own resolution.

    python -m benchmarks.native_crops strand                       # a drawn 1-pixel strand at 1600 pixels
    python -m benchmarks.native_crops photos DATA --minutes 1      # portraits of a data root, equal CPU time an arm
    python -m benchmarks.native_crops loading                      # seconds that a batch takes to load

`strand`: the subject is a disc with a strand one pixel wide; SAD is counted in the 9 pixels around it. `photos`: the
pictures of subject portrait with an alpha or pseudo-alpha; every third by name is held out. Squares see 64 pixels of
whole pictures and predict as usual: at that size, brought back along the photo's edges. Crops see 64-pixel windows at
native scale and whole views in equal parts, and predict the photo as it is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylematte.config import BackboneConfig, FpnConfig, MatterFitConfig
from stylematte.data.datamodule import MatterData, Source
from stylematte.data.folders import load_index, prepare
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb
from stylematte.inference.options import InferenceOptions, predict_in
from stylematte.module import MatterModule

SIZE = 64
KWARGS = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "drop_path_rate": 0.0}
BACKBONES = {"swin": ("swin_tiny_patch4_window7_224", KWARGS), "convolutional": ("resnet18d", {})}
NATIVE = 2048


def network(backbone: str) -> FpnConfig:
    name, kwargs = BACKBONES[backbone]
    return FpnConfig(backbone=BackboneConfig(name, kwargs=dict(kwargs)), channels=32)


def fit(
    data: Path, native: bool, seed: int, batch: int, backbone: str, steps: int, seconds: float | None = None
) -> tuple[torch.nn.Module, int]:
    """The averaged network after `steps`, or earlier when `seconds` are over; and the steps that were made."""
    rows = load_index(data)
    train = [row for row in rows if row["split"] == "train" and row["kind"] in ("alpha", "pseudo-alpha")]
    behind = [row["image"] for row in rows if row["kind"] == "background"]
    crops = 0.5 if native else None
    loader = MatterData([Source("labelled", train, 1.0)], behind, SIZE, batch, steps, 0, seed, crop_share=crops)
    module = MatterModule(network(backbone), MatterFitConfig(steps=steps, tick=1, batch=batch, warmup=20), seed)
    optimizers = module.configure_optimizers()
    optimizer, schedule = optimizers["optimizer"], optimizers["lr_scheduler"]["scheduler"]
    begun, made = time.process_time(), 0
    for batch_ in loader.train_dataloader():
        loss, _ = module.weighted_loss(batch_)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for kept, new in zip(module.ema.state_dict().values(), module.network.state_dict().values(), strict=True):
                decay = min(0.98, (1 + made) / (10 + made))
                kept.copy_(kept * decay + new * (1 - decay) if kept.is_floating_point() else new)
        made += 1
        if seconds is not None and time.process_time() - begun > seconds:
            break
    return module.ema.eval(), made


def shown(native: bool) -> InferenceOptions:
    return InferenceOptions(NATIVE) if native else InferenceOptions(SIZE, enlarge=True)


def strand_picture(side: int, seed: int) -> tuple[Tensor, Tensor, int]:
    """Image (3, S, S), alpha (1, S, S), and the column of the strand: bright on a dark, slightly noisy background."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = (rows - side / 2) ** 2 + (columns - side * 0.3) ** 2 < (side * 0.18) ** 2
    alpha = disc.float()[None]
    column = int(side * rng.uniform(0.6, 0.85))
    alpha[:, side // 8 : -side // 8, column] = 1
    dark, bright = torch.tensor(rng.uniform(0.05, 0.3, 3)), torch.tensor(rng.uniform(0.7, 0.95, 3))
    image = dark[:, None, None] + alpha * (bright - dark)[:, None, None]
    return (image.float() + 0.02 * torch.randn(3, side, side, generator=generator)).clamp(0, 1), alpha, column


def strand(folder: Path, side: int = 1600, steps: int = 250, batch: int = 4, pictures: int = 2) -> dict[str, float]:
    """Mean SAD in 256 rows of the band around the strand of two held-out pictures, in thousands: squares, crops, empty.

    Crops predict the 256 x 256 pixels around the band at native scale, squares the whole picture.
    """
    middle = slice(side // 2 - 128, side // 2 + 128)
    root = folder / "root"
    for number in range(pictures):
        image, alpha, _ = strand_picture(side, number)
        write_rgb(root / f"{number}.png", image)
        write_alpha(root / f"{number}_alpha.png", alpha)
    lines = [f"{number}.png,{number}_alpha.png,portrait,alpha,train" for number in range(pictures)]
    (root / "manifest.csv").write_text("\n".join(["file,alpha,subject,kind,split", *lines]))
    result = {}
    for name, native in (("squares", False), ("crops", True)):
        data = folder / name
        prepare(root, data, SIZE, {"portraits": "portrait"}, max_side=NATIVE if native else 0)
        matter, _ = fit(data, native, 0, batch, "convolutional", steps)
        errors, empty = [], []
        for number in (100, 101):
            image, alpha, column = strand_picture(side, number)
            if native:
                (part,) = predict_in(matter, [image[:, middle, column - 128 : column + 128]], InferenceOptions())
                seen = part[:, :, 124:133]
            else:
                (whole,) = predict_in(matter, [image], shown(native))
                seen = whole[:, middle, column - 4 : column + 5]
            truth = alpha[:, middle, column - 4 : column + 5]
            errors.append(float((seen - truth).abs().sum()) / 1000)
            empty.append(float(truth.sum()) / 1000)
        result[name], result["empty"] = float(np.mean(errors)), float(np.mean(empty))
    return result


def photos(root: Path, folder: Path, minutes: float, seeds: int, backbone: str, batch: int) -> list[tuple[str, ...]]:
    """A row for each arm: steps, SAD in thousands and MAD on the held-out photos, mean over seeds and each seed's."""
    lines = _manifest(root, folder)
    (folder / "data").mkdir()
    for entry in root.iterdir():
        (folder / "data" / entry.name).symlink_to(entry) if entry.name != "manifest.csv" else None
    (folder / "data/manifest.csv").write_text("\n".join(lines))
    table = []
    for name, native in (("squares", False), ("crops", True)):
        data = folder / name
        prepare(folder / "data", data, SIZE, {"portraits": "portrait"}, max_side=NATIVE if native else 0)
        sads, mads, steps = [], [], []
        for seed in range(seeds):
            matter, made = fit(data, native, seed, batch, backbone, 100_000, minutes * 60)
            steps.append(made)
            scores = [_score(matter, shown(native), *files) for files in _heldout(lines, folder / "data")]
            sads.append(float(np.mean([sad for sad, _ in scores])))
            mads.append(float(np.mean([mad for _, mad in scores])))
        each = ", ".join(f"{value:.1f}" for value in sads)
        table.append((name, f"{np.mean(steps):.0f}", f"{np.mean(sads):.1f} ({each})", f"{np.mean(mads):.3f}"))
    truths = [read_alpha(alpha) for _, alpha in _heldout(lines, folder / "data")]
    table.append(("all-zero", "", f"{np.mean([float(t.sum()) / 1000 for t in truths]):.1f}", ""))
    return table


def _manifest(root: Path, folder: Path) -> list[str]:
    """Portraits with an alpha or pseudo-alpha, every third by name held out; all backgrounds."""
    from stylematte.data.manifest import BACKGROUND, MEASURED, read_manifest

    rows = read_manifest(root)
    labelled = sorted((r for r in rows if r.subject == "portrait" and r.kind in MEASURED), key=lambda r: r.file)
    lines = [
        f"{row.file},{row.alpha},portrait,{row.kind},{'test' if number % 3 == 0 else 'train'}"
        for number, row in enumerate(labelled)
    ]
    lines += [f"{row.file},,background,background," for row in rows if row.kind == BACKGROUND]
    return ["file,alpha,subject,kind,split", *lines]


def _heldout(lines: list[str], root: Path) -> list[tuple[Path, Path]]:
    cells = [line.split(",") for line in lines if line.endswith(",test")]
    return [(root / file, root / alpha) for file, alpha, *_ in cells]


def _score(matter: torch.nn.Module, options: InferenceOptions, photo: Path, alpha: Path) -> tuple[float, float]:
    (seen,) = predict_in(matter, [read_rgb(photo)], options)
    error = (seen - read_alpha(alpha)).abs()
    return float(error.sum()) / 1000, float(error.mean())


def loading(folder: Path, size: int = 256, batch: int = 8, height: int = 1365, width: int = 2048) -> dict[str, float]:
    """Seconds a picture: of views alone, of a sample with its augmentation, and of a training step of Swin-T."""
    noise = torch.rand(3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(noise[None], (height, width), mode="bilinear")[0]
    alpha = (image[:1] * 4 - 1.5).clamp(0, 1)
    root = folder / "root"
    for number in range(4):
        write_rgb(root / f"{number}.jpg", (image + number / 50).clamp(0, 1))
        write_alpha(root / f"{number}.png", alpha)
    lines = [f"{number}.jpg,{number}.png,portrait,alpha,train" for number in range(4)]
    (root / "manifest.csv").write_text("\n".join(["file,alpha,subject,kind,split", *lines]))
    prepare(root, folder / "out", size, {"portraits": "portrait"}, max_side=NATIVE)
    rows, found = load_index(folder / "out"), {}
    for name, cache in (("kept in memory", 1 << 30), ("never kept", 0)):
        source = [Source("labelled", rows, 1.0)]
        data = MatterData(source, [], size, batch, 4, cache_bytes=cache, new_background=0.0, crop_share=0.5)
        loader = data.train_dataloader()
        views = loader.dataset.views  # type: ignore[attr-defined]

        def read(seed: int, views=views) -> None:  # type: ignore[no-untyped-def]
            row = rows[seed % 4]
            view = views.of(row, seed)
            for key, reader in (("image", read_rgb), ("alpha", read_alpha), ("foreground", read_rgb)):
                view.get(row[key], reader)

        found[f"view, {name}"] = _each(read, 40)
    found["sample with augmentation"] = _seconds(lambda: list(loader)) / (4 * batch)
    module = MatterModule(FpnConfig(), MatterFitConfig(steps=1, tick=1, batch=batch), 0)
    ready = next(iter(loader))
    found["step of Swin-T, forward and backward"] = _seconds(lambda: module.weighted_loss(ready)[0].backward()) / batch
    return found


def _each(work: Callable[[int], None], count: int) -> float:
    for number in range(8):
        work(number)
    begun = time.perf_counter()
    for number in range(count):
        work(number)
    return (time.perf_counter() - begun) / count


def _seconds(work: Callable[[], object]) -> float:
    work()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("strand", "photos", "loading"))
    parser.add_argument("data", nargs="?", type=Path, help="of photos: a folder with manifest.csv")
    parser.add_argument("--minutes", type=float, default=1.0, help="CPU minutes of each fit of photos (default: 1)")
    parser.add_argument("--seeds", type=int, default=2, help="(default: 2)")
    parser.add_argument("--batch", type=int, default=8, help="(default: 8)")
    parser.add_argument(
        "--backbone", choices=tuple(BACKBONES), default="convolutional", help="(default: convolutional)"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "strand":
            print(", ".join(f"{name} {value:.4f}" for name, value in strand(Path(folder)).items()))
        elif args.what == "loading":
            for name, seconds in loading(Path(folder), batch=args.batch).items():
                print(f"{name}: {1000 * seconds:.1f} ms")
        else:
            if args.data is None:
                parser.error("photos needs DATA, a folder with manifest.csv")
            for row in photos(args.data.resolve(), Path(folder), args.minutes, args.seeds, args.backbone, args.batch):
                print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()

"""Native crops against squares: one small network, equal steps, scored at the pictures' own resolution.

    python -m benchmarks.native_crops strand                       # a drawn 1-pixel strand at 1600 pixels
    python -m benchmarks.native_crops photos DATA --minutes 1      # portraits of a data root, equal CPU time an arm
    python -m benchmarks.native_crops loading                      # seconds that a batch takes to load

`strand`: the subject is a disc with a strand one pixel wide; SAD is counted in the 9 pixels around it, in the middle
256 rows of two pictures that were not learned from. `photos`: the pictures of subject portrait with an alpha or
pseudo-alpha; every third by name is held out. Squares see 64 pixels of whole pictures and predict as usual: at that
size, brought back along the photo's edges. Crops see 64-pixel windows at native scale and whole views in equal parts,
and predict the photo as it is.

The network is `detail` on a thin resnet18d. The guided filter of `fpn` has no learned path to single pixels: made to
learn one crop by heart, in 200 steps it came to 0.27 of the strand's SAD where `detail` came to 0.07.
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

from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, MatterFitConfig, NetworkConfig
from stylematte.data.datamodule import MatterData, Source
from stylematte.data.folders import load_index, prepare
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb
from stylematte.inference.options import InferenceOptions, predict_in
from stylematte.module import MatterModule

SIZE = 64
SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "drop_path_rate": 0.0}
THIN = {"channels": [16, 32, 64, 128]}
NETWORKS: dict[str, NetworkConfig] = {
    "detail": DetailConfig(backbone=BackboneConfig("resnet18d", kwargs=THIN), channels=32, detail_channels=8),
    "fpn": FpnConfig(backbone=BackboneConfig("resnet18d"), channels=32),
    "swin": FpnConfig(backbone=BackboneConfig("swin_tiny_patch4_window7_224", kwargs=SWIN), channels=32),
}
NATIVE = 2048


def fit(
    data: Path,
    native: bool,
    seed: int,
    batch: int,
    network: str,
    steps: int,
    seconds: float | None = None,
    lr: float = 1e-3,
    new_background: float = 0.5,
) -> tuple[torch.nn.Module, int]:
    """The averaged network after `steps`, or earlier when `seconds` are over; and the steps that were made."""
    rows = load_index(data)
    train = [row for row in rows if row["split"] == "train" and row["kind"] in ("alpha", "pseudo-alpha")]
    behind = [row["image"] for row in rows if row["kind"] == "background"]
    crops = 0.5 if native else None
    source = [Source("labelled", train, 1.0)]
    loader = MatterData(source, behind, SIZE, batch, steps, 0, seed, new_background, crop_share=crops)
    module = MatterModule(NETWORKS[network], MatterFitConfig(steps=steps, tick=1, batch=batch, warmup=20, lr=lr), seed)
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


def strand(
    folder: Path, seed: int = 0, side: int = 1600, steps: int = 450, batch: int = 4, pictures: int = 4
) -> dict[str, float]:
    """Mean SAD in 256 rows of the band around the strand of two held-out pictures, in thousands.

    squares: shown the whole picture as usual; squares-native: the same network shown what the crops' is, the 256 x 256
    pixels around the band at native scale; crops; empty: of a matte that is 0.
    """
    root = folder / "root"
    for number in range(pictures):
        image, alpha, _ = strand_picture(side, number)
        write_rgb(root / f"{number}.png", image)
        write_alpha(root / f"{number}_alpha.png", alpha)
    lines = [f"{number}.png,{number}_alpha.png,portrait,alpha,train" for number in range(pictures)]
    (root / "manifest.csv").write_text("\n".join(["file,alpha,subject,kind,split", *lines]))
    heldout = [strand_picture(side, number) for number in (100, 101)]
    result = {}
    for name, native in (("squares", False), ("crops", True)):
        data = folder / name
        prepare(root, data, SIZE, {"portraits": "portrait"}, max_side=NATIVE if native else 0)
        # on its own background: on a plain colour of any brightness the strand would not be the bright one
        matter, _ = fit(data, native, seed, batch, "detail", steps, lr=3e-3, new_background=0.0)
        if not native:
            result[name] = _mean([_band_sad(_whole_seen(matter, picture), picture) for picture in heldout])
        key = name if native else f"{name}-native"
        result[key] = _mean([_band_sad(_part_seen(matter, picture), picture) for picture in heldout])
    result["empty"] = _mean([_band_sad(torch.zeros(1, 256, 9), picture) for picture in heldout])
    return result


Strand = tuple[Tensor, Tensor, int]


def _whole_seen(matter: torch.nn.Module, picture: Strand) -> Tensor:
    """(1, 256, 9) of the band, from the whole picture at 64 pixels."""
    (alpha,) = predict_in(matter, [picture[0]], shown(native=False))
    return alpha[:, *_band(picture)]


def _part_seen(matter: torch.nn.Module, picture: Strand) -> Tensor:
    """(1, 256, 9) of the band, from the 256 x 256 pixels around it as they are."""
    image, _, column = picture
    rows, _ = _band(picture)
    (alpha,) = predict_in(matter, [image[:, rows, column - 128 : column + 128]], shown(native=True))
    return alpha[:, :, 124:133]


def _band(picture: Strand) -> tuple[slice, slice]:
    image, _, column = picture
    middle = image.shape[1] // 2
    return slice(middle - 128, middle + 128), slice(column - 4, column + 5)


def _band_sad(seen: Tensor, picture: Strand) -> float:
    return float((seen - picture[1][:, *_band(picture)]).abs().sum()) / 1000


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def photos(root: Path, folder: Path, minutes: float, seeds: int, network: str, batch: int) -> list[tuple[str, ...]]:
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
            matter, made = fit(data, native, seed, batch, network, 100_000, minutes * 60)
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
    parser.add_argument("--seeds", type=int, default=2, help="of strand and photos (default: 2)")
    parser.add_argument("--batch", type=int, default=8, help="of photos and loading (default: 8)")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="detail", help="of photos (default: detail)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "strand":
            for seed in range(args.seeds):
                found = strand(Path(folder) / str(seed), seed)
                print(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True)
        elif args.what == "loading":
            for name, seconds in loading(Path(folder), batch=args.batch).items():
                print(f"{name}: {1000 * seconds:.1f} ms")
        else:
            if args.data is None:
                parser.error("photos needs DATA, a folder with manifest.csv")
            for row in photos(args.data.resolve(), Path(folder), args.minutes, args.seeds, args.network, args.batch):
                print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()

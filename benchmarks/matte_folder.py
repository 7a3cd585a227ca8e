"""Memory and time of `stylematte matte` on a folder of photos of mixed sizes, beside the network's own time.

    python -m benchmarks.matte_folder [--count 200] [--most 24] [--matter MATTER] [--folder FOLDER]

Makes `count` JPEGs of 0.1 to `most` megapixels (evenly in the logarithm, four shapes, some turned by EXIF; smooth
colours with grain, 2 to 3 bits a pixel) and mattes them at the network's usual size: alphas alone, with cut-outs, and
with cut-outs of a drawn subject, in a process each. Without --matter the network is `detail` with Swin-T at 512, random
weights, which leave all of a photo half transparent: no cut-out takes longer to pack. For the drawn subject the network
runs, and its alpha is replaced by that of a figure with strands, on two fifths of the photo. Printed:
seconds of the network alone on the same views; of the command, and how many times that is, by the clock and of a
processor (on a busy machine look at the latter); the process's memory with the network after one forward pass at that
size, at its peak, and the difference; seconds a megapixel of reading, resizing, the cut-out and the alpha as one thread
has them.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from stylematte.config import BackboneConfig, DetailConfig
from stylematte.imagecode import upright_size
from stylematte.imagefile import write_quickly, write_strips
from stylematte.inference.matte import Outputs, write_mattes
from stylematte.inference.matter import cut_out_strips, load
from stylematte.inference.options import brought_back
from stylematte.inference.photos import photos_of
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter
from stylematte.ops.foreground import estimate_foreground
from stylematte.pixels import read_pixels
from stylematte.sheets import at_longest_side

LEAST = 0.1
SHAPES = (1.0, 4 / 3, 3 / 2, 16 / 9)
ROTATED = 6
"""EXIF orientation: turned by a quarter."""


def make_photos(folder: Path, count: int, most: float, seed: int = 0) -> None:
    """count JPEGs of LEAST to `most` megapixels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = 1e6 * LEAST * (most / LEAST) ** (index / max(1, count - 1))
        shape = SHAPES[index % 4]
        width, height = round((pixels * shape) ** 0.5), round((pixels / shape) ** 0.5)
        low = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        grain = rng.integers(-6, 7, (height, width, 1), np.int8)
        exif = Image.Exif()
        if index % 5 == 0:
            exif[0x0112] = ROTATED
        array = np.clip(np.asarray(low, np.int16) + grain, 0, 255).astype(np.uint8)
        place = folder / f"{index % 3}" / f"{rng.integers(1 << 30):08x}.jpg"  # names, so sizes, in no order
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(place, quality=90, exif=exif)


class Drawn(nn.Module):
    """Runs the network, and gives the alpha of a figure with a soft edge of strands."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        alpha = self.network(image)
        y, x = (torch.linspace(-1, 1, side) for side in alpha.shape[-2:])
        y, x = (y - 0.35)[:, None], 1.5 * x[None]
        angle, radius = torch.atan2(y, x), (x * x + y * y).sqrt()
        edge = 0.75 + 0.04 * torch.sin(60 * angle) * torch.sin(17 * angle)
        return ((edge - radius) * 18 + 0.5).clamp(0, 1).expand_as(alpha)


def megabytes() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def network_alone(matter: Path, photos: Path) -> tuple[float, float]:
    """Seconds by the clock, and of a processor, of the forward passes, one picture each."""
    loaded = load(matter)
    side, seconds, processor = loaded.trained_at, 0.0, 0.0
    with torch.inference_mode():
        loaded.network(torch.rand(1, 3, side, side))
        for photo in photos_of([str(photos)]):
            height, width = upright_size(photo.path)
            view = torch.rand(1, 3, *(max(1, round(s * side / max(height, width))) for s in (height, width)))
            start, begun = time.perf_counter(), time.process_time()
            loaded.network(view)
            seconds += time.perf_counter() - start
            processor += time.process_time() - begun
    return seconds, processor


def matted(matter: Path, photos: Path, out: Path, alpha_only: bool, drawn: bool) -> None:
    """In a process of its own: prints the megabytes with the network, the peak, and the seconds."""
    loaded = load(matter)
    side = loaded.trained_at
    if drawn:
        loaded = dataclasses.replace(loaded, network=Drawn(loaded.network))
    if not alpha_only:
        estimate_foreground(torch.rand(3, 64, 64), torch.rand(1, 64, 64))  # numba loads, and compiles the first time
    loaded.predict([torch.rand(3, side, side)] * 4)
    before, start, processor = megabytes(), time.perf_counter(), time.process_time()
    done = write_mattes(loaded, photos_of([str(photos)]), out, outputs=Outputs(alpha_only=alpha_only))
    assert not done.left_out, "every photo was made to be read"
    print(before, megabytes(), time.perf_counter() - start, time.process_time() - processor)


def parts(photos: Path, scratch: Path, sample: int = 12) -> dict[str, float]:
    """Seconds a megapixel of what is not the network, of every n-th photo by size, on one thread: reading, resizing to
    512 pixels and bringing an alpha back, the cut-out (foreground, rounding, PNG), the alpha's PNG."""
    found = sorted(photos_of([str(photos)]), key=lambda photo: photo.path.stat().st_size)
    seconds, pixels = dict.fromkeys(("reading", "resizing", "cut-out", "alpha"), 0.0), 0
    for photo in found[:: max(1, len(found) // sample)]:
        marks = [time.process_time()]
        image = read_pixels(photo.path)
        marks.append(time.process_time())
        view = image.resized(at_longest_side(image.shape, 512))
        alpha = brought_back(torch.linspace(-1, 2, view.shape[-1]).clamp(0, 1).expand(1, *view.shape[-2:]), view, image)
        marks.append(time.process_time())
        write_strips(scratch / "cutout.png", (4, *alpha.shape[-2:]), cut_out_strips(image, alpha))
        marks.append(time.process_time())
        write_quickly(scratch / "alpha.png", alpha)
        marks.append(time.process_time())
        pixels += image.shape[-1] * image.shape[-2]
        for name, begun, ended in zip(seconds, marks, marks[1:], strict=False):
            seconds[name] += ended - begun
    return {name: value * 1e6 / pixels for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--most", type=float, default=24, help="megapixels of the largest")
    parser.add_argument("--alpha-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--drawn", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--matter", type=Path)
    parser.add_argument("--folder", type=Path, help="of photos that there are")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        matted(args.matter, args.folder, args.run, args.alpha_only, args.drawn)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = args.folder or Path(place) / "photos"
        if args.folder is None:
            make_photos(folder, args.count, args.most)
        matter = args.matter or Path(place) / "matter"
        if args.matter is None:
            torch.manual_seed(0)
            swin = BackboneConfig("swin_tiny_patch4_window7_224")
            save_matter(matter, build_matter(DetailConfig(backbone=swin)), {"size": 512})
        sizes = [h * w / 1e6 for h, w in (upright_size(photo.path) for photo in photos_of([str(folder)]))]
        print(f"{len(sizes)} photos, {min(sizes):.1f} to {max(sizes):.1f} megapixels, {sum(sizes):.0f} in all")
        own, own_processor = network_alone(matter, folder)
        print(
            f"the network alone: {own:.1f} s on {len(os.sched_getaffinity(0))} cores, {own_processor:.1f} of a "
            "processor"
        )
        kinds = (("alphas alone", ["--alpha-only"]), ("with cut-outs", []), ("of a drawn subject", ["--drawn"]))
        for name, words in kinds:
            words += ["--matter", str(matter), "--folder", str(folder), "--run", str(Path(place) / name)]
            command = [sys.executable, "-m", "benchmarks.matte_folder", *words]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            before, peak, seconds, processor = map(float, said.split())
            print(
                f"{name}: {seconds:.1f} s ({seconds / own:.2f} times), {processor:.1f} of a processor "
                f"({processor / own_processor:.2f} times); {before:.0f} MiB with the network, {peak:.0f} at the peak: "
                f"{peak - before:.0f} more",
                flush=True,
            )
        each = ", ".join(f"{name} {value:.3f}" for name, value in parts(folder, Path(place)).items())
        print(f"seconds a megapixel of one thread: {each}")


if __name__ == "__main__":
    main()

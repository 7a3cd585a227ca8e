"""Frames a second of the video pipeline against the same matter frame by frame, at 540p and 1080p, in one run.

    python -m benchmarks.video RUN

Both get decoded frames and give alphas; then the whole command with decoding and encoding. On a busy machine the
seconds of a processor (printed first) say more than those of the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import stylematte
from benchmarks.video_length import write_source
from stylematte.imagefile import from_uint8
from stylematte.video.options import VideoOptions
from stylematte.video.run import Request, matte_video
from stylematte.video.source import open_source
from stylematte.video.steady import SteadyMatter


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a processor, and of the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def measure(matter, height: int, count: int, folder: Path) -> None:
    source = folder / f"{height}.mp4"
    write_source(source, 1, count, (height, height * 16 // 9 // 2 * 2))
    frames = [frame.image for frame in open_source(source).frames()]
    first, rest = frames[0], frames[1:]

    def row(name: str, seconds: tuple[float, float], of: int, base: float | None) -> float:
        ratio = "" if base is None else f"   {base / (of / seconds[0]):.2f} times the time"
        print(f"{height}p  {name:42s} {of / seconds[0]:7.2f} frames/s of a processor, {of / seconds[1]:7.2f}{ratio}")
        return of / seconds[0]

    def alone(frame) -> torch.Tensor:
        return matter.predict([from_uint8(frame)])[0]

    alone(first)
    base = row("frame by frame", timed(lambda: [alone(frame) for frame in rest]), len(rest), None)
    for method in ("network", "closed-form"):
        steady = SteadyMatter(matter, VideoOptions(method=method))
        steady(first)
        row(method, timed(lambda steady=steady: [steady(frame) for frame in rest]), len(rest), base)
    out, options = folder / f"{height}.mkv", VideoOptions(method="network")
    work = timed(lambda: matte_video(Request(source, out), matter, options))
    row("network, with decoding and FFV1", work, len(frames), base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matter", type=Path, help="a run, an export or a matter folder")
    parser.add_argument("--count", type=int, default=8, help="frames (default: 8)")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    matter = stylematte.load(args.matter, args.device)
    with tempfile.TemporaryDirectory() as folder:
        for height in (540, 1080):
            measure(matter, height, args.count, Path(folder))


if __name__ == "__main__":
    main()

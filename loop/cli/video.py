"""`stylematte video IN -o OUT`: a video -> its alpha, cut-outs or a composite, steady over time; resumable."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.console import wrapped
from loop.cli.inference_options import add_inference_options, asked_options
from loop.report.formats import clock
from loop.runs.folder import newest_run
from loop.runs.verify import sound

if TYPE_CHECKING:
    from stylematte.inference.matter import Matter
    from stylematte.video.run import Done, Request

LINE_EVERY = 30.0
"""Seconds between lines of progress where the output is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="a video file, or a folder of frames")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="its ending says what is written: .mkv or .mp4 alpha, lossless; "
        ".mov ProRes 4444, .webm VP9 with alpha, a folder PNG: cut-outs. The same command resumes"
    )  # fmt: skip
    parser.add_argument("--matter", type=Path, help="a run, an export, or a matter folder (default: the newest run)")
    parser.add_argument("--write", choices=("alpha", "cutout", "composite"), help="instead of what the ending says")
    parser.add_argument("--background", help="write a composite over this colour (red, #ff8800), picture or video")
    parser.add_argument("--masks", type=Path, help="a folder with a mask for each frame, of any video segmenter")
    parser.add_argument("--from", dest="begin", type=float, default=0.0, metavar="S", help="begin at this second")
    parser.add_argument("--to", dest="end", type=float, metavar="S", help="end before this second")
    parser.add_argument("--fps", type=float, help="of a folder of frames (default: 25)")
    parser.add_argument(
        "--method", default="auto", choices=("auto", "network", "closed-form", "knn", "lkm"), help="how alpha is found "
        "near the edge: by the network, or solved; auto: network where it takes trimaps, else closed-form"
    )  # fmt: skip
    add_inference_options(parser)
    parser.add_argument("--device", default="auto", help="auto (a GPU, else the CPU), cpu, cuda:0 (default: auto)")
    parser.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="the network computes in (default: fp32)"
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of what is written (default: 8)")
    parser.add_argument(
        "--foreground", default="fast", choices=("fast", "exact", "none"), help="colours of cut-outs, as in `matte`"
    )
    parser.add_argument("--no-audio", action="store_true", help="leave the audio away, which is copied otherwise")
    parser.add_argument("--overwrite", action="store_true", help="replace what has the name of -o")
    parser.add_argument("--json", action="store_true", help="say what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.video.options import VideoOptions
    from stylematte.video.run import Request, matte_video

    asked = asked_options(args)
    request = Request(
        args.source, args.out, args.begin, args.end, args.write, args.bits, args.foreground, args.background,
        args.masks, args.fps, audio=not args.no_audio, overwrite=args.overwrite,
    )  # fmt: skip
    matter = _matter(args)
    inference = None if matter is None else matter.asked(asked)
    started = time.monotonic()
    with _shown() as progress:
        done = matte_video(request, matter, VideoOptions(method=args.method), inference, progress)
    _show(args, request, done, matter, time.monotonic() - started)
    return 0


def _matter(args: argparse.Namespace) -> Matter | None:
    from stylematte.inference.matter import load, matter_folder

    if args.matter is None and args.masks is not None and args.method not in ("auto", "network"):
        return None
    return load(sound(matter_folder(args.matter or newest_run())), args.device, args.precision)


@contextmanager
def _shown() -> Iterator[Any]:
    """What takes (done, total): a bar with frames a second on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    speed = TextColumn("{task.fields[speed]}")
    columns = (TextColumn("matting"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, pace = bar.add_task("matting", total=None, speed=""), _Pace()
        yield lambda done, total: bar.update(
            task, completed=done, total=total or None, speed=f"{pace(done):.3g} frames/s"
        )


class _Pace:
    """Frames a second since the first."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        if self.first is None:
            self.first = (done - 1, now - 1e-3)
        return (done - self.first[0]) / (now - self.first[1])


class _Lines:
    def __init__(self) -> None:
        self.printed, self.pace = time.monotonic(), _Pace()

    def __call__(self, done: int, total: int) -> None:
        speed, now = self.pace(done), time.monotonic()
        if now - self.printed > LINE_EVERY:
            self.printed = now
            left = f", {clock((total - done) / speed)} left" if total > done else ""
            print(f"  {done} of {total or '?'} frames, {speed:.3g} frames/s{left}", file=sys.stderr, flush=True)


def _show(args: argparse.Namespace, request: Request, done: Done, matter: Matter | None, seconds: float) -> None:
    made = done.frames - done.resumed
    if args.json:
        about = {"out": str(done.out), "kind": done.kind, "frames": done.frames, "resumed": done.resumed}
        about |= {"matter": matter and str(matter.folder), "frames_per_second": made / seconds, "notes": done.said}
        print(json.dumps(about, indent=2))
        return
    for line in done.said:
        print(f"stylematte: {line}", file=sys.stderr)
    earlier = f", {done.resumed} of them were finished before" if done.resumed else ""
    by = "masks" if matter is None else str(matter.folder)
    print(wrapped(f"{done.frames} frames of {request.source} as {done.kind} in {done.out} with {by}{earlier}; "
                  f"{made / seconds:.3g} frames/s"))  # fmt: skip

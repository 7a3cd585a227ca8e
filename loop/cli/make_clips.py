"""`stylematte make-clips IN ... -o OUT`: cut-outs animated over moving backgrounds, with exact alpha."""

from __future__ import annotations

import argparse
from pathlib import Path

from loop.cli.bars import bar

KINDS = "alpha"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="IN", help="portrait or animal (drawn by code), a folder of RGBA "
                        "cut-outs, or a data root (manifest.csv)")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the clips; the same command resumes")
    parser.add_argument("--clips", type=int, default=0, help="of each IN and subject (default: one of each cut-out, "
                        "8 drawn ones)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=24, help="of each clip (default 24)")
    parser.add_argument("--fps", type=float, default=24, help="frames a second (default 24)")
    parser.add_argument("--size", default="256", help="pixels, 256 or 640x360 (default 256)")
    parser.add_argument("--backgrounds", metavar="DIR", help="pictures to move behind (default: drawn ones)")
    parser.add_argument("--kinds", default=KINDS, help="of a data root's rows, with commas: alpha, pseudo-alpha, "
                        f"foreground, generated-rgba (default {KINDS})")  # fmt: skip
    parser.add_argument("--subjects", default="", help="of a data root, with commas (default: all)")
    parser.add_argument("--cuts", type=int, default=0, help="changes to another shot within each clip (default 0)")
    parser.add_argument("--motion", type=float, default=1, help="times all movement; 0: a still (default 1)")
    parser.add_argument("--light", type=float, default=1, help="times the changes of light (default 1)")
    parser.add_argument("--shutter", type=float, default=0.5, help="share of a frame's time it is open (default 0.5)")
    parser.add_argument("--subframes", type=int, default=8, help="averaged for motion blur; 1: none (default 8)")
    parser.add_argument("--noise", type=float, default=0.01, help="of each frame's own, as of a sensor (default 0.01)")
    parser.add_argument("--video", action="store_true", help="also image.mp4 and alpha.mkv (lossless) of each clip")
    parser.add_argument("--seed", type=int, default=0, help="of motion, drawings and choice of backgrounds (default 0)")


def main(args: argparse.Namespace) -> int:
    from stylematte.errors import ConfigError
    from stylematte.video.clips import ClipOptions, parse_size
    from stylematte.video.make_clips import Sources, make_clips

    if args.clips < 0:
        raise ConfigError(f"--clips {args.clips}: expected 1 or more")
    options = ClipOptions(
        frames=args.frames, fps=args.fps, size=parse_size(args.size), cuts=args.cuts, motion=args.motion,
        light=args.light, shutter=args.shutter, subframes=args.subframes, noise=args.noise, seed=args.seed,
    )  # fmt: skip
    kinds, subjects = (tuple(filter(None, words.split(","))) for words in (args.kinds, args.subjects))
    sources = Sources(args.sources, args.clips, args.backgrounds, kinds, subjects)
    made = make_clips(sources, args.out, options, bar("making"), args.video)
    there = f", {made.existing} were there" if made.existing else ""
    print(f"{len(made.clips)} clips in {args.out}: {made.written} frames written{there}")
    return 0

"""`stylematte score-video PREDICTION TRUTH`: MAD, MSE, Grad, Conn, dtSSD of clips of mattes against the truth."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from loop.cli.bars import bar

if TYPE_CHECKING:
    from stylematte.video.score import ClipScores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    clips = "a video, a folder of frames, a made clip, or a folder of such clips"
    parser.add_argument("prediction", type=Path, metavar="PREDICTION", help=f"the mattes: {clips}")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="the true alphas, frame for frame; clips by name")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from stylematte.video.score import score_clips

    scores = score_clips(args.prediction, args.truth, track=bar("scoring"))
    if args.json:
        print(json.dumps(scores.as_json(), indent=2))
    else:
        _print(scores)
    return 0


def _print(scores: ClipScores) -> None:
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table()
    table.add_column("clip", overflow="fold")
    for figure in scores.mean:
        table.add_column(figure, justify="right", no_wrap=True)
    for name, row in scores.clips.items():
        table.add_row(name, *map(_number, row.values()))
    table.add_section()
    table.add_row(f"mean of {scores.n}", *map(_number, scores.mean.values()))
    bounds = [interval or (math.nan, math.nan) for interval in scores.interval.values()]
    if scores.n > 1:
        table.add_row("95 % from", *(_number(low) for low, _ in bounds))
        table.add_row("95 % to", *(_number(high) for _, high in bounds))
    wide_console().print(table)


def _number(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else "-"

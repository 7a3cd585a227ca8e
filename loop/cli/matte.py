"""`stylematte matte PHOTO|FOLDER|GLOB|- ... -o OUT`: photos -> alpha and cut-out PNG."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loop.cli.bars import bar
from loop.cli.console import left_out_line
from loop.cli.inference_options import add_inference_options, asked_options
from loop.runs.folder import newest_run
from loop.runs.verify import sound
from stylematte.errors import ConfigError

if TYPE_CHECKING:
    from stylematte.inference.known import Known
    from stylematte.inference.matte import Mattes, Outputs
    from stylematte.inference.options import AskedOptions
    from stylematte.inference.photos import NamedPhoto

SOME_LEFT_OUT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", nargs="+", help="pictures, folders with all below, 'quoted globs', or - for stdin")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder for NAME_alpha.png and NAME_cutout.png; below it are the "
        "folders that a walked folder has"
    )  # fmt: skip
    parser.add_argument("--matter", type=Path, help="a run, an export, or a matter folder (default: the newest run)")
    add_inference_options(parser)
    parser.add_argument("--batch", type=int, default=4, help="photos of one size seen at once (default: 4)")
    parser.add_argument(
        "--device", default="auto", help="auto (every GPU, else the CPU), cpu, cuda:0, or cuda:0,cuda:1: several share "
        "the photos (default: auto)"
    )  # fmt: skip
    parser.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="the network computes in (default: fp32)"
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of what is written (default: 8)")
    parser.add_argument("--alpha-only", action="store_true", help="write NAME_alpha.png alone")
    parser.add_argument(
        "--foreground", default="fast", choices=("fast", "exact", "none"), help="colours of the cut-out: solved at 512 "
        "pixels and restored, solved at full size, or the photo's own (default: fast)"
    )  # fmt: skip
    parser.add_argument("--background", help="also write NAME_composite.png on this colour (red, #ff8800) or picture")
    parser.add_argument("--skip-existing", action="store_true", help="leave photos alone whose files are all there")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--trimap",
        type=Path,
        help="a trimap (grey 0, 128, 255), or a folder of NAME.png or NAME_trimap.png. Variant detail sees it; with "
        "any other network its known pixels are set in the alpha, no more",
    )
    known.add_argument(
        "--mask",
        type=Path,
        help="a coarse mask of any tool, or a folder of NAME.png or NAME_mask.png: what lies within 5 %% of the "
        "subject's size of its edge is found anew, by variant detail, or by closed form where the network is another",
    )
    parser.add_argument(
        "--method",
        default="network",
        choices=("network", "closed-form", "knn", "lkm"),
        help="with --trimap or --mask: others than network need no weights (default: network)",
    )
    parser.add_argument(
        "--enhance",
        type=Path,
        metavar="GENERATOR",
        help="also matte each photo moved in this generator to where the matter is surer (docs/enhancement.md): a "
        "guarded alpha replaces the plain one, for the photo's own pixels; without --trimap and --mask",
    )
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.inference.known import Known
    from stylematte.inference.matte import Outputs, check_out
    from stylematte.inference.photos import photos_of

    asked = asked_options(args)
    outputs = Outputs(args.alpha_only, args.bits, args.foreground, args.background, args.skip_existing)
    outputs.check()
    path = args.trimap or args.mask
    known = None if path is None else Known(path, masks=args.mask is not None)
    photos = photos_of(args.photo, sys.stdin, args.out)
    check_out(args.out)
    if args.enhance is not None:
        by, done = _enhanced(args, photos, asked, outputs)
    else:
        by, done = _written(args, photos, asked, known, outputs)
    _show(args, by, done)
    return SOME_LEFT_OUT if done.left_out else 0


def _written(
    args: argparse.Namespace, photos: list[NamedPhoto], asked: AskedOptions, known: Known | None, outputs: Outputs
) -> tuple[Path | None, Mattes]:
    """By which matter, and what was written."""
    from stylematte.inference.devices import check_precision, devices_of
    from stylematte.inference.matte import write_mattes
    from stylematte.inference.matter import matter_folder
    from stylematte.inference.shards import Job, write_sharded

    devices = devices_of(args.device)
    check_precision(args.precision, devices[0])
    if args.method != "network":
        if args.matter is not None:
            raise ConfigError(f"--matter is for --method network, not for {args.method}")
        track = bar("matting")
        return None, write_mattes(None, photos, args.out, known=known, method=args.method, outputs=outputs, track=track)
    folder = sound(matter_folder(args.matter or newest_run()))
    job = Job(folder, asked, args.precision, args.out, known, args.method, args.batch, outputs)
    return folder, write_sharded(job, photos, devices, bar("matting"))


def _enhanced(
    args: argparse.Namespace, photos: list[NamedPhoto], asked: AskedOptions, outputs: Outputs
) -> tuple[Path | None, Mattes]:
    """As `_written`, with the alphas of enhanced photos where the guard accepts them; the matter is loaded once.

    The generator is refused before any photo is matted where it cannot be used.
    """
    from loop.cli.latent_options import rgba_generator
    from loop.fitting.enhanced_mattes import enhanced_mattes, guarded
    from stylematte.inference.devices import check_precision, devices_of
    from stylematte.inference.matte import write_mattes
    from stylematte.inference.matter import load, matter_folder

    if args.method != "network" or args.trimap or args.mask:
        raise ConfigError("--enhance asks a network of a photo alone: leave out --trimap, --mask and --method")
    generator, folder = rgba_generator(args.enhance), sound(matter_folder(args.matter or newest_run()))
    device = devices_of(args.device)[0]
    check_precision(args.precision, device)
    matter = load(folder, device, args.precision)
    enhancer = guarded(matter, generator)
    options, track = matter.asked(asked), bar("matting")
    done = write_mattes(matter, photos, args.out, options=options, batch=args.batch, outputs=outputs, track=track)
    for line in enhanced_mattes(enhancer, matter, done.written, options, outputs):
        print(line, file=sys.stderr)
    return folder, done


def _show(args: argparse.Namespace, matter: Path | None, done: Mattes) -> None:
    if args.json:
        written = [
            {"photo": str(photo), **{kind: str(file) for kind, file in files.items()}} for photo, files in done.written
        ]
        left_out = [{"photo": str(path), "reason": reason} for path, reason in done.left_out]
        existing = [str(path) for path in done.existing]
        about = {"matter": matter and str(matter), "method": done.method}
        print(json.dumps(about | {"written": written, "left_out": left_out, "existing": existing}, indent=2))
        return
    by = f"with {matter}" if done.method == "network" else f"by {done.method}"
    if matter is not None and done.method != "network":
        by += f" (the network of {matter} takes no trimap)"
    there = f"; {len(done.existing)} were there" if done.existing else ""
    print(f"{len(done.written)} photos matted into {args.out} {by}{there}{left_out_line(done.left_out)}")

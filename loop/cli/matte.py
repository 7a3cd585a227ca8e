"""`stylematte matte PHOTO|FOLDER|GLOB|- ... -o OUT`: photos -> alpha and cut-out PNG."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.console import left_out_line
from loop.cli.inference_options import add_inference_options
from loop.runs.folder import newest_run
from loop.runs.verify import sound


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", nargs="+", help="pictures, folders, 'quoted globs', or - for a list on stdin")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for NAME_alpha.png and NAME_cutout.png")
    parser.add_argument("--matter", type=Path, help="a run, an export, or a matter folder (default: the newest run)")
    add_inference_options(parser)
    parser.add_argument("--batch", type=int, default=4, help="photos of one size seen at once (default: 4)")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of what is written (default: 8)")
    parser.add_argument("--background", help="also write NAME_composite.png on this colour (red, #ff8800) or picture")
    parser.add_argument(
        "--trimap",
        type=Path,
        help="a trimap (grey 0, 128, 255), or a folder of NAME.png or NAME_trimap.png. Variant detail sees it; with "
        "any other network its known pixels are set in the alpha, no more",
    )
    parser.add_argument(
        "--enhance",
        type=Path,
        metavar="GENERATOR",
        help="also matte each photo moved in this generator to where the matter is surer (docs/enhancement.md): a "
        "better guarded alpha replaces the plain one, for the photo's own pixels",
    )
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.inference.matte import write_mattes
    from stylematte.inference.matter import load, matter_folder
    from stylematte.inference.options import AskedOptions
    from stylematte.inference.photos import photos_of

    asked = AskedOptions(args.size, args.max_side, args.tile, args.overlap, args.flip)
    asked.check()
    photos = photos_of(args.photo, sys.stdin)
    matter = load(sound(matter_folder(args.matter or newest_run())))
    done = write_mattes(
        matter,
        photos,
        args.out,
        options=matter.asked(asked),
        trimaps=args.trimap,
        batch=args.batch,
        bits=args.bits,
        background=args.background,
        track=bar("matting"),
    )
    if args.enhance:
        from loop.fitting.enhanced_mattes import enhanced_mattes

        for line in enhanced_mattes(matter, sound(args.enhance), done.written, matter.asked(asked), args.bits):
            print(line, file=sys.stderr)
    if args.json:
        written = [
            {"photo": str(photo), **{kind: str(file) for kind, file in files.items()}} for photo, files in done.written
        ]
        left_out = [{"photo": str(path), "reason": reason} for path, reason in done.left_out]
        print(json.dumps({"matter": str(matter.folder), "written": written, "left_out": left_out}, indent=2))
    else:
        line = f"{len(done.written)} photos matted into {args.out} with {matter.folder}"
        print(line + left_out_line(done.left_out))
    return 0

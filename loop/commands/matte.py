"""stylematte matte PHOTO|FOLDER -o OUT"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from loop.commands.photos import left_out_line, matter_at, matter_folder, photos_in, shown
from loop.runfolder import NoSuchArtefact


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="a picture, or a folder of pictures")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for NAME_alpha.png and NAME_cutout.png")
    parser.add_argument("--matter", type=Path, help="a run, an export, or a matter folder (default: the newest run)")
    parser.add_argument("--size", type=int, help="longest side the network sees (default: what it was trained at)")
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    photos = photos_in(args.photo)
    folder = matter_folder(args.matter)
    from stylematte.imagefile import BadPicture, read_rgb, write_alpha, write_rgba
    from stylematte.predict import predict_at

    network, trained_at = matter_at(folder)
    size = args.size or trained_at
    args.out.mkdir(parents=True, exist_ok=True)
    written, left_out = [], []
    for photo in shown(photos, "matting", len(photos)):
        try:
            image = read_rgb(photo)
        except BadPicture as error:
            left_out.append({"photo": str(photo), "reason": str(error)})
            print(f"stylematte: left out {error}", file=sys.stderr)
            continue
        alpha = predict_at(network, image, size)
        files = {kind: args.out / f"{photo.stem}_{kind}.png" for kind in ("alpha", "cutout")}
        write_alpha(files["alpha"], alpha)
        write_rgba(files["cutout"], _cutout(image, alpha))
        written.append({"photo": str(photo), **{kind: str(file) for kind, file in files.items()}})
    if not written:
        raise NoSuchArtefact(f"{args.photo}: none of {len(photos)} pictures could be read")
    if args.json:
        print(json.dumps({"matter": str(folder), "written": written, "left_out": left_out}, indent=2))
    else:
        print(f"{len(written)} photos matted into {args.out} with {folder}" + left_out_line(left_out))
    return 0


def _cutout(image, alpha):  # type: ignore[no-untyped-def]
    """Straight RGBA with estimated foreground colours: no fringe of the old background."""
    import torch

    from stylematte.ops.foreground import estimate_foreground

    return torch.cat([estimate_foreground(image, alpha), alpha])

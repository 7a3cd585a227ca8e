"""`stylematte enhance generated|real -o OUT`: pictures moved to where a matter mattes them easily."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.bars import bar
from loop.cli.latent_options import add_features, add_generator, generator_of, matter_of, perceptual_of

if TYPE_CHECKING:
    from torch import Tensor

    from loop.fitting.enhancement import Enhancer

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("generated", "real"), help="samples of the generator, or photos")
    parser.add_argument("picture", nargs="*", help="real: photos, folders, 'quoted globs'")
    add_generator(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for pictures, latents and index.jsonl")
    parser.add_argument(
        "--matter", type=Path, help="a run, an export, a matter folder, FILE.onnx (default: newest run)"
    )
    parser.add_argument("--seeds", default="1-8", help="generated: for example 1-16 or 0-99,200 (default 1-8)")
    parser.add_argument("--psi", type=float, default=0.8, help="generated: truncation (default 0.8)")
    parser.add_argument("--steps", type=int, default=60, help="of a move, at most (default 60)")
    parser.add_argument("--trust", type=float, default=0.1, help="a style moves by this share at most (default 0.1)")
    parser.add_argument("--max-rmse", type=float, default=0.03, help="a picture changes by this at most (default 0.03)")
    parser.add_argument("--invert-steps", type=int, default=300, help="real: of the inversion (default 300)")
    names = "ADVERSARIAL ENTROPY PIXEL PERCEPTUAL"
    parser.add_argument(
        "--preset", default="entropy-led", choices=("entropy-led", "paper"), help="weights of the four losses"
    )
    parser.add_argument("--weights", type=float, nargs=4, metavar=tuple(names.split()), help="in place of a preset's")
    add_features(parser)
    parser.add_argument("--batch", type=int, default=8, help="pictures moved at once (default 8)")


def main(args: argparse.Namespace) -> int:
    from loop.fitting.enhancement import write_manifest
    from stylematte.errors import ConfigError

    if args.batch < 1:
        raise ConfigError(f"--batch {args.batch}: must be at least 1")
    if (args.kind == "real") != bool(args.picture):
        asked = "name photos" if args.kind == "real" else "it takes --seeds, no pictures"
        raise ConfigError(f"enhance {args.kind}: {asked}")
    enhancer, about = _enhancer(args)
    rows = _generated(args, enhancer, about) if args.kind == "generated" else _real(args, enhancer, about)
    write_manifest(args.out, rows)
    for row in rows:
        print(f"{row['id']}: {_line(row)}")
    kept = sum(row["kept"] for row in rows)
    print(f"{kept} of {len(rows)} became pairs; before and after on {args.out / 'before_after.png'}")
    return 0


def _line(row: Row) -> str:
    moved = ""
    if "losses_after" in row:
        before, after = (row[f"losses_{when}"]["entropy"] for when in ("before", "after"))
        moved = f"entropy {before:.4f} -> {after:.4f}, moved {row['move']:.3f}, rmse {row['rmse']:.4f}; "
    return moved + ("kept" if row["kept"] else f"refused, {row['reason']}")


def _enhancer(args: argparse.Namespace) -> tuple[Enhancer, Row]:
    from loop.fitting.enhancement import Enhancer
    from stylematte.errors import ConfigError
    from stylematte.fields import impossible, to_plain
    from stylemattegan.enhance import pair_critic
    from stylemattegan.latent_config import PRESETS, EnhanceConfig, InvertConfig, LossWeights
    from stylemattegan.networks.weights import load_all

    weights = LossWeights(*args.weights) if args.weights else PRESETS[args.preset]
    move = EnhanceConfig(args.steps, trust=args.trust, max_rmse=args.max_rmse, weights=weights)
    invert = InvertConfig(steps=args.invert_steps, offset_steps=max(0, args.invert_steps // 5))
    if problems := [*impossible(move), *impossible(invert, "invert")]:
        raise ConfigError("\n".join(problems))
    generator = generator_of(args)
    perceptual = perceptual_of(args)
    critic = None
    if move.weights.adversarial and (generator.folder / "D.safetensors").is_file():
        critic = pair_critic(load_all(generator.folder)[1])
    about = {
        "generator": generator.digest,
        "features": perceptual.name,
        "matter": _digest(args.matter),
        "options": {"move": to_plain(move), "invert": to_plain(invert)},
    }
    parts = (generator.network, matter_of(args.matter), perceptual, critic, generator.straight, move, invert)
    return Enhancer(*parts), about


def _digest(matter: Path | None) -> str:
    """SHA-256 of the matter's weights."""
    from loop.runs.folder import newest_run
    from stylematte.inference.matter import matter_folder
    from stylematte.networks.weights import matter_files

    path = matter or newest_run()
    file = path if path.suffix == ".onnx" else matter_files(matter_folder(path))[0]
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _generated(args: argparse.Namespace, enhancer: Enhancer, about: Row) -> list[Row]:
    import torch

    from loop.cli.sample import _interval, _seeds
    from loop.fitting.enhancement import enhance_into
    from stylemattegan.sample import latents

    G, (psi, _) = enhancer.generator, _interval([args.psi])
    rows = [
        {"id": f"seed {seed}", "name": f"{seed:06d}", "kind": "generated", "seed": seed} for seed in _seeds(args.seeds)
    ]
    rows = [row | {"psi": psi, **about} for row in rows]

    def run(due: Sequence[Row]):  # type: ignore[no-untyped-def]
        z = latents([row["seed"] for row in due], G.z_dim)
        grey = torch.full((len(due), 3, G.img_resolution, G.img_resolution), 0.5)
        return enhancer.generated(z, torch.full((len(due),), psi), grey)

    parts = [rows[start : start + args.batch] for start in range(0, len(rows), args.batch)]
    return [row for part in bar("enhancing")(parts) for row in enhance_into(args.out, enhancer, part, run)]


def _photo(enhancer: Enhancer, picture: Tensor, due: Sequence[Row]) -> Any:
    return enhancer.photos(picture)


def _real(args: argparse.Namespace, enhancer: Enhancer, about: Row) -> list[Row]:
    import logging

    from loop.fitting.enhancement import enhance_into
    from stylematte.errors import BadPicture, DataError
    from stylematte.imagefile import read_rgb
    from stylematte.inference.photos import photos_of
    from stylematte.sheets import to_longest_side

    done: list[Row] = []
    photos = [photo.path for photo in photos_of(args.picture)]
    for path in bar("enhancing")(photos):
        try:
            image = read_rgb(path)
            row = {"id": path.name, "name": path.stem, "kind": "real", **about}
            row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            small = to_longest_side(image, min(max(image.shape[-2:]), 2 * enhancer.generator.img_resolution))[None]
            try:
                done += enhance_into(args.out, enhancer, [row], partial(_photo, enhancer, small))
            except ValueError as error:
                raise BadPicture(path, str(error)) from None
        except BadPicture as error:
            if len(photos) == 1:
                raise
            logging.getLogger("stylematte").warning("left out %s", error)
    if not done:
        raise DataError(f"none of {len(photos)} photos could be enhanced")
    return done

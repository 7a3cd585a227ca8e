"""Preparing a data root: every wanted picture brought to size x size, or kept at its own resolution up to a longest
side, with its alpha and its foreground colour.

The result is a prepared data folder: `index.jsonl` (one row per picture), `left_out.jsonl` (what could not be used,
and why), and the pictures below image/, alpha/, foreground/, trimap/ and closed_form/. Later stages read it with
`load_index`. The same root and arguments give the same bytes. Pictures that keep their resolution are PPM and PGM
files without padding, of which training maps the crops it wants (`stylematte.netpbm`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.atomic import replace_file
from stylematte.data.composed import compose_heldout
from stylematte.data.manifest import (
    BACKGROUND,
    FOREGROUND,
    PICTURES,
    WITH_ALPHA,
    WITH_TRIMAP,
    ManifestRow,
    Record,
    assign_splits,
    heldout,
    wanted_rows,
)
from stylematte.data.released import ALL
from stylematte.data.roots import DataRoot, all_rows, is_heldout
from stylematte.data.trimaps import TrimapOptions, record_trimap
from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, resize, write_alpha, write_rgb
from stylematte.jsonl import read_jsonl
from stylematte.ops.foreground import estimate_foreground
from stylematte.rgba import trimap_of_shares
from stylematte.trimap import from_mask, problem

MIN_SIDE = 16
"""Photos smaller than this carry no matte worth learning and are left out."""
ASPECT_TOLERANCE = 0.02
CLEAR_SUBJECT = 0.5
NO_SUBJECT = 0.05
"""An alpha that never exceeds this shows no subject."""

__all__ = ["DataError", "Record", "centre_square", "heldout", "load_index", "prepare", "square"]

log = logging.getLogger("stylematte")


class Frame(NamedTuple):
    """Squares of side `size`; or, if max_side is not 0, pictures of their own shape with at most this longest side."""

    size: int
    max_side: int

    def picture(self, picture: Tensor) -> Tensor:
        """(C, H, W) as it is kept."""
        return self._reduced(picture) if self.max_side else square(picture, self.size)

    def background(self, picture: Tensor) -> Tensor:
        return self._reduced(picture) if self.max_side else centre_square(picture, self.size)

    def trimap(self, trimap: Tensor) -> Tensor:
        """(1, H, W) with {0, 1/2, 1}; what mixes is unknown."""
        if not self.max_side:
            return square_trimap(trimap, self.size)
        return trimap_of_shares(self._reduced((trimap == 0).float()), self._reduced((trimap == 1).float()))

    def file(self, kind: str, name: str) -> str:
        """Below the prepared folder; kind: image, alpha, foreground or trimap."""
        coloured = kind in ("image", "foreground")
        return f"{kind}/{name}.{('ppm' if coloured else 'pgm') if self.max_side else 'png'}"

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) as a picture of this size is kept."""
        if not self.max_side:
            return self.size, self.size
        scale = min(1.0, self.max_side / max(height, width))
        return max(2, round(height * scale)), max(2, round(width * scale))

    def _reduced(self, picture: Tensor) -> Tensor:
        return resize(picture, self.size_of(*picture.shape[-2:]))


Wanted = tuple[str, ManifestRow]
"""A domain and one of its rows."""


def prepare(
    root: str | Path | Sequence[DataRoot],
    out: str | Path,
    size: int,
    domains: Mapping[str, str],
    extra_subjects: Sequence[str] = (),
    heldout: Mapping[str, float] | None = None,
    max_per_source: int = 0,
    trimaps: TrimapOptions | None = None,
    track: Callable[[Iterable[Wanted]], Iterable[Wanted]] = iter,
    max_side: int = 0,
) -> dict[str, int]:
    """Write the prepared data folder `out` from a data root, or from several, and return counts.

    domains: domain name -> the manifest's subject. extra_subjects: trained on, never held out. heldout: percent held
    out of the kinds "alpha" and "pseudo-alpha". max_per_source: at most this many of each (subject, kind); 0 = all.
    trimaps: how those of masks are made. track: hands the wanted rows through, for a progress bar.
    max_side: 0: squares of `size`; else pictures keep their shape and are only reduced to this longest side.
    The counts: "pictures", "left_out", and one per "domain/kind/split". Raises DataError if a domain, or an extra
    subject, ends up with no usable picture.
    """
    roots = [DataRoot(Path(root))] if isinstance(root, (str, Path)) else list(root)
    places, out = [each.path.expanduser() for each in roots], Path(out)
    percents = {kind.replace("_", "-"): percent for kind, percent in (heldout or {}).items()}
    wanted = wanted_rows(all_rows(roots, domains), domains, extra_subjects, max_per_source)
    out.mkdir(parents=True, exist_ok=True)
    convert = partial(_convert, places, out, Frame(size, max_side), trimaps or TrimapOptions())
    records, left_out, digests = _convert_all(places, wanted, convert, track)
    assign_splits(records, list(domains), percents, _official(wanted))
    records = _without_copies_of_heldout(out, records, digests, left_out)
    compose_heldout(out, records)
    write_rows(out / "left_out.jsonl", left_out)
    for domain in (*domains, *extra_subjects):
        if not any(record["domain"] == domain for record in records):
            reason = next((row["reason"] for row in left_out if row["domain"] == domain), "no rows")
            where = ", ".join(map(str, places))
            raise DataError(f"no usable picture for '{domain}' in {where}: all were left out, the first as: {reason}")
    write_rows(out / "index.jsonl", records)
    counts = Counter(f"{record['domain']}/{record['kind']}/{record['split']}" for record in records)
    return {"pictures": len(records), "left_out": len(left_out), **dict(sorted(counts.items()))}


def content_box(height: int, width: int, size: int) -> list[int]:
    """[top, left, height, width] of a picture of this size inside its `square`: what is not padding."""
    scale = size / max(height, width)
    inside = [max(2, round(height * scale)), max(2, round(width * scale))]
    return [(size - inside[0]) // 2, (size - inside[1]) // 2, *inside]


def square(picture: Tensor, size: int) -> Tensor:
    """(C, H, W) -> (C, size, size): longest side scaled to `size`, the rest padded by reflection on both sides.

    Alpha is padded the same way, so that a reflected subject stays labelled.
    """
    top, left, height, width = content_box(picture.shape[-2], picture.shape[-1], size)
    picture = resize(picture, (height, width))
    pads = [(0, 0), (top, size - height - top), (left, size - width - left)]
    return torch.from_numpy(np.pad(picture.numpy(), pads, mode="reflect"))  # np.pad reflects repeatedly if need be


def square_trimap(trimap: Tensor, size: int) -> Tensor:
    """(1, H, W) with {0, 1/2, 1} -> (1, size, size), laid out as `square` does; what mixes is unknown."""
    back, front = square((trimap == 0).float(), size), square((trimap == 1).float(), size)
    return trimap_of_shares(back, front)


def centre_square(picture: Tensor, size: int) -> Tensor:
    """(C, H, W) -> (C, size, size): the central square, resized."""
    height, width = picture.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(picture[:, top : top + side, left : left + side], (size, size))


def _official(wanted: Sequence[Wanted]) -> dict[str, str]:
    """Record id -> the split that its data set gives it, where it gives one."""
    return {
        _id(domain, number): "heldout" if is_heldout(row.split) else "train"
        for number, (domain, row) in enumerate(wanted)
        if row.split not in ("", ALL)
    }


def _id(domain: str, number: int) -> str:
    return f"{domain}/{number:06d}"


def _convert_all(
    places: Sequence[Path],
    wanted: Sequence[Wanted],
    convert: Callable[[str, ManifestRow, str], tuple[Record, str]],
    track: Callable[[Iterable[Wanted]], Iterable[Wanted]],
) -> tuple[list[Record], list[Record], dict[str, str]]:
    records: list[Record] = []
    left_out: list[Record] = []
    digests: dict[str, str] = {}
    seen: set[tuple[int, str]] = set()
    for number, (domain, row) in enumerate(track(wanted)):
        try:
            if (row.root, row.file) in seen:
                raise BadPicture(row.file, "is listed twice in the manifest")
            seen.add((row.root, row.file))
            record, digest = convert(domain, row, _id(domain, number))
            digests[record["id"]] = digest
            records.append(record)
        except BadPicture as error:
            file, reason = _short(places[row.root], error)
            log.warning("left out %s: %s", row.file, reason if file == row.file else f"{file}: {reason}")
            left_out.append({"file": row.file, "reason": f"{file}: {reason}", "domain": domain, "kind": row.kind})
    return records, left_out, digests


def _convert(
    places: Sequence[Path], out: Path, frame: Frame, trimaps: TrimapOptions, domain: str, row: ManifestRow, name: str
) -> tuple[Record, str]:
    root = places[row.root]
    image = read_rgb(_inside(root, row.file))
    if min(image.shape[-2:]) < MIN_SIDE:
        raise BadPicture(row.file, f"{image.shape[2]} x {image.shape[1]} pixels, at least {MIN_SIDE} a side needed")
    record: Record = {"id": name, "domain": domain, "kind": row.kind, "split": "train"}
    record |= {"image": frame.file("image", name), "alpha": None, "foreground": None, "source": row.file}
    if len(places) > 1:
        record |= {"source": f"{root.name}/{row.file}", "root": row.root}
    if domain != BACKGROUND and not frame.max_side:
        record["box"] = content_box(image.shape[-2], image.shape[-1], frame.size)
    alpha = _matching_alpha(root, row, image) if row.kind in WITH_ALPHA else None
    trimap = _trimap(root, row, image, alpha, frame, trimaps) if row.kind in WITH_TRIMAP else None
    image = (frame.background if domain == BACKGROUND else frame.picture)(image)
    if alpha is not None:
        alpha = frame.picture(alpha)
        if alpha.max() < CLEAR_SUBJECT:
            raise BadPicture(
                row.alpha or row.file, f"at {max(alpha.shape)} pixels nothing is left of the subject: too thin or faint"
            )
        record |= {kind: frame.file(kind, name) for kind in ("alpha", "foreground")}
        write_alpha(out / record["alpha"], alpha)
        colour = image if row.kind == FOREGROUND else estimate_foreground(image, alpha)
        write_rgb(out / record["foreground"], colour)
    if trimap is not None:
        record_trimap(out, record, trimap)
    write_rgb(out / record["image"], image)
    return record, hashlib.sha256((out / record["image"]).read_bytes()).hexdigest()


def _matching_alpha(root: Path, row: ManifestRow, image: Tensor) -> Tensor:
    if row.alpha is None:
        raise BadPicture(row.file, f"kind {row.kind} needs a file in the column alpha")
    alpha = read_alpha(_inside(root, row.alpha))
    (height, width), (own_height, own_width) = image.shape[-2:], alpha.shape[-2:]
    if abs(own_width * height / (own_height * width) - 1) > ASPECT_TOLERANCE:
        raise BadPicture(row.alpha, f"is {own_width} x {own_height}, its image {width} x {height}: not the same shape")
    if alpha.max() < NO_SUBJECT:
        raise BadPicture(row.alpha, "is 0 everywhere, it shows no subject")
    return resize(alpha, (height, width))


def _trimap(
    root: Path, row: ManifestRow, image: Tensor, mask: Tensor | None, frame: Frame, options: TrimapOptions
) -> Tensor:
    """As it is kept: the trimap the manifest names, else one made of the mask. Raises BadPicture."""
    if row.trimap is None:
        if mask is None:
            raise BadPicture(row.file, "kind trimap needs a file in the column trimap")
        return frame.trimap(from_mask(mask, *options))
    trimap = read_trimap(_inside(root, row.trimap))
    if trimap.shape[-2:] != image.shape[-2:]:
        own, wanted = (f"{picture.shape[2]} x {picture.shape[1]}" for picture in (trimap, image))
        raise BadPicture(row.trimap, f"is {own}, its image {wanted}: make it again at the image's size")
    small = frame.trimap(trimap)
    wrong = problem(trimap) or problem(small)
    if wrong is not None:
        raise BadPicture(row.trimap, wrong)
    return small


def _inside(root: Path, file: str) -> Path:
    """Refuse names that lead out of the data root (links inside it may)."""
    name = PurePosixPath(file.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise BadPicture(file, "leads out of the data root")
    return root / name


def _short(root: Path, error: BadPicture) -> tuple[str, str]:
    path = Path(error.path)
    return (path.relative_to(root).as_posix() if path.is_relative_to(root) else error.path), error.reason


def _without_copies_of_heldout(
    out: Path, records: list[Record], digests: Mapping[str, str], left_out: list[Record]
) -> list[Record]:
    """Drop training pictures that are, pixel for pixel, a held-out one under another name."""
    measured = {digests[r["id"]]: r["source"] for r in records if r["split"] == "heldout"}
    kept = []
    for record in records:
        twin = measured.get(digests[record["id"]])
        if record["split"] == "heldout" or twin is None:
            kept.append(record)
            continue
        reason = f"the same picture as {twin}, which is held out"
        log.warning("left out %s: %s", record["source"], reason)
        row = {"file": record["source"], "reason": reason, "domain": record["domain"], "kind": record["kind"]}
        left_out.append(row)
        for key in ("image", "alpha", "foreground", "trimap"):
            if record.get(key):
                (out / record[key]).unlink()
    return kept


def load_index(folder: str | os.PathLike[str]) -> list[Record]:
    """The rows of folder/index.jsonl, with absolute `Path`s for its pictures. Raises DataError."""
    path = Path(folder).expanduser().resolve() / "index.jsonl"
    if not path.is_file():
        raise DataError(f"{path} is missing: this is no prepared data folder or cut-out pool")
    records = read_jsonl(path)
    for record in records:
        for key in PICTURES:
            if isinstance(record.get(key), str):
                record[key] = path.parent / record[key]
    return records


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """One JSON object per line, atomically."""
    replace_file(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

"""Makes a drawn picture of (subject, seed, size), and writes data roots of them; their alpha is exact by construction.

A picture is a pure function of (subject, seed, size). The subject is rendered premultiplied and four times finer than
wanted; colour and alpha are averaged over areas; then F = P / alpha and I = alpha F + (1 - alpha) B hold at the final
resolution, with hairs and whiskers that cover a fraction of a pixel. No photograph is involved, so no licence either.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.data.drawn.animal import draw_animal
from stylematte.data.drawn.backgrounds import paint_background
from stylematte.data.drawn.canvas import Canvas, straight_colour, stream
from stylematte.data.drawn.portrait import draw_portrait
from stylematte.data.folders import write_rows
from stylematte.imagefile import write_alpha, write_rgb
from stylematte.rgba import composite, trimap_from_alpha
from stylematte.sampling import position_seed

Subject = Literal["portrait", "animal"]
SUBJECTS = {"portrait": draw_portrait, "animal": draw_animal}
ALIKE = 0.35  # share of pictures whose background comes close to the subject's colours
MANIFEST_COLUMNS = (
    "file", "alpha", "trimap", "source_repo", "path", "commit", "licence", "subject", "kind", "width", "height", "note",
)  # fmt: skip


class Drawn(NamedTuple):
    """image = alpha foreground + (1 - alpha) background. (3, H, W), (1, H, W), (3, H, W), (3, H, W) in [0, 1]."""

    image: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor


def draw(subject: Subject, seed: int, size: int) -> Drawn:
    """One picture, size x size. Raises ValueError for a subject that cannot be drawn or a size below 16."""
    if subject not in SUBJECTS:
        raise ValueError(f"cannot draw a '{subject}': expected one of {', '.join(SUBJECTS)}")
    if size < 16:
        raise ValueError(f"cannot draw at {size} x {size} pixels: expected a size of 16 or more")
    canvas = Canvas(size, position_seed(seed, subject))
    colours = SUBJECTS[subject](canvas, position_seed(seed, subject))
    premultiplied, alpha = canvas.reduce()
    front = _tensor(straight_colour(premultiplied, alpha))
    near = colours if stream(seed, "alike").random() < ALIKE else None
    behind = _tensor(paint_background(position_seed(seed, subject, "behind"), size, near))
    matte = torch.from_numpy(alpha)[None].clamp(0, 1)
    return Drawn(composite(front, matte, behind), matte, front, behind)


def draw_background(seed: int, size: int) -> Tensor:
    """(3, size, size) in [0, 1]: a scene without a subject."""
    return _tensor(paint_background(seed, size))


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))


class _Item(NamedTuple):
    domain: str
    subject: str
    kind: str
    split: str
    number: int  # among all pictures of the domain


def _items(domains: Mapping[str, str], alpha: int, heldout: int, none: int, backgrounds: int) -> Iterator[_Item]:
    for domain, subject in domains.items():
        if subject not in SUBJECTS:
            raise ValueError(f"domain '{domain}': cannot draw a '{subject}', expected one of {', '.join(SUBJECTS)}")
        roles = [("alpha", "train")] * alpha + [("alpha", "heldout")] * heldout + [("none", "train")] * none
        for number, (kind, split) in enumerate(roles):
            yield _Item(domain, subject, kind, split, number)
    for number in range(backgrounds):
        yield _Item("background", "background", "background", "train", number)


def picture_seed(seed: int, domain: str, split: str, number: int) -> int:
    """The seed of one picture; train and heldout never share one."""
    return position_seed(seed, "drawn", domain, split, number)


def write_drawn(
    out: Path,
    size: int,
    domains: Mapping[str, str],
    alpha: int,
    heldout: int,
    none: int,
    backgrounds: int,
    seed: int,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    oracle: bool = False,
) -> dict[str, Any]:
    """Write a prepared data folder (index.jsonl, left_out.jsonl, image/ alpha/ foreground/) of drawn pictures.

    domains: domain name -> "portrait" or "animal". alpha, heldout, none: pictures in each domain (labelled for
    training, labelled for measurement, unlabelled); backgrounds: in all. The same arguments give the same bytes.
    track: hands the pictures to be drawn through, for a progress bar. oracle: the same pictures, but those that would
    be unlabelled have their alpha, too, and are of kind alpha.
    Returns counts: "pictures", "left_out" and one per "domain/kind/split". Raises ValueError for an unknown subject.
    """
    out = Path(out)
    items = list(_items(domains, alpha, heldout, none, backgrounds))
    if oracle:
        items = [item._replace(kind="alpha") if item.kind == "none" else item for item in items]
    out.mkdir(parents=True, exist_ok=True)
    rows, counts = [], dict[str, int]()
    for item in track(items):
        rows.append(_write_item(out, item, size, seed))
        key = f"{item.domain}/{item.kind}/{item.split}"
        counts[key] = counts.get(key, 0) + 1
    write_rows(out / "left_out.jsonl", [])
    write_rows(out / "index.jsonl", rows)
    return {"pictures": len(rows), "left_out": 0, **dict(sorted(counts.items()))}


def _write_item(out: Path, item: _Item, size: int, seed: int) -> dict[str, Any]:
    name, own = f"{item.domain}/{item.number:06d}", picture_seed(seed, item.domain, item.split, item.number)
    row: dict[str, Any] = {"id": name, "domain": item.domain, "kind": item.kind, "split": item.split}
    row |= {"image": f"image/{name}.png", "alpha": None, "foreground": None, "source": f"drawn {item.subject} {own}"}
    if item.kind == "background":
        write_rgb(out / row["image"], draw_background(own, size))
        return row
    drawn = draw(item.subject, own, size)  # type: ignore[arg-type]
    write_rgb(out / row["image"], drawn.image)
    if item.kind == "alpha":
        row |= {"alpha": f"alpha/{name}.png", "foreground": f"foreground/{name}.png"}
        write_alpha(out / row["alpha"], drawn.alpha)
        write_rgb(out / row["foreground"], drawn.foreground)
    return row


def write_manifest_folder(
    out: Path,
    size: int,
    subjects: Sequence[str] = ("portrait", "animal"),
    alpha: int = 4,
    pseudo_alpha: int = 0,
    mask: int = 0,
    none: int = 2,
    backgrounds: int = 2,
    seed: int = 0,
) -> int:
    """Write a data root as users have it (manifest.csv, and image/ alpha/ trimap/ below each subject's folder).

    The counts are per subject, `backgrounds` in all. A mask is alpha thresholded at 1/2; the pseudo-alpha here is the
    exact one. Returns the number of rows.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    kinds = ["alpha"] * alpha + ["pseudo-alpha"] * pseudo_alpha + ["mask"] * mask + ["none"] * none
    rows = [_write_raw(out, s, kind, i, size, seed) for s in subjects for i, kind in enumerate(kinds)]
    rows += [_write_raw(out, "background", "background", i, size, seed) for i in range(backgrounds)]
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, MANIFEST_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _write_raw(out: Path, subject: str, kind: str, number: int, size: int, seed: int) -> dict[str, Any]:
    own, name = picture_seed(seed, subject, "raw", number), f"drawn_{subject}_{number:04d}.png"
    row = {
        "subject": subject,
        "kind": kind,
        "width": size,
        "height": size,
        "licence": "CC0",
        "note": f"drawn, seed {own}",
    }
    if subject == "background":
        write_rgb(out / "backgrounds" / name, draw_background(own, size))
        return row | {"file": f"backgrounds/{name}"}
    drawn, folder = draw(subject, own, size), f"{subject}s"  # type: ignore[arg-type]
    row["file"] = f"{folder}/image/{name}"
    write_rgb(out / row["file"], drawn.image)
    if kind != "none":
        row |= {"alpha": f"{folder}/alpha/{name}", "trimap": f"{folder}/trimap/{name}"}
        write_alpha(out / row["alpha"], (drawn.alpha >= 0.5).float() if kind == "mask" else drawn.alpha)
        write_alpha(out / row["trimap"], trimap_from_alpha(drawn.alpha[None], max(1, size // 32))[0])
    return row

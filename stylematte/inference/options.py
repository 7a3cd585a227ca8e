"""How a photo is shown to a network (whole, scaled, in tiles, mirrored), and how its alpha comes back to full size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylematte.config import NetworkConfig
from stylematte.errors import BadPicture, ConfigError
from stylematte.imagefile import read_trimap, resize
from stylematte.inference.predict import predict, takes_trimap
from stylematte.inference.tiles import OVERLAP, in_tiles
from stylematte.ops.enlarge import enlarged, enlarged_rows
from stylematte.ops.guided_filter import linear_coefficients
from stylematte.pixels import Pixels, Scratch, resized, strips_of, whole
from stylematte.rgba import trimap_of_shares
from stylematte.sheets import at_longest_side

UPSCALE_RADIUS, UPSCALE_EPS = 1, 1e-3
PIECE = 4096 * 4096
"""The most pixels a network sees in one piece: more would take tens of GiB."""
LEAST = 32
"""Pixels of a side that a network can be asked for."""
BEYOND = 1.5
"""How much larger than in training a whole subject is shown to a network that learned from whole views and from crops
at native scale: docs/results/real.md has what 1 to 4 times give. That test pictures want to be somewhat larger than
training ones is known (Touvron et al. 2019, arXiv 1906.06423)."""


class InferenceOptions(NamedTuple):
    """How a photo is shown to a network; the alpha always has the photo's own size.

    size: longest side it sees; None: as it is. enlarge: smaller photos are brought to `size`, too. tile: pixels of
    square tiles that are seen one by one, None: in one piece; overlap: of neighbours. flip: mean with the
    mirrored view.

    The resize policy: a reduced photo is averaged (antialiased bilinear), its alpha comes back as `brought_back` says.
    The field's protocol (P3M, AM-2k) shows photos as they are: InferenceOptions().
    """

    size: int | None = None
    enlarge: bool = False
    tile: int | None = None
    overlap: int = OVERLAP
    flip: bool = False


def usual(trained_at: int, max_side: int = 0) -> InferenceOptions:
    """How a matter is shown photos where nothing else is asked for.

    It knows whole subjects of the scale it was trained at (longest side `trained_at`), so smaller photos are enlarged.
    max_side: above 0 it learned from crops of photos up to this side, at their own scale, too: it is shown `BEYOND`
    times `trained_at`, and smaller photos as they are.
    """
    if max_side:
        return InferenceOptions(min(max_side, int(BEYOND * trained_at)))
    return InferenceOptions(trained_at, enlarge=True)


def sides_seen(size: int, max_side: int, crop_share: float) -> dict[str, int]:
    """What a matter's description says of the pictures that it learned from: the longest side at which it saw whole
    subjects, and that of the photos whose crops it saw. With crops alone it knows photos as they are."""
    if not max_side or not crop_share:
        return {"size": size}
    return {"size": max_side if crop_share == 1 else size, "max_side": max_side}


def shown_by(meta: Mapping[str, Any]) -> InferenceOptions:
    """How a matter with these words in its folder is usually shown a photo that kept its resolution."""
    return usual(int(meta["size"]), int(meta.get("max_side", 0)))


def options_for(
    network: NetworkConfig, trained_at: int, size: int | None = None, max_side: int = 0
) -> InferenceOptions:
    """What is `usual` for a network of this configuration; the released one is shown large photos reduced only.

    size: the longest side it sees, None: as usual; 0: the photo's own.
    """
    if size == 0:
        return InferenceOptions()
    found = usual(trained_at, max_side) if size is None else InferenceOptions(size, enlarge=True)
    return found._replace(enlarge=found.enlarge and network.variant != "released")


class AskedOptions(NamedTuple):
    """What a user may ask for; all of it is optional, and at most one of the first three may be given.

    size: longest side the network sees, 0: the photo's own. max_side: the same for larger photos, smaller ones stay as
    they are. tile: the whole resolution in square tiles of that many pixels. overlap: of tiles. flip: mean with the
    mirrored view.
    """

    size: int | None = None
    max_side: int | None = None
    tile: int | None = None
    overlap: int | None = None
    flip: bool = False

    def check(self) -> None:
        """Raises ConfigError for what cannot be meant."""
        for name in ("size", "max_side", "tile"):
            value = getattr(self, name)
            if value is not None and value < LEAST and not (name == "size" and value == 0):
                raise ConfigError(f"--{name.replace('_', '-')} {value}: must be at least {LEAST} pixels")
        if self.overlap is not None and self.tile is None:
            raise ConfigError("--overlap is of tiles: give --tile, too")
        if self.tile is not None and not 0 <= (overlap := self._overlap(self.tile)) < self.tile:
            raise ConfigError(f"--overlap {overlap}: must be at least 0 and less than --tile {self.tile}")

    def options(self, network: NetworkConfig, trained_at: int, max_side: int = 0) -> InferenceOptions:
        """For a network of this configuration , trained at this longest side. Raises ConfigError."""
        self.check()
        if self.tile is not None:
            return InferenceOptions(tile=self.tile, overlap=self._overlap(self.tile), flip=self.flip)
        if self.max_side is not None:
            return InferenceOptions(self.max_side, flip=self.flip)
        return options_for(network, trained_at, self.size, max_side)._replace(flip=self.flip)

    def _overlap(self, tile: int) -> int:
        return min(OVERLAP, tile // 4) if self.overlap is None else self.overlap


def check_piece(path: Path, image: Tensor | Pixels, options: InferenceOptions) -> None:
    """Raise BadPicture if the network would see more than PIECE pixels of image (3, H, W) at once."""
    height, width = image.shape[-2:]
    scale = 1.0 if options.size is None else options.size / max(height, width)
    pixels = height * width * (scale if options.enlarge else min(1.0, scale)) ** 2
    if options.tile is None and pixels > PIECE:
        cure = "give a smaller --max-side, or --tile 1024"
        raise BadPicture(path, f"{pixels:.0f} pixels for the network, at most {PIECE} in one piece: {cure}")


def read_trimap_of(path: Path, photo: Path, image: Tensor | Pixels) -> Tensor:
    """The trimap (1, H, W) in `path`, of image's size. Raises BadPicture."""
    trimap = read_trimap(path)
    if trimap.shape[-2:] != image.shape[-2:]:
        own, wanted = (f"{picture.shape[-1]} x {picture.shape[-2]}" for picture in (trimap, image))
        raise BadPicture(path, f"is {own}, the photo {photo.name} is {wanted}: a trimap has its photo's size")
    return trimap


def predict_in(
    network: nn.Module, images: Sequence[Tensor], options: InferenceOptions, trimaps: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """images (3, H, W), all of one size -> alphas (1, H, W), by one forward pass (per tile and view).

    trimaps (1, H, W) in {0, 1/2, 1}: seen by a network that `takes_trimap`; known pixels are set in the result of any.
    """
    views = [view_of(image, options) for image in images]
    alphas = alphas_of_views(network, views, options, trimaps)
    known = trimaps or [None] * len(images)
    return [at_full_size(*each) for each in zip(alphas, views, images, known, strict=True)]


def view_of(image: Tensor | Pixels, options: InferenceOptions) -> Tensor:
    """image (C, H, W) at the size the network sees."""
    if options.size is None or (max(image.shape[-2:]) <= options.size and not options.enlarge):
        return whole(image)
    return resized(image, at_longest_side(image.shape, options.size))


def alphas_of_views(
    network: nn.Module, views: Sequence[Tensor], options: InferenceOptions, trimaps: Sequence[Tensor] | None = None
) -> Tensor:
    """views (3, h, w), all of one size, trimaps (1, H, W) of any -> alphas (N, 1, h, w), by one forward pass."""
    batch = torch.stack(list(views))
    if trimaps is not None and takes_trimap(network):
        batch = torch.cat([batch, torch.stack([trimap_at(t, batch.shape[-2:]) for t in trimaps])], 1)
    return _forward(network, batch, options)


def at_full_size(
    alpha: Tensor,
    view: Tensor,
    image: Tensor | Pixels,
    trimap: Tensor | None = None,
    scratch: Scratch | None = None,
) -> Tensor:
    """alpha (1, h, w) of a view of image (3, H, W) -> (1, H, W); what the trimap (1, H, W) knows is as it says.

    scratch: where the result of `Pixels` may lie.
    """
    found = brought_back(alpha, view, image, scratch)
    return found if trimap is None else torch.where(trimap == 0.5, found, trimap)


def _forward(network: nn.Module, batch: Tensor, options: InferenceOptions) -> Tensor:
    """batch (N, 3 or 4, H, W), the fourth channel a trimap -> (N, 1, H, W)."""

    def once(part: Tensor) -> Tensor:
        return predict(network, part[:, :3], part[:, 3:] if part.shape[1] > 3 else None)

    def view(part: Tensor) -> Tensor:
        return (once(part) + once(part.flip(-1)).flip(-1)) / 2 if options.flip else once(part)

    return view(batch) if options.tile is None else in_tiles(view, batch, options.tile, options.overlap)


def trimap_at(trimap: Tensor, size: Sequence[int]) -> Tensor:
    """trimap (1, H, W) in {0, 1/2, 1} at `size` (height, width): a pixel stays known if all it is made of was."""
    back, front = (resize((trimap == value).float(), (size[0], size[1])) for value in (0, 1))
    return trimap_of_shares(back, front)


def brought_back(alpha: Tensor, small: Tensor, image: Tensor | Pixels, scratch: Scratch | None = None) -> Tensor:
    """alpha (1, h, w) of small (3, h, w), which is image (3, H, W) resized -> (1, H, W).

    Comes back as the linear coefficients of a guided filter (He and Sun, arXiv 1505.00996), so edges follow the photo,
    not the grid.
    """
    height, width = image.shape[-2:]
    if small.shape[-2] * small.shape[-1] >= height * width:
        return resize(alpha, (height, width))
    slope, offset = linear_coefficients(small.mean(0, keepdim=True)[None], alpha[None], UPSCALE_RADIUS, UPSCALE_EPS)
    lines = torch.cat([slope[0], offset[0]])
    if isinstance(image, Pixels):
        return _along(lines, image, scratch or Scratch())
    slope, offset = enlarged(lines, height, width).split(1)
    return image.mean(0, keepdim=True).mul_(slope).add_(offset).clamp_(0, 1)


def _along(lines: Tensor, image: Pixels, scratch: Scratch) -> Tensor:
    """alpha = slope x grey + offset of `lines` (2, h, w) -> (1, H, W), strip by strip."""
    height, width = image.shape[-2:]
    alpha = scratch.floats(1, height, width)
    for rows in strips_of(height):
        slope, offset = enlarged_rows(lines, rows, height, width).split(1)
        torch.addcmul(offset, image.grey(rows), slope, out=alpha[:, rows]).clamp_(0, 1)
    return alpha

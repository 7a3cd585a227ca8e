"""What is known of a photo beside itself: its trimap, or a coarse mask of any tool, from which a trimap is made."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stylematte.errors import BadPicture
from stylematte.imagefile import read_alpha, resize
from stylematte.inference.options import read_trimap_of
from stylematte.inference.photos import NamedPhoto
from stylematte.ops.erosion import from_mask
from stylematte.pixels import Pixels

RATIO = 0.02
"""Of its sides' ratio a mask may differ from its photo: tools round when they reduce."""


class Known(NamedTuple):
    """path: a file for all photos, or a folder with NAME.png or NAME_trimap.png (or NAME_mask.png) for each, in the
    folders that the names have. masks: they are masks, set above 1/2, and not trimaps."""

    path: Path
    masks: bool = False

    def trimap(self, photo: NamedPhoto, image: Tensor | Pixels) -> Tensor:
        """The trimap (1, H, W) of a photo, of image's size. Raises BadPicture."""
        file = self._file(photo)
        return _trimap_of_mask(file, photo.path, image) if self.masks else read_trimap_of(file, photo.path, image)

    def _file(self, photo: NamedPhoto) -> Path:
        if not self.path.is_dir():
            return self.path
        names = [self.path / f"{photo.name}{ending}.png" for ending in ("_mask" if self.masks else "_trimap", "")]
        return next((name for name in names if name.is_file()), names[0])


def _trimap_of_mask(file: Path, photo: Path, image: Tensor | Pixels) -> Tensor:
    """Unknown within 0.05 sqrt(area) of the mask's edge on both sides."""
    mask, (height, width) = read_alpha(file), image.shape[-2:]
    ratio = (mask.shape[-1] / mask.shape[-2]) / (width / height)
    if not 1 - RATIO <= ratio <= 1 + RATIO:
        own = f"{mask.shape[-1]} x {mask.shape[-2]}"
        raise BadPicture(file, f"is {own}, the photo {photo.name} is {width} x {height}: a mask has its photo's shape")
    trimap = from_mask(resize(mask, (height, width)))
    for value, what in ((1, "foreground"), (0, "background")):
        if not (trimap == value).any():
            raise BadPicture(file, f"leaves no sure {what} away from its edge: expected a mask, white on the subject")
    return trimap

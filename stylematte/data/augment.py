"""Augmentation of training samples: geometry, colour, camera; I = alpha F + (1 - alpha) B holds in each, to rounding.

Geometry moves image, alpha and foreground together: a photo with its own background is reflected beyond its frame;
what goes on another background (a generated cut-out, or the foreground of a photo) is transparent beyond it. Colour
changes are applied to F and B alike and the image is composited from the results, since most colour changes (and
every clip) do not commute with compositing. What a camera does (blur, noise, JPEG) is done to the image; the
difference is then added to F and to B, because alpha (F + n) + (1 - alpha) (B + n) = I + n.

A photo with a trimap alone keeps its background: there is no alpha to composite it with. Its two known regions move
with it, as pictures do; a pixel that mixes them, or a known one with an unknown one, becomes unknown. Beyond the frame
the trimap is reflected with the photo, as a labelled photo's alpha is.

Every decision derives from the seed of the sample: two generators are made from it and handed to all transforms.
`Compose.set_random_seed` is not used: it gives each transform the same seed, so that one number decides them all
(blur, noise and JPEG would come together or not at all).
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks PyPI for news at import otherwise

import albumentations as A
import cv2
import numpy as np
import torch

from stylematte.data.placement import crop_background, place_cutout, plain_background
from stylematte.data.subject_boxes import Box, place_in_box
from stylematte.rgba import trimap_of_shares

OPAQUE = 0.99
"""Above this alpha the background of a photo cannot be distinguished from it."""
COLOUR: list[tuple[str, dict[str, Any]]] = [
    ("RandomBrightnessContrast", {"brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5}),
    ("HueSaturationValue", {"hue_shift_limit": 8, "sat_shift_limit": 25, "val_shift_limit": 10, "p": 0.4}),
]
CAMERA: list[tuple[str, dict[str, Any]]] = [
    ("GaussianBlur", {"blur_limit": 0, "sigma_limit": (0.2, 0.8), "p": 0.15}),
    ("GaussNoise", {"std_range": (0.005, 0.03), "p": 0.25}),
    ("ImageCompression", {"quality_range": (50, 95), "p": 0.25}),
]
"""What is done to colours, and what a camera does: here by albumentations, on a device by `photometry`."""


def strengthened(table: Sequence[tuple[str, dict[str, Any]]], strength: float) -> list[tuple[str, dict[str, Any]]]:
    """COLOUR or CAMERA with `strength` times its greatest changes; a probability p becomes 1 - (1 - p)^strength."""
    if strength == 1:
        return list(table)
    return [
        (name, {key: _stronger(key, value, strength) for key, value in arguments.items()}) for name, arguments in table
    ]


def _stronger(key: str, value: Any, strength: float) -> Any:
    if key == "p":
        return 1 - (1 - value) ** strength
    if key == "quality_range":  # the lower, the stronger
        return max(5, round(value[0] / strength)), value[1]
    if key in ("sigma_limit", "std_range"):
        return value[0], max(value[0], value[1] * strength)
    most = 0.9 if key in ("brightness_limit", "contrast_limit") else 255
    return min(most, value * strength)


class Layers(NamedTuple):
    """One sample: foreground, background (H, W, 3) and alpha (H, W, 1), float32 in [0, 1].

    trimap: (H, W, 1) with {0, 1/2, 1} of a photo without alpha; foreground and background are then the photo itself,
    and alpha is a teacher's guess or the trimap. None: the alpha is a label, or a teacher's that is taken for one.
    agreement: (H, W, 1), how far that alpha may be believed; None: everywhere.
    """

    foreground: np.ndarray
    alpha: np.ndarray
    background: np.ndarray
    trimap: np.ndarray | None = None
    agreement: np.ndarray | None = None

    def image(self) -> np.ndarray:
        """alpha F + (1 - alpha) B as B + alpha (F - B), (H, W, 3)."""
        image = self.foreground - self.background
        image *= self.alpha
        image += self.background
        return image


class Chance:
    """The random numbers of one sample, from its seed alone."""

    def __init__(self, seed: int) -> None:
        self.numpy, self.python = np.random.default_rng(seed), random.Random(seed)

    def under(self, probability: float) -> bool:
        return bool(self.numpy.random() < probability)

    def apply(self, pipeline: A.Compose, **pictures: np.ndarray) -> dict[str, Any]:
        pipeline.set_random_state(self.numpy, self.python)
        return pipeline(**pictures)


def compose(steps: Sequence[tuple[str, Mapping[str, Any]]], **kwargs: Any) -> A.Compose:
    """A pipeline from (transform name, keyword arguments). Raises ValueError where albumentations only warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            transforms = [getattr(A, name)(**arguments) for name, arguments in steps]
            return A.Compose(transforms, mask_interpolation=cv2.INTER_LINEAR, **kwargs)
        except (UserWarning, AttributeError, TypeError) as error:
            raise ValueError(f"augmentation cannot be built: {' '.join(str(error).split())}") from None


class Augment:
    """Photos and cut-outs -> `Layers`. Holds the pipelines; no state passes from one sample to the next.

    photometric: False leaves colour and camera to `photometry`. strength: of both, as `strengthened` has it.
    """

    def __init__(self, photometric: bool = True, strength: float = 1.0) -> None:
        cv2.setNumThreads(0)  # threads cost more than they give at these sizes, and hang in forked processes
        affine = {"scale": (0.75, 1.25), "rotate": (-10, 10), "translate_percent": (-0.1, 0.1), "p": 0.8}
        affine |= {"border_mode": cv2.BORDER_REFLECT_101, "interpolation": cv2.INTER_LINEAR}
        self.geometry = compose(
            [("HorizontalFlip", {"p": 0.5}), ("Affine", affine)],
            additional_targets={
                "foreground": "image",
                "known_back": "mask",
                "known_front": "mask",
                "agreement": "mask",
            },
        )
        self.colour, self.camera = (compose(strengthened(table, strength)) for table in (COLOUR, CAMERA))
        self.photometric = photometric

    def photo(
        self,
        image: np.ndarray,
        alpha: np.ndarray,
        foreground: np.ndarray,
        chance: Chance,
        agreement: np.ndarray | None = None,
    ) -> Layers:
        """A photo with its own background, uint8 (S, S, 3), (S, S), (S, S, 3); reflected beyond its frame.

        agreement: (S, S) uint8, of an alpha that is a teacher's; it moves with the photo.
        """
        beside = {} if agreement is None else {"agreement": agreement}
        moved = chance.apply(self.geometry, image=image, mask=alpha, foreground=foreground, **beside)
        front, matte = _unit(moved["foreground"]), _unit(moved["mask"])[..., None]
        front, back = solve_background(_unit(moved["image"]), front, matte)
        layers = self._finish(Layers(front, matte, back), chance)
        return layers._replace(agreement=_unit(moved["agreement"])[..., None]) if beside else layers

    def unlabelled(self, image: np.ndarray, trimap: np.ndarray, guess: np.ndarray | None, chance: Chance) -> Layers:
        """A photo (S, S, 3) with a trimap (S, S) of 0, 128 and 255, and perhaps a teacher's alpha (S, S), uint8."""
        known = {"known_back": _where(trimap == 0), "known_front": _where(trimap == 255)}
        moved = chance.apply(self.geometry, image=image, mask=trimap if guess is None else guess, **known)
        back, front = (torch.from_numpy(_unit(moved[name]))[..., None] for name in known)
        trimap = trimap_of_shares(back, front).numpy()
        photo = _unit(moved["image"])
        for pipeline in (self.colour, self.camera) if self.photometric else ():
            photo = chance.apply(pipeline, image=photo)["image"].clip(0, 1)
        return Layers(photo, trimap if guess is None else _unit(moved["mask"])[..., None], photo, trimap)

    def cutout(
        self,
        colour: np.ndarray,
        alpha: np.ndarray,
        background: np.ndarray,
        chance: Chance,
        boxes: Iterator[Box] | None = None,
        agreement: np.ndarray | None = None,
    ) -> Layers:
        """Straight colour (S, S, 3) and alpha (S, S), uint8, placed on a background (S, S, 3).

        boxes: of real subjects, where it may stand; None: its own place is changed at random. agreement: (S, S) uint8,
        of an alpha that is not a label; it moves with the colours.
        """
        if agreement is not None:
            colour = np.dstack([colour, agreement])
        mirror = chance.under(0.5)
        if boxes is None:
            colour, alpha = place_cutout(colour, alpha, chance.numpy, mirror)
        else:
            colour, alpha = place_in_box(colour, alpha, boxes, chance.numpy, mirror)
        layers = Layers(_unit(colour[..., :3]), _unit(alpha)[..., None], _unit(background))
        layers = self._finish(layers, chance)
        return layers if agreement is None else layers._replace(agreement=_unit(colour[..., 3:]))

    def background(self, picture: np.ndarray | None, side: int, chance: Chance) -> np.ndarray:
        """A background (side, side, 3) uint8 cut from a picture, or plain colours if there is none."""
        return plain_background(side, chance.numpy) if picture is None else crop_background(picture, chance.numpy)

    def _finish(self, layers: Layers, chance: Chance) -> Layers:
        if not self.photometric:
            return layers
        beside = np.concatenate([layers.foreground, layers.background], axis=1)  # one call: the same parameters
        beside = chance.apply(self.colour, image=beside)["image"].clip(0, 1)
        front, back = np.split(beside, 2, axis=1)
        image = Layers(front, layers.alpha, back).image()
        change = chance.apply(self.camera, image=image)["image"] - image
        if not change.any():  # half of the samples meet no camera
            return Layers(front, layers.alpha, back)
        return Layers((front + change).clip(0, 1), layers.alpha, (back + change).clip(0, 1))


def solve_background(image: np.ndarray, front: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, B) in [0, 1] with I = alpha F + (1 - alpha) B, from the photo and an estimate of F. All (H, W, 3 or 1).

    B = (I - alpha F) / (1 - alpha), clipped. Where the clip bites, F = (I - (1 - alpha) B) / alpha, which then lies
    in [0, 1] by itself: B = 0 means alpha F > I, so F shrinks to I / alpha; B = 1 means F grows to at most 1. Where
    alpha >= 0.99 B has no say and is set to F; the equation then holds to within 0.01.

    Where alpha is 0 or 1, which is nearly everywhere, there is nothing to solve: B = I with F as it is, or F = I with
    B = F as it was.
    """
    full = (alpha == 1).astype(np.uint8)
    back, solved = cv2.copyTo(front, full, image.copy()), cv2.copyTo(image, full, front.copy())
    mixed = np.flatnonzero((alpha > 0) & (alpha < 1))
    flat = (picture.reshape(-1, picture.shape[-1]) for picture in (image, front, alpha))
    values = _solve_mixed(*(picture[mixed] for picture in flat))
    for picture, value in zip((solved, back), values, strict=True):
        picture.reshape(-1, 3)[mixed] = value
    return solved, back


def _solve_mixed(image: np.ndarray, front: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`solve_background` with the arithmetic done for every pixel."""
    opaque = alpha >= OPAQUE
    back = ((image - alpha * front) / np.maximum(1 - alpha, 1 - OPAQUE)).clip(0, 1)
    back = np.where(opaque, front, back)
    solved = ((image - (1 - alpha) * back) / np.maximum(alpha, 1e-3)).clip(0, 1)
    return np.where(alpha > 1e-3, solved, front), back


def _where(condition: np.ndarray) -> np.ndarray:
    return condition.astype(np.uint8) * np.uint8(255)


def _unit(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) * np.float32(1 / 255)

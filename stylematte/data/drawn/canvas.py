"""The canvas that pictures are drawn on: premultiplied RGBA, four times finer than wanted, reduced by area.

Coordinates are fractions of the frame: x to the right, y down, (0, 0) the top left corner, (1, 1) the bottom right.
Everything is laid "over" what is there (Porter and Duff 1984): P <- c P_new + (1 - c) P for colour and alpha alike.
OpenCV's anti-aliased lines do just that to all four channels, so alpha and colour stay in step in one drawing.
"""

from __future__ import annotations

import cv2
import numpy as np

from stylematte.sampling import position_seed

FINER = 4  # render pixels per wanted pixel, each way
SUBPIXEL_BITS = 4  # OpenCV's fixed point: 1/16 of a render pixel


def stream(*position: int | str) -> np.random.Generator:
    """A numpy Generator that depends on the position alone."""
    return np.random.default_rng(position_seed(*position))


class Canvas:
    """A square premultiplied RGBA drawing, (side, side, 4) uint8 with side = FINER * size, transparent at first."""

    def __init__(self, size: int, seed: int) -> None:
        self.side = FINER * size
        self.rng = stream(seed, "strands")
        self.pixels = np.zeros((self.side, self.side, 4), np.uint8)
        # Larger pictures get more and relatively thinner strands, or they would look like enlarged small ones.
        self.detail = max(1.0, (size / 64) ** 0.5)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        scaled = (points * self.side - 0.5) * (1 << SUBPIXEL_BITS)
        return np.clip(np.rint(scaled), -(2**20), 2**20).astype(np.int32)

    def mask(self, *polygons: np.ndarray, soften: float = 0.0) -> np.ndarray:
        """Coverage (side, side) uint8 of the union of polygons (n, 2); `soften`: blur in frame fractions."""
        mask = np.zeros((self.side, self.side), np.uint8)
        for polygon in polygons:
            one, outline = np.zeros_like(mask), [self._fixed(polygon)]
            cv2.fillPoly(one, outline, 255, cv2.LINE_8, SUBPIXEL_BITS)
            # OpenCV fills the outline's own pixels too, half a pixel too far: they count half, and the area is right.
            cv2.polylines(one, outline, True, 128, 1, cv2.LINE_8, SUBPIXEL_BITS)
            mask = np.maximum(mask, one)
        sigma = soften * self.side
        return cv2.GaussianBlur(mask, (0, 0), sigma) if sigma > 0.3 else mask

    def paint(self, mask: np.ndarray, colour: np.ndarray, opacity: float = 1.0, atop: bool = False) -> None:
        """Lay a colour, (3,) or (side, side, 3) in [0, 1], over the drawing; `atop` keeps the alpha that is there."""
        x, y, width, height = cv2.boundingRect(mask)
        if not width:
            return
        window = np.s_[y : y + height, x : x + width]
        cover = mask[window][..., None] * np.float32(opacity / 255)
        under = self.pixels[window].astype(np.float32)
        colour = np.asarray(colour, np.float32)
        colour = colour[window] if colour.ndim == 3 else colour
        alpha = under[..., 3:] if atop else np.float32(255)
        under[..., :3] += cover * (colour * alpha - under[..., :3])
        if not atop:
            under[..., 3:] += cover * (255 - under[..., 3:])
        self.pixels[window] = np.clip(np.rint(under), 0, 255).astype(np.uint8)

    def airbrush(self, centre, radii, colour, opacity: float, angle: float = 0.0) -> None:
        """A soft spot of colour, (1 - d^2 / 2.6)^2 with d = 1 at `radii`, on what is there (alpha unchanged)."""
        centre, radii = np.asarray(centre, np.float64), np.asarray(radii, np.float64)
        reach = 1.62 * np.hypot(radii * np.cos(angle), radii[::-1] * np.sin(angle))
        low = np.clip(np.floor((centre - reach) * self.side), 0, self.side).astype(int)
        high = np.clip(np.ceil((centre + reach) * self.side), 0, self.side).astype(int)
        if (high <= low).any():
            return
        y, x = np.ogrid[low[1] : high[1], low[0] : high[0]]
        x, y = (
            ((x + 0.5) / self.side - centre[0]).astype(np.float32),
            ((y + 0.5) / self.side - centre[1]).astype(np.float32),
        )
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        distance = ((x * cos + y * sin) / np.float32(radii[0])) ** 2 + ((y * cos - x * sin) / np.float32(radii[1])) ** 2
        spot = np.maximum(1 - distance / np.float32(2.6), 0) ** 2
        self._tint(np.s_[low[1] : high[1], low[0] : high[0]], spot[..., None] * np.float32(opacity), colour)

    def _tint(self, window, cover: np.ndarray, colour) -> None:
        under = self.pixels[window].astype(np.float32)
        under[..., :3] += cover * (np.asarray(colour, np.float32) * under[..., 3:] - under[..., :3])
        self.pixels[window] = np.rint(under).astype(np.uint8)

    def strands(self, points: np.ndarray, colours: np.ndarray, width: float) -> None:
        """Draw n opaque strands: points (n, steps, 2), colours (n, 3) in [0, 1], width of the root end in frame
        fractions. The last part of each strand is thinner; none is thinner than one render pixel (1/4 of a pixel)."""
        fixed = self._fixed(points)
        inks = np.concatenate([np.clip(colours, 0, 1) * 255, np.full((len(colours), 1), 255.0)], 1).tolist()
        exact = width * self.side / self.detail
        widths = np.maximum(np.floor(exact + self.rng.random(len(points))), 1).astype(int).tolist()
        thick_part = max(2, int(0.6 * points.shape[1]) + 1)
        for line, ink, thick in zip(fixed, inks, widths, strict=True):
            if thick > 1:
                cv2.polylines(self.pixels, [line[:thick_part]], False, ink, thick, cv2.LINE_AA, SUBPIXEL_BITS)
                cv2.polylines(self.pixels, [line[thick_part - 1 :]], False, ink, thick - 1, cv2.LINE_AA, SUBPIXEL_BITS)
            else:
                cv2.polylines(self.pixels, [line], False, ink, 1, cv2.LINE_AA, SUBPIXEL_BITS)

    def shade(self, field: np.ndarray) -> None:
        """Multiply the colour by a coarse light field (h, w) or (h, w, 1), stretched over the frame."""
        light = cv2.resize(field.astype(np.float32), (self.side, self.side), interpolation=cv2.INTER_CUBIC)[..., None]
        lit = self.pixels[..., :3] * light
        self.pixels[..., :3] = np.rint(np.clip(lit, 0, self.pixels[..., 3:])).astype(np.uint8)

    def defocus(self, sigma: float, weight: np.ndarray | float = 1.0) -> None:
        """Blur colour and alpha together (premultiplied: no dark fringe); `weight` (h, w) says where and how much."""
        blurred = cv2.GaussianBlur(self.pixels, (0, 0), max(sigma * self.side, 0.3), borderType=cv2.BORDER_REPLICATE)
        if not np.isscalar(weight):
            weight = cv2.resize(np.float32(weight), (self.side, self.side))[..., None]
        mixed = self.pixels + weight * (blurred.astype(np.float32) - self.pixels)
        self.pixels = np.rint(mixed).astype(np.uint8)

    def colour_at(self, points: np.ndarray) -> np.ndarray:
        """Straight colour (n, 3) in [0, 1] of the drawing at points (n, 2); grey where nothing was drawn."""
        index = np.clip((points * self.side).astype(int), 0, self.side - 1)
        found = self.pixels[index[:, 1], index[:, 0]].astype(np.float64)
        return np.where(found[:, 3:] > 8, found[:, :3] / np.maximum(found[:, 3:], 1), 0.5)

    def reduce(self) -> tuple[np.ndarray, np.ndarray]:
        """Premultiplied colour (size, size, 3) and alpha (size, size), float32 in [0, 1], by area averaging."""
        size = self.side // FINER
        small = cv2.resize(self.pixels.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) / 255
        return small[..., :3], small[..., 3]


def straight_colour(premultiplied: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """F = P / alpha where alpha > 0; elsewhere filled from the nearest coarser average that holds any colour."""
    height, width = alpha.shape
    known = alpha[..., None] > 0
    colour = np.where(known, premultiplied / np.maximum(alpha, 1e-6)[..., None], 0)
    p, a = premultiplied, alpha
    while not known.all() and min(p.shape[:2]) > 1:
        half = (max(p.shape[1] // 2, 1), max(p.shape[0] // 2, 1))
        p, a = cv2.resize(p, half, interpolation=cv2.INTER_AREA), cv2.resize(a, half, interpolation=cv2.INTER_AREA)
        wide_p = cv2.resize(p, (width, height), interpolation=cv2.INTER_LINEAR)
        wide_a = cv2.resize(a, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
        fill = (wide_a > 1e-4) & ~known
        colour, known = np.where(fill, wide_p / np.maximum(wide_a, 1e-6), colour), known | fill
    return np.clip(np.where(known, colour, 0.5), 0, 1).astype(np.float32)

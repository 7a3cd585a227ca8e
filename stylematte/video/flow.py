"""Optical flow between two frames (DIS, Kroeger et al., ECCV 2016, of OpenCV): where it can be trusted, and cuts.

Flow is found at a small size; `Motion.at` enlarges a part of it. One thread: DIS divides the picture among threads, and
another number of them would be another flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np

RESIDUAL = 12.0
"""Grey values of 255 at which a pixel carried along the flow is trusted by 1/e."""
PATCH = 3
"""Side of the square over which it is averaged: noise is not motion."""
CUT = 24.0
"""Median grey values by which two frames differ after the flow at a cut, and CHANGED of the histogram."""
CHANGED = 0.25


class Motion(NamedTuple):
    """backward (h, w, 2): from each pixel of the current frame, to where it was in the previous one, in pixels of this
    size. consistent (h, w) in [0, 1]: 1 where the flow back and forth returns to its start. cut: nothing carries over.
    """

    backward: np.ndarray
    consistent: np.ndarray
    cut: bool

    def speed(self) -> np.ndarray:
        """(h, w): pixels a frame."""
        return np.hypot(self.backward[..., 0], self.backward[..., 1])

    def at(self, size: tuple[int, int], box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """The map that `warped` takes, and the consistency, for `box` (rows, columns) of a frame of this size."""
        (height, width), (rows, columns) = size, box
        h, w = self.consistent.shape
        scale = np.float32([width / w, height / h])
        ys = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * (h / height) - 0.5
        xs = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) * (w / width) - 0.5
        shape = (len(xs), len(ys))
        # an affine warp enlarges just the box; BORDER_REPLICATE is what resize does at the frame
        matrix = np.float64([[w / width, 0, xs[0]], [0, h / height, ys[0]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        field = cv2.warpAffine(self.backward, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        trust = cv2.warpAffine(self.consistent, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        field *= scale
        field[..., 0] += np.arange(columns.start, columns.stop, dtype=np.float32)
        field[..., 1] += np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        return field, trust


@cache
def _dis() -> Any:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV on one thread inside."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def motion(previous: np.ndarray, current: np.ndarray) -> Motion:
    """previous, current (h, w) uint8 grey -> the flow between them."""
    with one_thread():
        backward = _dis().calc(current, previous, None)
        forward = _dis().calc(previous, current, None)
        there = _grid(backward.shape[:2]) + backward
        back = cv2.remap(forward, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = ((backward + back) ** 2).sum(-1)
    # Sundaram, Brox and Keutzer, ECCV 2010, section 4: consistent up to 1 % of the squared lengths and half a pixel
    allowed = 0.01 * ((backward**2).sum(-1) + (back**2).sum(-1)) + 0.5
    consistent = np.exp(-gap / allowed).astype(np.float32)
    height, width = current.shape
    inside = (there[..., 0] >= 0) & (there[..., 0] <= width - 1) & (there[..., 1] >= 0) & (there[..., 1] <= height - 1)
    consistent *= inside
    return Motion(backward, consistent, is_cut(current, warped(previous, there), previous))


def is_cut(current: np.ndarray, carried: np.ndarray, previous: np.ndarray) -> bool:
    """Whether a new scene begins: the flow explains little of the frame, and its greys are distributed otherwise."""
    differs = float(np.mean(cv2.absdiff(current, carried)))
    return differs > CUT or (differs > CUT / 2 and _histogram_distance(previous, current) > CHANGED)


def _histogram_distance(a: np.ndarray, b: np.ndarray) -> float:
    """In [0, 1]: half the summed difference of the shares of 32 grey values."""
    shares = [np.bincount((x >> 3).ravel(), minlength=32) / x.size for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def warped(picture: np.ndarray, there: np.ndarray) -> np.ndarray:
    """picture (H, W) taken from where `there` (h, w, 2) points to: column, row."""
    return cv2.remap(picture, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def trust(current: np.ndarray, carried: np.ndarray, consistent: np.ndarray) -> np.ndarray:
    """In [0, 1]: consistency times how well the colour carried along the flow matches. Greys are uint8."""
    residual = cv2.boxFilter(cv2.absdiff(current, carried).astype(np.float32), -1, (PATCH, PATCH))
    return consistent * np.exp(-((residual / RESIDUAL) ** 2))


def _grid(size: tuple[int, int]) -> np.ndarray:
    ys, xs = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([xs, ys], -1)

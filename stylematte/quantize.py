"""An exported ONNX matter with convolutions and products of matrices in 8 bits, by onnxruntime, calibrated on photos.

Weights are int8 for each channel, activations uint8 with the ranges that they have on photos. What is not a Conv or a
MatMul (guided filter, normalisation, resizing) stays float32: the guided filter magnifies rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from stylematte.errors import DataError
from stylematte.imagefile import read_rgb
from stylematte.sheets import to_longest_side

MOST = 64
"""Photos that are calibrated with."""
LEAST = 4
MEASURED = 4
"""Every so many-th photo is not calibrated with: the loss is measured there."""


class Loss(NamedTuple):
    """Of alpha against float32, on photos not calibrated with: mean |difference|, and the worst photo's."""

    mean: float
    worst: float
    photos: int


def quantize(file: Path, out: Path, photos: Sequence[Path], side: int, run: Callable[[Path], Callable]) -> Loss:
    """Write `file` in 8 bits to `out`.

    photos: LEAST or more, shown at the longest side `side`. run: a file -> a function of an image (1, 3, H, W) that
    gives alpha. Raises DataError for too few photos, BadPicture.
    """
    if len(photos) < LEAST:
        raise DataError(f"--int8: {len(photos)} photos to calibrate with, expected {LEAST} or more like those to matte")
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Shown(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, images: list[Path]) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            path = next(self.left, None)
            return None if path is None else {"image": _seen(path, side).numpy()}

    kept = [path for number, path in enumerate(photos) if number % MEASURED]
    logging.getLogger().disabled, before = True, logging.getLogger().disabled  # it advises to pre-process
    try:
        quantize_static(
            file,
            out,
            Shown(kept[:MOST]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    finally:
        logging.getLogger().disabled = before
    full, small = run(file), run(out)
    gaps = [float(np.abs(small(image) - full(image)).mean()) for image in (_seen(p, side) for p in photos[::MEASURED])]
    return Loss(float(np.mean(gaps)), max(gaps), len(gaps))


def _seen(path: Path, side: int) -> Tensor:
    return to_longest_side(read_rgb(path), side)[None]

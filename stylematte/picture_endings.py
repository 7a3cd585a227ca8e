"""Endings of files that are taken for pictures of a data set; here because listing them needs no decoder."""

from __future__ import annotations

PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})

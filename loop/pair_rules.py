"""The rules of `select` on one pair: shape, repetition, whether the matter agrees; the first broken one counts.

A pair is compared with those kept before it and, if asked for, with the training pictures of its generator (a copy of
one is memorised) by three measures: correlation of small thumbnails, differing bits of a perceptual hash
(`stylematte.data.near_duplicates`), and distance of the matter's own features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loop.config.reviews import Review
from loop.config.schema import SelectConfig
from loop.pools import Row
from stylematte.data.near_duplicates import BITS, fingerprint
from stylematte.data.placement import touched_sides
from stylematte.rgba import composite, premultiply_about_grey, split_rgba

THUMBNAIL = 16


class Vectors:
    """Vectors of one length, to find the nearest of: one product of a matrix and a vector a question."""

    def __init__(self, vectors: Iterable[Tensor] = ()) -> None:
        self.count, self._rows, self._squares = 0, torch.empty(0, 0), torch.empty(0)
        for vector in vectors:
            self.add(vector)

    def add(self, vector: Tensor) -> None:
        if self.count == len(self._rows):
            room = max(64, 2 * self.count)
            rows, squares = torch.empty(room, len(vector)), torch.empty(room)
            if self.count:
                rows[: self.count], squares[: self.count] = self._rows, self._squares
            self._rows, self._squares = rows, squares
        self._rows[self.count], self._squares[self.count] = vector, vector.square().sum()
        self.count += 1

    def nearest(self, vector: Tensor) -> float:
        """The largest product, of unit vectors the largest correlation; -1 if there is none."""
        return float((self._rows[: self.count] @ vector).max()) if self.count else -1.0

    def distance(self, vector: Tensor) -> tuple[float, int]:
        """(Euclidean distance to the nearest, its index); (infinity, -1) if there is none."""
        if not self.count:
            return math.inf, -1
        squares = self._squares[: self.count] - 2 * (self._rows[: self.count] @ vector)
        index = int(squares.argmin())
        return math.sqrt(max(0.0, float(squares[index] + vector.square().sum()))), index


class Recognised:
    """What a set of cut-outs is recognised by: thumbnails, and hashes and features where these are asked for."""

    def __init__(self, pictures: Iterable[Tensor] = (), hashed: bool = False) -> None:
        self.thumbnails, self.hashes, self.features, self.hashed = Vectors(), Vectors(), Vectors(), hashed
        self.usual_detail = 0.0
        """The median detail of the pictures, where that is asked for."""
        for picture in pictures:
            self.add(picture)

    def add(self, picture: Tensor, features: Tensor | None = None) -> None:
        """picture: straight RGBA (4, H, W); features: those of the matter, if they count."""
        self.thumbnails.add(thumbnail(picture))
        if self.hashed:
            self.hashes.add(hash_signs(picture)[0])
        if features is not None:
            self.features.add(features)

    def differing_bits(self, signs: Tensor) -> int:
        """Of the 128 of the nearest hash, mirrored or not; 128 if there is none. signs: of `hash_signs`."""
        return round((1 - max(self.hashes.nearest(each) for each in signs)) * BITS / 2)


def apply_rules(
    row: Row,
    picture: Tensor,
    thresholds: SelectConfig,
    kept: Recognised,
    real: Recognised,
    features: Tensor | None = None,
    review: Review | None = None,
) -> None:
    """Write into `row` whether `picture` (4, H, W) is kept, and if not, the first rule it breaks and why.

    row has its disagreement already. kept: the pairs kept so far; a new one joins them. real: the training pictures
    that a pair is compared with, if any. features: of the picture, in units of the training pictures' usual distance.
    review: what a person decided; it outweighs the rules.
    """
    alpha = picture[3]
    area, body = float(alpha.mean()), main_body(alpha.numpy())
    sides = sum(touched_sides((alpha * 255).numpy()))
    small = thumbnail(picture)
    similarity, memory = (min(1.0, seen.thumbnails.nearest(small)) for seen in (kept, real))
    row |= {"foreground": round(area, 5), "body": round(body, 5), "similarity": round(similarity, 5)}
    row |= {"real_similarity": round(memory, 5)} if real.thumbnails.count else {}
    disagreements = {"the matter": row["disagreement"]}
    if "previous_disagreement" in row:
        disagreements["the previous matter"] = row["previous_disagreement"]
    rules = [
        ("foreground", area < thresholds.min_foreground, f"foreground {area:.3f} below {thresholds.min_foreground}"),
        ("foreground", area > thresholds.max_foreground, f"foreground {area:.3f} above {thresholds.max_foreground}"),
        ("body", body < thresholds.min_body, f"largest body {body:.3f} of the foreground, below {thresholds.min_body}"),
        ("cut", sides > thresholds.max_cut_sides, f"cut by {sides} sides, at most {thresholds.max_cut_sides} expected"),
        ("duplicate", similarity > thresholds.max_similarity, f"near-duplicate, similarity {similarity:.4f}"),
        ("memorised", memory > thresholds.max_real_similarity, f"a training picture, similarity {memory:.4f}"),
        *_hash_rules(row, picture, thresholds, kept, real),
        *_feature_rules(row, features, thresholds, kept, real),
        *_detail_rule(row, picture, thresholds, real),
        *(
            (
                "disagreement",
                gap > thresholds.max_disagreement,
                f"{who} disagrees by {gap:.3f}, above {thresholds.max_disagreement}",
            )
            for who, gap in disagreements.items()
        ),
    ]
    row["rule"], row["reason"] = next(((name, why) for name, broken, why in rules if broken), (None, None))
    if review is not None:
        refused = "review", f"refused by hand: {review.reason}".removesuffix(": ")
        row["reviewed"] = True
        row["rule"], row["reason"] = (None, None) if review.kept else refused
    row["kept"] = row["reason"] is None
    if row["kept"]:
        kept.add(picture, features)


def _detail_rule(row: Row, picture: Tensor, thresholds: SelectConfig, real: Recognised) -> list[tuple[str, bool, str]]:
    if not real.usual_detail:
        return []
    share = detail(picture) / real.usual_detail
    row["detail"] = round(share, 5)
    return [("blurred", share < thresholds.min_detail, f"detail {share:.3f} of the training pictures' median")]


def _hash_rules(
    row: Row, picture: Tensor, thresholds: SelectConfig, kept: Recognised, real: Recognised
) -> list[tuple[str, bool, str]]:
    if not kept.hashed:
        return []
    signs = hash_signs(picture)
    bits, real_bits = kept.differing_bits(signs), real.differing_bits(signs)
    row |= {"hash_bits": bits} | ({"real_hash_bits": real_bits} if real.hashes.count else {})
    return [
        ("duplicate", bits < thresholds.min_hash_bits, f"near-duplicate, {bits} of {BITS} bits of its hash differ"),
        ("memorised", real_bits < thresholds.min_real_hash_bits, f"a training picture, {real_bits} bits differ"),
    ]


def _feature_rules(
    row: Row, features: Tensor | None, thresholds: SelectConfig, kept: Recognised, real: Recognised
) -> list[tuple[str, bool, str]]:
    if features is None:
        return []
    distance, (real_distance, nearest) = kept.features.distance(features)[0], real.features.distance(features)
    row |= {"feature_distance": round(distance, 5)} if math.isfinite(distance) else {}
    row |= {"real_feature_distance": round(real_distance, 5), "nearest_real": nearest // 2}  # two of each: mirrored too
    near, real_near = thresholds.min_feature_distance, thresholds.min_real_feature_distance
    return [
        ("duplicate", distance < near, f"near-duplicate, {distance:.2f} of a usual distance away, below {near}"),
        ("memorised", real_distance < real_near, f"a training picture, {real_distance:.2f} away, below {real_near}"),
    ]


def keep_best(rows: list[Row], most: int, cover: bool) -> None:
    """Of the kept rows leave `most` (0: all), the best agreeing; cover: evenly from around the training pictures.

    Covering goes in turns: the best agreeing pair of those nearest to each training picture, then the second best.
    Those accepted by hand go before all others.
    """
    kept = sorted((row for row in rows if row["kept"]), key=lambda row: (row["disagreement"], row["id"]))
    if cover:
        turns: dict[int, int] = {}
        for row in kept:
            near = row.get("nearest_real", 0)  # without training pictures to cover all are one neighbourhood
            row["turn"] = turns[near] = turns.get(near, -1) + 1
        kept.sort(key=lambda row: row["turn"])
    kept.sort(key=lambda row: "reviewed" not in row)
    why = "cover more or agree better" if cover else "agree better"
    for row in kept[most:] if most else []:
        row |= {"kept": False, "rule": "enough", "reason": f"enough: {most} pairs {why}"}


def main_body(alpha: np.ndarray) -> float:
    """Share of the foreground (alpha above 1/2) that is in its largest 8-connected body; 0 if there is none."""
    labels, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8), connectivity=8)
    areas = stats[1:labels, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum()) if len(areas) else 0.0


def detail(picture: Tensor) -> float:
    """How much of the finest octave there is for each pixel of the subject: what pixels differ by from the mean of
    their two by two, mean of RGBA over grey, over the share of the foreground.

    picture: straight RGBA (4, H, W), H and W even.
    """
    shown = premultiply_about_grey(picture[None])
    fine = shown - F.interpolate(F.avg_pool2d(shown, 2), scale_factor=2.0)
    return float(fine.abs().mean() / picture[3].mean().clamp_min(1e-3))


def thumbnail(picture: Tensor) -> Tensor:
    """A unit vector of the small premultiplied picture less its mean: the product of two is their correlation."""
    colour, alpha = split_rgba(picture)
    small = F.adaptive_avg_pool2d(torch.cat([colour * alpha, alpha]), THUMBNAIL).flatten()
    small = small - small.mean()
    return small / small.norm().clamp_min(1e-6)


def hash_signs(picture: Tensor) -> Tensor:
    """(2, 128) unit vectors of +-: the perceptual hash of the cut-out before mid-grey, and of its mirror image."""
    colour, alpha = split_rgba(picture)
    bits = fingerprint(composite(colour, alpha, torch.full_like(colour, 0.5))).bits
    return (torch.from_numpy(bits).float() * 2 - 1) / math.sqrt(BITS)

"""Configuration of inversion and of enhancement in latent space: steps, losses, trust region, gate."""

from __future__ import annotations

from dataclasses import dataclass, field

from stylematte.fields import ranged


@dataclass
class InvertConfig:
    """How pictures are inverted."""

    steps: int = ranged(300, 1)
    """Of Adam on W and W+, a third of them on W."""
    offset_steps: int = ranged(60, 0)
    """Of Adam on the feature-space offset, after them; 0 = no offset."""
    offset_layer: int | None = ranged(None, 0)
    """Index of the layer behind which the offset is added; null = the last at half the picture's size or less."""
    offset_weight: float = ranged(0.02, 0)
    """Of the penalty on the offset: its mean square over that of the features."""
    lr: float = ranged(0.03, 1e-6, 10)
    """Learning rate of W and W+, a tenth of it for the pose; rises over the first 5 % and falls on a cosine."""
    samples: int = ranged(32, 0)
    """Samples among which the start is chosen, beside the mean style; 0 = the mean style."""
    pixel: float = ranged(1.0, 0)
    """Weight of the mean squared error."""
    perceptual: float = ranged(1.0, 0)
    """Weight of the perceptual distance."""
    alpha: float = ranged(1.0, 0)
    """Weight of the mean absolute error of alpha."""
    pose: bool = True
    """Find turn and shift through the generator's input transform."""
    max_distance: float = ranged(0.35, 0)
    """A picture is outside the generator's world if its perceptual distance exceeds this share of the mean distance of
    two of the generator's own pictures."""


@dataclass
class LossWeights:
    """Weights of the four losses; see `PRESETS`."""

    adversarial: float = ranged(0.02, 0)
    """softplus(-D) of the picture with the predicted matte."""
    entropy: float = ranged(10.0, 0)
    """Mean entropy, in bits, of the matter outside the transition band."""
    pixel: float = ranged(10.0, 0)
    """Mean squared distance from the picture it began as."""
    perceptual: float = ranged(1.0, 0)
    """Perceptual distance from it."""

    def any(self) -> bool:
        return any((self.adversarial, self.entropy, self.pixel, self.perceptual))


PRESETS = {"entropy-led": LossWeights(), "paper": LossWeights(1, 1, 10, 1)}
"""entropy-led: the defaults, twice the fall in entropy under the same bounds (docs/enhancement.md). paper: as in the
paper's train.sh."""


@dataclass
class EnhanceConfig:
    """How far and by what a picture is moved."""

    steps: int = ranged(60, 0)
    """Of Adam, at most."""
    lr: float = ranged(0.003, 1e-6, 1)
    """Learning rate, in root mean squares of a style."""
    trust: float = ranged(0.1, 0, 1)
    """The move of a style, and of the offset, is at most this share of its own length."""
    max_rmse: float = ranged(0.03, 0, 1)
    """Root mean square of a picture's change, at most."""
    check: int = ranged(5, 1)
    """Steps between two looks at the augmented view."""
    patience: int = ranged(4, 1)
    """Looks without a better one after which a picture is done."""
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass
class GateConfig:
    """What a pair must fulfil to become pseudo ground truth."""

    min_iou: float = ranged(0.97, 0, 1)
    """Of the two alphas above 1/2, away from the outline."""
    tolerance: int = ranged(1, 0)
    """Pixels on either side of the generator's outline that min_iou does not count: half a pixel is 4 % of a subject at
    64 x 64."""
    max_band: float = ranged(0.12, 0, 1)
    """Mean difference of the two alphas in the transition band; at 64 x 64 an alpha shifted by a pixel: 0.1, by two:
    0.18, one that is a pixel wider all round: 0.15."""

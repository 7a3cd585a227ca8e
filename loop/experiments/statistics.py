"""The change between two arms from errors of (seeds, pictures): a bootstrap over both, and what it could have found.

Both arms see the same seeds and pictures, and both vary: another seed gives another fit, another picture another
error. So seeds and pictures are resampled crosswise (Owen 2007, "The pigeonhole bootstrap").
"""

from __future__ import annotations

import math

import numpy as np

UNKNOWN = 10.0
"""+1000 %: the largest change shown, and the upper end where nothing is known."""
POWER = 0.8
FEW = 10


def interval(
    new: np.ndarray, control: np.ndarray, resamples: int = 10000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """(change, low, high) of the mean error relative to the control's; negative is better.

    new, control: (S, P), row s and column p of both from the same seed and picture. Each resample draws S seeds and P
    pictures with replacement and takes both arms there; the percentiles of the change are the interval. S draws from so
    few seeds vary too little, by (S - 1) / S: what a seed adds to a picture's mean is stretched by the root of its
    inverse, the same for pictures. With fewer than 10 of either, Student's t (see `detectable`) is used where it
    reaches further. With one seed the interval is over pictures alone and knows nothing of the spread between fits. One
    number says nothing: -100 % to +1000 %.
    """
    assert new.shape == control.shape, (new.shape, control.shape)
    change = _relative(new.mean(), control.mean())
    if new.size == 1 or control.mean() == 0:
        return change, -1.0, UNKNOWN
    low, high = _bootstrap(new, control, resamples, (1 - confidence) / 2, seed)
    if any(1 < n < FEW for n in new.shape):
        reach = _error_of_mean(new - control, (1 + confidence) / 2) / float(control.mean())
        low, high = min(low, change - reach), max(high, change + reach)
    return change, max(low, -1.0), min(high, UNKNOWN)


def _bootstrap(new: np.ndarray, control: np.ndarray, resamples: int, tail: float, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    shares = [rng.multinomial(n, [1 / n] * n, resamples) / n for n in new.shape]
    means = [np.einsum("rs,sp,rp->r", shares[0], _stretched(arm), shares[1], optimize=True) for arm in (new, control)]
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.where(means[0] == means[1], 0.0, (means[0] - means[1]) / means[1])
    return float(np.quantile(changes, tail, method="lower")), float(np.quantile(changes, 1 - tail, method="higher"))


def detectable(new: np.ndarray, control: np.ndarray, confidence: float = 0.95) -> float | None:
    """The smallest relative change that as many seeds and pictures would show in 4 of 5 experiments; None if unknown.

    (t_{1 - tail} + t_0.8) standard errors of the mean paired difference. Its variance is that of a crossed design,
    (MS_seeds + MS_pictures - MS_rest) / (S P), with Satterthwaite's degrees of freedom.
    """
    if new.size == 1 or control.mean() == 0:
        return None
    return _error_of_mean(new - control, (1 + confidence) / 2, POWER) / float(control.mean())


def p_value(new: np.ndarray, control: np.ndarray) -> float | None:
    """Two-sided p of no difference between paired errors (S, P); None of one number.

    Student's t of the mean paired difference in the crossed design of `detectable`: the paired t-test over pictures
    where there is one seed, over seeds and pictures at once where there are more.
    """
    from scipy.stats import t

    if new.size == 1:
        return None
    difference = new - control
    mean, (variance, freedom) = float(difference.mean()), _variance_of_mean(difference)
    if variance == 0:
        return float(mean == 0)
    return float(2 * t.sf(abs(mean) / math.sqrt(variance), freedom))


def _error_of_mean(difference: np.ndarray, *quantiles: float) -> float:
    """The standard error of the mean of (S, P) numbers, times the sum of Student's quantiles."""
    from scipy.stats import t

    variance, freedom = _variance_of_mean(difference)
    return float(sum(t.ppf(quantile, freedom) for quantile in quantiles)) * math.sqrt(variance)


def _variance_of_mean(difference: np.ndarray) -> tuple[float, float]:
    """Variance of the mean of (S, P) numbers with random rows and columns, and its degrees of freedom."""
    seeds, pictures = difference.shape
    if 1 in difference.shape:
        return float(difference.var(ddof=1)) / difference.size, difference.size - 1.0
    mean, rows, columns = difference.mean(), difference.mean(1, keepdims=True), difference.mean(0, keepdims=True)
    of_seeds = pictures * float(((rows - mean) ** 2).sum()) / (seeds - 1)
    of_pictures = seeds * float(((columns - mean) ** 2).sum()) / (pictures - 1)
    free = (seeds - 1) * (pictures - 1)
    rest = float(((difference - rows - columns + mean) ** 2).sum()) / free
    total = max(of_seeds + of_pictures - rest, of_seeds, of_pictures)
    parts = of_seeds**2 / (seeds - 1) + of_pictures**2 / (pictures - 1) + rest**2 / free
    return total / difference.size, max(total**2 / parts, 1.0) if parts else float(free)


def _stretched(errors: np.ndarray) -> np.ndarray:
    for axis, n in enumerate(errors.shape):
        if n > 1:
            mean = errors.mean(axis, keepdims=True)
            errors = mean + math.sqrt(n / (n - 1)) * (errors - mean)
    return errors


def _relative(new: float, control: float) -> float:
    if new == control:
        return 0.0
    return UNKNOWN if control == 0 else min(float((new - control) / control), UNKNOWN)

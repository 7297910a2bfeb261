"""What a standard error that was itself estimated costs: Student's t, with as many degrees of freedom as the data give.

A mean over its standard error is normal only where the error is known. It is estimated from the squares of the values,
and a few values far out decide these: a sample that has none of them finds an error that is too small. The variance of
an estimated variance is σ⁴ (κ − 1) / n, κ being the kurtosis; a χ² of ν degrees of freedom that varies as much has

    ν = 2n / (κ − 1)

(Satterthwaite 1946, Biometrics Bulletin 2:110-114). Of normal values, κ = 3, that is n. A sample has seldom seen all of
the tails, so its own κ is too small rather than too large; how well it does is measured (docs/gate.md).
"""

from __future__ import annotations

import math

import numpy as np


def degrees_of_freedom(values: np.ndarray, weights: np.ndarray, n: int) -> float:
    """ν of the mean of `values (m,)` with `weights (m,)` that add up to 1, of `n` examples; inf where all are alike."""
    largest = float(np.abs(values).max())
    if not 0 < largest < math.inf:
        return math.inf
    away = values / largest
    squares = (away - weights @ away) ** 2
    variance = float(weights @ squares)
    excess = float(weights @ (squares - variance) ** 2)  # σ⁴ (κ − 1)
    return 2 * n * variance**2 / excess if excess > 0 else math.inf


def as_normal(t: float, freedom: float) -> float:
    """The normal value that is as far out as `t` is in Student's distribution.

    By the formula of Wallace (1959, Annals of Mathematical Statistics 30:1121-1130): off by less than 0.02 up to t = 4
    from 3 degrees of freedom on.
    """
    if not math.isfinite(freedom) or not math.isfinite(t):
        return t
    found = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(found, t)


def as_student(z: float, freedom: float) -> float:
    """The value that is as far out in Student's distribution as `z` is in the normal one: `as_normal` turned round."""
    if not math.isfinite(freedom):
        return z
    shrunk = z * (8 * freedom + 3) / (8 * freedom + 1)
    return math.copysign(math.sqrt(freedom * math.expm1(shrunk * shrunk / freedom)), z)

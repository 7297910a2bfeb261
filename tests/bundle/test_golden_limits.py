"""How far the logits of goldens may differ: each from its own, and all together."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.bundle import goldens as goldens_module
from edgepack.bundle.goldens import logits_failure, relative_error, root_mean_square


def test_the_relative_error_is_over_all_pairs_together() -> None:
    def pair(logits: list[float], expected: list[float]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(logits), np.array(expected)

    assert relative_error([]) == 0
    assert relative_error([pair([3.0, 8.0], [0.0, 4.0])]) == 1.25  # √(9 + 16) / 4
    assert relative_error([pair([3.0], [0.0]), pair([8.0], [4.0])]) == 1.25
    assert relative_error([pair([0.01], [0.0])]) == pytest.approx(1.0)  # not divided by nothing
    assert relative_error([pair([0.02], [0.0])]) == pytest.approx(2.0)


def test_logits_may_differ_by_a_share_of_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goldens_module, "TOLERANCE", 0.125)
    expected = np.array([1.0, -8.0])
    assert logits_failure(np.array([2.0, -8.0]), expected, 0.0) is None
    assert logits_failure(np.array([0.0, -8.0]), expected, 0.0) is None
    assert logits_failure(np.array([1.0, -9.25]), expected, 0.0) == "logits differ by 1.25, at most 1 allowed"
    assert logits_failure(np.array([2.5, -8.0]), expected, 0.0) == "logits differ by 1.5, at most 1 allowed"
    assert logits_failure(np.array([1.0]), expected, 0.0) == "logits have shape (1,), not (2,)"


def test_the_share_of_the_largest_logit_is_15_percent() -> None:
    assert logits_failure(np.array([1.0, -8.0]), np.array([2.0, -8.0]), 0.0) is None
    assert (
        logits_failure(np.array([3.5, -8.0]), np.array([2.0, -8.0]), 0.0) == "logits differ by 1.5, at most 1.2 allowed"
    )


def test_logits_that_cancel_out_may_differ_by_a_share_of_the_usual_ones() -> None:
    expected = np.array([0.02, -0.01])
    assert logits_failure(np.array([0.3, -0.01]), expected, 2.0) is None
    assert logits_failure(np.array([0.33, -0.01]), expected, 2.0) == "logits differ by 0.31, at most 0.3 allowed"
    assert logits_failure(np.array([1.0, -8.0]), np.array([2.0, -8.0]), 2.0) is None  # the text's own is more


def test_the_usual_logit_is_the_root_mean_square_over_all_goldens() -> None:
    assert root_mean_square([[3.0, 4.0], [[0.0, 0.0], [0.0, 5.0]]]) == pytest.approx((50 / 6) ** 0.5)
    assert root_mean_square([]) == 0


def test_logits_that_are_nothing_may_differ_by_their_rounding() -> None:
    assert logits_failure(np.array([0.0001]), np.zeros(1), 0.0) is None
    assert logits_failure(np.array([0.0002]), np.zeros(1), 0.0) == "logits differ by 0.0002, at most 0.0001 allowed"

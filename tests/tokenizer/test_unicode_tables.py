"""The tables of Unicode: what a block tells is what its code points tell one by one."""

from __future__ import annotations

import pytest
from tokenizers import normalizers

from edgepack.tokenizer.asset_parts import whole_points
from edgepack.tokenizer.unicode_tables import (
    HIGHEST_MARK,
    LOWEST_MARK,
    ask,
    ideographs,
    split_classes,
    unsettled,
    vanishing,
)


@pytest.mark.parametrize(
    ("normalizer", "before", "after"),
    [
        (normalizers.BertNormalizer(True, False, False, False), "", ""),
        (normalizers.BertNormalizer(False, True, False, False), "", ""),
        (normalizers.BertNormalizer(False, False, True, True), "", ""),
        (normalizers.NFD(), HIGHEST_MARK, LOWEST_MARK),
    ],
)
def test_blocks_that_come_back_as_they_were_hold_nothing_that_changes(
    normalizer: normalizers.Normalizer, before: str, after: str
) -> None:
    normalize, points = normalizer.normalize_str, whole_points()
    asked = unsettled(normalize, points, before, after)
    assert len(asked) < len(points) / 4
    assert ask(normalize, asked, before, after) == ask(normalize, points, before, after)


def test_whole_blocks_are_told_as_single_code_points_are() -> None:
    points = whole_points()
    clean = normalizers.BertNormalizer(True, False, False, False).normalize_str
    pad = normalizers.BertNormalizer(False, True, False, False).normalize_str
    assert vanishing(clean, points) == {point for point, text in ask(clean, points).items() if not text}
    assert ideographs(points) == {point for point, text in ask(pad, points).items() if len(text) == 3}
    every_second = points[::2]  # blocks of another content
    assert split_classes(points)[0] & set(every_second) == split_classes(every_second)[0]
    assert split_classes(points)[1] & set(every_second) == split_classes(every_second)[1]

"""Hangul's syllables and the jamo that they are made of, by arithmetic (Unicode Standard, §3.12)."""

from __future__ import annotations

HANGUL = range(0xAC00, 0xD7A4)
LEADS, VOWELS, TRAILS = range(0x1100, 0x1113), range(0x1161, 0x1176), range(0x11A8, 0x11C3)
ENDINGS = len(TRAILS) + 1  # of a lead and a vowel: a trail or none


def is_open(point: int) -> bool:
    """Whether this is a syllable without a trail, which one may join."""
    return point in HANGUL and (point - HANGUL.start) % ENDINGS == 0


def decompose_hangul(point: int) -> tuple[int, ...]:
    """Canonical decomposition of a syllable."""
    rest, trail = divmod(point - HANGUL.start, ENDINGS)
    lead, vowel = divmod(rest, len(VOWELS))
    jamo = (LEADS.start + lead, VOWELS.start + vowel)
    return (*jamo, TRAILS.start + trail - 1) if trail else jamo


def compose_hangul(first: int, second: int) -> int | None:
    """The syllable of a lead and a vowel, or of one without a trail and a trail; None of any others."""
    if first in LEADS and second in VOWELS:
        return HANGUL.start + ((first - LEADS.start) * len(VOWELS) + second - VOWELS.start) * ENDINGS
    return first + second - TRAILS.start + 1 if is_open(first) and second in TRAILS else None

"""One question about a built app, with its answer.

`warning` is for what a release needs and a build on a desk lacks; `not_applicable` says why the question makes no
sense for this kind of archive. Only `failed` makes an inspection fail: unlike a gate's, these checks need nothing
but the file, so there is none that could not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgepack.errors import bare

Status = Literal["passed", "failed", "warning", "not_applicable"]
SHOWN_FAULTS, LONGEST = 3, 300  # faults of a check, characters of each


@dataclass(frozen=True)
class Check:
    """A name that stays, a status, and one line on what was found."""

    name: str
    status: Status
    reason: str


def verdict_of(name: str, faults: Sequence[str], fine: str, remedy: str = "") -> Check:
    """Failed with the first faults and what to do, or passed with `fine`.

    Names out of an app are shown so that none forges a line: escaped, and the middle of a long one left out.
    """
    if not faults:
        return Check(name, "passed", bare(fine, LONGEST))
    more = f" and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
    found = "; ".join(bare(fault, LONGEST) for fault in faults[:SHOWN_FAULTS]) + more
    return Check(name, "failed", f"{found}; {remedy}" if remedy else found)


def not_applicable(name: str, reason: str) -> Check:
    """A question that this kind of archive does not raise."""
    return Check(name, "not_applicable", reason)

"""A few of the task's own texts, for an app to show as examples: off unless asked for, since they are the user's data.

A bundle's goldens begin with texts that the build was evaluated with; hard Unicode and texts about as long as the model
reads follow, and no one wants these as an example. Of the task's own texts those count that fit on a button: one line,
printable, at most `LONGEST` characters, and read to their end. Texts with different answers come first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from edgepack.bundle.goldens import GOLDEN_NAME, HARD_TEXTS, TASK_TEXTS, Text, read_goldens
from edgepack.bundle.manifest import BundleManifest
from edgepack.errors import InputError, bare

LONGEST = 100  # characters, of both texts of a pair together


def read_examples(bundle: Path, manifest: BundleManifest, count: int) -> list[Text]:
    """At most `count` texts or pairs of the bundle's goldens; `InputError` where none is fit to be shown."""
    if count == 0:
        return []
    fit = [golden for golden in own_goldens(read_goldens(bundle / GOLDEN_NAME)) if is_fit(golden, manifest.max_length)]
    if not fit:
        raise InputError(
            f"examples is {count}; {bare(str(bundle), 200)} has no text of one line and at most {LONGEST} characters "
            "to show; leave --examples out"
        )
    return [(golden["text"], golden.get("pair")) for golden in varied(fit)][:count]


def own_goldens(goldens: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those of the task's own texts: they stand before the hard ones."""
    own = takewhile(lambda golden: golden["text"] != HARD_TEXTS[0], goldens)
    return (golden for golden, _ in zip(own, range(TASK_TEXTS), strict=False))


def is_fit(golden: dict[str, Any], max_length: int) -> bool:
    """Whether a golden's text, or both texts, fit on a button and were read to the end."""
    texts = [golden["text"], *([golden["pair"]] if "pair" in golden else [])]
    plain = all(text == text.strip() != "" and text.isprintable() for text in texts)
    whole = len(golden["input_ids"]) < max_length and "windows" not in golden
    return plain and whole and sum(map(len, texts)) <= LONGEST


def varied(goldens: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without repeated texts, one of each answer first; each group in the order that they had."""
    firsts: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    texts, answers = set(), set()
    for golden in goldens:
        text = (golden["text"], golden.get("pair"))
        answer = json.dumps([golden.get(key) for key in ("label", "labels", "score")])
        if text not in texts:
            (others if answer in answers else firsts).append(golden)
        texts.add(text)
        answers.add(answer)
    return firsts + others

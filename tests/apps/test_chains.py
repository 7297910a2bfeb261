"""Chains of tags that the apps are held to are what Python makes of them, and damaged ones are refused here too."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgepack.errors import InputError
from tests.apps.chains import COUNTS, LENGTHS, VECTORS, answer, lines, task_of

LINES = [json.loads(line) for line in VECTORS.read_text(encoding="ascii").splitlines()]
ANSWERED = [line for line in LINES if "tags" in line]
REFUSED = [line for line in LINES if "tags" not in line]


def test_the_file_is_the_one_that_is_written() -> None:
    made = [json.loads(line) for line in lines().splitlines()]
    assert len(made) == len(LINES)
    for found, kept in zip(made, LINES, strict=True):
        assert found.get("probabilities", []) == pytest.approx(kept.get("probabilities", []), abs=1e-9)
        assert {**found, "probabilities": None} == {**kept, "probabilities": None}


def test_chains_of_every_size_change_what_words_are_by_themselves() -> None:
    assert {(line["count"], len(line["tags"])) for line in ANSWERED} == {(c, n) for c in COUNTS for n in LENGTHS}
    alone = [np.array(line["logits"])[line["firsts"]].argmax(axis=1).tolist() for line in ANSWERED]
    changed = [own != line["tags"] for own, line in zip(alone, ANSWERED, strict=True) if own]
    assert sum(changed) > len(changed) / 2
    for line in ANSWERED:
        assert answer(line)["tags"] == line["tags"]


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: ascii(line["chain"]))
def test_a_damaged_chain_is_refused(line: dict[str, str | int]) -> None:
    with pytest.raises(InputError, match="build the bundle again"):
        task_of(str(line["chain"]), int(line["count"]))

"""Which training examples a teacher was not trained on: a file beside its weights, which `edgepack finetune` writes.

A build holds the same examples out of the student. So what is decided on them is decided on texts that are new to both,
as those in use are; on texts that the teacher learnt, its student is better than it will be.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.task.dataset import Example
from edgepack.task.identity import folded_texts
from edgepack.teacher.files import UNSEEN, read_json
from edgepack.teacher.weight_names import weight_files
from edgepack.workspace import hash_json, sha256_file, write_atomic

FORMAT = 1
DIGITS = 16  # of a hash: two of a million different texts are alike once in 40 million times
REMEDY = "delete the file, or make the teacher again"


def write_unseen(folder: Path, examples: Sequence[Example]) -> None:
    """Record `examples` beside the weights in the teacher's folder, by hashes of their texts, whatever their labels."""
    hashes = sorted({_hash(example) for example in examples})
    document = {"format": FORMAT, "weights": _weights(folder), "examples": hashes}
    write_atomic(folder / UNSEEN, (json.dumps(document, indent=0) + "\n").encode())


def find_unseen(folder: Path, examples: Sequence[Example]) -> np.ndarray | None:
    """The positions of those `examples` that the teacher was not trained on, ascending, int64.

    None where its folder does not say, or says it of other weights: who trained on wrote them beside an old record.
    `InputError` for a file that is none.
    """
    what = f"teacher {folder}"
    document = read_json(folder / UNSEEN, what)
    if not document:
        return None
    if document.get("format") != FORMAT:
        raise InputError(f"{what}: {UNSEEN} has format {shown(document.get('format'))}, not {FORMAT}; {REMEDY}")
    hashes = document.get("examples")
    if not isinstance(hashes, list) or not all(isinstance(h, str) and re.fullmatch("[0-9a-f]{16}", h) for h in hashes):
        raise InputError(f"{what}: examples of {UNSEEN} are no list of {DIGITS} hexadecimal digits each; {REMEDY}")
    if document.get("weights") != _weights(folder):
        return None
    known = set(hashes)
    return np.array([place for place, example in enumerate(examples) if _hash(example) in known], np.int64)


def _weights(folder: Path) -> str:
    return hash_json({path.name: sha256_file(path) for path in weight_files(folder, f"teacher {folder}")})


def _hash(example: Example) -> str:
    return hashlib.sha256(json.dumps(folded_texts(example)).encode()).hexdigest()[:DIGITS]

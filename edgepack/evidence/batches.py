"""The model run as no golden runs it: in padded batches of different lengths, and on every token of the vocabulary.

A single text has no padding, so it cannot show that a model ignores its mask. In a padded batch every text has to give
what it gives alone, up to rounding: some runtimes round activations by one range for the whole batch. Over all goldens
five trained bundles gave relative errors of 0.005 to 0.013 and a student of random weights 0.059; with the mask left
out they gave 0.15 to 0.64. A mask that changes nothing at all is found whatever it is worth.

One damaged row of the embedding shows on one token only, so all of them are run, for finite logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.bundle.goldens import relative_error
from edgepack.bundle.layout import CONFIG_NAME
from edgepack.bundle.manifest import read_json
from edgepack.bundle.verdict import Check, faults_check, limit_check
from edgepack.errors import shown
from edgepack.evidence.opened import OpenBundle
from edgepack.runtime import Session
from edgepack.task.encoded import MODEL_INPUTS

MAX_RELATIVE_ERROR = 0.1
BATCH = 8  # texts of a padded batch
PADDING = 16  # tokens behind a text, where a file takes one at a time
MOST_TOKENS = 1 << 31  # ids that an app's integers hold
TOKENS_A_RUN = 512  # while the vocabulary is run: more take cache, fewer take calls
LONGEST_RUN = 32  # tokens of a text there: attention costs their square


def batches_check(bundle: OpenBundle) -> Check:
    """Every golden of one input in a padded batch compared with what it gives alone; the mask must matter."""
    manifest, session = bundle.manifest, bundle.session
    goldens = [golden for golden in bundle.goldens if "windows" not in golden]
    single = bundle.target.takes_one
    if not goldens:
        reason = "every golden is of several windows, so none can stand in a padded batch; build the bundle again"
        return Check(name="batches", status="failed", reason=reason)
    compared: list[tuple[np.ndarray, np.ndarray]] = []
    unmasked_same = True
    for group in mixed(goldens, 1 if single else BATCH):
        longest = max(len(golden["input_ids"]) for golden in group)
        longest = min(manifest.max_length, longest + PADDING) if single else longest
        masked, unmasked = (session.run(as_batch(group, longest, manifest.padding.id, mask)) for mask in (0, 1))
        unmasked_same = unmasked_same and np.array_equal(masked, unmasked)
        for row, golden in zip(masked, group, strict=True):
            expected = np.asarray(golden["logits"], dtype=np.float64)
            logits = row[: len(expected)] if row.ndim == 2 else row
            compared.append((logits, expected))
    if unmasked_same:
        reason = "padding that the mask does not hide gives the same logits: the model ignores its attention mask"
        return Check(name="batches", status="failed", reason=reason)
    error = relative_error(compared)
    return limit_check("batches", error, MAX_RELATIVE_ERROR, True, "relative error of the goldens in padded batches")


def mixed(goldens: Sequence[dict[str, Any]], count: int) -> list[list[dict[str, Any]]]:
    """Groups of `count`, in each of them short texts and long ones."""
    ordered = sorted(goldens, key=lambda golden: len(golden["input_ids"]))
    groups = max(1, -(-len(ordered) // count))
    return [ordered[i::groups] for i in range(groups)]


def as_batch(goldens: Sequence[dict[str, Any]], length: int, padding_id: int, mask: int) -> dict[str, np.ndarray]:
    """Inputs padded on the right to `length`, with `mask` at the padding."""
    fills = dict(zip(MODEL_INPUTS, (padding_id, mask, 0), strict=True))
    return {
        name: np.array([golden[name] + [fill] * (length - len(golden[name])) for golden in goldens], np.int64)
        for name, fill in fills.items()
    }


def vocabulary_check(bundle: OpenBundle) -> Check:
    """Every id of the vocabulary gives finite logits, and the last one that config.json speaks of is one."""
    size = read_json(bundle.folder / CONFIG_NAME).get("vocab_size")
    if type(size) is not int or not 1 <= size <= MOST_TOKENS:
        reason = f"{CONFIG_NAME}: vocab_size is {shown(size)}, no whole number from 1 to {MOST_TOKENS:,}"
        return Check(name="vocabulary", status="failed", reason=f"{reason}; build the bundle again")
    last = size - 1
    ids = np.unique(np.array([*bundle.token_ids.values(), last], np.int64))
    single = bundle.target.takes_one
    length = min(LONGEST_RUN, bundle.manifest.max_length)
    rows = 1 if single else max(1, TOKENS_A_RUN // length)
    for start in range(0, len(ids), rows * length):
        chosen = ids[start : start + rows * length]
        if not is_finite(bundle.session, chosen, length):
            worst = next((i for i in chosen if not is_finite(bundle.session, np.array([i]), 1)), None)
            what = f"token id {worst}" if worst is not None else f"token ids {chosen[0]} to {chosen[-1]}"
            return Check(name="vocabulary", status="failed", limit=0, reason=f"{what} gives logits that are not finite")
    return faults_check("vocabulary", (), f"{len(ids)} token ids give finite logits")


def is_finite(session: Session, ids: np.ndarray, length: int) -> bool:
    """Whether the logits of these ids, cut into texts of `length` tokens, are all numbers."""
    texts = np.resize(ids, (-(-len(ids) // length), length))  # the last text is filled up from the beginning
    inputs = {"input_ids": texts, "attention_mask": np.ones_like(texts), "token_type_ids": np.zeros_like(texts)}
    return bool(np.isfinite(session.run(inputs)).all())

"""Whether the goldens are the goldens that a bundle has to have: enough of each kind, and true to the manifest.

That they come out again is for `bundle/goldens.py`; goldens that say nothing come out again too. Needed are the task's
own texts (32, or as many as the evaluation had), every hard text, and those around the maximum length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgepack.bundle.goldens import DECIMALS, TASK_TEXTS, Text, compare_goldens, golden_check, golden_texts, with_length
from edgepack.bundle.manifest import BundleManifest, task_of
from edgepack.bundle.verdict import Check
from edgepack.evidence.opened import OpenBundle
from edgepack.task.chain import TagChain
from edgepack.task.label_f1 import LabelF1
from edgepack.task.scores import Scores
from edgepack.task.task import Task

NEARLY = 0.01  # of a probability: two tags that are so near may be either
MOST_REPEATED = 8  # times that a text of the task may stand there, on average: evaluation data have texts twice
LENGTH_SLACK = 0.01  # of a vector of length 1: its numbers have four decimals


def goldens_check(bundle: OpenBundle) -> Check:
    """The goldens are what they must be, and come out again in tokenizer, asset and runtime."""
    longest = bundle.manifest.longest
    faults = [*kind_faults(bundle), *content_faults(bundle), *length_faults(bundle)]
    tokenizer = with_length(bundle.tokenizer, longest)
    return golden_check(faults + compare_goldens(bundle.goldens, tokenizer, bundle.asset, bundle.session, longest))


def kind_faults(bundle: OpenBundle) -> Iterator[str]:
    """Kinds of goldens of which there are too few."""
    manifest, goldens = bundle.manifest, bundle.goldens
    found: list[Text] = [(golden["text"], golden.get("pair")) for golden in goldens]
    task: Text = ("", "") if manifest.pair else ("", None)
    fixed = golden_texts([task], bundle.tokenizer, manifest.longest)[1:]
    present = set(found)
    missing = sum(text not in present for text in fixed)
    if missing:
        yield f"{missing} of the {len(fixed)} hard texts and texts around the maximum length are not there"
    examples = max((record.n for record in manifest.metrics.values()), default=0)
    own, needed = len(found) - (len(fixed) - missing), min(TASK_TEXTS, examples)
    if own < needed:
        yield f"{own} texts of the task are there; at least {needed} are needed"
    different = len(present - set(fixed))
    if own >= needed and different * MOST_REPEATED < needed:
        yield f"of {own} texts of the task only {different} are different ones"
    wrong = sum((pair is None) == manifest.pair for _, pair in found)
    if wrong:
        yield f"{wrong} are {'single texts' if manifest.pair else 'pairs'}; the task has the other"


def content_faults(bundle: OpenBundle) -> Iterator[str]:
    """Goldens whose parts contradict each other or the manifest."""
    largest, task = max(bundle.token_ids.values(), default=-1), task_of(bundle.manifest)
    for number, golden in enumerate(bundle.goldens, start=1):
        fault = golden_fault(golden, bundle.manifest, task, largest)
        if fault:
            yield f"golden {number}: {fault}"


def length_faults(bundle: OpenBundle) -> Iterator[str]:
    """Vectors that all have length 1, and a manifest that says nothing of it: an app would divide them again."""
    vector = bundle.manifest.vector
    if vector is None or vector.normalized:
        return
    lengths = [float(np.linalg.norm(golden["logits"])) for golden in bundle.goldens]
    if all(abs(length - 1) <= LENGTH_SLACK for length in lengths):
        yield "every vector has the length 1, and the manifest says that they are not normalized"


def golden_fault(golden: dict[str, Any], manifest: BundleManifest, task: Task, largest_id: int) -> str | None:
    """The first contradiction in one golden."""
    count = len(golden["input_ids"])
    per_token = ("token_type_ids", "attention_mask", "offsets_utf16", "offsets_codepoint")
    if any(len(golden[name]) != count for name in per_token):
        return "ids, mask, types and offsets are not of one length"
    if others := {"label", "labels", "score", "chained"} & set(golden) - answers_of(task):
        return f"it has {', '.join(sorted(others))}, which a golden of this task has not"
    in_windows = manifest.windows is not None and "windows" in golden
    if (count > manifest.max_length and not in_windows) or max(golden["input_ids"]) > largest_id:
        return f"it has {count} tokens of at most {manifest.max_length}, or an id that no token has"
    if set(golden["attention_mask"]) != {1}:
        return "its mask hides tokens"
    if task.embeds:
        return vector_fault(golden, manifest)
    if isinstance(task.scoring, LabelF1):
        return set_fault(golden, manifest.labels, task.scoring)
    if isinstance(task.scoring, Scores):
        return score_fault(golden, task.scoring)
    tokens = task.is_tagging
    rows = golden["logits"] if tokens else [golden["logits"]]
    labels = golden.get("label") if tokens else [golden.get("label")]
    if not all(isinstance(row, list) and len(row) == len(manifest.labels) for row in rows):
        return f"its logits are not a number for each of {len(manifest.labels)} labels"
    if not isinstance(labels, list) or len(labels) != len(rows) or len(rows) != (count if tokens else 1):
        return "its labels are not one for each row of logits"
    positions = {label: i for i, label in enumerate(manifest.labels)}
    for row, label in zip(rows, labels, strict=True):
        if not isinstance(label, str) or label not in positions or row[positions[label]] < float(np.max(row)):
            return "its label is not that of the largest logit"
    return chain_fault(golden, positions, task.chain) if tokens else None


def answers_of(task: Task) -> set[str]:
    """The keys under which a golden of the task has its answer."""
    if task.embeds:
        return set()
    if task.is_score:
        return {"score"}
    return {"labels"} if task.is_multi_label else {"label", "chained"} if task.is_tagging else {"label"}


def chain_fault(golden: dict[str, Any], positions: Mapping[str, int], chain: TagChain | None) -> str | None:
    """The first contradiction between a golden's logits and the tags that the chain decides for its tokens.

    `positions`: each label's class id.
    """
    decided = golden.get("chained")
    if chain is None:
        return None if decided is None else "it has tags of a chain, and the manifest has none"
    rows = np.array(golden["logits"], dtype=np.float64)
    if decided is None or len(decided) != len(rows):
        return "it has not one tag of the chain for each token"
    marginals = np.exp(chain.marginals(rows, np.array([len(rows)])))
    if any(label not in positions for label in decided):
        return "a tag of its chain is no label"
    found = marginals[np.arange(len(rows)), [positions[label] for label in decided]]
    return None if (found >= marginals.max(axis=1) - NEARLY).all() else "its tags are not those that the chain decides"


def score_fault(golden: dict[str, Any], scores: Scores) -> str | None:
    """The first contradiction between a golden's one logit and its score."""
    row, shown = golden["logits"], golden.get("score")
    if len(row) != 1 or not isinstance(row[0], float | int) or not isinstance(shown, float | int):
        return "it does not have one logit and a score"
    decided = float(scores.decide(np.array(row, dtype=np.float64)))
    close = abs(decided - shown) <= 10**-DECIMALS
    return None if close and golden.get("label") is None else "its score is not what its logit gives"


def vector_fault(golden: dict[str, Any], manifest: BundleManifest) -> str | None:
    """What a golden's vector cannot be: of another size, all zeros, or of a length other than 1 where that is said."""
    vector, row = manifest.vector, golden["logits"]
    if vector is None or len(row) != vector.size or not all(isinstance(number, float | int) for number in row):
        return f"its vector is not of {vector.size if vector else 'any'} numbers"
    length = float(np.linalg.norm(row))
    if not length or (vector.normalized and abs(length - 1) > LENGTH_SLACK):
        return f"its vector has the length {length:.4g}"
    return None


def set_fault(golden: dict[str, Any], labels: list[str], sets: LabelF1) -> str | None:
    """The first contradiction between a golden's logits and its label set."""
    row, answered = golden["logits"], golden.get("labels")
    if len(row) != len(labels) or not all(isinstance(logit, float | int) for logit in row):
        return f"its logits are not a number for each of {len(labels)} labels"
    decided = [labels[i] for i in np.flatnonzero(sets.decide(np.array(row, dtype=np.float64)))]
    return None if answered == decided else "its labels are not those at their thresholds or above"

"""What lies behind a figure of vectors: slices, and texts in another way of writing.

Nothing is decided here that could flip, so what is measured are cosines. Of a slice it is the mean cosine of the
artifact's vectors to the teacher's, compared with that of all other texts (Welch's test, Holm's correction); where the
data hold pairs or a search, the task's metric on slices of these too (`slices.py`). Of a changed text it is the cosine
to the text as it is, by each model: one that is near 1 takes both for the same. A prompt is never changed, as an app
writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import NormalDist
from typing import Literal, cast

import numpy as np

from edgepack.bundle.analysis import SliceScore, VectorChange, VectorSlice
from edgepack.evidence.answers import Labelled
from edgepack.evidence.robustness import CHANGES, changed_sets, sample_of
from edgepack.evidence.slices import LEAST_EXAMPLES, Words, holm, large_enough, scores_on, text_parts
from edgepack.task.dataset import Dataset
from edgepack.task.similarity import QUERY, Prompts, cosines
from edgepack.task.task import Task

CONFIDENCE = 0.95

VectorsOf = Callable[[Dataset], np.ndarray]  # `(texts, size)`


def metric_slices(teacher: Labelled, artifact: Labelled, words: Words | None) -> list[SliceScore]:
    """The metric on slices of pairs or queries; none where it is the teacher's cosine itself."""
    if teacher.task.judged == "teacher":
        return []
    units = np.arange(teacher.n) // 2
    if teacher.task.judged == "queries":
        texts, queries = np.nonzero(teacher.form.encoded.labels == QUERY)
        units = np.full(teacher.n, -1)
        units[texts] = queries
    return scores_on(large_enough(text_parts(teacher, artifact, words, units)), teacher, artifact)


def cosine_slices(teacher: Labelled, artifact: Labelled, words: Words | None) -> list[VectorSlice]:
    """How near the artifact's vectors are to the teacher's, by slice."""
    near = cosines(teacher.form.logits, artifact.form.logits)
    parts = [part for part in large_enough(text_parts(teacher, artifact, words)) if part.name != "without"]
    parts = [part for part in parts if (~part.chosen).sum() >= LEAST_EXAMPLES]
    compared = [welch(near[part.chosen], near[~part.chosen]) for part in parts]
    corrected = holm([2 * NormalDist().cdf(-abs(difference / error)) for difference, error in compared])
    quantile = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(1, len(parts)))
    found = []
    for part, (difference, error), p in zip(parts, compared, corrected, strict=True):
        ends = {"low": difference - quantile * error, "high": difference + quantile * error}
        figures = {"cosine": float(near[part.chosen].mean()), "others": float(near[~part.chosen].mean()), "p_value": p}
        worse = p < 1 - CONFIDENCE and difference < 0
        kind = cast(Literal["length", "rare_words", "unknown_tokens"], part.kind)
        found.append(VectorSlice(kind=kind, name=part.name, n=int(part.chosen.sum()), worse=worse, **ends, **figures))
    return found


def welch(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The difference of two means and its standard error; above 0 where all values are the same."""
    error = math.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    return float(first.mean() - second.mean()), max(error, 1e-12)


def changed_texts(data: Dataset, prompts: Prompts) -> dict[str, Dataset]:
    """A sample of the texts as they are, under "", and in every way of writing, behind the prompts that they had.

    They are single texts then, whatever pair or search they are from: see `unjudged`.
    """
    prefixes = [_prefix(example.text, prompts) for example in data.examples]
    bare = [e._replace(text=e.text[len(prefix) :], label=0) for e, prefix in zip(data.examples, prefixes, strict=True)]
    kept = [prefixes[i] for i in sample_of(data)]
    return {
        name: replace(
            texts,
            examples=tuple(e._replace(text=prefix + e.text) for e, prefix in zip(texts.examples, kept, strict=True)),
        )
        for name, texts in changed_sets(replace(data, examples=tuple(bare))).items()
    }


def unjudged(task: Task) -> Task:
    """The task as single texts are encoded for it."""
    return replace(task, judged="teacher") if task.embeds else task


def _prefix(text: str, prompts: Prompts) -> str:
    return max((prompt for prompt in (prompts.query, prompts.text) if text.startswith(prompt)), key=len, default="")


def nearness(sets: Mapping[str, Dataset], vectors_of: VectorsOf) -> dict[str, np.ndarray]:
    """For each way of writing, the cosine of each text's vector to that of the text as it is."""
    plain = vectors_of(sets[""])
    return {name: cosines(vectors_of(data), plain) for name, data in sets.items() if name}


def vector_changes(teacher: Mapping[str, np.ndarray], artifact: Mapping[str, np.ndarray]) -> list[VectorChange]:
    """Both models' nearness by the way of writing."""
    found = []
    for change in CHANGES:
        if change in teacher:
            before, after = teacher[change], artifact[change]
            difference = after - before
            half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(difference.std()) / math.sqrt(len(difference))
            mean = float(difference.mean())
            figures = {"teacher": float(before.mean()), "artifact": float(after.mean())}
            found.append(VectorChange(change=change, n=len(before), low=mean - half, high=mean + half, **figures))
    return found

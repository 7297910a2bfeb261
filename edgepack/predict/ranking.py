"""Candidates in the order that they suit a query: by a bundle that scores pairs, or by the vectors of one that embeds.

A bundle of scores is asked each pair, the query first, so the cost grows with the candidates. One that embeds is asked
each text by itself, behind its prompt, and a candidate's score is the cosine of its vector and the query's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.parameters import as_texts
from edgepack.predict.answer import Answer
from edgepack.task.similarity import Prompts, cosines
from edgepack.task.task import Task

Text = str | tuple[str, str]
SIMILARITY = "similarity"  # what the cosine is called in an answer


def ranked(task: Task, answer: Callable[[Text], Answer], query: str, texts: Sequence[str]) -> list[Answer]:
    """An answer for each candidate, the best first, equal ones as they were given; `answer` asks the bundle.

    Each has the query as its text, the candidate as its pair, and a score. `InputError` for a bundle of another task,
    and for no candidate.
    """
    if not (task.embeds or (task.is_score and task.pair)):
        kind = "pairs" if task.pair else "single texts"
        raise InputError(
            f"ranking needs a bundle that embeds texts, or one that scores pairs of a query and a candidate; this one "
            f"is of {task.name} for {kind}, with {len(task.labels)} labels"
        )
    if not isinstance(query, str):
        raise InputError(f"query is {shown(query)}; it is one text: give a string")
    texts = as_texts("candidates", texts)
    found = _by_cosine(task.prompts, answer, query, texts) if task.embeds else [answer((query, t)) for t in texts]
    return sorted(found, key=lambda each: -(each.score or 0.0))


def _by_cosine(prompts: Prompts, answer: Callable[[Text], Answer], query: str, texts: Sequence[str]) -> list[Answer]:
    asked, found = answer(prompts.of_query(query)), [answer(prompts.of_text(text)) for text in texts]
    near = cosines(np.array([each.vector for each in found]), np.array([asked.vector]))
    return [
        replace(each, text=query, pair=text, label=SIMILARITY, score=float(score), vector=None)
        for each, text, score in zip(found, texts, near, strict=True)
    ]

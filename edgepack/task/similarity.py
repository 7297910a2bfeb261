"""What vectors of texts are judged by: similarity of pairs, the ranking of documents, or the teacher's own vectors.

Always by the cosine of two vectors, so lengths do not matter:

- `pairs`: Spearman's correlation of the cosines with people's scores. Text 2i and text 2i + 1 are a pair, and both have
  its score.
- `queries`: nDCG@10 of the documents by their cosine to each query, the mean over queries. Labels are a column for each
  query, `(texts, queries)`: what each text is worth for it, and `QUERY` at the query itself.
- `teacher`: the mean cosine of each text's vector to the teacher's, which are the labels, `(texts, size)`; below 0 it
  is 0. It needs nothing but texts, and says the least: of a search that ranks otherwise it does not tell.

A pair, a query or a text is one observation: a row of statistics, which bootstraps and paired tests draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from edgepack.task.encoded import Encoded
from edgepack.task.ranking import ndcg, recall, spearman, spearman_terms
from edgepack.task.scoring import CorrelationMetric, RatioMetric

EMBEDS: Literal["feature-extraction"] = "feature-extraction"  # the task's name, transformers' word
VECTOR_NAME = "sentence_embedding"  # what model files call the output, as sentence-transformers' own exports do
Pooling = Literal["first", "mean", "last"]  # of a text's real tokens: what one vector is made of
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
Judged = Literal["pairs", "queries", "teacher"]
JUDGED: tuple[Judged, ...] = get_args(Judged)
RANKED = 10  # documents that a search shows
QUERY = -1  # in a query's column of the labels: this text is the query
AGREED = 0.9  # cosine from which on two vectors of a text count as the same answer
DECIMALS = 6  # of a cosine in statistics: more are rounding noise, and a verdict holds them


@dataclass(frozen=True)
class Prompts:
    """What a teacher was trained with before a search's query, and before any other text; empty: nothing.

    None is written twice: a text that begins with its prompt stays as it is.
    """

    query: str = ""
    text: str = ""

    def of_query(self, query: str) -> str:
        """The query behind its prompt."""
        return query if query.startswith(self.query) else self.query + query

    def of_text(self, text: str) -> str:
        """Another text behind its prompt."""
        return text if text.startswith(self.text) else self.text + text


NO_PROMPTS = Prompts()


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(…, size)` of length 1, float64; zeros stay zeros."""
    found = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1))


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine of each row of two `(…, size)`, `(…)` float64."""
    return np.asarray((unit(first) * unit(second)).sum(axis=-1))


@dataclass(frozen=True)
class Vectors:
    """What all metrics of vectors share; "logits" are the vectors, `(texts, size)`."""

    counted: ClassVar[bool] = False

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """The vectors themselves: nothing is decided."""
        return np.asarray(logits)

    def differ(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Where the two point to different places, bool `(…)`."""
        return np.asarray(cosines(after, before) < AGREED)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """None: the vectors as they are, float64."""
        return logits.astype(np.float64)

    def divergences(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """1 − the cosine of each pair of rows."""
        return np.maximum(1 - cosines(after, before), 0)

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """One vector for every text; any is as good as another, but where the teacher's are the measure."""
        return np.ones(1, np.float32)

    def referenced(self, encoded: Encoded, vectors: np.ndarray) -> Encoded:
        """The data with the teacher's vectors where these are the measure."""
        return encoded


@dataclass(frozen=True)
class PairSpearman(CorrelationMetric, Vectors):
    """Rank correlation of cosines with scores; statistics (cosine, score) of each pair."""

    name: str = "spearman"
    columns: int = 2

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(pairs, 2)` float64; vectors `(2 · pairs, size)`."""
        found = np.round(cosines(logits[0::2], logits[1::2]), DECIMALS)
        return np.stack([found, encoded.labels[0::2].astype(np.float64)], axis=1)

    def value(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The correlation of rows `(m, 2)` with counts `(…, m)`, from 0 to 1: one below 0 tells nothing."""
        return np.clip(spearman(statistics[:, 0], statistics[:, 1], counts), 0, 1)

    def terms(self, statistics: np.ndarray, counts: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """The linear terms of the correlation of ranks."""
        own = None if at is None else (at[:, 0], at[:, 1])
        return spearman_terms(statistics[:, 0], statistics[:, 1], counts / counts.sum(), own)

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Both models have the same scores to follow, and cosines are cosines."""
        bounded = all(bool((np.abs(each[:, 0]) <= 1).all()) for each in (first, second))
        return bounded and super().possible(first, second)

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """Scores `(texts,)` float64."""
        return np.asarray(labels, dtype=np.float64)

    def observations(self, labels: Sequence[Any]) -> int:
        """Pairs."""
        return len(labels) // 2


@dataclass(frozen=True)
class Shares(Vectors, RatioMetric):
    """A mean over observations of a figure from 0 to 1; statistics (figure, 1)."""

    columns: int = 2

    def parts(self, statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of the figures, and how many there are."""
        return statistics[..., 0], statistics[..., 1]

    def possible(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Each row is one observation with a share."""
        whole = [
            bool((each[:, 1] == 1).all() and ((each[:, 0] >= 0) & (each[:, 0] <= 1)).all()) for each in (first, second)
        ]
        return all(whole)


@dataclass(frozen=True)
class Retrieval(Shares):
    """nDCG@10 of each query's documents by cosine; a row of statistics is a query."""

    name: str = f"ndcg_at_{RANKED}"
    recall_name: ClassVar[str] = f"recall_at_{RANKED}"

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(queries, 2)` float64."""
        return with_ones([ndcg(scores, gains, RANKED) for scores, gains in searches(logits, encoded.labels)])

    def recalls(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """The same of recall@10: the share of a query's documents that are among the first ten."""
        return with_ones([recall(scores, gains, RANKED) for scores, gains in searches(logits, encoded.labels)])

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """`(texts, queries)` int8 out of each query's documents and gains, `(document, gain, document, gain, …)`."""
        queries = [number for number, judged in enumerate(labels) if judged]
        rows = np.zeros((len(labels), len(queries)), np.int8)
        for column, number in enumerate(queries):
            judged = np.asarray(labels[number]).reshape(-1, 2)
            rows[judged[:, 0], column] = judged[:, 1]
            rows[number, column] = QUERY
        return rows

    def observations(self, labels: Sequence[Any]) -> int:
        """Queries."""
        return sum(bool(judged) for judged in labels)


@dataclass(frozen=True)
class TeacherCosine(Shares):
    """The mean cosine to the teacher's vectors; a row of statistics is a text."""

    name: str = "teacher_cosine"

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """`(texts, 2)` float64."""
        if encoded.labels.ndim != 2:
            raise ValueError("the teacher's vectors are the measure, and are not among the labels")
        return with_ones(np.clip(cosines(np.broadcast_to(logits, encoded.labels.shape), encoded.labels), 0, 1))

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The mean of the teacher's vectors."""
        return np.asarray(unit(labels).mean(axis=0), np.float32)

    def referenced(self, encoded: Encoded, vectors: np.ndarray) -> Encoded:
        """The data with the teacher's vectors as its labels."""
        return Encoded(encoded.input_ids, encoded.token_type_ids, encoded.offsets, np.asarray(vectors, np.float32))

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """A place for each text, `(texts,)` int64: the teacher's vectors come when it has answered."""
        return np.zeros(len(labels), np.int64)

    def observations(self, labels: Sequence[Any]) -> int:
        """Texts."""
        return len(labels)


METRICS: dict[Judged, PairSpearman | Retrieval | TeacherCosine] = {
    "pairs": PairSpearman(),
    "queries": Retrieval(),
    "teacher": TeacherCosine(),
}


def searches(vectors: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each query the cosines of all documents, and what each is worth; queries themselves are no documents."""
    found, is_query = unit(vectors), (labels == QUERY).any(axis=1)
    documents = found[~is_query]
    searched = []
    for column in range(labels.shape[1]):
        query = found[int(np.flatnonzero(labels[:, column] == QUERY)[0])]
        scores = np.round(documents @ query, DECIMALS)
        searched.append((scores, labels[~is_query, column]))
    return searched


def with_ones(figures: Sequence[float] | np.ndarray) -> np.ndarray:
    """Figures as statistics: each with the 1 that it is a part of."""
    shares = np.round(np.asarray(figures, dtype=np.float64), DECIMALS)
    return np.stack([shares, np.ones(len(shares))], axis=1)

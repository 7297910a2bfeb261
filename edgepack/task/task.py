"""What a task is: what it is called, its labels in the order of the teacher's class ids, and its metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from edgepack.errors import InputError
from edgepack.task.accuracy import Accuracy, WordAccuracy
from edgepack.task.chain import MOST_TAGS, TagChain, choose_chain, count_pairs
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.entity_f1 import EntityF1
from edgepack.task.label_f1 import LabelF1, find_thresholds
from edgepack.task.reading.labels import is_unnamed
from edgepack.task.schemes import SCHEMES, Mark, SchemeName, marks_of, scheme_of_labels
from edgepack.task.scores import ACTIVATIONS, Activation, Correlation, Ranking
from edgepack.task.scoring import MULTI_LABEL, PROBLEMS, REGRESSION, SINGLE_LABEL, Metric, Problem
from edgepack.task.similarity import EMBEDS, METRICS, NO_PROMPTS, VECTOR_NAME, Judged, Prompts
from edgepack.task.windows import OVERLAP, Combine, Windows

TaskName = Literal["text-classification", "token-classification", "feature-extraction"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
NO_LABELS = "none"  # how an empty set of labels is shown
SHOWN_DECIMALS = 4  # of a score


@dataclass(frozen=True)
class Task:
    """What texts are given: a label, a set of labels, a tag for each word, or a score (one label, which names it).

    `labels` are in the order of the teacher's class ids.

    `thresholds`: of label sets, the probability from which on each label is answered; empty: 0.5 for each.
    `scheme`: what tags mean, where the labels alone would say something else. `chain`: scores of a tag behind another,
    where the words of a text are decided together. `activation`: what turns a logit into
    the score. `ranks`: whether scores order the candidates of a query, which is the first text of each pair.

    A model that embeds texts has no labels: `vector_size` is how many numbers it gives of a text, `judged` what these
    are measured by (None: the teacher's), `prompts` what stands before texts in data and searches.
    """

    name: TaskName
    labels: tuple[str, ...]
    pair: bool = False
    problem: Problem = SINGLE_LABEL
    thresholds: tuple[float, ...] = ()
    scheme: SchemeName | None = None
    activation: Activation = "identity"
    ranks: bool = False
    vector_size: int = 0
    judged: Judged | None = None
    prompts: Prompts = NO_PROMPTS
    chain: TagChain | None = None

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise InputError(f"task is {self.name!r}; allowed: {', '.join(TASK_NAMES)}")
        if self.problem not in PROBLEMS:
            raise InputError(f"problem is {self.problem!r}; allowed: {', '.join(PROBLEMS)}")
        self._check_scheme()
        self._check_vectors()
        self._check_score()
        self.scoring  # noqa: B018 - it checks the labels
        if self.is_tagging and self.pair:
            raise InputError("token classification takes one text, not a pair; leave the pair column out")
        if self.is_tagging and self.problem != SINGLE_LABEL:
            raise InputError(f"token classification has one tag for each word; problem is {self.problem}")
        if self.thresholds and not self.has_thresholds:
            raise InputError(
                f"{len(self.thresholds)} thresholds for {len(self.labels)} labels of {self.problem}; one above 0 and "
                f"below 1 for each label of {MULTI_LABEL} is needed"
            )

    def _check_vectors(self) -> None:
        if self.embeds and (self.labels or self.pair or self.vector_size < 1):
            raise InputError(
                f"{EMBEDS} gives one text a vector: {len(self.labels)} labels, pair {self.pair}, vectors of "
                f"{self.vector_size}; allowed: no labels, no pair, a size from 1"
            )
        if not self.embeds and (self.vector_size or self.judged or self.prompts != NO_PROMPTS):
            raise InputError(f"{self.name} with vectors of {self.vector_size}; only {EMBEDS} gives vectors")

    @property
    def embeds(self) -> bool:
        """Whether a text's answer is a vector."""
        return self.name == EMBEDS

    @property
    def outputs(self) -> int:
        """How many numbers a model gives of a text, or of each token: the labels, or the size of the vector."""
        return self.vector_size if self.embeds else len(self.labels)

    @property
    def output_name(self) -> str:
        """What model files call the one output."""
        return VECTOR_NAME if self.embeds else "logits"

    @property
    def is_multi_label(self) -> bool:
        """Whether a text has a set of labels, which may be empty."""
        return self.problem == MULTI_LABEL

    @property
    def has_thresholds(self) -> bool:
        """Whether there is a possible threshold for each label."""
        return (
            self.is_multi_label
            and len(self.thresholds) == len(self.labels)
            and all(0 < each < 1 for each in self.thresholds)
        )

    @property
    def is_score(self) -> bool:
        """Whether a text, or a pair, has one number."""
        return self.problem == REGRESSION

    def _check_score(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation is {self.activation!r}; allowed: {', '.join(ACTIVATIONS)}")
        if self.is_score and len(self.labels) != 1:
            raise InputError(f"a {REGRESSION} has one label, which names the score; it has {len(self.labels)}")
        if not self.is_score and (self.ranks or self.activation != "identity"):
            raise InputError(f"an activation and a ranking are of a {REGRESSION}; problem is {self.problem}")
        if self.ranks and not self.pair:
            raise InputError("a ranking has pairs of a query and a candidate; these are single texts")

    def _check_scheme(self) -> None:
        if self.scheme is not None and (not self.is_tagging or self.scheme not in SCHEMES):
            known = f"of token classification: {', '.join(SCHEMES)}"
            raise InputError(f"the tag scheme of {self.name} is {self.scheme!r}; allowed: {known}")
        if self.chain is not None and (not self.is_tagging or self.chain.count != len(self.labels)):
            raise InputError(
                f"a chain of {self.chain.count} tags; {self.name} has {len(self.labels)} labels, and only tags of "
                "words have a chain"
            )
        if self.is_tagging and self.scheme is None and is_unnamed(self.labels):
            raise InputError(
                f"the tags have no names ({self.labels[0]} and so on), so what they mean is not known; write their "
                "names into id2label of the teacher's config.json, or pass --tag-scheme plain"
            )

    @cached_property
    def scoring(self) -> Metric:
        """How its answers are decided and counted."""
        if self.embeds:
            return METRICS[self.judged or "teacher"]
        if self.is_multi_label:
            return LabelF1(len(self.labels), self.thresholds)
        if self.is_score:
            return Ranking(self.activation) if self.ranks else Correlation(self.activation)
        if self.finds_entities:
            return EntityF1(self.marks)
        return WordAccuracy(len(self.labels)) if self.is_tagging else Accuracy(len(self.labels))

    @property
    def has_temperature(self) -> bool:
        """Whether each text or word has one label of all, whose probability a temperature scales."""
        return self.name in ("text-classification", "token-classification") and self.problem == SINGLE_LABEL

    @property
    def may_be_unsure(self) -> bool:
        """Whether a text has one label, which an app may leave unsaid."""
        return self.has_temperature and not self.is_tagging

    @property
    def is_tagging(self) -> bool:
        """Whether each word has a label of its own."""
        return self.name == "token-classification"

    @cached_property
    def tag_scheme(self) -> SchemeName | None:
        """What the tags mean; None where labels are of texts."""
        return (self.scheme or scheme_of_labels(self.labels)) if self.is_tagging else None

    @property
    def finds_entities(self) -> bool:
        """Whether tags mark entities, and not each word by itself."""
        return self.is_tagging and self.tag_scheme != "plain"

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """What each tag says of its word."""
        return marks_of(self.labels, self.tag_scheme or "plain")

    @property
    def combine(self) -> Combine:
        """How one answer is made of those of a long text's windows."""
        return "inner" if self.is_tagging else "max" if self.is_multi_label else "mean"

    def windows(self, length: int) -> Windows:
        """How it reads texts of more than `length` tokens in windows."""
        return Windows(length, length // OVERLAP, self.combine)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What a model can be good or bad at: labels; of tags of entities the types, of a score nothing."""
        if self.is_score:
            return ()
        return tuple(dict.fromkeys(mark.kind for mark in self.marks if mark.kind is not None))

    @property
    def metric_name(self) -> str:
        """`accuracy`, `micro_f1`, `word_accuracy`, `entity_f1`, `pearson` or `ndcg_at_10`."""
        return self.scoring.name

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Class ids, `(…, C) → (…)` int64; of label sets 1 for each label that is answered, `(…, C)`; or the score."""
        return self.scoring.decide(logits)

    def with_thresholds(self, logits: np.ndarray, encoded: Encoded) -> Task:
        """The task with thresholds found on these examples, on which nothing is measured; another task as it is."""
        if not self.is_multi_label:
            return self
        return replace(self, thresholds=find_thresholds(logits, encoded.labels))

    def with_chain(self, train: Encoded, logits: np.ndarray, encoded: Encoded) -> Task:
        """The task with the chain of tags that does best on these examples; as it is where none does better.

        Pairs are counted in `train`; `logits` are of examples that nothing is trained on and nothing measured. Above
        `MOST_TAGS` tags there is no chain.
        """
        if len(self.labels) > MOST_TAGS:
            return self

        def judge(chain: TagChain | None) -> float:
            return replace(self, chain=chain).score(logits, encoded)

        return replace(self, chain=choose_chain(count_pairs(train, len(self.labels)), judge))

    def read(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """What decisions, metrics and probabilities are of: a chain's log marginals, else the logits themselves.

        A model's flat logits go through it once, right behind the model.
        """
        return logits if self.chain is None else self.chain.read(logits, encoded)

    def read_words(self, logits: np.ndarray) -> np.ndarray:
        """The same of the words of one text, `(words, C)`."""
        return logits if self.chain is None else self.chain.marginals(logits, np.array([len(logits)]))

    @property
    def described(self) -> str:
        """What it answers, in words: how many labels, which score, or vectors of which size."""
        if self.embeds:
            return f"vectors of {self.vector_size} numbers"
        return f"the score {self.labels[0]!r}" if self.is_score else f"{len(self.labels)} labels"

    def observations(self, data: Dataset) -> int:
        """How many examples of the data the metric is over: of pairs of texts, or queries, fewer than texts."""
        if self.ranks:
            return len({text for text, _, _, worth in data.examples if isinstance(worth, float) and worth > 0})
        if not self.embeds:
            return len(data)
        return METRICS[self.judged or "teacher"].observations([example.label for example in data.examples])

    def referenced(self, encoded: Encoded, logits: np.ndarray) -> Encoded:
        """The data with the teacher's vectors as labels, where a model is measured by these; others as they are."""
        return METRICS[self.judged or "teacher"].referenced(encoded, logits) if self.embeds else encoded

    def names(self, decided: np.ndarray) -> tuple[str, ...]:
        """The labels of one decision about a text, or the tags of decisions about words."""
        ids = np.flatnonzero(decided) if self.is_multi_label else np.atleast_1d(decided)
        return tuple(self.labels[i] for i in ids)

    def shown(self, decided: np.ndarray) -> str:
        """The same for a person."""
        if self.embeds:
            return f"a vector of {self.vector_size}"
        if self.is_score:
            return f"{float(np.ravel(decided)[0]):.{SHOWN_DECIMALS}f}"
        names = self.names(decided)
        return (", ".join(names) or NO_LABELS) if self.is_multi_label else " ".join(names)

    def label_rows(self, labels: Sequence[Any]) -> np.ndarray:
        """Labels of whole texts, as `Example` has them, as `Encoded` has them."""
        return self.scoring.label_rows(labels)

    def statistics(self, logits: np.ndarray, encoded: Encoded) -> np.ndarray:
        """What `metric` is a function of, `(n, k)`, a row for each example; flat logits as `read` gives them."""
        if len(logits) != len(encoded.labels):
            raise ValueError(f"{len(logits)} rows of logits for {len(encoded.labels)} labels")
        return self.scoring.statistics(logits, encoded)

    def metric(self, statistics: np.ndarray, counts: np.ndarray | None = None) -> float:
        """The metric of rows `(m, k)`, each `counts (m,)` times (None: once); 0 where it is undefined."""
        return float(self.scoring.value(statistics, np.ones(len(statistics)) if counts is None else counts))

    def constant_statistics(self, encoded: Encoded) -> np.ndarray:
        """Statistics of the model that always answers alike: the commonest label, tag (mostly O), set, or a score."""
        constant = self.scoring.constant(encoded.labels[encoded.scored])
        return self.statistics(np.tile(constant, (len(encoded.labels), 1)), encoded)

    def score(self, logits: np.ndarray, encoded: Encoded) -> float:
        """The metric of a whole data set; logits in the flat layout, as a model gives them."""
        return self.metric(self.statistics(self.read(logits, encoded), encoded))

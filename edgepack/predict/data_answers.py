"""What a bundle says of a data set: every answer, the metric, and where a teacher says something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgepack.console import format_table
from edgepack.errors import bare
from edgepack.predict.answer import MOSTLY, Answer
from edgepack.task.intervals import Interval
from edgepack.task.task import NO_LABELS

Truth = str | tuple[str, ...]  # a label, those of a set, or the tag of each word
MOST_ROWS, MOST_CHARACTERS, MOST_LABELS = 20, 60, 20  # that a person is shown


@dataclass(frozen=True)
class Disagreement:
    """A decision that the teacher makes otherwise: on a text, or on a word of it; `truth` where the data have it."""

    example: int
    text: str
    pair: str | None
    word: str | None
    truth: str | None
    teacher: str
    teacher_probability: float
    bundle: str
    bundle_probability: float


@dataclass(frozen=True)
class Compared:
    """The teacher on the same texts: `differing` of `decisions` are others; `retention` is bundle / teacher."""

    name: str
    metric: Interval | None
    retention: Interval | None
    decisions: int
    differing: int
    disagreements: tuple[Disagreement, ...]

    @property
    def agreement(self) -> float:
        """The share of equal decisions."""
        return 1 - self.differing / self.decisions


@dataclass(frozen=True)
class DataAnswers:
    """The answers to all texts of `source`, in their order.

    Without labels `truths` is empty and `metric` None. `others`: what the answers are measured by besides, by name.
    """

    source: str
    answers: tuple[Answer, ...]
    truths: tuple[Truth, ...]
    metric_name: str
    metric: Interval | None
    teacher: Compared | None
    others: Mapping[str, Interval] = field(default_factory=dict)
    outside: tuple[Answer, ...] = ()  # to texts that belong to no label, where the user said which these are

    @property
    def unsure(self) -> int:
        """Texts whose answer an app would leave out."""
        return sum(not answer.sure for answer in self.answers)

    @property
    def cut(self) -> int:
        """Texts whose end was not read."""
        return sum(answer.cut for answer in self.answers)

    @property
    def mostly_unknown(self) -> int:
        """Texts of which the model does not know most tokens."""
        return sum(answer.unknown > MOSTLY for answer in self.answers)

    @property
    def counts(self) -> dict[str, int]:
        """How often each label was answered, or each type of entity found; the commonest first; none of numbers."""
        found = (label for answer in self.answers for label in _labels(answer))
        return dict(Counter(found).most_common())

    def to_record(self) -> dict[str, Any]:
        """Plain data, as `edgepack predict --data --json` prints it."""
        answers = [answer.to_record() for answer in self.answers]
        if self.truths:
            answers = [
                {**a, "truth": t if isinstance(t, str) else list(t)} for a, t in zip(answers, self.truths, strict=True)
            ]
        teacher = self.teacher
        return {
            "source": self.source,
            "n": len(self.answers),
            "metric": None if self.metric is None else {"name": self.metric_name, **asdict(self.metric)},
            "others": {name: asdict(figure) for name, figure in self.others.items()},
            "unsure": self.unsure,
            "outside": [answer.to_record() for answer in self.outside],
            "cut": self.cut,
            "mostly_unknown": self.mostly_unknown,
            "counts": self.counts,
            "teacher": None if teacher is None else {**asdict(teacher), "agreement": teacher.agreement},
            "answers": answers,
        }

    def table(self) -> str:
        """The figures, how often each label came, and the disagreements with the teacher."""
        return "\n".join([*self._figures(), *self._notes(), *self._counted(), *self._disagreements()])

    def _figures(self) -> Iterator[str]:
        rows = [["texts", f"{len(self.answers):,} of {bare(self.source, 200)}"]]
        if self.metric is not None:
            rows.append([self.metric_name, _with_interval(self.metric)])
        else:
            of_vectors = "texts alone are measured by the teacher's vectors; add --compare-teacher TEACHER"
            lacking = of_vectors if _are_vectors(self.answers) else "the data have no label column"
            rows.append([self.metric_name, f"not measured: {lacking}"])
        rows += [[name, _with_interval(figure)] for name, figure in self.others.items()]
        if self.teacher is not None:
            if self.teacher.metric is not None and self.teacher.retention is not None:
                rows.append([f"teacher's {self.metric_name}", _with_interval(self.teacher.metric)])
                rows.append(["share of it kept", _with_interval(self.teacher.retention)])
            differing, decisions = self.teacher.differing, self.teacher.decisions
            rows.append(["agreement", f"{self.teacher.agreement:.2%}: {differing:,} of {decisions:,} decisions differ"])
        yield format_table(rows)

    def _notes(self) -> Iterator[str]:
        if self.unsure:
            yield f"note: the model is not sure of {self.unsure:,} texts; an app says so for them"
        if self.outside:
            unsure = sum(not answer.sure for answer in self.outside)
            yield f"note: of {len(self.outside):,} texts out of scope, the model is not sure of {unsure:,}"
        if self.cut:
            yield f"note: {self.cut:,} texts are longer than the model's input; their ends were not read"
        if self.mostly_unknown:
            yield f"note: {self.mostly_unknown:,} texts are mostly tokens that the model does not know"

    def _counted(self) -> Iterator[str]:
        counts = list(self.counts.items())
        if not counts:
            return
        rows = [["answered", "times"], *([bare(label), f"{count:,}"] for label, count in counts[:MOST_LABELS])]
        yield from ("", format_table(rows))
        if len(counts) > MOST_LABELS:
            yield f"and {len(counts) - MOST_LABELS} other labels"

    def _disagreements(self) -> Iterator[str]:
        found = self.teacher.disagreements if self.teacher is not None else ()
        if not found:
            return
        words = found[0].word is not None
        header = [*(["word"] if words else []), *(["label"] if self.truths else []), "teacher", "bundle", "text"]
        yield from ("", format_table([header, *(self._row(each) for each in found[:MOST_ROWS])]))
        if len(found) > MOST_ROWS:
            yield f"and {len(found) - MOST_ROWS:,} others; --json has them all"

    def _row(self, found: Disagreement) -> list[str]:
        text = bare(found.text, MOST_CHARACTERS)
        text = text if found.pair is None else f"{text} | {bare(found.pair, MOST_CHARACTERS)}"
        return [
            *([bare(found.word)] if found.word is not None else []),
            *([bare(found.truth)] if found.truth is not None else []),
            f"{bare(found.teacher)} {found.teacher_probability:.0%}",
            f"{bare(found.bundle)} {found.bundle_probability:.0%}",
            text,
        ]


def _are_vectors(answers: Sequence[Answer]) -> bool:
    return bool(answers) and answers[0].vector is not None


def _labels(answer: Answer) -> tuple[str, ...]:
    if answer.labels is not None:
        return answer.labels or (NO_LABELS,)
    if answer.score is not None:
        return ()
    return tuple(entity.label for entity in answer.entities) if answer.label is None else (answer.label,)


def _with_interval(figure: Interval) -> str:
    return f"{figure.value:.4f} (95 % interval: {figure.low:.4f} to {figure.high:.4f})"

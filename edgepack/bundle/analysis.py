"""What lies behind a metric: classes, slices, confidence, changed texts, and the examples where two models differ.

`evidence/` computes these records while it validates, the verdict keeps them, the gate holds limits to some of them and
the report shows all. Differences are artifact less teacher. `low` and `high` are ends of 95 % intervals; where many are
looked at together (classes, slices), they are widened so that all of them hold together.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgepack.bundle.record import Record


class NonInferiority(Record):
    """Whether the artifact's metric is at least `1 - margin` of the teacher's: a paired test of that ratio.

    `lower` is the lower end of the ratio's two-sided interval at `confidence`: at or above `1 - margin` the test has
    passed. Where it is below, and the upper end is not, the data cannot decide; `needed` examples probably could.
    `rows` are all that the test is made from: distinct rows of the artifact's statistics, the teacher's, their count.
    """

    margin: float
    confidence: float
    n: int
    value: float  # the ratio as measured
    lower: float
    upper: float
    decision: Literal["passed", "failed", "undecided"]
    discordant: int  # examples on which the two differ in what they have right
    needed: int | None = None
    rows: list[list[int | float]] = Field(default_factory=list)


class ClassScore(Record):
    """F1 of one label (for tags: of one entity type) by both models, on `n` examples or gold entities of it."""

    label: str
    n: int
    teacher: float
    artifact: float
    low: float  # of the difference
    high: float


class SliceScore(Record):
    """The task's metric on a part of the examples; `worse`: the difference is below zero after correction."""

    kind: Literal["length", "rare_words", "unknown_tokens", "label"]
    name: str
    n: int
    teacher: float
    artifact: float
    low: float
    high: float
    p_value: float  # corrected for the number of slices
    worse: bool


class VectorSlice(Record):
    """The mean cosine of the artifact's vectors to the teacher's, of `n` texts of a slice and of all others.

    `low` to `high` is an interval of the difference; `worse`: it is below zero after correction.
    """

    kind: Literal["length", "rare_words", "unknown_tokens"]
    name: str
    n: int
    cosine: float
    others: float
    low: float
    high: float
    p_value: float  # corrected for the number of slices
    worse: bool


class VectorChange(Record):
    """The mean cosine of a text's vector to that of the same text in another way of writing, by both models.

    `low` to `high` is a 95 % interval of artifact less teacher.
    """

    change: Literal["case", "typos", "spacing", "emoji", "accents"]
    n: int
    teacher: float
    artifact: float
    low: float
    high: float


class Calibration(Record):
    """Expected calibration error in 15 bins, and mean confidence; `temperature` divides the artifact's logits.

    `log_loss` is the mean of -log of the truth's probability, in nats, before the temperature and at it.
    """

    left_out: ClassVar[tuple[str, ...]] = ("artifact_log_loss", "scaled_log_loss")
    teacher_ece: float
    artifact_ece: float
    temperature: float
    scaled_ece: float  # of the artifact, its logits divided by the temperature
    teacher_confidence: float
    artifact_confidence: float
    artifact_log_loss: float | None = None  # absent where an older edgepack wrote it
    scaled_log_loss: float | None = None


class Robustness(Record):
    """Answers that another way of writing the text changes, of `n`: by the teacher, by the artifact, by it alone."""

    change: Literal["case", "typos", "spacing", "emoji", "accents"]
    n: int
    teacher_flips: int
    artifact_flips: int
    flips_alone: int
    low: float  # of the difference of the two shares
    high: float


class Differing(Record):
    """An example that both models answer differently, or nearly so; `divergence` is KL(teacher ‖ artifact) in nats."""

    text: str
    pair: str | None = None
    truth: str
    teacher: str
    artifact: str
    divergence: float


class Figure(Record):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class OtherMetric(Record):
    """A metric beside the task's own, by both models: `macro_f1` or `exact_match` of label sets."""

    name: str
    teacher: Figure
    artifact: Figure


class Sureness(Record):
    """What the least confidence does to evaluation texts: of `n`, how many are answered, and how many of these right.

    `auroc`: how often a text that belongs to a label is answered with more confidence than one that belongs to none.
    These are of the evaluation data, or where it has none, training texts that the least confidence was not found on.
    """

    left_out: ClassVar[tuple[str, ...]] = ("auroc",)
    n: int
    answered: int
    right: int  # of all
    answered_right: int
    outside: int = 0  # texts that belong to no label
    outside_answered: int = 0
    outside_of_training: bool = False
    auroc: Figure | None = None


class Analysis(Record):
    """All of it; parts that the task or the data do not have are empty."""

    left_out: ClassVar[tuple[str, ...]] = ("others", "sureness", "vector_slices", "vector_changes")
    noninferiority: NonInferiority | None = None
    classes: list[ClassScore] = Field(default_factory=list)
    slices: list[SliceScore] = Field(default_factory=list)
    calibration: Calibration | None = None
    robustness: list[Robustness] = Field(default_factory=list)
    differing: list[Differing] = Field(default_factory=list)  # the worst first
    confusion_labels: list[str] = Field(default_factory=list)
    teacher_confusion: list[list[int]] = Field(default_factory=list)  # row: truth, column: answer
    artifact_confusion: list[list[int]] = Field(default_factory=list)
    others: list[OtherMetric] = Field(default_factory=list)
    sureness: Sureness | None = None
    vector_slices: list[VectorSlice] = Field(default_factory=list)  # of texts that are embedded
    vector_changes: list[VectorChange] = Field(default_factory=list)

"""What a plan is chosen from: the teacher's shape, vocabularies, the targets, and what the recipe fixes."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.target import Target

VOCABULARIES = ("free", "whole", "task")


@dataclass(frozen=True)
class Structure:
    """What a recipe fixes of the student's structure; the budget decides the rest.

    `sharing`: a pattern of `compress/sharing.py`. `embedding`: "linear" or "self_attentive" (Subformer's SAFE).
    `rank_share`: every body matrix in two factors whose rank is this share of its smaller side; 0: none.
    `hidden_size`: 0 is the teacher's. `body_bits`, `embedding_bits`: 0 is free. `vocabulary`: "free", "whole" (the
    largest choice there is) or "task" (the smallest: what the training data needs).
    """

    sharing: str = "none"
    embedding: str = "linear"
    rank_share: float = 0.0
    hidden_size: int = 0
    body_bits: int = 0
    embedding_bits: int = 0
    vocabulary: str = "free"

    def __post_init__(self) -> None:
        if self.vocabulary not in VOCABULARIES:
            raise InputError(f"structure: vocabulary is {self.vocabulary!r}; allowed: {', '.join(VOCABULARIES)}")
        if self.hidden_size < 0:
            raise InputError(f"structure: hidden_size is {self.hidden_size}; allowed: 0 (the teacher's) or more")


@dataclass(frozen=True)
class Vocabulary:
    """One choice of tokens: teacher ids (`None`: all, as they are), asset size, share of held-out tokens it lacks."""

    ids: tuple[int, ...] | None
    size: int
    pad_id: int
    asset_bytes: int
    unknown_share: float


@dataclass(frozen=True)
class SearchSpace:
    """All that a search depends on. `full` is the teacher as a student; `spectrum` its table's variances."""

    full: StudentConfig
    spectrum: tuple[float, ...]  # ascending eigenvalues of the table's weighted covariance
    vocabularies: tuple[Vocabulary, ...]
    targets: tuple[Target, ...]
    max_length: int
    keep_types: bool
    structure: Structure = field(default_factory=Structure)

    @property
    def hidden_size(self) -> int:
        """The student's hidden size."""
        wanted, most = self.structure.hidden_size, self.full.hidden_size
        if wanted > most:
            raise InputError(f"structure: hidden_size is {wanted}; the teacher's is {most}, allowed: 1 to that, or 0")
        return wanted or most

    @property
    def head_inputs(self) -> int:
        """Units that a sequence head's dense layer has at most: one as wide as the stream is cut with it."""
        full = self.full
        follows = full.classifier_inputs == full.hidden_size
        return self.hidden_size if follows else full.classifier_inputs

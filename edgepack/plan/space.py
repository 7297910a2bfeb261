"""What a plan is chosen from: the teacher's shape, vocabularies, the targets, and what the recipe fixes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgepack.compress.sharing import SHARING_KINDS
from edgepack.errors import InputError
from edgepack.quantization import BITS
from edgepack.student.config import KERNELS, NORMS, StudentConfig
from edgepack.target import Target

VOCABULARIES = ("free", "whole", "task")
EMBEDDINGS = ("linear", "self_attentive")
MOST_WIDE_ROWS = 65_536
FREE_KERNEL, CONVOLVED_LAYERS = 5, 2  # words that a tagger of at most so many layers reads where the recipe leaves it
ROUNDED = tuple(bits for bits in BITS if bits < 32)


@dataclass(frozen=True)
class Structure:
    """What a recipe fixes of the student's structure; the budget decides the rest.

    `sharing`: a pattern of `compress/sharing.py`. `embedding`: "linear" or "self_attentive" (Subformer's SAFE).
    `rank_share`: every body matrix in two factors whose rank is this share of its smaller side; 0: none.
    `hidden_size`: 0 is the teacher's. `body_bits`, `embedding_bits`: 0 is free. `vocabulary`: "free", "whole" (the
    largest choice there is) or "task" (the smallest: what the training data needs). `norm`: "layer_norm", or
    MobileBERT's "no_norm", fitted to the teacher's norms. `wide_rows`: of a table of tokens' scores beside the encoder
    of a classifier, at most; 0: none. `embedding_kernel`: words that a convolution over word vectors reads; 1: none; 0:
    `FREE_KERNEL` in a student of few layers that tags words, else none. `match_feature`: whether a student of pairs
    marks the tokens that both texts have.
    """

    sharing: str = "none"
    embedding: str = "linear"
    rank_share: float = 0.0
    hidden_size: int = 0
    body_bits: int = 0
    embedding_bits: int = 0
    vocabulary: str = "free"
    norm: str = "layer_norm"
    wide_rows: int = 512
    embedding_kernel: int = 0
    match_feature: bool = True

    def __post_init__(self) -> None:
        choices: dict[str, tuple[Any, ...]] = {
            "sharing": SHARING_KINDS,
            "embedding": EMBEDDINGS,
            "vocabulary": VOCABULARIES,
            "norm": NORMS,
            "body_bits": (0, *ROUNDED),
            "embedding_bits": (0, *ROUNDED),
            "embedding_kernel": (0, *KERNELS) if self.embedding == "linear" else (0, 1),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                listed = ", ".join(map(str, allowed))
                if name == "embedding_kernel" and self.embedding != "linear":
                    listed += f" with embedding {self.embedding!r}"
                raise InputError(f"structure: {name} is {getattr(self, name)!r}; allowed: {listed}")
        if not 0 <= self.rank_share < 1:
            raise InputError(f"structure: rank_share is {self.rank_share}; allowed: 0 (whole) up to, not including, 1")
        if self.hidden_size < 0:
            raise InputError(f"structure: hidden_size is {self.hidden_size}; allowed: 0 (the teacher's) or more")
        if not 0 <= self.wide_rows <= MOST_WIDE_ROWS:
            raise InputError(f"structure: wide_rows is {self.wide_rows}; allowed: 0 (no table) to {MOST_WIDE_ROWS:,}")

    @property
    def asks_for_table(self) -> bool:
        """Whether a recipe says itself that it wants a table beside the encoder, and of how many rows."""
        return self.wide_rows not in (0, Structure.wide_rows)


@dataclass(frozen=True)
class Vocabulary:
    """One choice of tokens: teacher ids (`None`: all, as they are), asset size, share of held-out tokens it lacks.

    `separator_id`: of the token that the tokenizer puts between two texts, where the student is to mark matches.
    """

    ids: tuple[int, ...] | None
    size: int
    pad_id: int
    asset_bytes: int
    unknown_share: float
    separator_id: int | None = None


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
    new_body: bool = False  # nothing of the teacher's layers is in the student that training starts from
    wide_rows: int = 0  # of the table beside the encoder

    @property
    def hidden_size(self) -> int:
        """The student's hidden size."""
        wanted, most = self.structure.hidden_size, self.full.hidden_size
        if wanted > most:
            raise InputError(f"structure: hidden_size is {wanted}; the teacher's is {most}, allowed: 1 to that, or 0")
        return wanted or most

    def kernel(self, layers: int, embedding: int) -> int:
        """Words that the convolution of a student of so many layers and word vectors of this size reads; 1: none."""
        full, wanted = self.full, self.structure.embedding_kernel
        narrowed = full.embedding_projection == "identity" and embedding < self.hidden_size
        if self.structure.embedding != "linear" or not (narrowed or full.can_convolve):
            return 1
        return wanted or (FREE_KERNEL if full.per_token and layers <= CONVOLVED_LAYERS else 1)

    @property
    def head_inputs(self) -> int:
        """Units that a sequence head's dense layer has at most: one as wide as the stream is cut with it."""
        full = self.full
        follows = full.classifier_inputs == full.hidden_size
        return self.hidden_size if follows else full.classifier_inputs

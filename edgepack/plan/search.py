"""From a budget to a shape and bit widths: a deterministic search over a small, argued space.

What is searched, and why just this:
- The teacher's depth and hidden width stay as long as they fit. Keeping every layer lets each hidden state be
  distilled, which was worth 5 points on SST-2 at 4 MB; fewer layers are considered at a price.
- Heads per layer 1 … all; FFN units 0.5, 0.75 or 1 times the same share of the teacher's.
- Embedding width in steps of 16 where the teacher's table can be factorized, the teacher's own otherwise.
- Vocabulary: whole, or trimmed to a few sizes not below what the training data needs.
- 8 or 4 bits, for the body and for the embedding: whatever all targets of the build can run.

Candidates are ordered by an estimate of what they lose (constants below; docs/plan.md says where they come
from); the first that fits on every target is the plan. The estimate only ranks: nothing downstream trusts it. A term
for compute stops a large budget from buying a slow model: on a phone, time is a size too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from edgepack.errors import InputError
from edgepack.parameters import UNITS
from edgepack.plan.model_size import ModelSize
from edgepack.plan.size import model_size
from edgepack.student.carve import spread_layers, weighted_covariance
from edgepack.student.config import StudentConfig, changed_config
from edgepack.target import Target

BODY_LOSS, BODY_POWER = 0.0021, 1.4  # share s of the teacher's body loses 0.0021 · (s^-1.4 − 1)
COMPUTE_PRICE = 0.03  # what a whole teacher's compute is worth, in metric
DEPTH_LOSS = 0.06  # for giving up all layers, in proportion
SPECTRUM_LOSS = 0.02  # for giving up all of the embedding table's variance, in proportion
UNKNOWN_LOSS = 0.45  # per share of tokens that a trimmed vocabulary must spell in other pieces
BITS_LOSS = {("body", 4): 0.002, ("embedding", 4): 0.001}
WIDTH_STEP, WIDEST = 16, 2 / 3  # wider than that, a table mostly costs training time and bytes
FFN_SHARES, FFN_STEP = (0.5, 0.75, 1.0), 32
SHOWN = 8


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


@dataclass(frozen=True)
class Candidate:
    """A shape with its widths, its estimated loss and its exact bytes on each target."""

    config: StudentConfig
    layers: tuple[int, ...]
    vocabulary: Vocabulary
    estimated_loss: float
    sizes: dict[str, ModelSize]

    @property
    def shipped_bytes(self) -> dict[str, int]:
        """Predicted bytes by target, tokenizer asset included."""
        return {name: size.total + self.vocabulary.asset_bytes for name, size in self.sizes.items()}

    def describe(self) -> dict[str, Any]:
        """The shape in a few figures."""
        config = self.config
        return {
            "layers": config.num_hidden_layers,
            "heads": (config.num_heads or [])[0],
            "ffn": (config.intermediate_sizes or [])[0],
            "embedding": config.embedding_size,
            "vocabulary": config.vocab_size,
            "body_bits": config.body_bits,
            "embedding_bits": config.embedding_bits,
            "estimated_loss": round(self.estimated_loss, 5),
            "bytes": self.shipped_bytes,
        }


@dataclass(frozen=True)
class Plan:
    """The chosen candidate first, then the runners-up; `note` says why budget is left over, if it is."""

    candidates: tuple[Candidate, ...]
    budget_bytes: int
    note: str | None

    @property
    def chosen(self) -> Candidate:
        """What will be built."""
        return self.candidates[0]


def search(space: SearchSpace, budget_bytes: int) -> Plan:
    """The best candidates within `budget_bytes` on every target; `InputError` with the smallest when none fits."""
    found: list[Candidate] = []
    for shape in sorted(_shapes(space), key=lambda shape: shape.loss):  # stable: ties stay in the order they are made
        if _rough_bytes(space.full, shape) > budget_bytes:
            continue
        candidate = _candidate(space, shape)
        if max(candidate.shipped_bytes.values()) <= budget_bytes:
            found.append(candidate)
            if len(found) == SHOWN:
                break
    if not found:
        raise InputError(_nothing_fits(space, budget_bytes))
    return Plan(tuple(found), budget_bytes, _note(found[0], budget_bytes))


def embedding_spectrum(table: torch.Tensor, token_counts: torch.Tensor) -> tuple[float, ...]:
    """Ascending variances of the word table's principal directions, weighted as carving weighs them."""
    _, covariance = weighted_covariance(table, token_counts)
    return tuple(torch.linalg.eigvalsh(covariance).clamp(min=0).tolist())


@dataclass(frozen=True)
class Shape:
    """A point of the space, with what it is estimated to lose."""

    loss: float
    layers: tuple[int, ...]
    heads: int
    ffn: int
    width: int
    vocabulary: Vocabulary
    body_bits: int
    embedding_bits: int


def _shapes(space: SearchSpace) -> Iterator[Shape]:
    for layers, heads, ffn, body in _bodies(space.full):
        for width, vocabulary, table in _tables(space):
            for body_bits in _common([t.body_bits for t in space.targets]):
                for embedding_bits in _common([t.embedding_bits for t in space.targets]):
                    bits = BITS_LOSS.get(("body", body_bits), 0.0) + BITS_LOSS.get(("embedding", embedding_bits), 0.0)
                    loss = round(body + table + bits, 9)
                    yield Shape(loss, layers, heads, ffn, width, vocabulary, body_bits, embedding_bits)


def _bodies(full: StudentConfig) -> Iterator[tuple[tuple[int, ...], int, int, float]]:
    """Layers, heads, FFN units and the estimated loss of every body."""
    total_heads, total_ffn = max(full.num_heads or []), max(full.intermediate_sizes or [])
    for count in range(1, full.num_hidden_layers + 1):
        layers = tuple(spread_layers(full.num_hidden_layers, count))
        for heads in range(1, total_heads + 1):
            for share in FFN_SHARES:
                ffn = min(
                    total_ffn, max(FFN_STEP, FFN_STEP * round(share * heads / total_heads * total_ffn / FFN_STEP))
                )
                compute = _compute(full, count, heads, ffn)
                depth = DEPTH_LOSS * (1 - count / full.num_hidden_layers)
                yield layers, heads, ffn, BODY_LOSS * (compute**-BODY_POWER - 1) + COMPUTE_PRICE * compute + depth


def _tables(space: SearchSpace) -> Iterator[tuple[int, Vocabulary, float]]:
    """Width, vocabulary and the estimated loss of every embedding table."""
    full, spectrum = space.full, space.spectrum
    widths = [full.embedding_size]
    if full.embedding_projection == "identity":
        widths = list(range(WIDTH_STEP, int(full.hidden_size * WIDEST) + 1, WIDTH_STEP))
    for width in widths:
        lost = sum(spectrum[: len(spectrum) - width]) / (sum(spectrum) or 1.0)
        for vocabulary in space.vocabularies:
            yield width, vocabulary, SPECTRUM_LOSS * lost + UNKNOWN_LOSS * vocabulary.unknown_share


def _common(choices: Sequence[tuple[int, ...]]) -> list[int]:
    shared = sorted(set.intersection(*(set(choice) for choice in choices)), reverse=True)
    if not shared:
        raise InputError("the targets have no bit width in common; build them one at a time")
    return shared


def _compute(full: StudentConfig, layers: int, heads: int, ffn: int) -> float:
    """Share of the teacher's multiply-adds per token in attention projections and FFN."""
    size = (full.head_sizes or [])[0]
    ours = layers * (4 * heads * size + 2 * ffn)
    sharing = zip(full.attention_sharing or [], full.ffn_sharing or [], strict=True)
    theirs = sum(4 * (full.num_heads or [])[a] * size + 2 * (full.intermediate_sizes or [])[f] for a, f in sharing)
    return ours / theirs


def _rough_bytes(full: StudentConfig, shape: Shape) -> float:
    """A lower bound of the bytes: weights at their widths, the vocabulary, nothing else."""
    sets = len({(full.attention_sharing or [])[layer] for layer in shape.layers})
    body = sets * full.hidden_size * (4 * shape.heads * (full.head_sizes or [])[0] + 2 * shape.ffn)
    table = shape.vocabulary.size * shape.width
    return table * shape.embedding_bits / 8 + body * shape.body_bits / 8 + shape.vocabulary.asset_bytes


def _candidate(space: SearchSpace, shape: Shape) -> Candidate:
    """The shape as a config, with its exact bytes."""
    full, vocabulary = space.full, shape.vocabulary
    sharing = [(full.attention_sharing or [])[layer] for layer in shape.layers]
    numbers = sorted(set(sharing))
    sharing = [numbers.index(s) for s in sharing]
    changes: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "vocab_map": list(vocabulary.ids) if vocabulary.ids is not None else None,
        "pad_token_id": vocabulary.pad_id,
        "embedding_size": shape.width,
        "num_hidden_layers": len(shape.layers),
        "attention_sharing": sharing,
        "ffn_sharing": sharing,
        "num_heads": [shape.heads] * len(numbers),
        "head_sizes": [(full.head_sizes or [])[0]] * len(numbers),
        "intermediate_sizes": [shape.ffn] * len(numbers),
        "ranks": None,
        "max_position_embeddings": space.max_length,
        "type_vocab_size": full.type_vocab_size if space.keep_types else 0,
        "body_bits": shape.body_bits,
        "embedding_bits": shape.embedding_bits,
    }
    if shape.width < full.hidden_size and full.embedding_projection == "identity":
        changes |= {"embedding_projection": "linear", "projection_bias": False}
    config = changed_config(full, **changes)
    sizes = {target.name: model_size(config, target) for target in space.targets}
    return Candidate(config, shape.layers, vocabulary, shape.loss, sizes)


def _nothing_fits(space: SearchSpace, budget_bytes: int) -> str:
    """One line with the smallest budget that would do."""
    smallest = min(_shapes(space), key=lambda shape: (_rough_bytes(space.full, shape), shape.loss))
    needed = _candidate(space, smallest).shipped_bytes
    target = max(needed, key=lambda name: needed[name])
    megabytes = math.ceil(needed[target] / UNITS["mb"] * 100) / 100
    return (
        f"budget of {budget_bytes} bytes: no shape fits; the smallest needs {needed[target]} bytes on {target}; "
        f"give at least -b {megabytes:g}MB"
    )


def _note(chosen: Candidate, budget_bytes: int) -> str | None:
    """Why the budget is not used up, where less than 90 % of it is."""
    short = {name: size for name, size in chosen.shipped_bytes.items() if size < 0.9 * budget_bytes}
    if not short:
        return None
    parts = ", ".join(f"{name} {size / budget_bytes:.0%}" for name, size in sorted(short.items()))
    tightest = max(chosen.shipped_bytes, key=lambda name: chosen.shipped_bytes[name])
    if tightest not in short:
        return f"budget not used up ({parts}): one student serves all targets, and {tightest} has no room for more"
    return (
        f"budget not used up ({parts}): more bytes are estimated to cost more in latency than they gain in the metric"
    )

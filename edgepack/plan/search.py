"""From a budget to a shape and bit widths: a deterministic search over a small, argued space.

What is searched, and why just this:
- The teacher's depth and hidden width stay as long as they fit. Keeping every layer lets each hidden state be
  distilled, which was worth 5 points on SST-2 at 4 MB; fewer layers are considered at a price.
- Heads per layer 1 … all; FFN units 0.5, 0.75 or 1 times the same share of the teacher's.
- Embedding width in steps of 16 where the teacher's table can be factorized, the teacher's own otherwise.
- Vocabulary: whole, or trimmed to a few sizes not below what the training data needs.
- The units of a sequence head's dense layer: all, or a quarter.
- Bit widths of body and embedding: whatever all targets of the build can run.
- Another hidden width, sharing, a self-attentive embedding and low rank only where the recipe asks for them, and
  bit widths and a vocabulary as it fixes them (`Structure`).

Candidates must be fast: a model k times smaller than the teacher's int8 file should be k^0.64 times as fast, by the
estimate in `speed.py`; where no shape is, the fastest go on. They are ordered by an estimate of what they lose
(`losses.py`); the first that fits on every target is the plan. The estimates only rank: nothing downstream trusts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.compress.layers import spread_layers
from edgepack.compress.sharing import share_pattern
from edgepack.errors import InputError
from edgepack.parameters import UNITS
from edgepack.plan.losses import body_loss, body_rounding_loss, head_loss, table_loss
from edgepack.plan.model_size import ModelSize
from edgepack.plan.size import model_size
from edgepack.plan.speed import speed_goal, student_time, teacher_time, token_labels
from edgepack.quantization import bit_width
from edgepack.student.config import StudentConfig, changed_config
from edgepack.target import Target

WIDTH_STEP, WIDEST = 16, 2 / 3  # wider than that, a table mostly costs training time and bytes
FFN_SHARES, FFN_STEP = (0.5, 0.75, 1.0), 32
HEAD_SHARES = (1.0, 0.25)
SHOWN = 8
VOCABULARIES = ("free", "whole", "task")


@dataclass(frozen=True)
class Structure:
    """What a recipe fixes beside the budget's choices.

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
        """The student's hidden width."""
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


@dataclass(frozen=True)
class Candidate:
    """A shape with its widths, its estimated loss and its exact bytes on each target."""

    config: StudentConfig
    layers: tuple[int, ...]
    vocabulary: Vocabulary
    estimated_loss: float
    estimated_speed: float  # times as fast as the teacher's int8 model
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
            "head": config.classifier_inputs,
            "estimated_loss": round(self.estimated_loss, 5),
            "estimated_speed": round(self.estimated_speed, 2),
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
    bodies, tables = _fast_enough(space, list(_bodies(space)), budget_bytes), list(_tables(space))
    # a shape is a body with a table: losses and bytes add up, so the whole grid is two outer sums
    losses = np.add.outer([body.loss for body in bodies], [table.loss for table in tables]).round(9)
    rough = np.add.outer([body.bytes for body in bodies], [table.bytes for table in tables])
    found: list[Candidate] = []
    fitting = np.flatnonzero(rough <= budget_bytes)
    for place in fitting[np.argsort(losses.ravel()[fitting], kind="stable")]:
        b, t = np.unravel_index(place, losses.shape)
        candidate = _candidate(space, bodies[b], tables[t])
        if max(candidate.shipped_bytes.values()) <= budget_bytes:
            found.append(candidate)
            if len(found) == SHOWN:
                break
    if not found:
        raise InputError(_nothing_fits(space, budget_bytes))
    return Plan(tuple(found), budget_bytes, _note(found[0], budget_bytes))


@dataclass(frozen=True)
class Body:
    """Layers, widths and head, with what they are estimated to lose, to weigh at least, and to take."""

    layers: tuple[int, ...]
    heads: int
    ffn: int
    head_size: int
    bits: int
    loss: float
    bytes: float
    time: float


@dataclass(frozen=True)
class Table:
    """An embedding table, likewise."""

    width: int
    vocabulary: Vocabulary
    bits: int
    loss: float
    bytes: float


def _bodies(space: SearchSpace) -> Iterator[Body]:
    full = space.full
    most_heads, most_ffn = max(full.num_heads or []), max(full.intermediate_sizes or [])
    size, hidden = (full.head_sizes or [])[0], space.hidden_size
    widths = _widths(space.structure.body_bits, "body", [target.body_bits for target in space.targets])
    labels = token_labels(full)
    for count in range(1, full.num_hidden_layers + 1):
        layers = tuple(spread_layers(full.num_hidden_layers, count))
        attention_sets, ffn_sets = (len(set(sharing)) for sharing in _sharing(space, layers))
        for heads in range(1, most_heads + 1):
            for share in FFN_SHARES:
                ffn = min(most_ffn, max(FFN_STEP, FFN_STEP * round(share * heads / most_heads * most_ffn / FFN_STEP)))
                attention_weights, ffn_weights = 4 * hidden * heads * size, 2 * hidden * ffn
                if space.structure.rank_share:
                    attention_weights = 4 * (hidden + heads * size) * _rank(space, hidden, heads * size)
                    ffn_weights = 2 * (hidden + ffn) * _rank(space, hidden, ffn)
                time = student_time(count, heads, size, ffn, hidden, labels)
                for head_share in HEAD_SHARES if full.head_act else (1.0,):
                    head = round(head_share * space.head_inputs)
                    weights = attention_sets * attention_weights + ffn_sets * ffn_weights
                    weights += hidden * head if full.head_act else 0
                    for bits in widths:
                        loss = body_loss(full, count, heads, ffn) + head_loss(head_share) + body_rounding_loss(bits)
                        yield Body(layers, heads, ffn, head, bits, loss, weights * file_bits(bits) / 8, time)


def _tables(space: SearchSpace) -> Iterator[Table]:
    full = space.full
    widths = [full.embedding_size]
    if full.embedding_projection == "identity":
        widths = list(range(WIDTH_STEP, int(space.hidden_size * WIDEST) + 1, WIDTH_STEP))
    choices = _widths(space.structure.embedding_bits, "embedding", [target.embedding_bits for target in space.targets])
    for width in widths:
        for vocabulary in _vocabularies(space):
            for bits in choices:
                loss = table_loss(space.spectrum, width, bits, vocabulary.unknown_share)
                size = vocabulary.size * width * file_bits(bits) / 8 + vocabulary.asset_bytes
                yield Table(width, vocabulary, bits, loss, size)


def file_bits(bits: int) -> float:
    """Bits that a weight takes in a file."""
    return bit_width(bits).stored_bits


def _fast_enough(space: SearchSpace, bodies: list[Body], budget_bytes: int) -> list[Body]:
    """The bodies that reach the budget's speed goal; where none does, the fastest ones."""
    goal = teacher_time(space.full) / speed_goal(space.full, budget_bytes)
    limit = max(goal, min(body.time for body in bodies))
    return [body for body in bodies if body.time <= limit]


def _vocabularies(space: SearchSpace) -> Sequence[Vocabulary]:
    """Those that the structure leaves."""
    choices = space.vocabularies
    if space.structure.vocabulary == "free":
        return choices
    chosen = max if space.structure.vocabulary == "whole" else min
    return [chosen(choices, key=lambda vocabulary: vocabulary.size)]


def _widths(fixed: int, name: str, choices: Sequence[tuple[int, ...]]) -> list[int]:
    """The bit widths to look at: all that every target can run, or the one that the structure fixes."""
    shared = _common(choices)
    if fixed and fixed not in shared:
        raise InputError(f"structure: {name}_bits is {fixed}; the targets can run: {', '.join(map(str, shared))}")
    return [fixed] if fixed else shared


def _common(choices: Sequence[tuple[int, ...]]) -> list[int]:
    shared = sorted(set.intersection(*(set(choice) for choice in choices)), reverse=True)
    if not shared:
        raise InputError("the targets have no bit width in common; build them one at a time")
    return shared


def _sharing(space: SearchSpace, layers: Sequence[int]) -> tuple[list[int], list[int]]:
    """The weight set of each layer: the teacher's own sharing, and the structure's on top."""
    if space.structure.sharing != "none":
        return share_pattern(space.structure.sharing, len(layers))
    numbered = []
    for sharing in (space.full.attention_sharing or [], space.full.ffn_sharing or []):
        own = [sharing[layer] for layer in layers]
        numbered.append([sorted(set(own)).index(s) for s in own])
    return numbered[0], numbered[1]


def _rank(space: SearchSpace, a: int, b: int) -> int:
    return max(1, round(space.structure.rank_share * min(a, b)))


def _candidate(space: SearchSpace, body: Body, table: Table) -> Candidate:
    """The shape as a config, with its exact bytes."""
    full, vocabulary = space.full, table.vocabulary
    attention_sharing, ffn_sharing = _sharing(space, body.layers)
    attention_sets, ffn_sets = len(set(attention_sharing)), len(set(ffn_sharing))
    size, hidden = (full.head_sizes or [])[0], space.hidden_size
    ranks = None
    if space.structure.rank_share:
        attention_rank, ffn_rank = _rank(space, hidden, body.heads * size), _rank(space, hidden, body.ffn)
        ranks = dict.fromkeys(("query", "key", "value", "output"), [attention_rank] * attention_sets)
        ranks |= dict.fromkeys(("up", "down"), [ffn_rank] * ffn_sets)
    changes: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "vocab_map": list(vocabulary.ids) if vocabulary.ids is not None else None,
        "pad_token_id": vocabulary.pad_id,
        "embedding_size": table.width,
        "hidden_size": hidden,
        "num_hidden_layers": len(body.layers),
        "attention_sharing": attention_sharing,
        "ffn_sharing": ffn_sharing,
        "num_heads": [body.heads] * attention_sets,
        "head_sizes": [size] * attention_sets,
        "intermediate_sizes": [body.ffn] * ffn_sets,
        "ranks": ranks,
        "head_size": body.head_size if full.head_act and body.head_size != hidden else 0,
        "max_position_embeddings": space.max_length,
        "type_vocab_size": full.type_vocab_size if space.keep_types else 0,
        "body_bits": body.bits,
        "embedding_bits": table.bits,
    }
    if table.width < hidden and full.embedding_projection == "identity":
        changes |= {"embedding_projection": "linear", "projection_bias": False}
        if space.structure.embedding == "self_attentive":
            changes |= {
                "embedding_projection": "self_attentive",
                "embedding_num_heads": max(1, table.width // size),
                "embedding_intermediate_size": 2 * table.width,
            }
    config = changed_config(full, **changes)
    sizes = {target.name: model_size(config, target) for target in space.targets}
    loss = round(body.loss + table.loss, 9)
    return Candidate(config, body.layers, vocabulary, loss, teacher_time(full) / body.time, sizes)


def _nothing_fits(space: SearchSpace, budget_bytes: int) -> str:
    """One line with the smallest budget that would do."""
    body = min(_bodies(space), key=lambda body: (body.bytes, body.loss))
    table = min(_tables(space), key=lambda table: (table.bytes, table.loss))
    needed = _candidate(space, body, table).shipped_bytes
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

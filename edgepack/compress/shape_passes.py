"""The passes that change a student's shape, one axis each; the maths is in the file of each method."""

from __future__ import annotations

from dataclasses import replace

import torch

from edgepack.compress.hidden_size import compensate, cut_hidden
from edgepack.compress.layers import select_layers
from edgepack.compress.low_rank import Ranks, factorize_matrices, rank_of, smaller_sides
from edgepack.compress.narrow_embedding import (
    add_convolution,
    add_match,
    factorize_embedding,
    self_attentive_embedding,
)
from edgepack.compress.passes import Evidence, Goal, Pass, PassResult
from edgepack.compress.share_layers import share_layers
from edgepack.compress.surgery import rebuild
from edgepack.compress.tables import fold_token_types, trim_positions, trim_vocabulary
from edgepack.compress.units import Importance, cut_head, keep_units, top_indices, top_numbers
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student

FITTED_EXAMPLES = 512  # whose states are held in memory at once, to fit norms and matrices to


class SelectLayers(Pass):
    """Keep the goal's layers of the teacher."""

    name = "layers"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        layers, most = list(goal.layers), student.config.num_hidden_layers
        if not layers or layers != sorted(set(layers)) or layers[0] < 0 or layers[-1] >= most:
            return f"layers are {layers}; allowed: rising numbers from 0 to {most - 1}"
        return _differs("num_hidden_layers of the shape", goal.shape.num_hidden_layers, len(layers))

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if goal.layers == tuple(range(student.config.num_hidden_layers)):
            return PassResult(student, evidence, False)
        return PassResult(select_layers(student, goal.layers, share=True), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("num_hidden_layers", student.config.num_hidden_layers, goal.shape.num_hidden_layers)


class ReplaceNorms(Pass):
    """Norms of the goal's kind, fitted with the matrices behind them to what the student gave before."""

    name = "norms"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        if goal.shape.norm != student.config.norm and evidence.examples is None:
            return "there are no examples to fit norms to; give some, or keep the kind of norm"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if goal.shape.norm == student.config.norm or evidence.examples is None:
            return PassResult(student, evidence, False)
        every = torch.arange(student.config.hidden_size)
        replaced = rebuild(student, student.state_dict(), norm=goal.shape.norm)
        with evidence.examples.sample(student, FITTED_EXAMPLES) as batches:
            fitted = compensate(replaced, student, every, list(batches))
        return PassResult(fitted, evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("norm", student.config.norm, goal.shape.norm)


class CutHiddenSize(Pass):
    """Keep the hidden dimensions of greatest importance, and fit norms and matrices to what the cut shifts."""

    name = "hidden size"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        size, most = goal.shape.hidden_size, student.config.hidden_size
        if not 0 < size <= most:
            return f"hidden size is {size}; allowed: 1 to {most}"
        if size == most:
            return None
        if evidence.examples is None:
            return "there are no examples to fit norms to; give some, or keep the hidden size"
        if evidence.hidden is None or len(evidence.hidden.hidden) != most:
            return f"the importance of {most} hidden dimensions is needed; measure it on this student"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        size = goal.shape.hidden_size
        if size == student.config.hidden_size or evidence.hidden is None or evidence.examples is None:
            return PassResult(student, evidence, False)
        scores = evidence.hidden
        kept, head = top_numbers(scores.hidden, size), None
        if scores.head is not None and len(scores.head) == len(scores.hidden):
            head = top_numbers(scores.head, size)
        with evidence.examples.sample(student, FITTED_EXAMPLES) as batches:
            fitted = compensate(cut_hidden(student, kept, head), student, kept, list(batches), head)
        hidden_map = torch.eye(len(scores.hidden))[:, kept]
        return PassResult(fitted, replace(evidence, hidden=None, hidden_map=hidden_map), True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("hidden_size", student.config.hidden_size, goal.shape.hidden_size)


class FoldTokenTypes(Pass):
    """Drop the token-type table where the task has single texts."""

    name = "token types"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, there = goal.shape.type_vocab_size, student.config.type_vocab_size
        return f"type_vocab_size is {wanted}; allowed: 0 or {there}" if wanted not in (0, there) else None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if goal.shape.type_vocab_size == student.config.type_vocab_size:
            return PassResult(student, evidence, False)
        return PassResult(fold_token_types(student, share=True), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("type_vocab_size", student.config.type_vocab_size, goal.shape.type_vocab_size)


class TrimPositions(Pass):
    """Keep the positions that the task's texts reach."""

    name = "positions"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, most = goal.shape.max_position_embeddings, student.config.max_position_embeddings
        return f"max length {wanted}; allowed: 1 to {most}" if not 0 < wanted <= most else None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        wanted = goal.shape.max_position_embeddings
        if wanted == student.config.max_position_embeddings:
            return PassResult(student, evidence, False)
        return PassResult(trim_positions(student, wanted, share=True), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted = goal.shape.max_position_embeddings
        return _differs("max_position_embeddings", student.config.max_position_embeddings, wanted)


class TrimVocabulary(Pass):
    """Keep the rows of the goal's tokens; token ids are the student's own from here on."""

    name = "vocabulary"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, config = goal.shape.vocab_map, student.config
        if wanted is None or wanted == config.vocab_map:
            return None
        if config.vocab_map is not None:
            return "the student has a vocabulary of its own; the goal's numbers are the teacher's"
        if not wanted or min(wanted) < 0 or max(wanted) >= config.vocab_size:
            return f"vocab_map has {len(wanted)} ids; allowed: some from 0 to {config.vocab_size - 1}"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        shape = goal.shape
        if shape.vocab_map is None or shape.vocab_map == student.config.vocab_map:
            return PassResult(student, evidence, False)
        trimmed = trim_vocabulary(student, shape.vocab_map, shape.pad_token_id, share=True)
        return PassResult(trimmed, evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("vocab_size", student.config.vocab_size, goal.shape.vocab_size)


class NarrowEmbedding(Pass):
    """A table of the goal's size, with a linear or self-attentive way to the hidden size."""

    name = "embedding"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        size, config = goal.shape.embedding_size, student.config
        if size == config.embedding_size:
            return None
        least = 2 if goal.shape.embedding_projection == "self_attentive" else 1  # LayerNorm takes one dimension
        if config.embedding_projection != "identity" or not least <= size < config.hidden_size:
            return (
                f"embedding size {size} from an embedding of {config.embedding_size} ({config.embedding_projection}); "
                f"allowed: {least} to {config.hidden_size - 1}, from an identity embedding"
            )
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        shape, counts, seed = goal.shape, evidence.token_counts, evidence.seed
        if shape.embedding_size == student.config.embedding_size:
            return PassResult(student, evidence, False)
        if counts is not None and student.config.vocab_map:
            counts = counts[torch.as_tensor(student.config.vocab_map)]
        if shape.embedding_projection == "self_attentive":
            heads, units = shape.embedding_num_heads, shape.embedding_intermediate_size
            narrow = self_attentive_embedding(student, shape.embedding_size, heads, units, counts, seed)
        else:
            narrow = factorize_embedding(student, shape.embedding_size, counts, seed, share=True)
        return PassResult(narrow, evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted = (goal.shape.embedding_size, goal.shape.embedding_projection)
        return _differs("embedding", (student.config.embedding_size, student.config.embedding_projection), wanted)


class ConvolveWords(Pass):
    """A convolution over the word vectors, which adds nothing yet."""

    name = "convolution"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        kernel, config = goal.shape.embedding_kernel, student.config
        if kernel > 1 and not config.can_convolve:
            return f"embedding_kernel is {kernel}; allowed: 1, where word vectors are not projected by themselves"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if goal.shape.embedding_kernel == student.config.embedding_kernel:
            return PassResult(student, evidence, False)
        return PassResult(add_convolution(student, goal.shape.embedding_kernel), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("embedding_kernel", student.config.embedding_kernel, goal.shape.embedding_kernel)


class MatchWords(Pass):
    """A vector for tokens that the other text of a pair has too, which adds nothing yet."""

    name = "matching words"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, there, tokens = goal.shape.match_separator, student.config.match_separator, student.config.vocab_size
        if wanted is not None and wanted >= tokens:
            return f"match_separator is {wanted}; allowed: an id below {tokens}"
        return None if there in (None, wanted) else f"match_separator is {wanted}; allowed: {there}, the student's own"

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        separator = goal.shape.match_separator
        if separator is None or separator == student.config.match_separator:
            return PassResult(student, evidence, False)
        return PassResult(add_match(student, separator), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("match_separator", student.config.match_separator, goal.shape.match_separator)


class ShareLayers(Pass):
    """Merge the weight sets of layers that are to share; their importance is summed."""

    name = "sharing"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        layers = student.config.num_hidden_layers
        lengths = tuple(len(sharing) for sharing in _sharing(goal.shape))
        return _differs("layers of attention_sharing and ffn_sharing", lengths, (layers, layers))

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        wanted = _sharing(goal.shape)
        if wanted == _sharing(student.config):
            return PassResult(student, evidence, False)
        shared, importance = share_layers(student, *wanted), evidence.importance
        if importance is not None:
            importance = Importance(
                tuple(merge.sum_scores(importance.heads) for merge in shared.attention),
                tuple(merge.sum_scores(importance.units) for merge in shared.feed_forward),
            )
        return PassResult(shared.student, replace(evidence, importance=importance), True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("sharing", _sharing(student.config), _sharing(goal.shape))


class KeepUnits(Pass):
    """Keep the heads and FFN units of greatest importance, as many of each weight set as the goal has."""

    name = "heads and units"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, there = _units(goal.shape), _units(student.config)
        for field, few, many in zip(("num_heads", "intermediate_sizes"), wanted, there, strict=True):
            if len(few) != len(many) or any(not 0 < a <= b for a, b in zip(few, many, strict=True)):
                return f"{field} is {few}; allowed: 1 to {many}"
        if wanted == there:
            return None
        if evidence.importance is None:
            return "importance of heads and units is needed; measure it on this student"
        scores = evidence.importance
        return _differs("importance", ([len(h) for h in scores.heads], [len(u) for u in scores.units]), there)

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        wanted, importance = _units(goal.shape), evidence.importance
        if wanted == _units(student.config) or importance is None:
            return PassResult(student, evidence, False)
        kept = keep_units(student, *top_indices(importance, *wanted))
        return PassResult(kept, replace(evidence, importance=None), True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("heads and units", _units(student.config), _units(goal.shape))


class CutHead(Pass):
    """Keep the units of the head's dense layer that move the logits most."""

    name = "head"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        wanted, most = goal.shape.classifier_inputs, student.config.classifier_inputs
        if not 0 < wanted <= most:
            return f"the classifier's inputs are {wanted}; allowed: 1 to {most}"
        if wanted < most and student.head.dense is None:
            return f"the classifier reads the hidden states, {most} numbers; allowed: as many"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        wanted = goal.shape.classifier_inputs
        if wanted == student.config.classifier_inputs:
            return PassResult(student, evidence, False)
        return PassResult(cut_head(student, wanted), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("inputs of the classifier", student.config.classifier_inputs, goal.shape.classifier_inputs)


class FactorizeMatrices(Pass):
    """Replace each matrix that has a rank by two thin factors: the chosen ranks, or the shape's."""

    name = "low rank"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        ranks = _ranks(goal, evidence)
        for name, side in smaller_sides(student).items():
            rank = rank_of(ranks, name)
            if not 0 <= rank <= side:
                return f"rank {rank} of {name}; allowed: 0 to {side}"
            if rank and evidence.moments is not None and name not in evidence.moments:
                return f"there is no moment of {name}; measure them on this student"
        return None

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        ranks = _ranks(goal, evidence)
        if ranks == student.config.ranks:
            return PassResult(student, evidence, False)
        return PassResult(factorize_matrices(student, ranks, evidence.moments), evidence, True)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _differs("ranks", student.config.ranks, _ranks(goal, evidence))


def _ranks(goal: Goal, evidence: Evidence) -> Ranks:
    return evidence.ranks or goal.shape.ranks or {}


def _sharing(config: StudentConfig) -> tuple[list[int], list[int]]:
    return config.attention_sharing or [], config.ffn_sharing or []


def _units(config: StudentConfig) -> tuple[list[int], list[int]]:
    return config.num_heads or [], config.intermediate_sizes or []


def _differs(what: str, found: object, wanted: object) -> str | None:
    """A sentence where they are not the same."""
    return None if found == wanted else f"{what}: {found}; needed: {wanted}"

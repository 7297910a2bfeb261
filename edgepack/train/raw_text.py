"""The objectives of raw text inside the loop: what the student sees there, and what is added to the loss.

The student reads corrupted text; the teacher's states are of the text as it is. Sentence-order labels stand where a
task's labels would, at the first token where labels are per token. Corruption follows from seed, step and the first
example of a piece, so processes and resumed runs agree; how a batch is cut into pieces changes which words are masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from edgepack.compress.general import (
    General,
    mask_words,
    masked_word_loss,
    sample_negatives,
    sentence_order_loss,
)
from edgepack.errors import InputError
from edgepack.student.model import Student
from edgepack.task.encoded import IGNORED
from edgepack.train.batches import Batch
from edgepack.train.random import TEXT, step_generator

PREFIX = "general."
NEGATIVES = 4096  # of a sampled softmax; a smaller vocabulary is used whole


@dataclass(frozen=True, eq=False)
class RawText:
    """The objectives' weights, and the tokenizer's ids that corruption needs: mask, special, ordinary."""

    settings: General
    mask_id: int
    special_ids: Tensor
    ordinary_ids: Tensor

    def initial(self, student: Student, seed: int) -> dict[str, Tensor]:
        """First values of the heads by name, `general.…`."""
        config, generator = student.config, torch.Generator().manual_seed(seed)
        heads = self.settings.initial(config.hidden_size, config.embedding_size, config.vocab_size, generator)
        return {f"{PREFIX}{name}": value for name, value in heads.items()}

    def corrupt(self, piece: Batch, seed: int, step: int) -> tuple[Batch, Tensor]:
        """The piece with masked words in it, and what they are `(batch, seq)`, −100 elsewhere; on the CPU."""
        ids = piece.inputs["input_ids"]
        if not self.settings.masked_words:
            return piece, torch.full_like(ids, IGNORED)
        maskable = piece.inputs["attention_mask"].bool() & ~torch.isin(ids, self.special_ids)
        generator = step_generator(seed, step, TEXT, int(piece.share.indices[0]))
        seen, targets = mask_words(ids, maskable, self.mask_id, self.ordinary_ids, generator)
        return replace(piece, inputs={**piece.inputs, "input_ids": seen}), targets

    def loss(
        self, student: Student, piece: Batch, state: Tensor, targets: Tensor, learned: Mapping[str, Tensor], seed: int
    ) -> Tensor:
        """The weighted sum for a piece, by its share of the batch; `state (batch, seq, H)` is the last layer's."""
        settings, share, table = self.settings, piece.share, student.embeddings.word.weight
        total = state.new_zeros((), dtype=torch.float32)
        if settings.masked_words:
            negatives = None
            if len(table) > NEGATIVES:
                generator = torch.Generator().manual_seed(seed)
                negatives = sample_negatives(len(table), NEGATIVES, generator).to(table.device)
            projection, bias = learned[f"{PREFIX}projection"], learned[f"{PREFIX}bias"]
            words = masked_word_loss(state, table, projection, targets.to(state.device), bias, negatives)
            # a gradient of 0, not none, where no word is masked: the optimizer counts every step
            words = words + 0.0 * (projection.sum() + bias.sum())
            total = total + settings.masked_words * share.text_tokens * words
        if settings.sentence_order:
            labels = piece.inputs["labels"]
            swapped = (labels[:, 0] if labels.dim() == 2 else labels).to(state.device)
            weight, bias = learned[f"{PREFIX}order.weight"], learned[f"{PREFIX}order.bias"]
            total = total + settings.sentence_order * share.text_examples * sentence_order_loss(
                state, weight, bias, swapped
            )
        return total


def make_raw_text(settings: General, tokenizer: PreTrainedTokenizerFast, vocab_size: int) -> RawText | None:
    """For a student's tokenizer; None where no objective has a weight."""
    if not settings.masked_words and not settings.sentence_order:
        return None
    if settings.masked_words and tokenizer.mask_token_id is None:
        raise InputError("general stage: masked_words needs a mask token and the tokenizer has none; set it to 0")
    special = np.unique(np.asarray(tokenizer.all_special_ids, np.int64))
    ordinary = np.setdiff1d(np.arange(vocab_size), special)
    return RawText(settings, tokenizer.mask_token_id or 0, torch.from_numpy(special), torch.from_numpy(ordinary))

"""What a word may be replaced by: its nearest neighbours in an embedding table, or a masked-word head's predictions.

TinyBERT (Jiao et al. 2020, arXiv:1909.10351, Algorithm 1) takes the predictions of a masked-language model. A
fine-tuned classifier has lost its masked-word head, so the default is a word's nearest neighbours (cosine) in the
teacher's own embedding table, from which the mean is taken first: it is what all rows have in common. With a
checkpoint that has such a head (`MaskedWords`) candidates are its predictions, as in the paper. Deviations there: a
word of several pieces is left alone (the paper takes GloVe neighbours, which may differ in length); all chosen words
of an example are masked at once, one forward pass instead of one for each word.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from edgepack.compress.narrow_embedding import weighted_covariance
from edgepack.errors import InputError
from edgepack.inference import torch_batch
from edgepack.task.encoded import Encoded

WORD_STARTS = ("Ġ", "▁")  # byte-level BPE and Unigram mark a word's first piece; WordPiece marks the others
ROWS_AT_ONCE = 1024  # of the similarity matrix: 1024 × 30,000 fp32 are 120 MB
MASKED_AT_ONCE = 32
NONE = -1


@dataclass(frozen=True, eq=False)
class Words:
    """For each token id, bool `(V,)`: a whole word that may be replaced; a piece that continues a word."""

    whole: np.ndarray
    continues: np.ndarray


class Candidates(Protocol):
    """Where candidates come from; `words` of the vocabulary, `known (V,)` bool: those that may have candidates."""

    @property
    def words(self) -> Words: ...

    @property
    def known(self) -> np.ndarray: ...

    def find(self, data: Encoded, chosen: np.ndarray, count: int) -> np.ndarray:
        """For each token where `chosen (T,)` is true, `count` ids `(tokens, count)` int32, −1 where there are fewer."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """`table (V, K)` int32: what each token may become, the nearest first, −1 for none."""

    table: np.ndarray
    words: Words

    @property
    def known(self) -> np.ndarray:
        """Words that have a neighbour."""
        return np.asarray(self.table[:, 0] != NONE)

    def find(self, data: Encoded, chosen: np.ndarray, count: int) -> np.ndarray:
        """The nearest words, whatever stands around."""
        return np.asarray(self.table[data.input_ids[chosen], :count])


@dataclass(frozen=True, eq=False)
class MaskedWords:
    """A masked-word head: `logits(input_ids, attention_mask, token_type_ids)`, each `(batch, seq)` → `(batch, seq, V)`.

    `allowed (V,)` bool: tokens of the student's vocabulary.
    """

    logits: Callable[[Tensor, Tensor, Tensor], Tensor]
    mask_id: int
    words: Words
    allowed: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Every whole word."""
        return self.words.whole

    def find(self, data: Encoded, chosen: np.ndarray, count: int) -> np.ndarray:
        """The best allowed whole words, with all chosen words of an example masked at once."""
        ids = np.where(chosen, self.mask_id, data.input_ids).astype(np.int32)
        masked = Encoded(ids, data.token_type_ids, data.offsets, data.labels)
        barred = torch.as_tensor(~(self.words.whole & self.allowed))
        found = np.full((chosen.sum(), count), NONE, np.int32)
        place = np.cumsum(chosen) - 1  # row of each chosen token
        most = min(count, int((~barred).sum()))
        order = np.argsort(data.lengths, kind="stable")
        for start in range(0, len(order) if most else 0, MASKED_AT_ONCE):
            indices = order[start : start + MASKED_AT_ONCE]
            batch, rows = torch_batch(masked, indices), data.rows(indices)
            with torch.no_grad():
                logits = self.logits(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).cpu()
            here = logits[batch["attention_mask"].bool()][torch.as_tensor(chosen[rows])].float()
            best = torch.topk(here.masked_fill(barred, -torch.inf), most, dim=1).indices
            found[place[rows[chosen[rows]]], :most] = best.numpy()
        return found


def read_words(tokenizer: PreTrainedTokenizerFast, rows: int) -> Words:
    """Whole words: no continuation, more than one character, a letter or digit in them; not special, not `[unused…]`.

    `rows` is the embedding table's height, which may exceed the vocabulary. In byte-level BPE a text's first word has
    no mark and counts as a continuation, so it stays as it is.
    """
    document = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = tokenizer.get_vocab()
    marks = [mark for mark in WORD_STARTS if any(token.startswith(mark) for token in vocabulary)]
    prefix = document.get("continuing_subword_prefix") or "##"
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    whole, continues = np.zeros(rows, bool), np.zeros(rows, bool)
    for token, number in vocabulary.items():
        if number in special:
            continue
        if document["type"] == "WordPiece" or not marks:
            inner, text = token.startswith(prefix) and len(token) > len(prefix), token
        else:
            inner, text = not token.startswith(marks[0]), token.removeprefix(marks[0])
        continues[number] = inner
        wordlike = len(text) > 1 and any(map(str.isalnum, text)) and not text.startswith("[unused")
        whole[number] = wordlike and not inner
    return Words(whole, continues)


def find_neighbours(
    embedding: Tensor, words: Words, allowed: np.ndarray, token_counts: np.ndarray | None, candidates: int
) -> Neighbours:
    """The `candidates` whole words nearest to each whole word, by cosine after the mean row is subtracted.

    `embedding (V, H)`; only tokens in `allowed (V,)` bool are candidates. `token_counts (V,)` weighs the mean, and
    words it has none of get no candidates: they do not occur, and the search costs |words| · |candidates| · H.
    """
    size = len(embedding)
    if any(len(array) != size for array in (words.whole, allowed)):
        raise InputError(
            f"embedding has {size} rows, words {len(words.whole)}, allowed {len(allowed)}; give equal ones"
        )
    counts = None if token_counts is None else torch.as_tensor(token_counts)
    mean, _ = weighted_covariance(embedding.detach(), counts)
    sources = np.flatnonzero(words.whole if token_counts is None else words.whole & (token_counts > 0))
    targets = np.flatnonzero(words.whole & allowed)
    table = np.full((size, candidates), NONE, np.int32)
    found = min(candidates, len(targets))
    columns = torch.as_tensor(targets)
    near_rows = _directions(embedding, mean, columns)
    for start in range(0, len(sources) if found else 0, ROWS_AT_ONCE):
        rows = torch.as_tensor(sources[start : start + ROWS_AT_ONCE])
        similarity = _directions(embedding, mean, rows) @ near_rows.T
        similarity[rows[:, None] == columns] = -torch.inf  # a word is not its own neighbour
        best = torch.topk(similarity, found, dim=1)
        near = np.where(best.values.numpy() > -np.inf, targets[best.indices.numpy()], NONE)
        table[rows.numpy(), :found] = near
    return Neighbours(table, words)


def _directions(embedding: Tensor, mean: Tensor, rows: Tensor) -> Tensor:
    """These rows less the mean, of length 1, `(len(rows), H)`; a block at a time, since in double they take much."""
    blocks = [F.normalize(embedding.detach()[part].double() - mean, dim=1).float() for part in rows.split(ROWS_AT_ONCE)]
    return torch.cat(blocks)

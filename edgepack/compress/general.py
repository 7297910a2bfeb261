"""The general stage on raw text: sequences to distil on, and two objectives of pretraining added to distillation.

TinyBERT (Jiao et al. 2020, arXiv:1909.10351, §3.2) distils on general text before the task. Here the fine-tuned
teacher runs on the text, since it is the teacher that there is, and its hidden states are matched, with attention too
where a recipe says so; its predictions on such text mean nothing and the labels are −100. On top, where their weights
are not 0:

- masked words (Devlin et al. 2019, arXiv:1810.04805, §3.1): 15 % of the tokens are to be told from the rest; of these
  80 % are masked, 10 % are a random token, 10 % stay. The output layer is the student's own embedding table (tied)
  behind a learned map `H → E`. Over a large table the softmax may be sampled, with uniform negatives.
- sentence order (Lan et al. 2020, arXiv:1909.11942, §3.1): two consecutive segments, in order or swapped. The text
  must be in running order: on a file of unrelated sentences this objective teaches nothing.

Text: one paragraph or sentence on a line; blank lines and WikiText's headings (`= … =`) separate documents. WikiText's
marks are undone: ` @-@ ` joins what it separates. `<unk>` is left out and not made the unknown token: trained
vocabularies hardly ever produce that one, and a small student should not spend itself on the states at it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.signals import Loss
from edgepack.errors import InputError
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.tokenizer.library import encode_texts

MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the others stay as they are
HEADING = re.compile(r"=.*=")
JOINT = re.compile(r" @([-,.])@ ")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
UNKNOWN = "<unk>"
INITIAL_DEVIATION = 0.02  # of new weights, as in BERT
Segments = list[np.ndarray]  # consecutive sentences, each its token ids


@dataclass(frozen=True)
class General:
    """The stage's length, the weights of the two objectives, and its losses against the teacher.

    `share`: of the recipe's examples, in sequences. `examples`: so many sequences instead; 0: the share.
    """

    share: float = 0.3
    masked_words: float = 0.0
    sentence_order: float = 0.0
    examples: int = 0
    losses: tuple[Loss, ...] = (HiddenStates(weight=100.0),)

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"general stage: share is {self.share}; allowed: 0 up to, not including, 1")
        if not self.share and not self.examples:
            raise InputError("general stage: share is 0, and so is examples; give one of them, or general = false")
        if not self.losses:
            raise InputError("general stage: losses is empty; allowed: losses of states and attention, one or more")
        for name in ("masked_words", "sentence_order", "examples"):
            if getattr(self, name) < 0:
                raise InputError(f"general stage: {name} is {getattr(self, name)}; allowed: 0 or more")

    def initial(
        self, hidden_size: int, embedding_size: int, vocab_size: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """First values of the heads: `projection (E, H)` and `bias (V,)`; `order.weight (2, H)`, `order.bias (2,)`."""
        heads: dict[str, Tensor] = {}
        if self.masked_words:
            heads["projection"] = torch.randn(embedding_size, hidden_size, generator=generator) * INITIAL_DEVIATION
            heads["bias"] = torch.zeros(vocab_size)
        if self.sentence_order:
            heads["order.weight"] = torch.randn(2, hidden_size, generator=generator) * INITIAL_DEVIATION
            heads["order.bias"] = torch.zeros(2)
        return heads


def encode_text(
    lines: Iterable[str], tokenizer: PreTrainedTokenizerFast, max_length: int, per_token: bool = False
) -> Encoded:
    """Consecutive sentences of a document packed into sequences of at most `max_length` tokens, special ones included.

    Nothing is lost: a sentence longer than a sequence is cut. Labels are −100, `(n,)`, or `(T,)` with `per_token`.
    """
    opening, middle, _ = _frame(tokenizer, pair=False)
    room = _room(max_length, len(opening) + len(middle))
    bodies = [np.concatenate(run) for run in _runs(_documents(lines, tokenizer), room)]
    ids = [np.concatenate([opening, body, middle]) for body in bodies]
    labels = np.full(sum(map(len, ids)) if per_token else len(ids), IGNORED, np.int64)
    return _encoded(ids, [np.zeros(len(i), np.int8) for i in ids], labels)


def order_pairs(lines: Iterable[str], tokenizer: PreTrainedTokenizerFast, max_length: int, seed: int) -> Encoded:
    """Pairs of consecutive segments, each one or more sentences; label 1 where they are swapped, 0 in order.

    A run of sentences that fits is parted at one of its sentence ends, all equally likely. Documents of one sentence
    give none. `InputError` where there is no pair at all.
    """
    opening, middle, closing = _frame(tokenizer, pair=True)
    room = _room(max_length, len(opening) + len(middle) + len(closing))
    runs = [run for run in _runs(_documents(lines, tokenizer), room) if len(run) > 1]
    if not runs:
        raise InputError(
            f"sentence order: no two consecutive sentences of the text fit into {max_length} tokens together; give "
            "text in running order with short sentences, or a larger max length"
        )
    second_type = int(tokenizer([""], [""], return_token_type_ids=True)["token_type_ids"][0][-1])
    generator = np.random.default_rng(seed)
    parts = 1 + (generator.random(len(runs)) * [len(run) - 1 for run in runs]).astype(np.int64)
    swapped = generator.random(len(runs)) < 0.5
    ids, types = [], []
    for run, part, swap in zip(runs, parts, swapped, strict=True):
        first, second = np.concatenate(run[:part]), np.concatenate(run[part:])
        if swap:
            first, second = second, first
        ids.append(np.concatenate([opening, first, middle, second, closing]))
        before = len(opening) + len(first) + len(middle)
        types.append(np.where(np.arange(len(ids[-1])) < before, 0, second_type).astype(np.int8))
    return _encoded(ids, types, swapped.astype(np.int64))


def clean_line(line: str) -> str:
    """The line without WikiText's marks: `<unk>` left out, ` @,@ ` joined; empty for a heading."""
    text = " ".join(word for word in JOINT.sub(r"\1", line).split() if word != UNKNOWN)
    return "" if HEADING.fullmatch(text) else text


def mask_words(
    input_ids: Tensor,
    maskable: Tensor,
    mask_id: int,
    random_ids: Tensor,
    generator: torch.Generator,
    rate: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """BERT's corruption: what the student sees, and what it is to tell, −100 elsewhere; both int64 like `input_ids`.

    `maskable`: bool, real tokens that are not special. Each is chosen with probability `rate`, by itself;
    `random_ids (k,)` are the tokens to choose random ones from. `generator` is on the device of `input_ids`.
    """
    chosen = maskable & (torch.rand(input_ids.shape, generator=generator, device=input_ids.device) < rate)
    fate = torch.rand(input_ids.shape, generator=generator, device=input_ids.device)
    drawn = torch.randint(len(random_ids), input_ids.shape, generator=generator, device=input_ids.device)
    seen = torch.where(chosen & (fate < MASKED), mask_id, input_ids)
    seen = torch.where(chosen & (fate >= MASKED) & (fate < MASKED + RANDOM), random_ids[drawn], seen)
    return seen, torch.where(chosen, input_ids, IGNORED)


def masked_word_loss(
    hidden: Tensor,
    table: Tensor,
    projection: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    negatives: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy at the masked words; 0 where there is none.

    `hidden (batch, seq, H)`, `table (V, E)`, `projection (E, H)`, `targets (batch, seq)` with −100 elsewhere,
    `bias (V,)`; logits are `table · projection · hidden + bias`. With `negatives (k,)`, ids drawn uniformly without
    repetition, the softmax is over the target and those: their sum stands for that over all V − 1 other tokens
    (sampled softmax, Jean et al. 2015, arXiv:1412.2007, §3), so with all ids as negatives it is the full one.
    """
    known = targets != IGNORED
    wanted = targets[known]
    if len(wanted) == 0:
        return hidden.sum() * 0.0
    queries = hidden[known].float() @ projection.float().T  # (masked, E)
    offset = torch.zeros(len(table), device=table.device) if bias is None else bias.float()
    if negatives is None:
        return F.cross_entropy(queries @ table.float().T + offset, wanted)
    positive = (queries * table[wanted].float()).sum(-1) + offset[wanted]
    others = queries @ table[negatives].float().T + offset[negatives]
    hits = negatives[None, :] == wanted[:, None]
    drawn = (~hits).sum(1, keepdim=True).clamp(min=1)
    scale = torch.log((len(table) - 1) / drawn)
    logits = torch.cat([positive[:, None], (others + scale).masked_fill(hits, -math.inf)], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(wanted))


def sample_negatives(vocab_size: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` different token ids (all, where the vocabulary has no more), int64."""
    return torch.randperm(vocab_size, generator=generator)[:count]


def sentence_order_loss(hidden: Tensor, weight: Tensor, bias: Tensor, swapped: Tensor) -> Tensor:
    """Cross-entropy of a linear classifier on the first token's state, `hidden (batch, seq, H)`, `swapped (batch,)`.

    ALBERT has a tanh layer (the pooler) between; that layer is the task head's here and is left out of this.
    """
    return F.cross_entropy(hidden[:, 0].float() @ weight.float().T + bias.float(), swapped)


def _documents(lines: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> list[Segments]:
    """The text's documents as token ids of their sentences; sentences without tokens are left out."""
    texts: list[str] = []
    sizes = [0]  # sentences of each document
    for line in lines:
        cleaned = clean_line(line)
        if cleaned:
            sentences = SENTENCE_END.split(cleaned)
            texts += sentences
            sizes[-1] += len(sentences)
        elif sizes[-1]:
            sizes.append(0)
    if not texts:
        raise InputError("raw text: no sentences in it; give UTF-8 text, a sentence or a paragraph on a line")
    ids = [np.asarray(i, np.int32) for i in _tokenize(texts, tokenizer)]
    bounds = np.cumsum([0, *sizes])
    return [[i for i in ids[a:b] if len(i)] for a, b in pairwise(bounds)]


def _tokenize(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Ids without special tokens and without truncation."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return [each.ids for batch in encode_texts(backend, texts, "raw text", special_tokens=False) for each in batch]


def _runs(documents: Sequence[Segments], room: int) -> list[Segments]:
    """Each document's sentences in order, as many together as fit into `room` tokens; too long ones are cut."""
    runs: list[Segments] = []
    for document in documents:
        run: Segments = []
        used = 0
        for piece in (s[at : at + room] for s in document for at in range(0, len(s), room)):
            if used + len(piece) > room:
                runs.append(run)
                run, used = [], 0
            run.append(piece)
            used += len(piece)
        if run:
            runs.append(run)
    return runs


def _frame(tokenizer: PreTrainedTokenizerFast, pair: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The special tokens before, between and behind: `[first] A [middle]`, or `[first] A [middle] B [last]`."""
    specials = tokenizer([""], [""] if pair else None)["input_ids"][0]
    if len(specials) < 2 + pair:
        raise InputError(f"tokenizer adds {len(specials)} special tokens to a text; at least {2 + pair} are needed")
    split = np.asarray(specials, np.int32)
    return (split[:1], split[1:-1], split[-1:]) if pair else (split[:1], split[1:], split[:0])


def _room(max_length: int, specials: int) -> int:
    if max_length < specials + 2:
        raise InputError(f"raw text: max length is {max_length}; allowed: {specials + 2} or more")
    return max_length - specials


def _encoded(ids: Sequence[np.ndarray], types: Sequence[np.ndarray], labels: np.ndarray) -> Encoded:
    offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    return Encoded(np.concatenate(ids).astype(np.int32), np.concatenate(types), offsets, labels)

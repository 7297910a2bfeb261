"""More training examples out of those there are: words replaced, texts cut and joined. The teacher labels them.

Word replacement is TinyBERT's (Jiao et al. 2020, arXiv:1909.10351, Algorithm 1): each word of a new example is, with
probability `p_replace`, one of its K candidates. A fine-tuned classifier has lost its masked-word head, so candidates
are a word's nearest neighbours (cosine) in the teacher's own embedding table, from which the mean is taken first:
it is what all rows have in common. With a masked-word head (`MaskedWordModel`) candidates are its predictions.
Deviations from Algorithm 1: a word of several pieces is left alone (the paper takes GloVe neighbours, which may differ
in length); all chosen words of an example are masked at once, one forward pass instead of one for each word.

`splice` changes lengths: a part of the new examples is first a random run of words of an example, or two examples
joined. It is for tasks whose training texts differ in length from those they will meet (SST-2: phrases, sentences).

All arrays are flat (`Encoded`), all steps vectorised, everything follows from the seed. Labels of new examples are
those of their (first) source, and −100 stays where it was: shape, not truth. Only the teacher's outputs on the new
ids say what they mean; a loss on labels must leave them out (`Augmented.originals` says which they are).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from edgepack.compress.carve import weighted_covariance
from edgepack.errors import InputError
from edgepack.inference import torch_batch
from edgepack.task.encoded import Encoded

WORD_STARTS = ("Ġ", "▁")  # byte-level BPE and Unigram mark a word's first piece; WordPiece marks the others
ROWS_AT_ONCE = 1024  # of the similarity matrix: 1024 × 30,000 fp32 are 120 MB
MASKED_AT_ONCE = 32
NONE = -1


@dataclass(frozen=True)
class Augmentation:
    """`share` of the whole data that is new; replacement probability and K; share of the new that is spliced first."""

    share: float
    p_replace: float = 0.4
    candidates: int = 15
    splice: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"augmentation share is {self.share}; allowed: 0 up to, not including, 1")
        for name in ("p_replace", "splice"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augmentation {name} is {getattr(self, name)}; allowed: 0 to 1")
        if self.candidates < 1:
            raise InputError(f"augmentation candidates is {self.candidates}; allowed: 1 or more")


@dataclass(frozen=True, eq=False)
class Words:
    """For each token id, bool `(V,)`: a whole word that may be replaced; a piece that continues a word."""

    whole: np.ndarray
    continues: np.ndarray


@dataclass(frozen=True, eq=False)
class Neighbours:
    """`table (V, K)` int32: what each token may become, the nearest first, −1 for none; `words` of the vocabulary."""

    table: np.ndarray
    words: Words


@dataclass(frozen=True, eq=False)
class MaskedWordModel:
    """A masked-word head: `logits(input_ids, attention_mask)`, int64 `(batch, seq)` → `(batch, seq, V)`.

    `allowed (V,)` bool: tokens of the student's vocabulary.
    """

    logits: Callable[[Tensor, Tensor], Tensor]
    mask_id: int
    allowed: np.ndarray


@dataclass(frozen=True, eq=False)
class Augmented:
    """The data with its new examples behind the old ones, and what was done."""

    data: Encoded
    originals: int
    share: float  # of the examples that are new
    replaced: float  # share of the new examples' replaceable words that differ from their source
    spliced: float  # share of the new examples that were cut or joined


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
    unit = F.normalize(embedding.detach().double() - mean, dim=1).float()
    sources = np.flatnonzero(words.whole if token_counts is None else words.whole & (token_counts > 0))
    targets = np.flatnonzero(words.whole & allowed)
    table = np.full((size, candidates), NONE, np.int32)
    found = min(candidates, len(targets))
    columns = torch.as_tensor(targets)
    for start in range(0, len(sources) if found else 0, ROWS_AT_ONCE):
        rows = torch.as_tensor(sources[start : start + ROWS_AT_ONCE])
        similarity = unit[rows] @ unit[columns].T
        similarity[rows[:, None] == columns] = -torch.inf  # a word is not its own neighbour
        best = torch.topk(similarity, found, dim=1)
        near = np.where(best.values.numpy() > -np.inf, targets[best.indices.numpy()], NONE)
        table[rows.numpy(), :found] = near
    return Neighbours(table, words)


def add_augmented(
    data: Encoded,
    neighbours: Neighbours,
    settings: Augmentation,
    seed: int,
    *,
    max_length: int | None = None,
    model: MaskedWordModel | None = None,
) -> Augmented:
    """`data` and behind it as many new examples as make up `settings.share` of the whole."""
    count = round(len(data) * settings.share / (1 - settings.share))
    if count == 0:
        return Augmented(data, len(data), 0.0, 0.0, 0.0)
    before, spliced = _sources(data, count, neighbours.words, settings, seed, max_length)
    after = _replace(before, neighbours, settings, seed, model)
    may = _replaceable(before, neighbours, model)
    changed = (after.input_ids != before.input_ids).sum() / max(1, may.sum())
    joined = _concatenate(data, after)
    return Augmented(joined, len(data), count / len(joined), float(changed), float(spliced.mean()))


def augment(
    data: Encoded,
    count: int,
    neighbours: Neighbours,
    settings: Augmentation,
    seed: int,
    *,
    max_length: int | None = None,
    model: MaskedWordModel | None = None,
) -> Encoded:
    """`count` new examples; every source is used equally often, to within one.

    Joined examples have at most `max_length` tokens, special ones included (`None`: the longest source's); a text that
    no other fits behind is cut instead, or left whole where tokens have labels.
    """
    if count < 0:
        raise InputError(f"augmented examples: {count}; allowed: 0 or more")
    sources, _ = _sources(data, count, neighbours.words, settings, seed, max_length)
    return _replace(sources, neighbours, settings, seed, model)


def _sources(
    data: Encoded, count: int, words: Words, settings: Augmentation, seed: int, max_length: int | None
) -> tuple[Encoded, np.ndarray]:
    """`count` examples drawn from `data`, some of them cut or joined, and which `(count,)` those are."""
    generator = np.random.default_rng((seed, 0))
    rounds = -(-count // len(data)) if len(data) else 0
    drawn = np.concatenate([np.zeros(0, np.int64), *(generator.permutation(len(data)) for _ in range(rounds))])[:count]
    wanted = generator.random(count) < settings.splice
    if not wanted.any():
        return data.select(drawn), wanted
    eligible = single_texts(data)
    if not eligible.any():
        raise InputError("splice needs single texts between a first and a last special token; allowed for pairs: 0")
    longest = int(data.lengths.max()) if max_length is None else max_length
    able = wanted & eligible[drawn] & (data.lengths[drawn] > 2)
    partner, fits = _partners(data, drawn, eligible, longest, generator)
    if data.per_token:  # a cut may split an entity: tags at its edge would begin nowhere
        join, cut = able & fits, np.zeros(count, bool)
    else:
        join = able & fits & (generator.random(count) < 0.5)
        cut = able & ~join
    starts, lengths = _spans(data, drawn, words, cut, join, partner, generator)
    return _gather(data, drawn, starts, lengths), cut | join


def single_texts(data: Encoded) -> np.ndarray:
    """Which examples are one text between two special tokens, bool `(n,)`: those that can be spliced."""
    first, last = data.offsets[:-1], data.offsets[1:] - 1
    opening, closing = data.input_ids[first], data.input_ids[last]
    framed = len(data) > 0 and (opening == opening[0]).all() and (closing == closing[0]).all()
    single = np.zeros(len(data), bool)
    if framed:
        inner_ends = np.add.reduceat((data.input_ids == closing[0]).astype(np.int64), first) - 1
        single = (inner_ends == 0) & ~np.maximum.reduceat(data.token_type_ids, first).astype(bool)
    return single


def _partners(
    data: Encoded, drawn: np.ndarray, eligible: np.ndarray, longest: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random example for each drawn one that is short enough to be joined to it; and where there is any."""
    body = data.lengths - 2
    order = np.flatnonzero(eligible & (body > 0))
    order = order[np.argsort(body[order], kind="stable")]
    room = longest - 2 - body[drawn]
    fitting = np.searchsorted(body[order], room, side="right")
    choice = (generator.random(len(drawn)) * fitting).astype(np.int64)
    return order[np.minimum(choice, max(0, len(order) - 1))] if len(order) else drawn, fitting > 0


def _spans(
    data: Encoded,
    drawn: np.ndarray,
    words: Words,
    cut: np.ndarray,
    join: np.ndarray,
    partner: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths `(count, 4)` in the flat data: first token, body, partner's body, the rest.

    An example that is neither cut nor joined is all "rest".
    """
    first, last = data.offsets[:-1][drawn], data.offsets[1:][drawn] - 1
    position = np.arange(len(data.input_ids))
    continues = words.continues[data.input_ids]
    word_first = np.maximum.accumulate(np.where(continues, 0, position))
    ends = ~np.append(continues[1:], False)
    word_last = np.minimum.accumulate(np.where(ends, position, len(position))[::-1])[::-1]
    body = last - first - 1
    picks = first[:, None] + 1 + (generator.random((len(drawn), 2)) * body[:, None]).astype(np.int64)
    begin = np.where(cut, np.maximum(word_first[picks.min(1)], first + 1), first + 1)
    end = np.where(cut, np.minimum(word_last[picks.max(1)] + 1, last), last)
    spliced = cut | join
    other = data.offsets[:-1][partner] + 1
    starts = np.stack([first, begin, other, np.where(spliced, last, first)], axis=1)
    lengths = np.stack(
        [spliced * 1, spliced * (end - begin), join * (data.lengths[partner] - 2), np.where(spliced, 1, body + 2)],
        axis=1,
    )
    return starts, lengths


def _gather(data: Encoded, drawn: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Encoded:
    """New examples out of the flat ranges `starts[i, j]` of `lengths[i, j]` tokens, in order of `j`."""
    sizes = lengths.ravel()
    before = np.cumsum(sizes) - sizes
    rows = np.repeat(starts.ravel() - before, sizes) + np.arange(sizes.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths.sum(1))]).astype(np.int64)
    labels = data.labels[rows] if data.per_token else data.labels[drawn]
    return Encoded(data.input_ids[rows], data.token_type_ids[rows], offsets, labels)


def _replaceable(data: Encoded, neighbours: Neighbours, model: MaskedWordModel | None) -> np.ndarray:
    """Which tokens `(T,)` are words of one piece that have candidates."""
    continued = np.append(neighbours.words.continues[data.input_ids[1:]], False)[: len(data.input_ids)]
    known = neighbours.words.whole if model is not None else neighbours.table[:, 0] != NONE
    return np.asarray(known[data.input_ids] & ~continued)


def _replace(
    data: Encoded, neighbours: Neighbours, settings: Augmentation, seed: int, model: MaskedWordModel | None
) -> Encoded:
    """Words replaced with probability `p_replace`, each by one of its candidates, all equally likely."""
    generator = np.random.default_rng((seed, 1))
    chosen = _replaceable(data, neighbours, model) & (generator.random(len(data.input_ids)) < settings.p_replace)
    ids = data.input_ids.copy()
    if model is None:
        candidates = neighbours.table[ids[chosen], : settings.candidates]
    else:
        candidates = _predicted(data, chosen, neighbours.words, settings.candidates, model)
    there = (candidates != NONE).sum(1)
    pick = (generator.random(len(there)) * there).astype(np.int64)
    ids[chosen] = np.where(there > 0, candidates[np.arange(len(there)), pick], ids[chosen])
    return Encoded(ids, data.token_type_ids, data.offsets, data.labels)


def _predicted(data: Encoded, chosen: np.ndarray, words: Words, candidates: int, model: MaskedWordModel) -> np.ndarray:
    """The masked-word head's best allowed whole words `(chosen tokens, K)` int32, −1 where there are fewer."""
    masked = Encoded(np.where(chosen, model.mask_id, data.input_ids), data.token_type_ids, data.offsets, data.labels)
    barred = torch.as_tensor(~(words.whole & model.allowed))
    found = np.full((chosen.sum(), candidates), NONE, np.int32)
    place = np.cumsum(chosen) - 1  # row of each chosen token
    count = min(candidates, int((~barred).sum()))
    order = np.argsort(data.lengths, kind="stable")
    for start in range(0, len(order) if count else 0, MASKED_AT_ONCE):
        indices = order[start : start + MASKED_AT_ONCE]
        batch, rows = torch_batch(masked, indices), data.rows(indices)
        with torch.no_grad():
            logits = model.logits(batch["input_ids"], batch["attention_mask"])
        here = logits[batch["attention_mask"].bool()][torch.as_tensor(chosen[rows])].float().cpu()
        best = torch.topk(here.masked_fill(barred, -torch.inf), count, dim=1).indices
        found[place[rows[chosen[rows]]], :count] = best.numpy()
    return found


def _concatenate(first: Encoded, second: Encoded) -> Encoded:
    return Encoded(
        np.concatenate([first.input_ids, second.input_ids]),
        np.concatenate([first.token_type_ids, second.token_type_ids]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        np.concatenate([first.labels, second.labels]),
    )

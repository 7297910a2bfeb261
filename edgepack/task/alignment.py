"""Which of one tokenizer's tokens lie where another's do: what a teacher says of its tokens, for a student's others.

Both tokenize the same characters. A student's token is made of the teacher's tokens whose characters it shares, each
weighed by how many. As in Gee et al. 2022 (Fast Vocabulary Transfer, arXiv:2402.09977) for rows of a word table, what
is given to the whole is the mean of the parts; there parts are pieces of a string, here they are parts of a text.

- Tokens of one character (bytes of it) share it equally, in their order. A token without a character lies before the
  one at its place, in a gap of `GAP` characters. So every token has a stretch of its own, and a tokenizer aligned with
  itself gives each token itself.
- A token whose characters the other tokenizer has dropped gets the token before it, or the one behind it.
- Special tokens by their place: the first by the first, those at the end from the end, those between two texts in
  order.
- A label stands at its word's first token, so a word's logits go from first token to first token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepack.task.encoded import IGNORED, Encoded, ranges

GAP = 1 / 1024  # of a character, before each: room for tokens without one
LEAST_SHARED = 1e-6  # characters; less is rounding


@dataclass(frozen=True, eq=False)
class Spans:
    """Where tokens stand, `(T,)` each: code points `starts` to `ends` of text number `texts`, −1 for special tokens.

    `words`: a word's number at its tokens, at least at the first; −1 elsewhere. `truncated (n,)`: examples cut short.
    """

    starts: np.ndarray
    ends: np.ndarray
    texts: np.ndarray
    words: np.ndarray
    truncated: np.ndarray

    def select(self, data: Encoded, kept: np.ndarray) -> Spans:
        """Of the tokens `kept (T,)` bool of `data`."""
        flat = {name: getattr(self, name)[kept] for name in ("starts", "ends", "texts", "words")}
        return replace(self, **flat)

    def of(self, data: Encoded, chosen: np.ndarray) -> Spans:
        """Of these examples of `data`."""
        rows = data.rows(chosen)
        flat = {name: getattr(self, name)[rows] for name in ("starts", "ends", "texts", "words")}
        return Spans(**flat, truncated=self.truncated[chosen])

    def followed_by(self, other: Spans) -> Spans:
        """These, and behind them the others."""
        return Spans(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in vars(self)))


def make_spans(
    offsets: np.ndarray,
    truncated: Sequence[bool],
    starts: Sequence[int],
    ends: Sequence[int],
    texts: Sequence[int],
    words: Sequence[int],
) -> Spans:
    """Spans of tokens that lie at `offsets`; a word's number stays at the first of its tokens."""
    numbers = np.array(words, np.int32)
    example = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    again = np.zeros(len(numbers), bool)
    again[1:] = (numbers[1:] == numbers[:-1]) & (example[1:] == example[:-1])
    numbers[again] = -1
    return Spans(
        np.array(starts, np.int32), np.array(ends, np.int32), np.array(texts, np.int8), numbers, np.array(truncated)
    )


@dataclass(frozen=True, eq=False)
class Alignment:
    """The teacher's tokens of the same examples, and what each of the student's is made of.

    The student's token `t` of all is made of `sources[first[t] : first[t + 1]]`, numbers of tokens within the teacher's
    example, by `weights`, whose sum is 1. `heads (T,)`: the teacher's token whose logits it gets. `offsets`: where the
    student's examples begin.
    """

    teacher: Encoded
    offsets: np.ndarray
    first: np.ndarray
    sources: np.ndarray
    weights: np.ndarray
    heads: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """The student's tokens of each example."""
        return np.diff(self.offsets)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Flat positions of these examples' tokens, the student's."""
        return ranges(self.offsets[indices], self.lengths[indices])

    def matrix(self, indices: np.ndarray, rows: int, columns: int) -> np.ndarray:
        """fp32 `(batch, rows, columns)`: times the teacher's `(batch, columns, …)` it gives the student's."""
        found = np.zeros((len(indices), rows, columns), np.float32)
        tokens, lengths = self.rows(indices), self.lengths[indices]
        counts = (self.first[1:] - self.first[:-1])[tokens]
        entries = ranges(self.first[tokens], counts)
        example = np.repeat(np.repeat(np.arange(len(indices)), lengths), counts)
        place = np.repeat(ranges(np.zeros_like(lengths), lengths), counts)
        found[example, place, self.sources[entries]] = self.weights[entries]
        return found

    def sha256(self) -> str:
        """Of all of it."""
        digest = hashlib.sha256(self.teacher.sha256().encode())
        for array in (self.offsets, self.first, self.sources, self.weights, self.heads):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def seen_by_student(teacher: Encoded, spans: Spans, student: Encoded, student_spans: Spans) -> tuple[Encoded, Spans]:
    """The teacher's tokens without those that begin behind where a truncated example of the student's ends."""
    example = student.token_examples
    reach = np.zeros((len(student), 2), np.int64)
    own = student_spans.texts >= 0
    np.maximum.at(reach, (example[own], student_spans.texts[own]), student_spans.ends[own])
    example = teacher.token_examples
    behind = spans.starts >= reach[example, np.maximum(spans.texts, 0)]
    kept = ~(student_spans.truncated[example] & (spans.texts >= 0) & behind)
    if kept.all():
        return teacher, spans
    lengths = np.bincount(example[kept], minlength=len(teacher))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels = teacher.labels[kept] if teacher.per_token else teacher.labels
    cut = Encoded(teacher.input_ids[kept], teacher.token_type_ids[kept], offsets, labels)
    return cut, spans.select(teacher, kept)


def align(student: Encoded, own: Spans, teacher: Encoded, spans: Spans) -> Alignment:
    """What each of the student's tokens is made of, of the teacher's tokens of the same examples."""
    begins = _text_begins(student, own, teacher, spans)
    mine, theirs = _stretches(student, own, begins), _stretches(teacher, spans, begins)
    token, source, weight = _shared(mine, theirs)
    nearest = _nearest(student, own, mine, teacher, theirs)
    special = _special_places(student, own.texts, teacher, spans.texts)
    alone = np.ones(len(own.starts), bool)
    alone[token] = False
    single = np.flatnonzero(alone)
    chosen = np.where(own.texts[single] < 0, special[single], nearest[single])
    token, source = np.concatenate([token, single]), np.concatenate([source, chosen])
    weight = np.concatenate([weight, np.ones(len(single))])
    order = np.lexsort((source, token))
    token, source, weight = token[order], source[order], weight[order]
    counts = np.bincount(token, minlength=len(own.starts))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    weight = weight / np.repeat(np.add.reduceat(weight, first[:-1]), counts)
    start = np.repeat(teacher.offsets[:-1], student.lengths)
    return Alignment(
        teacher,
        student.offsets,
        first,
        (source - start[token]).astype(np.int32),
        weight.astype(np.float32),
        (_heads((student, own), (teacher, spans), _most_shared(source, weight, first)) - start).astype(np.int32),
    )


def _text_begins(student: Encoded, own: Spans, teacher: Encoded, spans: Spans) -> np.ndarray:
    """Where each example's two texts begin, `(n, 2)`, if all texts stand in a row with room between them."""
    longest = np.zeros((len(student), 2), np.int64)
    for data, each in ((student, own), (teacher, spans)):
        example = data.token_examples
        real = each.texts >= 0
        np.maximum.at(longest, (example[real], each.texts[real]), each.ends[real])
    room = longest.ravel() + 2
    return (np.cumsum(room) - room).reshape(longest.shape)


@dataclass(frozen=True, eq=False)
class _Stretches:
    """Tokens of texts in their order, each with a stretch that no other token of its tokenizer has."""

    tokens: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _stretches(data: Encoded, spans: Spans, begins: np.ndarray) -> _Stretches:
    example = data.token_examples
    tokens = np.flatnonzero(spans.texts >= 0)
    begin = begins[example[tokens], spans.texts[tokens]] + 1.0
    empty = spans.ends[tokens] <= spans.starts[tokens]
    starts = begin + spans.starts[tokens] - np.where(empty, GAP, 0.0)
    ends = np.where(empty, starts + GAP, begin + spans.ends[tokens] - GAP)
    if not len(tokens):
        return _Stretches(tokens, starts, ends)
    reach = np.maximum.accumulate(ends)
    opens = np.append(True, starts[1:] >= reach[:-1])  # tokens that overlap are one group, and share its stretch
    group = np.cumsum(opens) - 1
    heads = np.flatnonzero(opens)
    low, high = np.minimum.reduceat(starts, heads), np.maximum.reduceat(ends, heads)
    size = np.bincount(group)
    rank = np.arange(len(tokens)) - heads[group]
    step = (high - low)[group] / size[group]
    alone = size[group] == 1
    shared = low[group] + rank * step
    return _Stretches(tokens, np.where(alone, starts, shared), np.where(alone, ends, shared + step))


def _shared(mine: _Stretches, theirs: _Stretches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of tokens that share characters: the student's, the teacher's, and how many."""
    low = np.searchsorted(theirs.ends, mine.starts, side="right")
    high = np.searchsorted(theirs.starts, mine.ends, side="left")
    counts = np.maximum(high - low, 0)
    other = ranges(low, counts)
    own = np.repeat(np.arange(len(counts)), counts)
    shared = np.minimum(mine.ends[own], theirs.ends[other]) - np.maximum(mine.starts[own], theirs.starts[other])
    real = shared > LEAST_SHARED
    return mine.tokens[own[real]], theirs.tokens[other[real]], shared[real]


def _nearest(student: Encoded, own: Spans, mine: _Stretches, teacher: Encoded, theirs: _Stretches) -> np.ndarray:
    """For each of the student's text tokens the teacher's that begins before it in its example, or the next one."""
    found = np.repeat(teacher.offsets[:-1], student.lengths)
    if not len(theirs.tokens):
        return found
    example = student.token_examples[mine.tokens]
    place = np.searchsorted(theirs.starts, mine.starts, side="right") - 1
    for step in (1, 0):  # the next one, and over it the one before, where that is of the example too
        other = theirs.tokens[np.clip(place + step, 0, len(theirs.tokens) - 1)]
        inside = (other >= teacher.offsets[example]) & (other < teacher.offsets[example + 1])
        found[mine.tokens[inside]] = other[inside]
    return found


def _special_places(student: Encoded, texts: np.ndarray, teacher: Encoded, other: np.ndarray) -> np.ndarray:
    """For each of the student's tokens the teacher's special one at its place, if it is special itself."""
    found = np.zeros(len(texts), np.int64)
    pairs = zip(student.offsets[:-1], student.offsets[1:], teacher.offsets[:-1], teacher.offsets[1:], strict=True)
    for begin, end, first, last in pairs:
        real = np.flatnonzero(texts[begin:end] >= 0)
        theirs = np.flatnonzero(other[first:last] >= 0)
        for place in np.flatnonzero(texts[begin:end] < 0):
            found[begin + place] = first + _special_place(int(place), real, end - begin, theirs, other[first:last])
    return found


def _special_place(place: int, real: np.ndarray, length: int, theirs: np.ndarray, other: np.ndarray) -> int:
    """The place, within the teacher's example, of what stands for the student's special token at `place` of `length`.

    `real`, `theirs`: places of text tokens, the student's and the teacher's; `other`: the teacher's texts by token.
    """
    last = len(other) - 1
    if place == 0:
        return 0
    if not len(real) or place > real[-1]:
        wanted = last - (length - 1 - place)
        return wanted if wanted > 0 and other[wanted] < 0 else last
    before = real[real < place]
    wanted = place
    if len(before) and len(theirs):
        firsts = np.flatnonzero(other == 0)
        end = int(firsts[-1]) if len(firsts) else 0
        wanted = end + place - int(before[-1])
        if wanted > last or other[wanted] >= 0:
            wanted = end + 1
    return min(wanted, last) if other[min(wanted, last)] < 0 else 0


def _most_shared(source: np.ndarray, weight: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each of the student's tokens the one that weighs most, of equals the first."""
    largest = np.repeat(np.maximum.reduceat(weight, first[:-1]), np.diff(first))
    best = np.flatnonzero(weight == largest)
    token = np.searchsorted(first, best, side="right") - 1
    found: np.ndarray = source[best[np.unique(token, return_index=True)[1]]]
    return found


def _heads(student: tuple[Encoded, Spans], teacher: tuple[Encoded, Spans], found: np.ndarray) -> np.ndarray:
    """The teacher's token that each token's logits come from: for a word's first token that one's, else as `found`."""
    if not student[0].per_token:
        return found
    most = 1 + max(int(spans.words.max(initial=0)) for _, spans in (student, teacher))
    keys = []
    for data, each in (student, teacher):
        places = np.flatnonzero((each.words >= 0) & (data.labels != IGNORED))
        example = np.searchsorted(data.offsets, places, side="right") - 1
        keys.append((places, example * most + each.words[places]))
    (mine, wanted), (theirs, there) = keys
    if not len(there):
        return found
    near = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    same = there[near] == wanted
    found[mine[same]] = theirs[near[same]]
    return found

"""Words of a text: the same rule as in the apps, for tokenizers of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer, models, normalizers, pre_tokenizers, processors

from edgepack.task.examples import Dataset, Example
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.words import (
    CharacterClasses,
    Word,
    classes_of_tables,
    classes_of_unicode,
    find_words,
    first_tokens,
)
from edgepack.tokenizer.byte_pairs import classes_of
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.apps.fuzz import fuzzed
from tests.apps.unigrams import UNIGRAMS, unigram
from tests.apps.variants import BYTE_PAIRS, byte_pairs, write_variants

CLASSES = classes_of_unicode()
TAGGING = Task("token-classification", ("O", "B-x", "I-x"))
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def offsets(text: str, *pieces: str) -> list[tuple[int, int]]:
    """Where these pieces stand, one after the other."""
    found, at = [], 0
    for piece in pieces:
        start = text.index(piece, at)
        at = start + len(piece)
        found.append((start, at))
    return found


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("to Oslo, now", ["to", "Os", "lo", ",", "now"], ["to", "Oslo", ",", "now"]),
        ("don't (go)!", ["don", "'", "t", "(", "go", ")", "!"], ["don't", "(", "go", ")", "!"]),
        ("中文 ab", ["中", "文", "ab"], ["中", "文", "ab"]),
        ("x中y", ["x", "中", "y"], ["x", "中", "y"]),
        ("...", [".", ".", "."], [".", ".", "."]),
        ("", [], []),
        ("o'clock)...", ["o", "'", "clock", ")..."], ["o'clock", ")..."]),
        ('He said: "Go."', ["He", " said", ":", ' "', "Go", '."'], ["He", "said", ":", '"', "Go", '."']),
        ("...ab", ["...", "ab"], ["...", "ab"]),
        ("(a", ["(a"], ["(a"]),
        ("to  Oslo ", ["to", " ", " Oslo", " "], ["to", "Oslo"]),
        ("北京大学在iPhone", ["北京", "大学", "在iPhone"], ["北京", "大学", "在iPhone"]),
        ("a 中国b", ["a", " 中国", "b"], ["a", "中国", "b"]),
    ],
)
def test_words(text: str, pieces: list[str], expected: list[str]) -> None:
    words = find_words(text, [None, *offsets(text, *pieces), None], CLASSES)
    assert [text[w.start : w.end] for w in words] == expected
    assert [w.first for w in words] == sorted({w.first for w in words}), "the first token of each, in order"


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("中a", [(0, 1), (0, 1), (0, 1), (1, 2)], [(0, 0, 1), (3, 1, 2)]),  # bytes of a character
        ("中文", [(0, 1), (0, 2), (1, 2)], [(0, 0, 2)]),  # a token holds the end of one and the start of the next
        ("“a", [(0, 1), (0, 1), (1, 2)], [(0, 0, 1), (2, 1, 2)]),
        ("中国", [(0, 1), (0, 2)], [(0, 0, 2)]),  # "▁" that is put first, and the word
        ("a 中", [(0, 1), (1, 2), (2, 3)], [(0, 0, 1), (1, 2, 3)]),  # "▁" of the second word
        ("a 中", [(0, 1), (2, 2), (2, 3)], [(0, 0, 1), (1, 2, 3)]),  # the same, trimmed
        ("a  中", [(0, 1), (1, 2), (2, 4)], [(0, 0, 1), (2, 3, 4)]),
        ("a   中", [(0, 1), (1, 3), (3, 4), (4, 5)], [(0, 0, 1), (2, 4, 5)]),  # only the last
        ("a\n中", [(0, 1), (1, 2), (2, 3)], [(0, 0, 1), (2, 2, 3)]),  # no space that goes with a word
        ("a", [(0, 0), (0, 1)], [(0, 0, 1)]),  # put first and trimmed
        ("a", [None, (0, 1)], [(1, 0, 1)]),  # special tokens are none
        ("中a", [(0, 1), (2, 2), (1, 2)], [(0, 0, 1), (1, 1, 2)]),  # put before "a", trimmed beyond it
        ("<m>a", [(0, 3), (4, 4), (3, 4)], [(0, 0, 4)]),
        ("  ", [(0, 1), (1, 2)], []),
        ("a ", [(0, 1), (1, 2)], [(0, 0, 1)]),
    ],
)
def test_tokens_that_overlap_or_are_spaces(
    text: str, spans: list[tuple[int, int] | None], expected: list[tuple[int, int, int]]
) -> None:
    assert find_words(text, spans, CLASSES) == [Word(*word) for word in expected]


@given(st.text(alphabet="ab ,.中'", max_size=30))
def test_every_character_is_in_one_word_or_is_a_space(text: str) -> None:
    single = [(i, i + 1) for i, char in enumerate(text) if not char.isspace()]
    words = find_words(text, single, CLASSES)
    covered = [i for w in words for i in range(w.start, w.end)]
    assert covered == [i for i, _ in single]


def plain_rule(text: str, spans: Sequence[tuple[int, int]], classes: CharacterClasses) -> list[tuple[int, int, int]]:
    """The rule for WordPiece, whose tokens hold no spaces, one mark at most, and an ideograph alone."""

    def is_one(token: tuple[int, int, int], test: str) -> bool:
        return token[2] - token[1] == 1 and bool(getattr(classes, test)(text[token[1]]))

    tokens = [(index, start, end) for index, (start, end) in enumerate(spans) if end > start]
    groups: list[list[tuple[int, int, int]]] = [tokens[:1]]
    for before, token in pairwise(tokens):
        alone = is_one(before, "is_ideograph") or is_one(token, "is_ideograph")
        if alone or any(map(classes.is_space, text[before[2] : token[1]])):
            groups.append([])
        groups[-1].append(token)
    words = []
    for group in groups:
        inner = list(group)
        while inner and is_one(inner[0], "is_punctuation"):
            words.append(inner.pop(0))
        behind = []
        while inner and is_one(inner[-1], "is_punctuation"):
            behind.append(inner.pop())
        words += [(inner[0][0], inner[0][1], max(end for _, _, end in inner))] if inner else []
        words += reversed(behind)
    return words


def own_offsets(encoding: Encoding) -> list[tuple[int, int] | None]:
    own = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    return [None if sequence is None else span for span, sequence in own]


def small_word_piece() -> Tokenizer:
    letters = [chr(point) for point in range(33, 127)]
    tokens = [*SPECIALS, *letters, *("##" + letter for letter in letters), "the", "good", "##ing", "中", "각"]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


@pytest.mark.parametrize("name", ["uncased", "cased-no-cjk-accents", "empty-prefix"])
def test_word_pieces_have_the_words_of_the_plain_rule(name: str, tmp_path: Path) -> None:
    small_word_piece().save(str(tmp_path / "tokenizer.json"))
    (folder,) = write_variants(tmp_path, tmp_path / "variants", [name])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    classes = classes_of_tables(read_tokenizer_asset((folder / "tokenizer.bin").read_bytes()).data.tables)
    for sample in fuzzed(tokenizer, 64, 400, seed=5):
        encoding = tokenizer.encode(sample.text)
        words = find_words(sample.text, own_offsets(encoding), classes)
        found = [(word.first, word.start, word.end) for word in words]
        assert found == plain_rule(sample.text, encoding.offsets, classes), ascii(sample.text)


def test_unicodes_classes_are_those_of_an_asset() -> None:
    points = [*range(0x20, 0x250), *range(0x2000, 0x2070), *range(0x3000, 0x3100), *range(0x4DF0, 0x4E10)]
    tables = classes_of(points)
    for point in points:
        assert CLASSES.is_punctuation(chr(point)) == (point in tables.punctuation), hex(point)
        assert CLASSES.is_ideograph(chr(point)) == (point in tables.padded), hex(point)
        assert CLASSES.is_space(chr(point)) == (point in tables.spaces), hex(point)


SENTENCES = [
    ("the", "movie", "was", "good"),
    ("中", "文", "xq", "中"),
    ("Straße", "😀😀", "naïve", "한국"),
    ("12", "it's", "o'clock", "a"),
    ("ab",),
    ("cd", "e"),
]
# The first has offsets that leave out the first letter, for the space that is put before it. In the second an added
# token in a word has no such space where words go one by one.
OTHERS = ("roberta-prefixed-unknown", "added-prefixed")
KINDS = [
    "word pieces",
    *(f"byte pairs: {name}" for name in BYTE_PAIRS if name not in OTHERS),
    *(f"unigram: {name}" for name in UNIGRAMS),
]


def tokenizer_of(kind: str) -> Tokenizer:
    name = kind.partition(": ")[2]
    if not name:
        return small_word_piece()
    return unigram(name) if kind.startswith("unigram") else byte_pairs(name, None)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_stand_where_apps_look_for_them(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    examples = [Example("", None, words, tuple(range(len(words)))) for words in SENTENCES]
    encoded = encode(Dataset(tuple(examples), "memory", "0"), TAGGING, tokenizer, 64)
    for number, words in enumerate(SENTENCES):
        text = " ".join(words)
        encoding = tokenizer.encode(text)
        rows, spans = encoded.rows([number]), own_offsets(encoding)
        assert encoded.input_ids[rows].tolist() == encoding.ids, "training sees the tokens of apps"
        trained = [(label, i) for i, label in enumerate(encoded.labels[rows].tolist()) if label >= 0]
        assert trained == list(first_tokens(words, spans, str.isspace))
        found = find_words(text, spans, CLASSES)
        assert [first for _, first in trained] == [word.first for word in found]
        assert list(words) == [text[word.start : word.end] for word in found]


def test_an_example_that_begins_where_another_ended() -> None:
    tokenizer = byte_pairs("byte-level-trimmed", None)  # no special token parts them
    examples = tuple(Example("", None, (word,), (1,)) for word in ("the", "it"))
    labels = encode(Dataset(examples, "memory", "0"), TAGGING, tokenizer, 64).labels
    assert (labels >= 0).sum() == 2

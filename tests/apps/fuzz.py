"""Strings that find the differences between two tokenizers: all planes, all scripts, and what real text never does.

A tokenizer that was written again goes wrong at rare code points, at marks that change places, at literal special
tokens, at the longest word and at the maximum length. Each kind of string below aims at one of these; kinds are mixed,
and a fifth of the strings are pairs. `fuzzed` with a seed gives the same strings every time. No lone surrogates:
UTF-8 has none, so the reference has no answer for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from tokenizers import Tokenizer

from edgepack.tokenizer.byte_pairs import byte_tokens
from edgepack.tokenizer.hangul import HANGUL
from edgepack.tokenizer.unicode_tables import CODE_POINTS, SURROGATES, unicode_tables

PLANES = (0, 0, 0, 1, 1, 2, 3, 14, 15, 16)  # by weight; 4 to 13 hold nothing
BLOCK = 128  # code points; a script's letters lie together
SPACES = " \t\n\r\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u000b\u000c\u0085"
INVISIBLE = (
    "\x00\x01\x1f\x7f\x80\x9f\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u202e\u2060\u2066\ufeff\ufffd\ufe0f"
)
CASE_TRAPS = "İıIiſKÅΣσςßẞŉǅǆΐΰﬀﬃᾳᾼᲐაꭰᏸԱև\U00010400\U0001e900İ\u0307\u0345ᾈ"
COMPATIBLE = "ﬁﬃ½™㎏ﷺ①K²Ａｶﾊ゙ﾟ㈱ⅷ…´¨\u00a0\u2011\u0958ｰ｡ﾞ㋿\U0001d400\U0001f12b©❤👨\U0001f1e6"
JOINED = "\u0301\u0327\u200d\u200c\ufe0f\u094d\u093c\u0915\u1161\u11a8\u1100\uac00\u0903\u0600\u3099\U0001f3fd\r\n"
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'", "''", "'r", "'v", "’s")
PAIR_SHARE = 0.2
OTHER_LENGTH_SHARE = 0.15


@dataclass(frozen=True)
class Sample:
    """What a tokenizer is given."""

    text: str
    pair: str | None
    max_length: int


def fuzzed(tokenizer: Tokenizer, max_length: int, count: int, seed: int) -> Iterator[Sample]:
    """`count` samples for this tokenizer; most at `max_length`, some at others."""
    maker = Maker(tokenizer, max_length, Random(seed))
    for _ in range(count):
        yield maker.sample()


class Maker:
    """Makes strings out of a tokenizer's vocabulary and Unicode."""

    def __init__(self, tokenizer: Tokenizer, max_length: int, random: Random) -> None:
        self.random, self.max_length = random, max_length
        vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=False))
        byte_level = type(tokenizer.model).__name__ == "BPE"
        unigram = type(tokenizer.model).__name__ == "Unigram"
        vocabulary = sorted(spelled(vocabulary)) if byte_level else vocabulary
        vocabulary = [piece.replace("▁", " ") for piece in vocabulary] if unigram else vocabulary
        self.specials = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
        self.words = [token for token in vocabulary if token not in self.specials]
        self.special_count = {pair: tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)}
        self.kinds: Sequence[Callable[[], str]] = (
            self.any_points,
            self.one_block,
            self.words_and_noise,
            self.words_and_noise,
            self.marks,
            self.literals,
            self.invisible,
            self.east_asian,
            self.case_traps,
            self.long_word,
            *((self.gaps, self.unbroken, self.clusters) if byte_level or unigram else ()),
            *((self.contractions,) if byte_level else ()),
            self.mixture,
        )

    def sample(self) -> Sample:
        """One sample; where the length matters most, texts that are about as long as fits."""
        paired = self.random.random() < PAIR_SHARE
        length = self.max_length
        if self.random.random() < OTHER_LENGTH_SHARE:
            few = self.special_count[paired]
            length = self.random.choice([few, few + 1, few + 2, few + 3, few + 8, 64, 512])
        make = self.at_the_limit if self.random.random() < 0.1 else self.any_kind
        return Sample(make(), make() if paired else None, length)

    def any_kind(self) -> str:
        """A string of one kind."""
        return self.random.choice(self.kinds)()

    def any_points(self) -> str:
        """Code points of one plane, assigned or not."""
        plane = self.random.choice(PLANES)
        return "".join(self.point(plane << 16, 0x10000) for _ in range(self.random.randint(1, 30)))

    def point(self, start: int, width: int) -> str:
        """One code point of a range, no surrogate."""
        while True:
            point = start + self.random.randrange(width)
            if point not in SURROGATES:
                return chr(min(point, CODE_POINTS - 1))

    def block(self) -> Callable[[], str]:
        """Draws code points of one block of plane 0 or 1."""
        start = self.random.randrange(0x20000 // BLOCK) * BLOCK
        return (lambda: "\ufffd") if start in SURROGATES else (lambda: self.point(start, BLOCK))

    def one_block(self) -> str:
        """Words of one script, with spaces and other punctuation."""
        letter = self.block()
        words = ["".join(letter() for _ in range(self.random.randint(1, 8))) for _ in range(self.random.randint(1, 6))]
        return self.random.choice([" ", " ", "-", "\u3000", ""]).join(words)

    def word(self) -> str:
        """A token of the vocabulary as a text has it, sometimes with its prefix, sometimes in other case."""
        word = self.random.choice(self.words)
        change = self.random.randrange(6)
        if change == 0:
            return word.upper()
        if change == 1:
            return word.title()
        return word if change == 2 else word.removeprefix("##")

    def words_and_noise(self) -> str:
        """Tokens joined by spaces, by nothing or by a stray code point."""
        parts = []
        for _ in range(self.random.randint(1, 14)):
            parts.append(self.word())
            noise = self.random.randrange(8)
            parts.append(" " if noise < 4 else "" if noise < 6 else self.noise())
        return "".join(parts)

    def noise(self) -> str:
        """A code point that no word expects."""
        return self.random.choice(
            [
                self.random.choice(SPACES),
                self.random.choice(INVISIBLE),
                self.random.choice(CASE_TRAPS),
                chr(self.random.choice(self.mark_points)),
                self.point(0x20, 0x5F),
                self.point(0xA0, 0x2F60),
                self.point(0x1F300, 0x400),
            ]
        )

    @cached_property
    def mark_points(self) -> list[int]:
        """Marks that NFD moves, and code points that lose their accents to nothing."""
        tables = unicode_tables(True, True, True, True)
        return sorted(set(tables.ranks) | {point for point, fold in tables.folds.items() if not fold})

    def marks(self) -> str:
        """Runs of combining marks, up to very long ones, on letters and on nothing."""
        longest = self.random.choice([2, 4, 12, 150])
        parts = []
        for _ in range(self.random.randint(1, 5)):
            parts.append(self.random.choice(["", "a", "é", "각", "か", "\u0344", "\U0001d15e", " ", self.word()]))
            parts += [chr(self.random.choice(self.mark_points)) for _ in range(self.random.randint(0, longest))]
        return "".join(parts)

    def literals(self) -> str:
        """Added tokens written out: whole, cut, in other case, side by side, between all kinds of spaces."""
        parts = []
        for _ in range(self.random.randint(1, 6)):
            token = self.random.choice(self.specials or ["[CLS]"])
            cut = self.random.randrange(len(token) + 1)
            parts.append(self.random.choice([token, token, token.lower(), token[:cut], token[cut:], self.word()]))
            parts.append(self.random.choice(["", "", " ", self.random.choice(SPACES) * 2, self.noise()]))
        return "".join(parts)

    def invisible(self) -> str:
        """Controls, joiners, spaces and punctuation, with few letters between them."""
        kinds = [INVISIBLE, INVISIBLE, SPACES, "ab", ".,;!?'\"()[]#@-_/\\^`~|$<>=+…—“”؟。、！"]
        return "".join(self.random.choice(self.random.choice(kinds)) for _ in range(self.random.randint(0, 25)))

    def east_asian(self) -> str:
        """Hangul whole and as jamo, kana with sound marks, ideographs of every extension and of compatibility."""
        ranges = [
            (HANGUL.start, len(HANGUL)),
            (0x1100, 0x100),
            (0x3040, 0xC0),
            (0x3099, 4),
            (0x4E00, 0x5200),
            (0x3400, 0x19C0),
            (0x20000, 0x16000),
            (0x30000, 0x3500),
            (0xF900, 0x200),
            (0x2F800, 0x220),
            (0xFF00, 0xF0),
            (0x61, 26),
        ]
        return "".join(self.point(*self.random.choice(ranges)) for _ in range(self.random.randint(1, 16)))

    def case_traps(self) -> str:
        """Letters whose case depends on language, on context, or changes their number."""
        letters = CASE_TRAPS + "abcΟΔΥΣ "
        return "".join(self.random.choice(letters) for _ in range(self.random.randint(1, 20)))

    def long_word(self) -> str:
        """A word about as long as the longest allowed one, in letters of one or two UTF-16 units."""
        letter = self.random.choice(["a", "é", "e\u0301", "각", "𝐚", "\U00010400", "ß", "İ", self.word()])
        wanted = self.random.choice([19, 20, 21, 33, 34, 50, 98, 99, 100, 101, 102, 200])
        return (letter * wanted)[: wanted * self.random.choice([1, 2])] + self.random.choice(["", " a", "."])

    def contractions(self) -> str:
        """Contractions, and what looks like one, behind words, numbers, spaces and each other."""
        parts = []
        for _ in range(self.random.randint(1, 8)):
            parts.append(self.random.choice([self.word(), "I", "12", " ", "", "é", ".", "٣"]))
            parts.append(self.random.choice(CONTRACTIONS))
        return "".join(parts)

    def gaps(self) -> str:
        """Words between runs of spaces of all kinds, at both ends too."""
        parts = []
        for _ in range(self.random.randint(1, 8)):
            kinds = self.random.choice([" ", " ", SPACES, " ĠĊ▁"])
            parts.append("".join(self.random.choice(kinds) for _ in range(self.random.randint(0, 5))))
            parts.append(self.random.choice([self.word(), self.word().strip(), "7", "-", "中", ""]))
        return "".join(parts)

    def unbroken(self) -> str:
        """A long run without a space: merges of a thousand letters at once."""
        letters = self.random.choice(["a", "ab", "the", "0", "=", " ", self.word().strip() or "e", "eariotns"])
        return "".join(self.random.choice(letters) for _ in range(self.random.choice([20, 200, 1000])))

    def clusters(self) -> str:
        """What compatibility forms replace, alone and with what joins it to a grapheme cluster."""
        parts = []
        for _ in range(self.random.randint(1, 8)):
            parts.append(self.random.choice([*COMPATIBLE, "e", "a", self.word()]))
            parts += self.random.choices(JOINED, k=self.random.choice([0, 0, 1, 1, 2, 3]))
        return "".join(parts)

    def mixture(self) -> str:
        """Parts of several kinds."""
        plain = self.kinds[:-1]
        return "".join(self.random.choice(plain)() for _ in range(self.random.randint(2, 3)))

    def at_the_limit(self) -> str:
        """About as many tokens as fit, more or less."""
        wanted = max(0, self.max_length + self.random.randint(-6, 6)) // self.random.choice([1, 1, 2, 3])
        return " ".join(self.word() for _ in range(wanted))


def spelled(vocabulary: Sequence[str]) -> set[str]:
    """What a byte-level vocabulary's tokens say, those that are whole characters."""
    byte = {letter: bytes([number]) for number, letter in enumerate(byte_tokens())}
    texts = (b"".join(byte.get(letter, b"") for letter in token).decode(errors="ignore") for token in vocabulary)
    return {text for text in texts if text}

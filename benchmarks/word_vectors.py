"""Other small classifiers of the bytes that a student has: fastText, and static embeddings under a logistic regression.

fastText (Joulin et al. 2016, "Bag of Tricks" and "FastText.zip"; https://fasttext.cc) learns vectors of words and
n-grams and is packed by product quantization. Static embeddings are model2vec's of all-MiniLM-L6-v2, cut by PCA, in
int8, of the tokens that the training texts have; a text is the mean of its tokens' vectors. Settings are chosen on a
tenth of the training data; dev decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from zlib import compress

import numpy as np

from benchmarks.kind_teachers import BASE
from benchmarks.static_embeddings import distil
from edgepack.machine.extras import import_package
from edgepack.task.dataset import Example

NEED = "benchmarks baselines"
HELD_OUT = 10  # one in so many examples chooses the settings
PUNCTUATION = re.compile(r"([^\w\s])")
LABEL = "__label__"
LEARNING_RATES, CHARACTERS = (0.1, 0.5, 1.0), ((0, 0), (2, 5))  # n-grams of so many characters; 0: of none
EPOCHS, WIDTH, WORD_NGRAMS, BUCKETS = 25, 50, 2, 200_000
VECTOR_BYTES = 34  # of a packed vector: 25 of codes, one of its length, 8 of its place
CUTS = 4  # how often a number of kept vectors is tried
PENALTIES = (0.01, 0.1, 1.0)  # logistic regression's C
MOST_STEPS = 300


class Measured(NamedTuple):
    """What a model of a budget reaches; `bytes`: of its file, or of what it would have to hold."""

    bytes: int
    accuracy: float
    settings: str


Fit = Callable[[int], Measured | None]  # from a budget in bytes; None where nothing fits


@dataclass(frozen=True, eq=False)
class Parts:
    """Examples to train on and those that judge, of a task with one of `labels` for each text or pair."""

    train: Sequence[Example]
    evaluation: Sequence[Example]
    labels: int
    seed: int

    def split(self) -> tuple[list[Example], list[Example]]:
        """All but a tenth of the training data, and that tenth."""
        order = np.random.default_rng(self.seed).permutation(len(self.train))
        cut = len(order) // HELD_OUT
        return [self.train[i] for i in order[cut:]], [self.train[i] for i in order[:cut]]


def truth(examples: Sequence[Example]) -> np.ndarray:
    """Class ids, `(n,)`."""
    return np.array([example.label for example in examples])


# fastText


def fasttext_line(example: Example) -> str:
    """Lower case, punctuation apart, as fastText's documentation has it; both texts of a pair, a bar between them."""
    texts = example.text if example.pair is None else f"{example.text} | {example.pair}"
    return " ".join(PUNCTUATION.sub(r" \1 ", texts.lower()).split())


def fit_fasttext(parts: Parts, work: Path) -> Fit:
    """The best settings on the held-out tenth, trained on everything; then packed for each budget."""
    own, held = parts.split()
    tried = {
        (rate, characters): accuracy_of(train_fasttext(own, parts.seed, rate, characters, work), held)
        for rate, characters in product(LEARNING_RATES, CHARACTERS)
    }
    rate, characters = max(tried, key=tried.__getitem__)
    model, whole = train_fasttext(parts.train, parts.seed, rate, characters, work), work / "whole.bin"
    model.save_model(str(whole))
    grams = f"n-grams of {characters[0]} to {characters[1]} characters" if characters[1] else "words alone"
    return partial(pack_fasttext, whole, parts, work, f"rate {rate}, {grams}")


def train_fasttext(examples: Sequence[Example], seed: int, rate: float, characters: tuple[int, int], work: Path) -> Any:
    """A model of these examples; their file stays at `work`."""
    fasttext = import_package("fasttext", NEED)
    file = work / "train.txt"
    file.write_text("".join(f"{LABEL}{e.label} {fasttext_line(e)}\n" for e in examples), encoding="utf-8")
    return fasttext.train_supervised(
        input=str(file),
        lr=rate,
        epoch=EPOCHS,
        dim=WIDTH,
        wordNgrams=WORD_NGRAMS,
        minn=characters[0],
        maxn=characters[1],
        bucket=BUCKETS,
        seed=seed,
        thread=1,
        verbose=0,
    )


def accuracy_of(model: Any, examples: Sequence[Example]) -> float:
    """By the compiled part: the Python part of fastText 0.9.2 does not know numpy 2."""
    answers = [model.f.predict(f"{fasttext_line(e)}\n", 1, 0.0, "strict") for e in examples]
    right = [bool(a) and a[0][1] == f"{LABEL}{e.label}" for a, e in zip(answers, examples, strict=True)]
    return float(np.mean(right))


def pack_fasttext(whole: Path, parts: Parts, work: Path, settings: str, budget: int) -> Measured | None:
    """About as many vectors as fit, trained once more after the others went, as fastText does it."""
    model = import_package("fasttext", NEED).load_model(str(whole))
    most = model.get_input_matrix().shape[0]
    fixed = WIDTH * 4 * (256 + parts.labels)  # code books, and the labels' vectors
    kept = min(most, int((budget - fixed) / VECTOR_BYTES))
    for _ in range(CUTS):
        if kept < 1:
            return None
        if (size := packed_fasttext(whole, work, kept)) <= budget:
            break
        kept = int(kept * (budget - fixed) / (size - fixed) * 0.98)
    else:
        return None
    model = import_package("fasttext", NEED).load_model(str(work / "packed.ftz"))
    return Measured(size, accuracy_of(model, parts.evaluation), f"{settings}, {kept:,} of {most:,} vectors")


def packed_fasttext(whole: Path, work: Path, kept: int) -> int:
    """Write `packed.ftz` with so many vectors; its bytes."""
    model, file = import_package("fasttext", NEED).load_model(str(whole)), work / "packed.ftz"
    model.quantize(input=str(work / "train.txt"), cutoff=kept, retrain=True, qnorm=True, thread=1, verbose=0)
    model.save_model(str(file))
    return file.stat().st_size


# Static embeddings


@cache
def static_vectors(shared: Path, work: Path) -> tuple[np.ndarray, Any]:
    """model2vec's `(tokens, numbers)` in the order of their variance, and the tokenizer."""
    distil(shared / BASE, work / "static")
    model = import_package("model2vec", NEED).StaticModel.from_pretrained(work / "static")
    return np.asarray(model.embedding, dtype=np.float32), model.tokenizer


@dataclass(frozen=True, eq=False)
class Table:
    """Vectors of the tokens that training texts have, `(kept, numbers)`; `place`: each token's row, or -1."""

    vectors: np.ndarray
    place: np.ndarray
    tokenizer: Any
    word_bytes: int  # of the tokens' text, by zlib

    def features(self, examples: Sequence[Example], numbers: int) -> np.ndarray:
        """Means of the first numbers in int8; of a pair both, their distance and their product."""
        scale = np.abs(self.vectors[:, :numbers]).max() / 127
        rounded = np.round(self.vectors[:, :numbers] / scale) * scale
        first = self._means([example.text for example in examples], rounded)
        if examples[0].pair is None:
            return first
        second = self._means([example.pair or "" for example in examples], rounded)
        return np.hstack([first, second, np.abs(first - second), first * second])

    def _means(self, texts: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        out = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        for i, encoding in enumerate(self.tokenizer.encode_batch(texts, add_special_tokens=False)):
            rows = self.place[encoding.ids]
            if (rows := rows[rows >= 0]).size:
                out[i] = vectors[rows].mean(axis=0)
        return out


def fit_static(parts: Parts, vectors: np.ndarray, tokenizer: Any) -> Fit:
    """Logistic regression over the vectors that fit each budget."""
    texts = [text for e in parts.train for text in (e.text, e.pair) if text is not None]
    counts = np.zeros(len(vectors), dtype=np.int64)
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        np.add.at(counts, encoding.ids, 1)
    used = np.flatnonzero(counts)
    place = np.full(len(vectors), -1)
    place[used] = np.arange(len(used))
    words = "\n".join(tokenizer.id_to_token(int(i)) for i in used).encode()
    return partial(static_of, Table(vectors[used], place, tokenizer, len(compress(words, 9))), parts)


def static_of(table: Table, parts: Parts, budget: int) -> Measured | None:
    """As many numbers as fit beside the tokens' text; weights of the labels count as float16."""
    blocks = 1 if parts.train[0].pair is None else 4
    each = len(table.vectors) + 2 * blocks * parts.labels
    numbers = min(table.vectors.shape[1], (budget - table.word_bytes - 2 * parts.labels) // each)
    if numbers < 1:
        return None
    own, held = parts.split()
    inner, outer = table.features(own, numbers), table.features(held, numbers)
    chosen = max(PENALTIES, key=lambda c: float(regression(inner, truth(own), c).score(outer, truth(held))))
    model = regression(table.features(parts.train, numbers), truth(parts.train), chosen)
    accuracy = float(model.score(table.features(parts.evaluation, numbers), truth(parts.evaluation)))
    size = table.word_bytes + numbers * each + 2 * parts.labels
    return Measured(size, accuracy, f"{len(table.vectors):,} tokens × {numbers}, C = {chosen:g}")


def regression(features: np.ndarray, labels: np.ndarray, penalty: float) -> Any:
    """Logistic regression on columns of deviation 1, which the weights could take in."""
    scaler = import_package("sklearn.preprocessing", NEED).StandardScaler()
    logistic = import_package("sklearn.linear_model", NEED).LogisticRegression(C=penalty, max_iter=MOST_STEPS)
    return import_package("sklearn.pipeline", NEED).make_pipeline(scaler, logistic).fit(features, labels)

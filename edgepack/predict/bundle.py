"""A loaded bundle: text in, answer out, as an app gives it.

Text goes through the bundle's own `tokenizer.bin`, in the reference reader, and through its own runtime, one text at a
time: activations are rounded with a range for each text, so a text in a padded batch would get another answer. A bundle
without `tokenizer.bin` is read by the tokenizers library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from tokenizers import Tokenizer

from edgepack.bundle.goldens import read_text
from edgepack.bundle.manifest import BundleManifest, load_manifest, task_of
from edgepack.errors import InputError, shown
from edgepack.evidence.opened import OpenBundle
from edgepack.parameters import AnyPath, as_count, as_path
from edgepack.predict.answer import Answer, unknown_share
from edgepack.predict.entities import find_entities
from edgepack.predict.ranking import Text, ranked
from edgepack.predict.zero_shot import HYPOTHESIS, Question, make_question
from edgepack.runtime import Session, load
from edgepack.runtime.predict import predict_session, with_outputs
from edgepack.target import load_target
from edgepack.task.long_texts import one_text
from edgepack.task.reading.rows import SURROGATE
from edgepack.task.task import Task
from edgepack.task.tokenize import whole_text
from edgepack.task.windows import Longest, Windows, part_of
from edgepack.task.words import CharacterClasses, classes_of_tables, classes_of_unicode, find_words
from edgepack.tokenizer.reader import AssetTokenizer, Encoding

MOST_THREADS = 1_024


class BinaryTokenizer:
    """The bundle's `tokenizer.bin`."""

    def __init__(self, reader: AssetTokenizer) -> None:
        self.reader = reader
        self.unknown = getattr(reader.data, "unknown_id", None)  # every text has bytes

    def encode(self, text: str, pair: str | None, longest: Longest | None) -> Encoding:
        """Ids with special tokens, as far as the model reads."""
        return self.reader.encode(text, pair) if longest is None else read_text(self.reader, text, pair, longest)

    @property
    def classes(self) -> CharacterClasses:
        """What separates words."""
        return classes_of_tables(self.reader.data.tables)


class JsonTokenizer:
    """The bundle's `tokenizer.json`, by the tokenizers library."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        tokenizer.no_padding()
        model = json.loads(tokenizer.to_str())["model"]  # a Unigram model has the id, others the token
        token = model.get("unk_token")
        self.unknown: int | None = tokenizer.token_to_id(token) if token else model.get("unk_id")

    def encode(self, text: str, pair: str | None, longest: Longest | None) -> Encoding:
        """Ids with special tokens, as far as the model reads."""
        if half := SURROGATE.search(text + (pair or "")):
            raise InputError(f"text holds {shown(half[0])}, half of a surrogate pair: a text cut inside a character")
        if isinstance(longest, int):
            self.tokenizer.enable_truncation(longest)
        else:
            self.tokenizer.no_truncation()
        found: Any = self.tokenizer.encode(text, pair)
        if isinstance(longest, Windows):
            found = whole_text(found, longest)
        return Encoding(found.ids, found.type_ids, found.offsets, [], found.sequence_ids)

    @property
    def classes(self) -> CharacterClasses:
        """What separates words."""
        return classes_of_unicode()


@dataclass(frozen=True, eq=False)
class Run:
    """One text's tokens, the logits, and the answer that they are."""

    encoding: Encoding
    logits: np.ndarray
    answer: Answer


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that is ready to answer: `Bundle.load(folder)` opens one; call it with a text, or a list of them."""

    folder: Path
    manifest: BundleManifest
    tokenizer: BinaryTokenizer | JsonTokenizer
    session: Session

    @classmethod
    def load(cls, folder: AnyPath, threads: int = 1, cache: AnyPath | None = None) -> Bundle:
        """Open the bundle in `folder`.

        `threads`: of the runtime; Core ML and Core AI choose their number. `cache`: a folder to keep the unpacked model
        in, of a bundle for ONNX Runtime: the next load takes a third of the time. What is there of another model or
        version, or damaged, is not used. `InputError` where the bundle is none, or its runtime has no use for these,
        `NotRunHere` or `MissingDependency` where it is not here.
        """
        path, threads = as_path("folder", folder), as_count("threads", threads, MOST_THREADS)
        manifest = load_manifest(path)
        opened = OpenBundle(path, manifest, load_target(manifest.target))
        reader = opened.asset
        tokenizer = JsonTokenizer(opened.tokenizer) if reader is None else BinaryTokenizer(reader)
        kept = None if cache is None else as_path("cache", cache)
        if kept is not None and kept.exists() and not kept.is_dir():
            raise InputError(f"cache is {shown(str(kept))}, which is a file; give a folder")
        session = load(path / opened.target.file, opened.target, threads, kept)
        return cls(path, manifest, tokenizer, session)

    @cached_property
    def task(self) -> Task:
        """What it answers."""
        return task_of(self.manifest)

    @property
    def windows(self) -> Windows | None:
        """How it reads long texts; None: they are cut."""
        longest = self.manifest.longest
        return longest if isinstance(longest, Windows) else None

    @overload
    def __call__(self, texts: str | tuple[str, str]) -> Answer: ...

    @overload
    def __call__(self, texts: list[str] | list[tuple[str, str]]) -> list[Answer]: ...

    def __call__(self, texts: Text | list[str] | list[tuple[str, str]]) -> Answer | list[Answer]:
        """Answer one text, or a list of them; for a task on pairs a text is a tuple of two."""
        return list(self.answers(texts)) if isinstance(texts, list) else self.answer(texts)

    @overload
    def zero_shot(
        self, texts: str, labels: Sequence[str], hypothesis: str = HYPOTHESIS, multi_label: bool = False
    ) -> Answer: ...

    @overload
    def zero_shot(
        self, texts: list[str], labels: Sequence[str], hypothesis: str = HYPOTHESIS, multi_label: bool = False
    ) -> list[Answer]: ...

    def zero_shot(
        self, texts: str | list[str], labels: Sequence[str], hypothesis: str = HYPOTHESIS, multi_label: bool = False
    ) -> Answer | list[Answer]:
        """Which of `labels` a text is of, by a bundle that judges entailment; `InputError` where it does not.

        `hypothesis`: the sentence that a label is put into, at {}. `multi_label`: each label is judged by itself.
        """
        question = make_question(self.task, labels, hypothesis, multi_label)
        if isinstance(texts, list):
            return [self._judged(question, text) for text in texts]
        return self._judged(question, texts)

    def _judged(self, question: Question, text: str) -> Answer:
        runs = [self.run(pair) for pair in question.pairs(text)]
        return question.answer([run.answer for run in runs], np.stack([run.logits for run in runs]))

    def rank(self, query: str, candidates: Sequence[str]) -> list[Answer]:
        """The candidates in the order that they suit a query, the best first, each as a scored pair of both.

        `InputError` where the bundle neither embeds nor scores pairs.
        """
        return ranked(self.task, self.answer, query, candidates)

    def answers(self, texts: Iterable[Text]) -> Iterator[Answer]:
        """Answers one after the other; `InputError` for one text, or what holds none in order."""
        if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
            raise InputError(f"texts is {shown(texts)}; a list or a generator of texts is needed")
        for text in texts:
            yield self.answer(text)

    def answer(self, text: Text) -> Answer:
        """The answer to one text or pair."""
        return self.run(text).answer

    def run(self, text: Text) -> Run:
        """One text or pair through tokenizer and runtime."""
        first, second = self._parts(text)
        encoding = self.tokenizer.encode(first, second, self.manifest.longest)
        count = len(encoding.input_ids)
        whole = count
        if count >= self.manifest.max_length and (second is not None or self.manifest.windows is None):
            whole = len(self.tokenizer.encode(first, second, None).input_ids)
        unknown = unknown_share(encoding.input_ids, encoding.offsets_codepoint, self.tokenizer.unknown)
        answer = Answer(first, second, tokens=count, cut=whole > count, unknown=unknown)
        logits = self.logits(encoding)
        return Run(encoding, logits, self._decided(answer, encoding, logits))

    def logits(self, encoding: Encoding) -> np.ndarray:
        """What the model gives: `(labels,)`, the vector of a text, or `(tokens, labels)` where words are labelled."""
        windows, part = self.windows, part_of(encoding.sequences)
        text = one_text(encoding.input_ids, encoding.token_type_ids, windows, part)
        logits = with_outputs(predict_session(self.session, text), self.task.outputs)
        return logits if self.task.is_tagging else logits[0]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of logits `(…, labels)`, at the temperature that the manifest has."""
        return self.task.scoring.probabilities(logits.astype(np.float64) / (self.manifest.temperature or 1.0))

    def _decided(self, answer: Answer, encoding: Encoding, logits: np.ndarray) -> Answer:
        if self.task.embeds:
            return replace(answer, vector=tuple(map(float, logits)))
        if self.task.is_tagging:
            words = find_words(answer.text, encoding.own_offsets, self.tokenizer.classes)
            rows = self.probabilities(self.task.read_words(logits[[word.first for word in words]]))
            found = find_entities(answer.text, words, rows.argmax(axis=-1), rows.max(axis=-1), self.task.marks)
            return replace(answer, entities=found)
        labels, probabilities = self.manifest.labels, self.probabilities(logits)
        if self.task.is_score:
            return replace(answer, label=labels[0], score=float(self.task.decide(logits)))
        order = np.argsort(-probabilities, kind="stable")
        by_label = {labels[i]: float(probabilities[i]) for i in order}
        if self.task.is_multi_label:
            decided = self.task.decide(logits)
            answered = tuple(labels[i] for i in order if decided[i])
            return replace(answer, labels=answered, probabilities=by_label)
        most = float(probabilities[order[0]])
        sure = most >= (self.manifest.min_confidence or 0.0)
        return replace(answer, label=labels[order[0]], probability=most, probabilities=by_label, sure=sure)

    def _parts(self, text: Text) -> tuple[str, str | None]:
        """Text and pair; `InputError` where the task takes the other."""
        if self.manifest.pair:
            if not _is_pair(text):
                raise InputError(f"text is {shown(text)}; this bundle takes pairs: give a tuple of two texts")
            return text[0], text[1]
        if not isinstance(text, str):
            raise InputError(f"text is {shown(text)}; this bundle takes one text: give a string")
        return text, None


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple | list) and len(text) == 2 and all(isinstance(part, str) for part in text)

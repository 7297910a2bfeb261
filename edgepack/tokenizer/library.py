"""The `tokenizers` library within bounds: what a tokenizer.json may make of a text, and what the library may raise.

A normalizer can write thirty letters for each one, and the next one thirty for each of these; a template can repeat a
text a thousand times; a pattern can try for hours. So a document is looked at before the library reads it: how many
characters one can become at most is the product over its steps. Texts are bounded by that too, and go to the
library in batches of bounded length, since its encodings take some hundred bytes for each character.

The library raises bare `Exception`; its Rust code panics on a broken template, map or pattern, or where a pattern
takes too many steps: `PanicException` is no `Exception`, and writes lines of its own to the process's error stream.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgepack.bounded import read_file
from edgepack.errors import InputError, first_line, one_line, shown
from edgepack.tokenizer.asset_parts import MOST_PIECES
from edgepack.tokenizer.word_pieces import LONGEST_WORD

LARGEST_FILE = 40 << 20  # bytes; the largest tokenizer.json in use has some 35 MB
MOST_GROWTH = 1_000  # characters that one may become
MOST_CHARACTERS = 1_000_000  # of a text as the model's vocabulary sees it, and of a batch
MOST_TEXTS = 1_000  # in a batch
MOST_STEPS = 100  # of a pipeline
UNICODE_GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "BertNormalizer": 4, "Lowercase": 3}
STEPS = ("normalizers", "pretokenizers", "processors")
TextInput = str | tuple[str, str] | list[str]


@contextmanager
def tokenizers_as_input_errors(what: str) -> Iterator[None]:
    """Turn whatever the `tokenizers` library raises into an `InputError` that begins with `what`.

    The process's error stream is closed to the library, which writes its panics there.
    """
    try:
        with _closed_stderr():
            yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, InputError):
        raise
    except BaseException as e:
        raise InputError(f"{what}: {one_line(e)}") from e


@contextmanager
def _closed_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no error stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def read_tokenizer(path: Path, what: str) -> Tokenizer:
    """The tokenizer in a tokenizer.json; every `InputError` begins with `what`."""
    data = read_file(path, LARGEST_FILE, what)
    try:
        text = data.decode("utf-8-sig")
        document = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{what}: is not valid JSON: {first_line(e)}") from e
    check_document(document, what)
    with tokenizers_as_input_errors(what):
        return Tokenizer.from_str(text)


def check_document(document: Any, what: str) -> None:
    """`InputError` for a tokenizer.json that would make more of a text than any tokenizer does."""
    if not isinstance(document, dict):
        raise InputError(f"{what}: is {shown(document)}; a JSON object is needed")
    parts = [list(_steps(document.get(part))) for part in ("normalizer", "pre_tokenizer", "post_processor")]
    if max(map(len, parts)) > MOST_STEPS:
        raise InputError(f"{what}: its pipeline has {max(map(len, parts))} steps; at most {MOST_STEPS} are read")
    found = growth(document)
    if found > MOST_GROWTH:
        raise InputError(
            f"{what}: its normalizer may write {shown(found)} characters for one; at most {MOST_GROWTH:,} are allowed"
        )
    for step in parts[2]:
        for name in ("single", "pair"):
            template = step.get(name)
            if isinstance(template, list) and len(template) > MOST_PIECES:
                raise InputError(
                    f"{what}: its template {name!r} has {len(template):,} pieces; at most {MOST_PIECES} are allowed"
                )
        named = step.get("special_tokens")
        for token in named.values() if isinstance(named, dict) else ():
            if isinstance(token, dict) and isinstance(token.get("ids"), list) and len(token["ids"]) > MOST_PIECES:
                raise InputError(f"{what}: a special token stands for {len(token['ids']):,} ids; at most {MOST_PIECES}")
    model = document.get("model")
    longest = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if isinstance(longest, int) and longest > LONGEST_WORD:
        raise InputError(
            f"{what}: max_input_chars_per_word is {shown(longest)}; at most {LONGEST_WORD}: longer words are unknown"
        )


def growth(document: dict[str, Any]) -> int:
    """The most characters that normalizer and pre-tokenizer can make of one character."""
    product, unicode_growth = 1, 1
    for part in ("normalizer", "pre_tokenizer"):
        for step in _steps(document.get(part)):
            kind = step.get("type")
            unicode_growth = max(unicode_growth, UNICODE_GROWTH.get(str(kind), 1))  # twice is no more than once
            product = min(product * _step_growth(str(kind), step), 10**30)
    return product * unicode_growth


def _step_growth(kind: str, step: dict[str, Any]) -> int:
    if kind == "Replace":
        content, pattern = step.get("content"), step.get("pattern")
        length = len(content) if isinstance(content, str) else 0
        literal = pattern.get("String") if isinstance(pattern, dict) else None
        # a regular expression may match nothing at all, before every character
        return max(1, -(-length // len(literal))) if isinstance(literal, str) and literal else 1 + length
    if kind == "Prepend":
        text = step.get("prepend")
        return 1 + len(text) if isinstance(text, str) else 1
    if kind == "Precompiled":
        return _longest_replacement(step.get("precompiled_charsmap"))
    return 2 if kind == "ByteLevel" else 1


def _longest_replacement(charsmap: Any) -> int:
    """Of a map of SentencePiece: u32 length of its trie, the trie, the replacements, each ended by a zero byte."""
    try:
        data = base64.b64decode(charsmap or "")
    except (binascii.Error, TypeError, ValueError):
        return 1  # the library refuses it
    trie = int.from_bytes(data[:4], "little")
    return max(1, *(len(each) for each in data[4 + trie :].split(b"\0")))


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """All steps of a part of a pipeline, those of sequences in their place."""
    waiting = [part]
    while waiting:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        inner = [each for name in STEPS if isinstance(step.get(name), list) for each in step[name]]
        if not inner:
            yield step
        waiting.extend(reversed(inner))


def encode_texts(
    backend: Tokenizer, texts: Sequence[TextInput], what: str, special_tokens: bool = True
) -> Iterator[list[Any]]:
    """Encodings of all texts, a batch at a time; every `InputError` begins with `what`.

    Texts are strings, pairs of them, or (all of them) lists of words.
    """
    words = bool(texts) and isinstance(texts[0], list)
    for batch in _batches(backend, texts, what):
        with tokenizers_as_input_errors(f"{what}: the tokenizer fails on it"):
            encodings = backend.encode_batch(batch, words, special_tokens)
        yield encodings


def _batches(backend: Tokenizer, texts: Sequence[TextInput], what: str) -> Iterator[list[TextInput]]:
    """Texts of `MOST_CHARACTERS` together, as the vocabulary sees them; one that has more is an `InputError`."""
    most = growth({"normalizer": _state(backend.normalizer), "pre_tokenizer": _state(backend.pre_tokenizer)})
    batch: list[TextInput] = []
    total = 0
    for number, text in enumerate(texts, 1):
        parts = [text] if isinstance(text, str) else text
        size = sum(map(len, parts)) * most
        if size > MOST_CHARACTERS:
            with tokenizers_as_input_errors(f"{what}: the tokenizer fails on text {number}"):
                size = sum(_normalized_length(backend, part, most) for part in parts)
        if size > MOST_CHARACTERS:
            raise InputError(
                f"{what}: text {number} has {size:,} characters or more once it is normalized; at most "
                f"{MOST_CHARACTERS:,} are tokenized: shorten it"
            )
        if batch and (total + size > MOST_CHARACTERS or len(batch) == MOST_TEXTS):
            yield batch
            batch, total = [], 0
        batch.append(text)
        total += size
    if batch:
        yield batch


def _state(step: Any) -> Any:
    """A step of a tokenizer as its part of a tokenizer.json."""
    return None if step is None else json.loads(step.__getstate__())


def _normalized_length(backend: Tokenizer, text: str, most: int) -> int:
    """Characters of a text after normalization, piece by piece, counted until they are too many."""
    piece, length = max(1, MOST_CHARACTERS // most), 0
    for start in range(0, len(text), piece):
        part = text[start : start + piece]
        length += len(part if backend.normalizer is None else backend.normalizer.normalize_str(part))
        if length > MOST_CHARACTERS:
            break
    return length

"""Another tokenizer than the teacher's, for the student: read as a teacher's is, and one that apps can run.

A head reads the first token of a text, so there must be one that is no word. Tokenizers of decoders (GPT-2) put none
around a text, those of T5 one behind it: these get RoBERTa's `<s> … </s>`, as new tokens where the vocabulary lacks
them, and `<pad>`; WordPiece gets BERT's. Of a pair the second text has token type 1, as BERT's.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError
from edgepack.teacher.checkpoint import Checkpoint
from edgepack.teacher.files import CONFIG, TOKENIZER_FILES, deciding_names, refuse_unusable
from edgepack.teacher.hub import find_folder
from edgepack.teacher.load import Teacher
from edgepack.teacher.pipeline import with_prefix_space
from edgepack.teacher.tokenizer import FILE, add_tokens, wrap_tokenizer
from edgepack.teacher.tokenizer_settings import USUAL, TokenizerSettings, read_settings
from edgepack.teacher.vocabulary_check import check_vocabulary
from edgepack.teacher.vocabulary_files import build_tokenizer, special_tokens
from edgepack.tokenizer.asset import why_json
from edgepack.tokenizer.library import read_tokenizer, tokenizers_as_input_errors

FRAME = ("cls", "sep", "pad")  # roles that a student cannot do without


@dataclass(frozen=True, eq=False)
class StudentTokenizer:
    """The tokenizer, how the user named it, its hash, and what the user should know of it."""

    tokenizer: PreTrainedTokenizerFast
    name: str
    sha256: str
    notes: tuple[str, ...] = ()


def open_student_tokenizer(source: str, teacher: Teacher) -> StudentTokenizer:
    """Read and check the tokenizer at `source`, a folder or a hub id; `InputError` where no app can run it."""
    what = f"student tokenizer {source}"
    folder = find_folder(source, (CONFIG, *TOKENIZER_FILES))
    refuse_unusable(deciding_names(folder), source)
    settings = read_settings(folder, what)
    is_file = (folder / FILE).is_file()
    with tokenizers_as_input_errors(f"{what}: tokenizer does not load"):
        if is_file:
            backend = read_tokenizer(folder / FILE, f"{what}: {FILE}: tokenizer does not load")
        else:
            backend = build_tokenizer(folder, settings, what, framed=False)
        backend.no_truncation()
        backend.no_padding()
        if teacher.task.is_tagging:
            backend = with_prefix_space(backend)
        add_tokens(backend, settings, what)
        added, settings = _frame(backend, settings)
    stand_in = _stand_in(teacher, folder, source, backend)
    check_vocabulary(backend, stand_in, FILE if is_file else "the vocabulary")
    document = json.loads(backend.to_str())
    reason = why_json(document)
    if reason is not None:
        raise InputError(
            f"{what}: no app can run it: {reason}; allowed: WordPiece, byte-level BPE and Unigram (docs/inputs.md)"
        )
    tokenizer = wrap_tokenizer(backend, settings, None, stand_in, what)
    note = f"{what}: puts no special tokens around a text; {' '.join(added)} were added"
    digest = hashlib.sha256(backend.to_str().encode()).hexdigest()
    return StudentTokenizer(tokenizer, source, digest, (note,) if added else ())


def _frame(backend: Tokenizer, settings: TokenizerSettings) -> tuple[list[str], TokenizerSettings]:
    """Give the tokenizer a special token before a text, one behind it, and padding, where it has none; what is new."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    named = special_tokens(settings, vocabulary)
    style = 0 if json.loads(backend.to_str())["model"]["type"] == "WordPiece" else 1
    roles = {role: named[role] if named.get(role) in vocabulary else USUAL[role][style] for role in FRAME}
    mask = backend.encode("a").special_tokens_mask
    framed = len(mask) > 2 and bool(mask[0]) and bool(mask[-1])
    needed = [roles["pad"]] if framed else list(roles.values())
    added = [token for token in needed if token not in vocabulary]
    backend.add_special_tokens(needed)
    if not framed:
        first, last = roles["cls"], roles["sep"]
        backend.post_processor = TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(token, backend.token_to_id(token)) for token in (first, last)],
        )
    known = {role: token for role, token in named.items() if token in vocabulary}
    return added, replace(settings, special={**known, **{role: roles[role] for role in FRAME if roles[role] in needed}})


def _stand_in(teacher: Teacher, folder: Path, source: str, backend: Tokenizer) -> Checkpoint:
    """The teacher's config with a word table for this vocabulary: what the checks of a teacher's tokenizer ask for."""
    config = deepcopy(teacher.config)
    config.vocab_size = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=0)
    return Checkpoint(folder, source, config)

"""The tokenizer that runs is the one in the folder.

transformers 5 rebuilds a fast tokenizer from its class and keeps of tokenizer.json the vocabulary alone: its
normalizer, pre-tokenizer and template are dropped without a word. So the file's own pipeline is read, and wrapped in
the generic class, which leaves it as it is; that nothing changed on the way is compared. Where tokenizer_config.json
states an option that the file contradicts, both could have been the training's: the pipeline with that option is
kept as a rival, and `data_check.py` refuses a teacher where the two differ on its data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError, shown
from edgepack.teacher.checkpoint import Checkpoint, stated_positions
from edgepack.teacher.pipeline import Rival, find_rival, with_prefix_space
from edgepack.teacher.quiet import quiet_transformers
from edgepack.teacher.token_types import as_the_model_gets_them
from edgepack.teacher.tokenizer_settings import LEAST_LENGTH, NO_LIMIT, TokenizerSettings, read_settings
from edgepack.teacher.vocabulary_check import PROBES, check_ids, check_padding, check_vocabulary
from edgepack.teacher.vocabulary_files import build_tokenizer, said_of_vocabulary_beside, special_tokens
from edgepack.tokenizer.library import read_tokenizer, tokenizers_as_input_errors

FILE = "tokenizer.json"
UNSTATED_LENGTH = 512  # of a teacher whose positions have no end: an app's text is shorter
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "model")


@dataclass(frozen=True, eq=False)
class FolderTokenizer:
    """A checkpoint's tokenizer, cutting on the right as apps do; `truncation_side` and `padding_side` are its own.

    `pair_notes`: what is to be said where texts come in pairs; `notes`: whatever they are.
    """

    tokenizer: PreTrainedTokenizerFast
    truncation_side: str
    padding_side: str
    rival: Rival | None
    pair_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_tokenizer(checkpoint: Checkpoint, task_name: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer; for words given one by one, a byte-level one puts a space before each, as in its training."""
    return open_tokenizer(checkpoint, task_name).tokenizer


def open_tokenizer(checkpoint: Checkpoint, task_name: str) -> FolderTokenizer:
    """Read, check and wrap the tokenizer in the checkpoint's folder."""
    what = f"checkpoint {checkpoint.name}"
    settings = read_settings(checkpoint.folder, what)
    is_file = (checkpoint.folder / FILE).is_file()
    with tokenizers_as_input_errors(f"{what}: tokenizer does not load"):
        if is_file:
            backend = read_tokenizer(checkpoint.folder / FILE, f"{what}: {FILE}: tokenizer does not load")
        else:
            backend = build_tokenizer(checkpoint.folder, settings, what)
        check_ids(backend, checkpoint)  # first: writing a tokenizer takes time by its highest id
        stated = json.loads(backend.to_str())
        backend.no_truncation()  # settings of its training, not of the task
        backend.no_padding()
        if task_name == "token-classification":
            backend = with_prefix_space(backend)
        add_tokens(backend, settings, what)
        pair_notes: list[str] = []
        if not checkpoint.traits.one_segment:
            backend, pair_notes = as_the_model_gets_them(backend, settings, what)
    file = FILE if is_file else "the vocabulary"
    check_vocabulary(backend, checkpoint, file)
    check_padding(backend, checkpoint, file)
    pad = (stated.get("padding") or {}).get("pad_token")
    return FolderTokenizer(
        wrap_tokenizer(backend, settings, pad, checkpoint, what),
        settings.truncation_side or _direction(stated, "truncation"),
        settings.padding_side or _direction(stated, "padding"),
        find_rival(backend, settings, task_name) if is_file else None,
        tuple(pair_notes),
        (*said_of_vocabulary_beside(checkpoint.folder, backend, what), *_said_of_special(backend, settings, what))
        if is_file
        else (),
    )


def _said_of_special(backend: Tokenizer, settings: TokenizerSettings, what: str) -> list[str]:
    """Notes on roles whose token, as the files beside tokenizer.json name it, has not that role in it."""
    around = backend.encode("a", "a").tokens
    named = {role: settings.special.get(role) for role in ("cls", "sep", "unk")}
    said = [
        f"{role}_token {shown(token)}, which tokenizer.json puts around no text"
        for role, token in named.items()
        if role != "unk" and token is not None and token not in around
    ]
    own = getattr(backend.model, "unk_token", None)
    if own is not None and named["unk"] not in (None, own):
        said.append(f"unk_token {shown(named['unk'])}, where tokenizer.json has {shown(own)}")
    return [f"{what}: tokenizer_config.json names the {each}: tokenizer.json counts" for each in said]


def position_limit(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerFast) -> int:
    """The most tokens that the position table and the tokenizer's own limit allow."""
    stated = stated_positions(checkpoint.config)
    if stated is None:
        return min(UNSTATED_LENGTH, int(tokenizer.model_max_length))
    limit = stated
    if checkpoint.traits.offset_positions:
        limit -= int(checkpoint.config.pad_token_id or 0) + 1
    if limit < LEAST_LENGTH:
        raise InputError(
            f"checkpoint {checkpoint.name}: its positions (max_position_embeddings) allow {max(0, limit)} tokens; at "
            f"least {LEAST_LENGTH} are needed"
        )
    return min(limit, int(tokenizer.model_max_length))


def _direction(stated: dict[str, Any], part: str) -> str:
    """The side of tokenizer.json's own truncation or padding, which counts where no setting says another."""
    return str((stated.get(part) or {}).get("direction", "Right")).lower()


def add_tokens(backend: Tokenizer, settings: TokenizerSettings, what: str) -> None:
    """Add the tokens that the files beside the vocabulary name and it lacks, under the ids that they name."""
    for number, token in settings.added:
        found = backend.token_to_id(token.content)
        if found is None:
            backend.add_tokens([token])
            found = backend.token_to_id(token.content)
        if found != number:
            raise InputError(
                f"{what}: the added token {shown(token.content)} has the id {number} in tokenizer_config.json or "
                f"added_tokens.json, and {found} in the vocabulary; give the tokenizer that the teacher was trained "
                "with"
            )
    for token in settings.extra:
        if backend.token_to_id(token.content) is None:
            backend.add_special_tokens([token])


def wrap_tokenizer(
    backend: Tokenizer, settings: TokenizerSettings, pad: str | None, checkpoint: Checkpoint, what: str
) -> PreTrainedTokenizerFast:
    """The pipeline in the generic class of transformers, which must leave it as it is."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    named = special_tokens(settings, vocabulary)
    if pad in vocabulary and "pad" not in settings.special:
        named["pad"] = str(pad)
    for role in ("unk", "sep", "pad", "cls"):
        if role in named and named[role] not in vocabulary:
            raise InputError(
                f"{what}: {role}_token is {shown(named[role])}, which is not in the vocabulary; correct it in "
                "tokenizer_config.json"
            )
    known = {f"{role}_token": _special(backend, token) for role, token in named.items() if token in vocabulary}
    inputs = ["input_ids", *([] if checkpoint.traits.one_segment else ["token_type_ids"]), "attention_mask"]
    with quiet_transformers(), tokenizers_as_input_errors(f"{what}: tokenizer does not load"):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend,
            model_max_length=settings.max_length or NO_LIMIT,
            model_input_names=inputs,
            extra_special_tokens=[token.content for token in settings.extra if token.content not in named.values()],
            **known,
        )
        before, after = (json.loads(each.to_str()) for each in (backend, tokenizer.backend_tokenizer))
        same_ids = all(backend.encode(text).ids == tokenizer.backend_tokenizer.encode(text).ids for text in PROBES)
    changed = [part for part in PARTS if before[part] != after[part]]
    if changed or not same_ids or tokenizer.get_vocab() != vocabulary:
        part = changed[0] if changed else "added tokens"
        raise InputError(
            f"{what}: transformers changes the tokenizer's {part} when it loads it; save a plain tokenizer.json"
        )
    return tokenizer


def _special(backend: Tokenizer, token: str) -> AddedToken:
    """The token as the file has it, with its flags; a special one of its own where the file has it as a word."""
    for known in backend.get_added_tokens_decoder().values():
        if known.content == token:
            return known
    return AddedToken(token, special=True, normalized=False)

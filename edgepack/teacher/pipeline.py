"""A tokenizer's pipeline edited as its JSON: the options that a class would set, applied to what a file holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing

from edgepack.errors import shown
from edgepack.teacher.tokenizer_settings import TokenizerSettings
from edgepack.teacher.vocabulary_check import PROBES
from edgepack.teacher.vocabulary_files import GENERIC_CLASSES, WORD_PIECE_CLASSES
from edgepack.tokenizer.library import tokenizers_as_input_errors

CASE_CLASSES = (  # those that read do_lower_case
    *WORD_PIECE_CLASSES,
    *("AlbertTokenizer", "DebertaV2Tokenizer", "DPRContextEncoderTokenizer", "DPRQuestionEncoderTokenizer"),
    *("FNetTokenizer", "FunnelTokenizer", "RemBertTokenizer", "SplinterTokenizer", "XLNetTokenizer"),
)
ENDS = (("add_bos_token", "bos", 0), ("add_eos_token", "eos", -1))  # option, role, place in a text
MATCHING = ("single_word", "lstrip", "rstrip", "normalized")  # an added token's flags that decide where it is found
STEPS = ("normalizers", "pretokenizers", "processors")
Step = dict[str, Any]
Change = Callable[[Step], Step | None]


@dataclass(frozen=True)
class Rival:
    """The same tokenizer with what tokenizer_config.json says instead; `difference` names both."""

    backend: Tokenizer
    difference: str


def with_prefix_space(backend: Tokenizer) -> Tokenizer:
    """A copy whose byte-level step puts a space before the first word."""
    return _changed(backend, _prefix_space(True, byte_level=True))


def find_rival(backend: Tokenizer, settings: TokenizerSettings, task_name: str) -> Rival | None:
    """The pipeline as tokenizer_config.json's options would have it, where the file contradicts one of them."""
    kind, options = settings.class_name, settings.options
    generic = kind is not None and kind in GENERIC_CLASSES  # it takes the file, and of options those of any class
    changes: dict[str, Change] = {}
    if kind in (None, *CASE_CLASSES):
        changes["do_lower_case"] = _case(settings.flag("do_lower_case", True))
        changes["strip_accents"] = _field("strip_accents", options.get("strip_accents"))
        changes["tokenize_chinese_chars"] = _field(
            "handle_chinese_chars", settings.flag("tokenize_chinese_chars", True)
        )
    if task_name != "token-classification":
        changes["add_prefix_space"] = _prefix_space(settings.flag("add_prefix_space", False), byte_level=generic)
    rival, differing = backend, []
    with tokenizers_as_input_errors("tokenizer_config.json's options cannot be applied to tokenizer.json"):
        for option, change in changes.items():
            if options.get(option) is None:
                continue
            other = _changed(rival, change)
            if option == "do_lower_case" and options[option] and kind in CASE_CLASSES and not _lowers(other):
                other = _lowered(other)
            if _ids(other) != _ids(rival):
                rival = other
                differing.append(f"{option} {json.dumps(bool(options[option]))}")
        ends = _contradicted_ends(rival, settings)
        if ends:
            rival = _with_ends(rival, settings, ends)
            differing += [f"{option} {json.dumps(wanted)}" for option, wanted in ends.items()]
        flags = _other_flags(rival, settings)
        if flags:
            rival = _with_tokens(rival, flags)
            differing.append(f"other flags of the added token {shown(flags[0].content)}")
    if not differing:
        return None
    return Rival(rival, f"tokenizer_config.json says {', '.join(differing)}, and tokenizer.json does otherwise")


def _contradicted_ends(backend: Tokenizer, settings: TokenizerSettings) -> dict[str, bool]:
    """Options for a token that begins or ends each text, which the file's template does not do, or does unasked."""
    found, ids = {}, backend.encode("a").ids or [-1]  # a vocabulary may have no letter
    for option, role, place in ENDS:
        token = backend.token_to_id(settings.special.get(role, ""))
        wanted = settings.options.get(option)
        if wanted is not None and token is not None and (ids[place] == token) != wanted:
            found[option] = bool(wanted)
    return found


def _other_flags(backend: Tokenizer, settings: TokenizerSettings) -> list[AddedToken]:
    """Added tokens that tokenizer_config.json has with other flags, where a text with one of them shows it."""
    changed, known = [], backend.get_added_tokens_decoder()
    for number, value in (settings.options.get("added_tokens_decoder") or {}).items():
        own = known.get(int(number))
        if own is None or not isinstance(value, dict) or own.content != value["content"]:
            continue
        held = {flag: getattr(own, flag) for flag in MATCHING}
        stated = {flag: bool(value.get(flag, held[flag])) for flag in MATCHING}
        if stated != held:
            changed.append(AddedToken(own.content, special=own.special, **stated))
    if not changed:
        return []
    other = _with_tokens(backend, changed)  # one copy for all: a table may have 250,000 rows
    return [token for token in changed if _shows(token.content, backend, other)]


def _shows(token: str, *tokenizers: Tokenizer) -> bool:
    """Whether texts with an added token have other ids in one of two tokenizers."""
    texts = [*(text.format(token) for text in ("a{0}b", "a {0} b", "{0}{0}")), token.upper()]
    one, other = ([tokenizer.encode(text).ids for text in texts] for tokenizer in tokenizers)
    return one != other


def _with_tokens(backend: Tokenizer, tokens: list[AddedToken]) -> Tokenizer:
    copy = Tokenizer.from_str(backend.to_str())
    copy.add_tokens(tokens)
    return copy


def _with_ends(backend: Tokenizer, settings: TokenizerSettings, ends: dict[str, bool]) -> Tokenizer:
    """A copy whose template is that of the options alone, as transformers writes it where one of them is set."""
    ids, around = backend.encode("a").ids or [-1], {"bos": "", "eos": ""}
    for option, role, place in ENDS:
        token = settings.special.get(role, "")
        if token and ends.get(option, ids[place] == backend.token_to_id(token)):
            around[role] = token
    first, second = (f"{around['bos']} {text} {around['eos']}".strip() for text in ("$A", "$B"))
    copy = Tokenizer.from_str(backend.to_str())
    copy.post_processor = TemplateProcessing(
        single=first,
        pair=f"{first} {second}",
        special_tokens=[(token, backend.token_to_id(token)) for token in {*around.values()} - {""}],
    )
    return copy


def _ids(backend: Tokenizer) -> list[list[int]]:
    return [backend.encode(text).ids for text in PROBES]


def _changed(backend: Tokenizer, change: Change) -> Tokenizer:
    """A copy with `change` applied to every step around the model."""
    document = json.loads(backend.to_str())
    for part in ("normalizer", "pre_tokenizer", "post_processor"):
        document[part] = _walked(document[part], change)
    return Tokenizer.from_str(json.dumps(document))


def _walked(part: Any, change: Change) -> Any:
    """A part of the pipeline with `change` applied to its steps; a step that becomes None is left out."""
    if not isinstance(part, dict):
        return part
    for name in STEPS:
        if name in part:
            return {**part, name: [step for each in part[name] if (step := _walked(each, change)) is not None]}
    return change(part)


def _steps(part: Any) -> Iterator[Step]:
    if isinstance(part, dict):
        yield part
        for name in STEPS:
            for each in part.get(name) or ():
                yield from _steps(each)


def _lowers(backend: Tokenizer) -> bool:
    normalizer = json.loads(backend.to_str())["normalizer"]
    return any(step["type"] == "Lowercase" or step.get("lowercase") for step in _steps(normalizer))


def _lowered(backend: Tokenizer) -> Tokenizer:
    """A copy that lower-cases before everything else."""
    document = json.loads(backend.to_str())
    own = [document["normalizer"]] if document["normalizer"] else []
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *own]}
    return Tokenizer.from_str(json.dumps(document))


def _case(lower: bool) -> Change:
    """Text lower-cased, or not: BERT's normalizer says so itself, elsewhere it is a step of its own."""

    def change(step: Step) -> Step | None:
        if step["type"] == "BertNormalizer":
            return {**step, "lowercase": lower}
        return None if step["type"] == "Lowercase" and not lower else step

    return change


def _field(name: str, value: Any) -> Change:
    return lambda step: {**step, name: value} if name in step else step


def _prefix_space(space: bool, byte_level: bool) -> Change:
    """A space before the first word, or none; `byte_level`: no other kind of pre-tokenizer is touched."""

    def change(step: Step) -> Step:
        if step["type"] in ("ByteLevel", "RobertaProcessing") and "add_prefix_space" in step:
            return {**step, "add_prefix_space": space}
        prepends = step.get("prepend_scheme", "always") != "never"  # "first" and "always" both do
        if step["type"] == "Metaspace" and not byte_level and prepends != space:
            return {**step, "prepend_scheme": "always" if space else "never"}
        return step

    return change

"""What the files beside a vocabulary say of its tokenizer: special and added tokens, limits, sides, options.

They are tokenizer_config.json, special_tokens_map.json and added_tokens.json; the first to name something decides.
Read by edgepack itself, since transformers 5 hands them to a class that rebuilds the tokenizer its own way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from edgepack.errors import InputError, shown
from edgepack.teacher.files import read_json

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
USUAL = {  # where no file names a token for a role: the first of these that the vocabulary has
    "unk": ("[UNK]", "<unk>"),
    "sep": ("[SEP]", "</s>"),
    "pad": ("[PAD]", "<pad>"),
    "cls": ("[CLS]", "<s>"),
    "mask": ("[MASK]", "<mask>"),
}
PYTHON_STEPS = {  # what classes do in Python before the vocabulary; a tokenizer.json beside them holds something else
    "BertJapaneseTokenizer": "MeCab, Sudachi or Juman++ for words",
    "BertweetTokenizer": "rules for tweets, emoji and mentions",
    "BioGptTokenizer": "Moses for words",
    "CpmAntTokenizer": "jieba for words",
    "CpmTokenizer": "jieba for words",
    "FlaubertTokenizer": "Moses for words",
    "GPTNeoXJapaneseTokenizer": "rules for Japanese words",
    "RoFormerTokenizer": "jieba for words",
    "XLMTokenizer": "Moses for words",
}
NO_LIMIT = 10**9  # tokens; transformers writes 1e30 for "none"
LEAST_LENGTH = 8
SWITCHES = (
    *("do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space", "trim_offsets"),
    *("add_bos_token", "add_eos_token"),
)
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class TokenizerSettings:
    """The settings of one checkpoint; `options` is tokenizer_config.json as it is.

    `special`: token by role, as `cls`. `extra`: further special tokens. `added`: id and token of those that the
    vocabulary may lack. `max_length`: None where there is no limit.
    """

    special: Mapping[str, str]
    extra: tuple[AddedToken, ...]
    added: tuple[tuple[int, AddedToken], ...]
    max_length: int | None
    truncation_side: str | None
    padding_side: str | None
    options: Mapping[str, Any]

    @property
    def class_name(self) -> str | None:
        """The tokenizer's class without `Fast`; None where none is named."""
        name = self.options.get("tokenizer_class")
        return name.removesuffix("Fast") if isinstance(name, str) else None

    def flag(self, name: str, default: bool) -> bool:
        """An option that is true or false."""
        value = self.options.get(name)
        return default if value is None else bool(value)


def read_settings(folder: Path, what: str) -> TokenizerSettings:
    """The settings in a checkpoint's folder; `what` begins every message."""
    options = _with_flags(read_json(folder / "tokenizer_config.json", what), what)
    if options.get("auto_map"):
        raise InputError(
            f"{what}: tokenizer_config.json asks for its own Python code (auto_map), which edgepack never runs; only "
            "if a tokenizer.json in the folder holds all that it does, take auto_map out"
        )
    if options.get("split_special_tokens"):
        raise InputError(
            f"{what}: split_special_tokens is {shown(options['split_special_tokens'])} in tokenizer_config.json, and "
            "apps match special tokens whole; set it to false"
        )
    _refuse_python_steps(options, what)
    older = read_json(folder / "special_tokens_map.json", what)
    special = {}
    for role in ROLES:
        for source in (options, older):
            token = _token(source.get(f"{role}_token"), f"{role}_token", what)
            if token is not None:
                special[role] = token.content
                break
    extra = [
        token
        for source in (options, older)
        for name in ("additional_special_tokens", "extra_special_tokens")
        for token in _tokens(source.get(name), name, what)
    ]
    return TokenizerSettings(
        special,
        tuple(extra),
        _added_tokens(options, read_json(folder / "added_tokens.json", what), what),
        _max_length(options, what),
        _side(options, "truncation_side", what),
        _side(options, "padding_side", what),
        options,
    )


def _refuse_python_steps(options: Mapping[str, Any], what: str) -> None:
    """`InputError` for a class whose words are found by Python code, which neither edgepack nor an app can run."""
    name = str(options.get("tokenizer_class"))
    steps = PYTHON_STEPS.get(name.removesuffix("Fast"))
    if steps is not None:
        raise InputError(
            f"{what}: tokenizer_class is {shown(name)}, which uses {steps}: Python code that no tokenizer.json holds "
            "and no app runs; only if it was trained with the tokenizer.json in its folder, write "
            "PreTrainedTokenizerFast there"
        )


def _with_flags(options: dict[str, Any], what: str) -> dict[str, Any]:
    """The options with those that are true or false as such: the text "false" is true to Python."""
    for name in SWITCHES:
        value = options.get(name)
        if value is not None and value not in (True, False):
            raise InputError(f"{what}: {name} is {shown(value)} in tokenizer_config.json; allowed: true, false")
    return options | {name: bool(options[name]) for name in SWITCHES if options.get(name) is not None}


def _token(value: Any, name: str, what: str, special: bool = True) -> AddedToken | None:
    """A token as a string or as an object with its flags."""
    if value is None:
        return None
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, str) or not content:
        raise InputError(f"{what}: {name} is {shown(value)}; a token is needed")
    flags = {flag: bool(value[flag]) for flag in FLAGS if flag in value} if isinstance(value, dict) else {}
    return AddedToken(content, **{"special": special, "normalized": not special, **flags})


def _tokens(value: Any, name: str, what: str) -> list[AddedToken]:
    listed = list(value.values()) if isinstance(value, dict) else value or []
    if not isinstance(listed, list):
        raise InputError(f"{what}: {name} is {shown(value)}; a list of tokens is needed")
    return [token for each in listed if (token := _token(each, name, what)) is not None]


def _added_tokens(
    options: Mapping[str, Any], older: Mapping[str, Any], what: str
) -> tuple[tuple[int, AddedToken], ...]:
    """Tokens with ids of their own, in the order of these."""
    decoder = options.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise InputError(f"{what}: added_tokens_decoder is {shown(decoder)}; an object of ids and tokens is needed")
    pairs = [(number, token) for number, token in decoder.items()]
    pairs += [(number, token) for token, number in older.items()]
    found: dict[int, AddedToken] = {}
    for number, value in pairs:
        token = _token(value, "an added token", what, special=False)
        if token is None or not str(number).isascii() or not str(number).isdigit() or len(str(number)) > 9:
            raise InputError(f"{what}: added token {shown(value)} has the id {shown(number)}; a number is needed")
        found.setdefault(int(number), token)
    return tuple(sorted(found.items()))


def _max_length(options: Mapping[str, Any], what: str) -> int | None:
    """The longest input in tokens: null, Infinity and very large numbers mean that there is no limit."""
    value = options.get("model_max_length", options.get("max_len"))
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if number and value >= NO_LIMIT:
        return None
    if not number or value < LEAST_LENGTH or value != int(value):
        raise InputError(
            f"{what}: model_max_length is {shown(value)} in tokenizer_config.json; allowed: a number of tokens from "
            f"{LEAST_LENGTH}, or null for no limit"
        )
    return int(value)


def _side(options: Mapping[str, Any], name: str, what: str) -> str | None:
    value = options.get(name)
    if value not in (None, "left", "right"):
        raise InputError(f"{what}: {name} is {shown(value)} in tokenizer_config.json; allowed: right, left")
    return value

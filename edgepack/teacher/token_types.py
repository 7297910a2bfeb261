"""Whether a teacher gets token types, which tell the two texts of a pair apart.

tokenizer.json numbers them; whether they reach the model is what `model_input_names` of tokenizer_config.json says, or
the tokenizer's class where it does not. Where they were left out of the training, the second text had type 0 as the
first one has, and a student that is given type 1 learns from another teacher.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer

from edgepack.errors import InputError, shown
from edgepack.teacher.tokenizer_settings import TokenizerSettings
from edgepack.teacher.vocabulary_files import GENERIC_CLASSES

TYPES, FIELD = "token_type_ids", "model_input_names"
PAIR = ("a", "b")


def as_the_model_gets_them(backend: Tokenizer, settings: TokenizerSettings, what: str) -> tuple[Tokenizer, list[str]]:
    """The tokenizer with every type 0 where its settings leave types out, and what is to be said of pairs."""
    names = settings.options.get(FIELD)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{what}: {FIELD} is {shown(names)} in tokenizer_config.json; a list of names is needed")
    if not any(backend.encode(*PAIR).type_ids):
        return backend, []
    if names is None:
        if settings.class_name not in GENERIC_CLASSES or settings.class_name is None:
            return backend, []
        said = (
            f"{what}: tokenizer_config.json has no {FIELD}: the second text of a pair has type 1, as in tokenizer.json;"
            f" if its training left token types out, write {FIELD} without {TYPES}"
        )
        return backend, [said]
    if TYPES in names:
        return backend, []
    return _without_types(backend), [f"{what}: {FIELD} leaves {TYPES} out: both texts of a pair have type 0"]


def _without_types(backend: Tokenizer) -> Tokenizer:
    """A copy whose template gives the type 0 to every token."""
    document = json.loads(backend.to_str())
    document["post_processor"] = _zeroed(document["post_processor"])
    return Tokenizer.from_str(json.dumps(document))


def _zeroed(part: Any) -> Any:
    """A step with every type 0; BERT's own, which has no field for types, as the template that it stands for."""
    if isinstance(part, list):
        return [_zeroed(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "BertProcessing":
        return _template(part["cls"], part["sep"])
    return {key: 0 if key == "type_id" else _zeroed(value) for key, value in part.items()}


def _template(cls: list[Any], sep: list[Any]) -> dict[str, Any]:
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    begin, end = ({"SpecialToken": {"id": token, "type_id": 0}} for token, _ in (cls, sep))
    return {
        "type": "TemplateProcessing",
        "single": [begin, first, end],
        "pair": [begin, first, end, second, end],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]} for token, number in (cls, sep)},
    }

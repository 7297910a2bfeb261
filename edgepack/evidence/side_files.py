"""The files that others read say what the manifest says: `config.json`, `tokenizer_config.json`, the model card.

transformers.js takes labels and lengths from the configs, people take figures from the card.
"""

from __future__ import annotations

import json
from typing import Any

from edgepack.bounded import read_file
from edgepack.bundle.layout import (
    ARCHITECTURES,
    CARD_NAME,
    CONFIG_NAME,
    JAVASCRIPT,
    JAVASCRIPT_CONFIG,
    MODEL_TYPE,
    TOKENIZER_CONFIG_NAME,
)
from edgepack.bundle.manifest import BundleManifest, read_json
from edgepack.bundle.model_card import card_faults
from edgepack.errors import InputError, bare, shown
from edgepack.evidence.opened import OpenBundle

# edgepack writes no other keys, and others change what a reader does: do_lower_case, for example, or auto_map
TOKENIZER_CLASSES = ("BertTokenizer", "PreTrainedTokenizerFast")
OTHER_KEYS = ("tokenizer_class", "model_max_length", "clean_up_tokenization_spaces")
SPECIAL_TOKEN = "_token"  # how the key of a special token ends
LARGEST_CARD = 4_000_000  # bytes: one of 10,000 labels with thresholds has a few hundred thousand
SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")  # whole numbers in config.json


def side_file_faults(bundle: OpenBundle) -> list[str]:
    """What of the three differs from manifest, tokenizer and verdict."""
    manifest, folder = bundle.manifest, bundle.folder
    faults = []
    try:
        for name, compare in ((CONFIG_NAME, config_faults), (TOKENIZER_CONFIG_NAME, tokenizer_config_faults)):
            faults += [f"{name}: {f}" for f in compare(read_json(folder / name), manifest, bundle.token_ids)]
        faults += padding_faults(manifest, bundle.token_ids)
    except InputError as e:
        faults.append(str(e))
    card = read_file(folder / CARD_NAME, LARGEST_CARD, CARD_NAME).decode("utf-8", "replace").splitlines()
    return faults + [f"{CARD_NAME}: {fault}" for fault in card_faults(card, manifest, bundle.verdict, bundle.target)]


def config_faults(config: dict[str, Any], manifest: BundleManifest, token_ids: dict[str, int]) -> list[str]:
    """What config.json says otherwise than the manifest and the vocabulary."""
    labels = {str(i): label for i, label in enumerate(manifest.labels)}
    expected = {
        "id2label": labels,
        "label2id": {label: int(i) for i, label in labels.items()},
        "max_position_embeddings": manifest.max_length,
        "pad_token_id": manifest.padding.id,
        "architectures": [ARCHITECTURES[manifest.task]],
        "problem_type": manifest.problem,
        "model_type": MODEL_TYPE,
    }
    faults = [f"{key} is not the manifest's" for key, value in expected.items() if not _same(config.get(key), value)]
    faults += [f"{bare(key)} is no key of it" for key in config if key not in (*expected, *SHAPE, JAVASCRIPT)]
    if config.get(JAVASCRIPT) != JAVASCRIPT_CONFIG:
        faults.append(f"{JAVASCRIPT} does not name the file that is here")
    sizes = {key: config.get(key) for key in SHAPE}
    faults += [f"{key} is {shown(size)}, no whole number from 1" for key, size in sizes.items() if not _is_size(size)]
    size, largest = sizes["vocab_size"], max(token_ids.values(), default=0)
    if type(size) is int and 1 <= size <= largest:
        faults.append(f"vocab_size is {size}, the tokenizer's largest id {largest}")
    return faults


def _same(found: object, expected: object) -> bool:
    """Whether a value is the expected one, of its type: 16.0 and true are no whole numbers."""
    return type(found) is type(expected) and json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1


def tokenizer_config_faults(config: dict[str, Any], manifest: BundleManifest, token_ids: dict[str, int]) -> list[str]:
    """What tokenizer_config.json says otherwise than the manifest, and special tokens that are none."""
    others = [key for key in config if key not in OTHER_KEYS and not key.endswith(SPECIAL_TOKEN)]
    faults = [f"{bare(key)} is no key of it" for key in others]
    if config.get("clean_up_tokenization_spaces", False) is not False:
        faults.append("clean_up_tokenization_spaces is not false")
    if config.get("tokenizer_class") not in TOKENIZER_CLASSES:
        faults.append(f"tokenizer_class is none of {', '.join(TOKENIZER_CLASSES)}")
    if not _same(config.get("model_max_length"), manifest.max_length):
        faults.append(f"model_max_length is {bare(str(config.get('model_max_length')))}, not {manifest.max_length}")
    if config.get("pad_token") != manifest.padding.token:
        faults.append(f"pad_token is {bare(str(config.get('pad_token')))}, not {bare(str(manifest.padding.token))}")
    for name, token in config.items():
        if name.endswith(SPECIAL_TOKEN) and (not isinstance(token, str) or token not in token_ids):
            faults.append(f"{bare(name)} is {bare(str(token))}, which is no token")
    return faults


def padding_faults(manifest: BundleManifest, token_ids: dict[str, int]) -> list[str]:
    """The padding id is its token's; without a token it is 0, which the mask hides."""
    padding = manifest.padding
    right = 0 if padding.token is None else token_ids.get(padding.token)
    if padding.id == right:
        return []
    return [f"padding is {bare(str(padding.token))} with the id {padding.id}; in tokenizer.json it has {right}"]

"""The files of a bundle by name: which must be there, which ship, and what a name may look like.

    edgepack.json  config.json  tokenizer.json  tokenizer_config.json  README.md
    <target.file>  tokenizer.bin  golden.jsonl  verdict.json

Names are plain ASCII. A letter that looks like another one, a name that Windows reads as a way upwards, or two names
that are one file on macOS have no use here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.bundle.verdict import VERDICT_NAME
from edgepack.tokenizer.asset import ASSET_NAME, JSON_ASSET_NAME

CONFIG_NAME, TOKENIZER_CONFIG_NAME, CARD_NAME = "config.json", "tokenizer_config.json", "README.md"
TOKENIZER_NAME = JSON_ASSET_NAME
SIDE_FILES = (CONFIG_NAME, TOKENIZER_NAME, TOKENIZER_CONFIG_NAME, GOLDEN_NAME, VERDICT_NAME, CARD_NAME)
MODEL_TYPE = "bert"  # whatever the student's shape is: transformers.js feeds what the ONNX file declares
ARCHITECTURES = {  # by task: what config.json names, for transformers.js
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "feature-extraction": "BertModel",
}
JAVASCRIPT, JAVASCRIPT_CONFIG = "transformers.js_config", {"dtype": "q8"}  # opens onnx/model_quantized.onnx
PLAIN_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+-]*(\.[A-Za-z0-9_+-]+)*")
LONGEST_PATH = 200  # Windows allows 260 with the folder that the bundle is in


def is_plain(path: str) -> bool:
    """Whether a recorded path means one file inside the bundle, everywhere, and looks like what it is."""
    return len(path) <= LONGEST_PATH and all(PLAIN_PART.fullmatch(part) for part in path.split("/"))


def tokenizer_asset(paths: Iterable[str]) -> str:
    """Which of a bundle's files is the tokenizer that an app loads."""
    return ASSET_NAME if ASSET_NAME in paths else JSON_ASSET_NAME


def colliding(paths: Iterable[str]) -> list[str]:
    """Paths that are another one's on a file system that does not tell capitals from small letters; folders too."""
    seen: dict[str, str] = {}
    found = []
    for path in paths:
        parts = path.split("/")
        whole = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        if any(seen.setdefault(part.casefold(), part) != part for part in whole):
            found.append(path)
    return found

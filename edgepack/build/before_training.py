"""What would be refused after hours of training, asked before it.

A student can always be trained and exported; what comes behind may still not work. No app of `edgepack package` loads
a tokenizer other than `tokenizer.bin`, and some targets have no app; a target whose package is not installed is left
out; a `tokenizer.bin` that gave other ids than its reference would fail the goldens. All of that is known when the
teacher is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from transformers import PreTrainedTokenizerFast

from edgepack.bundle.goldens import HARD_TEXTS, Text, tokenize, with_length
from edgepack.doctor import EXTRA_PACKAGES
from edgepack.errors import InputError, MissingDependency, shown
from edgepack.runtime.onnxruntime_web import find_modules, find_node
from edgepack.target import Target, list_targets, load_target
from edgepack.tokenizer.asset import asset_bytes, backend_tokenizer, why_json
from edgepack.tokenizer.reader import read_tokenizer_asset


def app_warnings(tokenizer: PreTrainedTokenizerFast, texts: Sequence[Text], max_length: int) -> list[str]:
    """A warning where no app can load the tokenizer; `InputError` where its asset would not be exact.

    `texts`: some of the task's own.
    """
    backend = backend_tokenizer(tokenizer)
    reason = why_json(json.loads(backend.to_str()))
    if reason is not None:
        return [
            f"tokenizer: no app of `edgepack package` can load it: {reason}; every bundle of this build will hold it "
            "as tokenizer.json, which Python and transformers.js read; --student-tokenizer FOLDER trains a student "
            "with a tokenizer that apps load"
        ]
    reader, reference = read_tokenizer_asset(asset_bytes(backend)), with_length(backend, max_length)
    for text, pair in [*texts, *((text, None) for text in HARD_TEXTS)]:
        expected = tokenize(reference, text, pair)
        found = reader.encode(text, pair, max_length)
        if (found.input_ids, found.token_type_ids) != (expected["input_ids"], expected["token_type_ids"]):
            raise InputError(
                f"tokenizer: tokenizer.bin, which apps load, would give other ids than the teacher's tokenizer on "
                f"{shown(text, 60)}; use a tokenizer.json with the normalizer and the special tokens of its family"
            )
    return []


def target_warnings(targets: Sequence[Target]) -> list[str]:
    """A warning for each target that this machine lacks something for, and for each that should have an app."""
    lacking = [(target.name, lack) for target in targets if (lack := _lack(target)) is not None]
    with_app = {target.device for target in map(load_target, list_targets()) if target.app is not None}
    return [
        *(f"{name}: will be left out of a build here: {lack}" for name, lack in lacking),
        *(
            f"{target.name}: `edgepack package` has no app for it; the code that runs its bundle is yours to write"
            for target in targets
            if target.app is None and target.device in with_app
        ),
    ]


def _lack(target: Target) -> str | None:
    if target.extra is not None:
        try:
            version(EXTRA_PACKAGES[target.extra][0])
        except PackageNotFoundError:
            return f'its package is not installed; run: pip install "edgepack[{target.extra}]"'
    if target.runtime == "onnxruntime-web":
        try:
            find_node()
            find_modules()
        except MissingDependency as e:
            return str(e)
    return None

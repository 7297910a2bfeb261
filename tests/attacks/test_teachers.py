"""Teachers that no honest program writes: `edgepack plan` ends in one line, and nothing of them is run."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attacks.conftest import Plan
from tests.attacks.run import pipe
from tests.teacher.tiny import edit, edit_json

GROWING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 30}
Spoil = Callable[[Path], Any]


def config(**changes: Any) -> Spoil:
    return lambda teacher: edit(teacher, "config.json", **changes)


def settings(**changes: Any) -> Spoil:
    return lambda teacher: edit(teacher, "tokenizer_config.json", **changes)


def tokenizer(*path: str, value: Any) -> Spoil:
    """One entry of tokenizer.json changed."""

    def change(document: dict[str, Any]) -> None:
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return lambda teacher: edit_json(teacher, "tokenizer.json", change)


def weights(data: bytes) -> Spoil:
    return lambda teacher: (teacher / "model.safetensors").write_bytes(data)


def header(text: str, size: int | None = None) -> Spoil:
    return weights(struct.pack("<Q", len(text) if size is None else size) + text.encode())


def nested(name: str) -> Spoil:
    def spoil(teacher: Path) -> None:
        text = (teacher / name).read_text().rstrip()
        (teacher / name).write_text(text[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}")

    return spoil


def hostile_pickle(zipped: bool) -> Spoil:
    class Hostile:
        def __init__(self, mark: Path) -> None:
            self.mark = mark

        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {self.mark}",)

    def spoil(teacher: Path) -> None:
        (teacher / "model.safetensors").unlink()
        found = {"x": Hostile(teacher / "executed")}
        torch.save(found, teacher / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)

    return spoil


def packed_pickle(teacher: Path) -> None:
    """A pickle of a few kilobytes that unpacks to 200 MB."""
    (teacher / "model.safetensors").unlink()
    with (
        zipfile.ZipFile(teacher / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("m/data.pkl", "w", force_zip64=True) as file,
    ):
        for _ in range(200):
            file.write(bytes(1_000_000))


def many_special_ids(document: dict[str, Any]) -> None:
    """A special token that stands for a million ids."""
    token = next(iter(document["post_processor"]["special_tokens"].values()))
    token["ids"], token["tokens"] = token["ids"] * 1_000_000, token["tokens"] * 1_000_000


TEACHERS: dict[str, tuple[Spoil, str]] = {  # what is done to it, what is said
    "no layers": (config(num_hidden_layers=0), "allowed: 1 to"),
    "a million layers": (config(num_hidden_layers=10**6), "allowed: 1 to"),
    "a thousand layers": (config(num_hidden_layers=1_000), "1000 as the number of layers"),
    "a trillion tokens": (config(vocab_size=10**12), "vocabulary"),
    "a negative size": (config(hidden_size=-32), "hidden size"),
    "negative positions": (config(max_position_embeddings=-1), "max_position_embeddings"),
    "padding far away": (config(pad_token_id=10**9), "pad_token_id"),
    "negative padding": (config(pad_token_id=-1), "pad_token_id"),
    "a billion labels": (config(num_labels=10**9), "num_labels"),
    "labels with escapes": (config(id2label={"0": "\x1b[2J", "1": "pos"}), "label"),
    "an activation that is a function": (config(hidden_act="os.system"), "config.json"),
    "an epsilon that is no number": (config(layer_norm_eps=float("nan")), "finite number"),
    "a config that nests": (nested("config.json"), "nested too deep"),
    "tokenizer settings that nest": (nested("tokenizer_config.json"), "nested too deep"),
    "a tokenizer that nests": (nested("tokenizer.json"), "not valid JSON"),
    "a config of 20 MB": (config(x="x" * 20_000_000), "larger than 16,777,216 bytes"),
    "a tokenizer of 50 MB": (tokenizer("x", value="x" * 50_000_000), "larger than 41,943,040 bytes"),
    "a normalizer that grows": (
        tokenizer("normalizer", value={"type": "Sequence", "normalizers": [GROWING] * 6}),
        "its normalizer may write .* characters for one; at most 1,000",
    ),
    "a normalizer that grows at every place": (
        tokenizer("normalizer", value={**GROWING, "pattern": {"Regex": "x*"}, "content": "a" * 5_000}),
        "its normalizer may write 5001 characters for one",
    ),
    "a million steps": (
        tokenizer("normalizer", value={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1_000}),
        "its pipeline has 1000 steps",
    ),
    "a pattern that is none": (
        tokenizer("normalizer", value={**GROWING, "pattern": {"Regex": "("}}),
        "tokenizer does not load",
    ),
    "a template of many pieces": (
        tokenizer("post_processor", "single", value=[{"Sequence": {"id": "A", "type_id": 0}}] * 100_000),
        "100,000 pieces",
    ),
    "a special token of many ids": (lambda t: edit_json(t, "tokenizer.json", many_special_ids), "1,000,000 ids"),
    "a template of unknown tokens": (
        tokenizer("post_processor", "single", value=[{"SpecialToken": {"id": "[X]", "type_id": 0}}]),
        "tokenizer",
    ),
    "a map that is none": (
        tokenizer("normalizer", value={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "tokenizer",
    ),
    "words without end": (tokenizer("model", "max_input_chars_per_word", value=10**9), "max_input_chars_per_word"),
    "an id of 32 bits": (tokenizer("model", "vocab", "play", value=2**32 - 1), "4294967295"),
    "no words": (tokenizer("model", value={"type": "Unigram", "unk_id": None, "vocab": []}), "tokenizer"),
    "a negative length": (settings(model_max_length=-5), "model_max_length"),
    "a pickle that runs a command": (hostile_pickle(zipped=True), "weights do not load"),
    "an old pickle that runs a command": (hostile_pickle(zipped=False), "weights do not load"),
    "a pickle that unpacks to 200 MB": (packed_pickle, "is compressed, which torch.save never does"),
    "a header of 2^63 bytes": (header("{}", 2**63), "weights do not load"),
    "a header that nests": (header('{"a":' * 50_000 + "1" + "}" * 50_000), "weights do not load"),
    "tensors beyond the file": (
        header('{"x": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}}'),
        "weights do not load",
    ),
    "a config that is a pipe": (lambda teacher: pipe(teacher / "config.json"), "config.json"),
    "a config that is a link to itself": (
        lambda teacher: ((teacher / "config.json").unlink(), (teacher / "config.json").symlink_to("config.json")),
        "config.json",
    ),
    "settings that are a pipe": (lambda teacher: pipe(teacher / "tokenizer_config.json"), "is no regular file"),
    "settings that are a device": (
        lambda teacher: (teacher / "added_tokens.json").symlink_to("/dev/zero"),
        "is no regular file",
    ),
    "a tokenizer that is a pipe": (lambda teacher: pipe(teacher / "tokenizer.json"), "tokenizer"),
    "weights that are a pipe": (lambda teacher: pipe(teacher / "model.safetensors"), "no regular file"),
}


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_is_one_line(name: str, place: Path, plan: Plan) -> None:
    spoil, said = TEACHERS[name]
    spoil(place / "teacher")
    outcome = plan()
    assert re.search(said, outcome.stderr), outcome.stderr
    assert not (place / "teacher" / "executed").exists()


def test_a_pattern_that_takes_too_long_is_one_line(place: Path, plan: Plan) -> None:
    split = {"type": "Split", "pattern": {"Regex": "^(a|aa)+$"}, "behavior": "Isolated", "invert": False}
    tokenizer("pre_tokenizer", value=split)(place / "teacher")
    lines = (place / "train.tsv").read_text()
    (place / "long.tsv").write_text(f"{lines}{'a' * 60}!\tpos\n")
    outcome = plan("long.tsv")
    assert "the tokenizer fails on" in outcome.stderr


def test_the_unspoiled_inputs_are_good(plan: Plan) -> None:
    plan(codes=(0,))

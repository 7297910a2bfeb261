"""Sentence-transformers folders whose vectors no student can give, or that say two things: refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgepack.errors import InputError
from edgepack.teacher import load_teacher
from tests.teacher.embedding_folders import EMBEDS, write_dense, write_encoder, write_modules
from tests.teacher.tiny import edit


def with_modules(*kinds: str) -> Callable[[Path], Any]:
    return lambda folder: write_modules(folder, "mean", *kinds)


def changed(name: str, **values: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        write_modules(folder)
        edit(folder, name, **values)

    return make


def odd_dense(folder: Path) -> None:
    write_modules(folder, "mean", "Dense")
    write_dense(folder / "2_Dense", "torch.nn.modules.activation.SiLU")


def dense_with(name: str, content: bytes) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        write_modules(folder, "mean", "Dense")
        write_dense(folder / "2_Dense")
        (folder / "2_Dense" / name).write_bytes(content)

    return make


def dense_of_integers(folder: Path) -> None:
    write_modules(folder, "mean", "Dense")
    write_dense(folder / "2_Dense")
    weights = {"linear.weight": torch.ones(6, 16, dtype=torch.int8), "linear.bias": torch.ones(6)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")


def of_its_own_code(folder: Path) -> None:
    write_modules(folder)
    modules = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(modules.replace("sentence_transformers.models.Tr", "custom_st.Tr"))


def lower_cased(folder: Path) -> None:
    write_modules(folder)
    edit(folder, "sentence_bert_config.json", do_lower_case=True)
    document = json.loads((folder / "tokenizer.json").read_text())
    document["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(document))


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no word on pooling": (lambda folder: None, r"has no modules\.json.*pass --pooling mean, first or last"),
    "another module": (
        with_modules("CNN"),
        "its module CNN has no counterpart in a student; allowed: Transformer, Pool",
    ),
    "another order": (
        with_modules("Normalize", "Dense"),
        "its modules are Transformer, Pooling, Normalize, Dense; allow",
    ),
    "twice a layer": (with_modules("Dense", "Dense"), "each once"),
    "the largest of tokens": (
        changed("1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True),
        "its pooling is pooling_mode_max_tokens; allowed: one of",
    ),
    "two poolings": (
        changed("1_Pooling/config.json", pooling_mode_cls_token=True),
        "its pooling is pooling_mode_mean_tokens, pooling_mode_cls_token; allowed: one",
    ),
    "a flag that is no truth value": (
        changed("1_Pooling/config.json", pooling_mode_cls_token=1),
        "pooling_mode_cls_token is 1; allowed: true, false",
    ),
    "a list of poolings": (changed("1_Pooling/config.json", pooling_mode=["mean", "cls"]), "its pooling is mean, cls"),
    "lower case as text": (changed("sentence_bert_config.json", do_lower_case="true"), "do_lower_case is 'true'"),
    "a module without its config": (
        lambda folder: (write_modules(folder), (folder / "1_Pooling" / "config.json").unlink()),
        r"names 1_Pooling, which has no config\.json; download",
    ),
    "a module of its own code": (of_its_own_code, r"its module custom_st\.Transformer is code of its own"),
    "an activation of its own code": (
        lambda folder: (write_modules(folder, "mean", "Dense"), write_dense(folder / "2_Dense", "my.Tanh")),
        r"its Dense module ends in my\.Tanh; allowed: Identity",
    ),
    "a dense pointer": (
        dense_with("model.safetensors", b"version https://git-lfs.github.com/spec/v1"),
        r"2_Dense: model\.safetensors is a Git LFS pointer",
    ),
    "a dense layer of integers": (dense_of_integers, "weights of its Dense module do not load.*quantized"),
    "an unknown similarity": (
        lambda folder: (
            write_modules(folder),
            (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "hamming"}'),
        ),
        "similarity_fn_name is 'hamming'",
    ),
    "modules that are a folder": (
        lambda folder: (folder / "modules.json").mkdir(),
        r"modules\.json: is no regular file",
    ),
    "no such prompt": (
        lambda folder: (
            write_modules(folder),
            (folder / "config_sentence_transformers.json").write_text('{"prompts": {}, "default_prompt_name": "a"}'),
        ),
        "default_prompt_name is 'a'",
    ),
    "prompts left out": (changed("1_Pooling/config.json", include_prompt=False), "leaves prompts out"),
    "a length of none": (
        changed("sentence_bert_config.json", max_seq_length=-1),
        "max_seq_length is -1; a number from",
    ),
    "an odd activation": (odd_dense, "its Dense module ends in SiLU; allowed: Identity, Tanh, GELU, ReLU"),
    "case": (lower_cased, "says do_lower_case, its tokenizer does not"),
    "no list": (
        lambda folder: (folder / "modules.json").write_text("{}"),
        r"modules\.json is {}; a JSON list is needed",
    ),
    "a place outside": (
        lambda folder: (folder / "modules.json").write_text(
            '[{"path": "../x", "type": "sentence_transformers.models.Transformer"}]'
        ),
        "a type and a path inside the folder are needed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    write_encoder(tmp_path)
    make, message = REFUSED[name]
    make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(tmp_path), EMBEDS)
    assert str(caught.value).isprintable()


def test_a_pooling_must_agree(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    with pytest.raises(InputError, match="pooling is 'max'; allowed: mean, first, last"):
        load_teacher(str(tmp_path), EMBEDS, pooling="max")
    write_modules(tmp_path)
    assert load_teacher(str(tmp_path), EMBEDS, pooling="mean").task.embeds
    with pytest.raises(InputError, match=r"pooling is mean by its modules\.json, first by --pooling"):
        load_teacher(str(tmp_path), EMBEDS, pooling="first")

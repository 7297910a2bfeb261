"""Folders that hold something else than a fine-tuned checkpoint: each message says what it is and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.teacher import load_teacher, open_checkpoint
from tests.teacher.tiny import edit

Make = Callable[[Path], Any]
SAFE = b"\x02\0\0\0\0\0\0\0{}"


def files(**content: str | bytes | dict[str, Any]) -> Make:
    """Put files into the folder: `a__b` is a.b, `in___a__b` is in/a.b."""

    def make(folder: Path) -> None:
        for name, value in content.items():
            path = folder / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            data = json.dumps(value) if isinstance(value, dict) else value
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return make


def moved_into(*names: str) -> Make:
    """The checkpoint itself is in folders of these names inside."""

    def make(folder: Path) -> None:
        inner = folder.rename(folder.with_name("inner"))
        for name in names:
            shutil.copytree(inner, folder / name)

    return make


def both(*steps: Make) -> Make:
    return lambda folder: [step(folder) for step in steps]


def without(*names: str) -> Make:
    return lambda folder: [(folder / name).unlink() for name in names]


ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "owner/base", "r": 8}
ENCODER = without("config.json", "model.safetensors")
REFUSED: dict[str, tuple[Make, str]] = {
    "a SetFit model": (
        files(config_setfit__json={"labels": ["a"]}, modules__json="[]", model_head__pkl=b"\x80\x04N."),
        r"is a SetFit model.*model_head\.pkl.*edgepack finetune",
    ),
    "a sentence-transformers model": (
        files(modules__json="[]"),
        "is a sentence-transformers model, which embeds sentences",
    ),
    "an older one": (moved_into("0_Transformer"), r"sentence-transformers model.*its encoder is in 0_Transformer"),
    "an adapter": (
        both(ENCODER, files(adapter_config__json=ADAPTER, adapter_model__safetensors=SAFE)),
        r"is a LORA adapter of 'owner/base' without the model's own weights; merge the adapter first.*merge_and_unload",
    ),
    "an adapter beside weights": (
        files(adapter_config__json=ADAPTER, adapter_model__safetensors=SAFE),
        r"an adapter \(adapter_config\.json\) lies beside whole weights.*merge.*remove",
    ),
    "an adapter without its config": (
        files(adapter_model__safetensors=SAFE),
        "an adapter .adapter_model.safetensors. lies",
    ),
    "named adapters in folders": (
        both(ENCODER, files(mine___adapter_config__json=ADAPTER)),
        r"holds adapters \(mine\)",
    ),
    "a Trainer's output": (
        moved_into("checkpoint-50", "checkpoint-500"),
        r"Trainer's output.*give teacher/checkpoint-500$",
    ),
    "a Trainer's output with its best": (
        both(
            moved_into("checkpoint-50", "checkpoint-500"),
            files(**{"checkpoint-500___trainer_state__json": {"best_model_checkpoint": "/home/me/run/checkpoint-50"}}),
        ),
        "give teacher/checkpoint-500; the Trainer found checkpoint-50 best",
    ),
    "a Trainer's output of adapters": (
        both(ENCODER, files(**{"checkpoint-9___adapter_config__json": ADAPTER})),
        "Trainer's output with adapters in checkpoint-9; merge the adapter",
    ),
    "a folder around it": (moved_into("model"), "no config.json in the folder, but in model; give that folder"),
    "the hub's cache": (moved_into("snapshots/3c59dc"), r"a folder of the hub's cache; give snapshots/3c59dc in it"),
    "TensorFlow": (both(ENCODER, files(tf_model__h5=b"x")), "holds TensorFlow weights; save them for PyTorch"),
    "TensorFlow with its config": (
        both(without("model.safetensors"), files(tf_model__h5=b"x")),
        "no weights.*TensorFlow",
    ),
    "Flax": (both(ENCODER, files(flax_model__msgpack=b"x")), "holds Flax weights"),
    "GGUF": (both(ENCODER, files(model__gguf=b"x")), "holds a GGUF file"),
    "ONNX": (both(ENCODER, files(model__onnx=b"x")), "holds an ONNX file"),
    "Lightning": (both(ENCODER, files(last__ckpt=b"x")), "holds a Lightning checkpoint"),
    "DeepSpeed": (
        both(without("model.safetensors"), files(zero_to_fp32__py="", optimizer__pt=b"x")),
        r"no weights; .*; the folder holds parts that DeepSpeed wrote; run zero_to_fp32\.py",
    ),
    "FSDP": (
        both(without("model.safetensors"), files(pytorch_model_fsdp_0______0_0__distcp=b"x")),
        "parts that FSDP wrote; put them together with `accelerate merge-weights`",
    ),
    "TensorFlow 1": (both(ENCODER, files(bert_model__ckpt__index=b"x")), "holds a checkpoint of TensorFlow 1"),
    "ONNX in a folder": (both(without("model.safetensors"), files(onnx___model__onnx=b"x")), "no weights.*ONNX file"),
    "OpenVINO": (both(without("model.safetensors"), files(openvino_model__xml="<x/>")), "holds an OpenVINO model"),
    "packed weights": (both(without("model.safetensors"), files(model__safetensors__gz=b"x")), "packed files; unpack"),
    "another name": (both(without("model.safetensors"), files(weights__safetensors=SAFE)), "call a whole model model"),
    "weights a folder further down": (
        both(without("model.safetensors"), files(**{"checkpoint-9___model__safetensors": SAFE, "optimizer__pt": "x"})),
        "holds a model in checkpoint-9; give that folder",
    ),
    "a page in place of weights": (files(model__safetensors="<!DOCTYPE html>"), "it is a page of the web"),
    "weights packed under their own name": (files(model__safetensors=b"\x1f\x8b\x08"), "packed with gzip; unpack it"),
    "torch.save called safetensors": (files(model__safetensors=b"PK\3\4      "), "call it pytorch_model.bin"),
    "safetensors called a pickle": (
        both(without("model.safetensors"), files(pytorch_model__bin=SAFE)),
        "it is of safetensors; call it model.safetensors",
    ),
    "torn weights": (files(model__safetensors=b"\x09" + SAFE[1:]), "copy or download the checkpoint again"),
    "spaCy": (both(ENCODER, files(config__cfg="[nlp]")), "holds a spaCy pipeline"),
    "weights alone": (without("config.json"), "has weights and no config.json"),
    "nothing": (ENCODER, "no config.json in the folder"),
    "a build's output": (
        files(edgepack__json={"artifacts": [], "inputs": {"teacher": {"path": "../mine"}}}),
        r"is the output of `edgepack build`; give the teacher that it began with, which was '\.\./mine'",
    ),
    "a bundle": (files(edgepack__json={"files": []}), "is a bundle, made for apps"),
    "a config that is a pointer": (
        files(config__json="version https://git-lfs.github.com/spec/v1\noid sha256:3c\nsize 9\n"),
        r"config\.json is a Git LFS pointer",
    ),
    "a config with a mark": (
        files(config__json=b"\xef\xbb\xbf{}"),
        "model_type is None, as checkpoints of before 2020 have it",
    ),
    "a config in UTF-16": (files(config__json="{}".encode("utf-16")), r"config\.json is UTF-16; save it as UTF-8"),
    "a config nested without end": (
        files(config__json='{"a":' * 100_000),
        r"config\.json is not valid JSON: it is nested",
    ),
    "a config of 5,000 digits": (
        files(config__json='{"hidden_size": ' + "9" * 5_000 + "}"),
        "is not valid JSON: ValueError",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_is_and_what_to_do(folder: Path, name: str) -> None:
    make, message = REFUSED[name]
    make(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(folder))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_sentence_embedder_is_a_base_for_finetuning(folder: Path) -> None:
    files(modules__json="[]")(folder)
    assert open_checkpoint(str(folder)).family == "bert"


def test_what_lies_beside_a_teacher_is_no_matter(folder: Path) -> None:
    files(
        training_args__bin=b"x",
        optimizer__pt=b"x",
        model__onnx=b"x",
        **{"checkpoint-5___config__json": {}, "runs___a": "x"},
    )(folder)
    assert load_teacher(str(folder)).family == "bert"
    edit(folder, "config.json", _name_or_path="elsewhere")
    assert load_teacher(str(folder)).name == "teacher"

"""A short build out of teachers of many families, for one sentence, a pair and tags: each ends in bundles that run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    AlbertConfig,
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from edgepack.build import recipe
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.evidence import measure

pytestmark = pytest.mark.slow

WORDS = [
    "lamp",
    "bright",
    "dim",
    "song",
    "play",
    "tune",
    "clock",
    "alarm",
    "hour",
    "please",
    "now",
    "the",
    "my",
    "very",
    "quickly",
]
SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "num_labels": 3,
}
TARGETS = ("android-onnx", "android-torchscript")


def byte_level_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    """RoBERTa's kind, which is not trimmed and ships as tokenizer.json."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(sentences, BpeTrainer(vocab_size=400, special_tokens=specials))
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def make_config(family: str, vocab_size: int) -> PreTrainedConfig:
    shape = {**SHAPE, "vocab_size": vocab_size}
    if family == "distilbert":
        return DistilBertConfig(
            vocab_size=vocab_size,
            dim=64,
            n_layers=3,
            n_heads=4,
            hidden_dim=128,
            max_position_embeddings=64,
            num_labels=3,
        )
    made: dict[str, PreTrainedConfig] = {
        "bert": BertConfig(**shape),
        "roberta": RobertaConfig(**shape, pad_token_id=1, type_vocab_size=1),
        "electra": ElectraConfig(**shape, embedding_size=32),
        "albert": AlbertConfig(**shape, embedding_size=32),
        "mpnet": MPNetConfig(**shape, pad_token_id=0),
    }
    return made[family] if family in made else AutoConfig.for_model(family, **shape, pad_token_id=0)


def write_data(folder: Path, task: str) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    paths = []
    for name, count in (("train", 96), ("eval", 32)):
        lines = []
        for _ in range(count):
            words = generator.choice(WORDS, generator.integers(2, 9)).tolist()
            label = int(generator.integers(0, 3))
            if task == "tags":
                tags = ["B-thing" if w in ("lamp", "song", "clock") else "O" for w in words]
                lines.append({"tokens": words, "tags": tags})
            elif task == "pair":
                lines.append({"sentence1": " ".join(words[:2]), "sentence2": " ".join(words[1:]), "label": label})
            else:
                lines.append({"text": " ".join(words), "label": label})
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return paths[0], paths[1]


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("bert", "text"),
        ("bert", "pair"),
        ("bert", "tags"),
        ("distilbert", "text"),
        ("roberta", "pair"),
        ("roberta", "tags"),
        ("electra", "text"),
        ("albert", "text"),
        ("mpnet", "tags"),
        ("xlm-roberta", "tags"),
        ("deberta-v2", "tags"),
        ("modernbert", "pair"),
    ],
)
def test_a_build_ends_in_bundles_that_run(
    family: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recipe.RECIPES, "quick", replace(recipe.RECIPES["quick"], examples_seen=160, batch_size=16))
    monkeypatch.setattr(measure, "REPEATS", 1)
    monkeypatch.setattr(measure, "RUNS", 1)
    sentences = [" ".join(WORDS)] * 3
    tokenizer = byte_level_tokenizer(sentences) if family == "roberta" else make_tokenizer(sentences)
    tokenizer.save_pretrained(tmp_path / "teacher")
    config = make_config(family, len(tokenizer))
    names = ("O", "B-thing", "I-thing") if task == "tags" else ("0", "1", "2")
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    torch.manual_seed(0)
    auto = AutoModelForTokenClassification if task == "tags" else AutoModelForSequenceClassification
    auto.from_config(config).save_pretrained(tmp_path / "teacher")
    train, evaluation = write_data(tmp_path, task)
    request = BuildRequest(
        str(tmp_path / "teacher"),
        str(train),
        str(evaluation),
        90_000,
        TARGETS,
        tmp_path / "out",
        effort="quick",
        max_drop=0.99,
        allow_untrained=True,
    )
    result = build(request, Console(quiet=True))
    for bundle in result.bundles:
        status = {check.name: check.status for check in bundle.verdict.checks}
        for name in ("size", "parity", "finite", "goldens"):
            assert status[name] == "passed", (bundle.manifest.target, bundle.verdict.check(name))
        types = "token_type_ids" in [tensor.name for tensor in bundle.manifest.inputs]
        assert types == (task == "pair" and family not in ("roberta", "modernbert"))

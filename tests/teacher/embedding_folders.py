"""Folders of teachers that embed: an encoder, and what sentence-transformers writes around it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from edgepack.demo.base import make_tokenizer
from tests.teacher.tiny import OFFSET, OWN_NAMES, SENTENCES, SHAPE

EMBEDS = "feature-extraction"
KINDS = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}


def write_encoder(folder: Path, family: str = "bert") -> torch.nn.Module:
    """A random encoder without a head."""
    tokenizer = make_tokenizer(SENTENCES)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    settings = {"max_position_embeddings": 40, "pad_token_id": 1 if family in OFFSET else 0}
    sizes = OWN_NAMES.get(family, SHAPE)
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), architectures=[], **settings, **sizes)
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def write_modules(folder: Path, pooling: str = "mean", *others: str, inside: str = "", size: int = 16) -> None:
    """What sentence-transformers writes around an encoder."""
    kinds = ["Transformer", "Pooling", *others]
    paths = [inside, *(f"{i}_{kind}" for i, kind in enumerate(kinds) if i)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    flags = {flag: name == pooling for name, flag in KINDS.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": size, **flags}))
    (folder / inside / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 12, "do_lower_case": False})
    )


def write_dense(folder: Path, activation: str = "torch.nn.modules.activation.Tanh") -> torch.nn.Linear:
    folder.mkdir()
    layer = torch.nn.Linear(16, 6)
    config = {"in_features": 16, "out_features": 6, "bias": True, "activation_function": activation}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {"linear.weight": layer.weight.detach(), "linear.bias": layer.bias.detach()}, folder / "model.safetensors"
    )
    return layer

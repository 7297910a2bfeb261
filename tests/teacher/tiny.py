"""A tiny checkpoint of any family, for a test to spoil."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

from edgepack.demo.base import make_tokenizer
from edgepack.teacher.families import FAMILIES, OFFSET_POSITIONS

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
XLM = {"emb_dim": 16, "n_layers": 2, "n_heads": 2}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2}
OWN_NAMES: dict[str, dict[str, Any]] = {  # of families that call their sizes otherwise, or have more of them
    "distilbert": DISTILBERT,
    "xlm": XLM,
    "flaubert": XLM,
    "gpt2": GPT2,
    "fnet": {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24},
    "funnel": {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24, "block_sizes": [1, 1]},
    "mobilebert": {**SHAPE, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "llama": {**SHAPE, "num_key_value_heads": 1},
    "longformer": {**SHAPE, "attention_window": 8},
    "modernbert": {**SHAPE, "global_attn_every_n_layers": 2, "local_attention": 8},
}
OFFSET = (*OFFSET_POSITIONS, *(name for name, family in FAMILIES.items() if family.offset_positions))
AUTO = {"text": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification}
NAMES = {"text": ("neg", "pos"), "token": ("O", "B-x", "I-x")}
SENTENCES = ["play the song", "stop the music now"]


def write_teacher(
    folder: Path,
    family: str = "bert",
    kind: str = "text",
    tokenizer: PreTrainedTokenizerFast | None = None,
    **settings: Any,
) -> torch.nn.Module:
    """Write a random checkpoint, with a WordPiece tokenizer unless another is given; the model."""
    tokenizer = tokenizer or make_tokenizer(SENTENCES)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        max_position_embeddings=40,
        id2label=dict(enumerate(NAMES[kind])),
        label2id={name: i for i, name in enumerate(NAMES[kind])},
        pad_token_id=1 if family in OFFSET else 0,
        **OWN_NAMES.get(family, SHAPE),
        **settings,
    )
    model = AUTO[kind].from_config(config).eval()
    model.save_pretrained(folder)
    return model


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """RoBERTa's kind, with a space put before the first word and every byte in its vocabulary."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = BpeTrainer(
        vocab_size=300, special_tokens=specials, show_progress=False, initial_alphabet=sorted(ByteLevel.alphabet())
    )
    tokenizer.train_from_iterator(SENTENCES * 9, trainer)
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    named = zip(("cls", "pad", "sep", "unk", "mask"), specials, strict=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{f"{role}_token": token for role, token in named})


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change entries of a JSON file; `...` takes one out."""
    path = folder / name
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}))


def edit_json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place."""
    path = folder / name
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Write model.safetensors again with `change` applied to its tensors."""
    path = folder / "model.safetensors"
    tensors = change(load_file(path))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})


def byte_level(folder: Path, **settings: Any) -> None:
    """Write a RoBERTa-type teacher with a byte-level tokenizer."""
    write_teacher(folder, "roberta", tokenizer=byte_level_tokenizer())
    edit(folder, "tokenizer_config.json", tokenizer_class="RobertaTokenizer", **settings)


def old_files(folder: Path, names: dict[str, str]) -> None:
    """Put files of the time before tokenizer.json in its place."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    for name, content in names.items():
        (folder / name).write_bytes(content.encode())

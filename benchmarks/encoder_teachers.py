"""Teachers of other architectures and tokenizers than the shared ones, made from a small base and the shared data.

    python -m benchmarks encoder-teachers roberta-sst2 --shared ../shared --work WORK

In `WORK`: `encoder-bases/NAME` is a base checkpoint (model and tokenizer), `encoder-teachers/NAME` what `edgepack
finetune` makes of it in the epochs below, `encoder-data/NAME` the data where it is not a shared file. What is there is
not made again; an interrupted fine-tuning resumes.

No checkpoint of these kinds is at hand, so each begins as well as a 6-layer MiniLM (384 wide) lets it. RoBERTa and
XLM-R have its very layers, with positions behind the padding id's; their word tables begin as `encoder_tables.py`
says. DeBERTa-v2 and ModernBERT (8 layers, 256 wide) begin with such a table, narrowed, and random layers.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModel,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from benchmarks.encoder_tables import Base, narrowed, start_table
from benchmarks.encoder_tokenizers import (
    deberta_tokenizer,
    longer,
    modernbert_tokenizer,
    roberta_tokenizer,
    xlmr_tokenizer,
)
from benchmarks.finetune_data import LANGUAGES
from edgepack.console import Console
from edgepack.finetune.head import load_with_new_head
from edgepack.finetune.run import finetune
from edgepack.finetune.settings import Options
from edgepack.task.examples import Columns, read_labels
from edgepack.task.task import Task
from edgepack.teacher import load_tokenizer, open_checkpoint
from edgepack.workspace import beside_folder, publish_folder, write_atomic

BASE = "models/base-minilm"  # under the shared folder, as all that follow
PASSAGES, POSTS = ("data/qa-xquad/de.jsonl", "data/qa-xquad/en.jsonl"), "data/goemotions/train.tsv"
LAYERS, WIDTH, HEADS, UNITS = 8, 256, 4, 1024  # of the two that begin with random layers
ROBERTA_OFFSET = 2  # rows of the position table before the first position
XLMR_PIECES, DEBERTA_PIECES, FEW_PIECES = 65_536, 16_000, 32_000
MODERNBERT_ROWS = 50_368  # 50,285 tokens and unused ones
BATCH_SIZE = 64  # a step's optimizer passes over tables of 10 to 25 million numbers, whatever the batch
LARGE_PIECES, LARGE_WIDTH, LARGE_HEADS = 250_002, 768, 12  # XLM-R's
SEED = 0
Encoder = tuple[PreTrainedModel, PreTrainedTokenizerFast]


@dataclass(frozen=True)
class Files:
    """The data of a teacher, as `edgepack finetune` and `build` read it."""

    train: Path
    evaluation: Path


@dataclass(frozen=True)
class Kind:
    """How a teacher is made: its data, written into a folder, and its base; `epochs` at batches of `BATCH_SIZE`.

    Of no epochs it keeps a random head.
    """

    title: str
    data: Callable[[Path, Path], Files]
    base: Callable[[Path, Files], Encoder]
    epochs: int


def shared_files(name: str) -> Callable[[Path, Path], Files]:
    """A shared data set as it is."""
    return lambda shared, folder: Files(shared / "data" / name / "train.tsv", shared / "data" / name / "dev.tsv")


def intents(shared: Path, folder: Path) -> Files:
    """The intents of SNIPS, whose rows have slots too."""
    made = []
    for part in ("train", "dev"):
        lines = (shared / "data" / "snips" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        table = ["text\tlabel", *(f"{' '.join(row['tokens'])}\t{row['intent']}" for row in rows)]
        made.append(_written(folder / f"{part}.tsv", table))
    return Files(*made)


def languages(shared: Path, folder: Path) -> Files:
    """The eight languages of XLM-T in one table."""
    made = []
    for part in ("train", "dev"):
        tables = [language_lines(shared, language, part) for language in LANGUAGES]
        made.append(_written(folder / f"{part}.tsv", [tables[0][0], *(row for rows in tables for row in rows[1:])]))
    return Files(*made)


def language_lines(shared: Path, language: str, part: str) -> list[str]:
    """One language's table with its header."""
    path = shared / "data" / "xlmt-sentiment" / language / f"{part}.tsv"
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def roberta(shared: Path, files: Files) -> Encoder:
    """MiniLM's layers as RoBERTa's."""
    tokenizer = roberta_tokenizer(shared)
    return with_layers(RobertaConfig, tokenizer, shared), tokenizer


def xlmr(shared: Path, files: Files) -> Encoder:
    """MiniLM's layers as XLM-R's, a vocabulary of the languages' training texts and more English and German text.

    The languages' texts and the running text alone give 55,702 pieces.
    """
    texts = [*_texts(files.train), *running_text(shared), *passages(shared), *_texts(shared / POSTS)]
    tokenizer = xlmr_tokenizer(texts, XLMR_PIECES, shared)
    return with_layers(XLMRobertaConfig, tokenizer, shared), tokenizer


def large_table(shared: Path, files: Files) -> Encoder:
    """Two random layers under a table of XLM-R's size; the pieces that no text gives are made up."""
    tokenizer = longer(xlmr_tokenizer(_texts(files.train), FEW_PIECES, shared), LARGE_PIECES)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=LARGE_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=LARGE_HEADS,
        intermediate_size=4 * LARGE_WIDTH,
        max_position_embeddings=512 + ROBERTA_OFFSET,
        type_vocab_size=1,
        pad_token_id=int(tokenizer.pad_token_id),
    )
    model: PreTrainedModel = AutoModel.from_config(config)
    return model, tokenizer


def deberta(shared: Path, files: Files) -> Encoder:
    """DeBERTa-v3's settings in small."""
    tokenizer = deberta_tokenizer([*_texts(files.train), *running_text(shared)], DEBERTA_PIECES, shared)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=UNITS,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        max_relative_positions=-1,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        layer_norm_eps=1e-7,
        pooler_hidden_size=WIDTH,
        pooler_dropout=0,
        pooler_hidden_act="gelu",
        pad_token_id=tokenizer.pad_token_id,
    )
    return with_table(config, tokenizer, shared), tokenizer


def modernbert(shared: Path, files: Files) -> Encoder:
    """ModernBERT's settings in small: every third layer sees the whole text."""
    tokenizer = modernbert_tokenizer(shared)
    config = ModernBertConfig(
        vocab_size=MODERNBERT_ROWS,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=3 * WIDTH,  # gated, so of three matrices: about as many weights as two of `UNITS`
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        attn_implementation="sdpa",
    )
    return with_table(config, tokenizer, shared), tokenizer


KINDS = {
    "roberta-sst2": Kind("RoBERTa, GPT-2's merges, on SST-2", shared_files("sst2"), roberta, 2),
    "xlmr-xlmt": Kind("XLM-R, 65,536 Unigram pieces, on XLM-T's eight languages", languages, xlmr, 5),
    "xlmr-table": Kind("two random layers under a table of 250,002 × 768, XLM-R's size", languages, large_table, 0),
    "deberta-snips": Kind("DeBERTa-v2, 16,000 Unigram pieces, on SNIPS' intents", intents, deberta, 3),
    "modernbert-snips": Kind("ModernBERT, GPT-2's merges, on SNIPS' intents", intents, modernbert, 2),
}


def make_files(name: str, shared: Path, work: Path) -> Files:
    """The data of a teacher."""
    return KINDS[name].data(shared, work / "encoder-data" / name)


def make_base(name: str, shared: Path, work: Path) -> Path:
    """The base checkpoint's folder, made where it is not there."""
    folder = work / "encoder-bases" / name
    if not folder.exists():
        torch.manual_seed(SEED)
        model, tokenizer = KINDS[name].base(shared, make_files(name, shared, work))
        beside = beside_folder(folder)
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        publish_folder(beside, folder)
    return folder


def teacher_folder(name: str, work: Path) -> Path:
    """Where a teacher is."""
    return work / "encoder-teachers" / name


def make_teacher(name: str, shared: Path, work: Path, console: Console) -> Path:
    """The teacher's folder, made where it is not there."""
    folder, record = teacher_folder(name, work), work / "encoder-teachers" / f"{name}.json"
    if not record.exists():
        files = make_files(name, shared, work)
        base = make_base(name, shared, work)
        if (folder / "config.json").exists():
            shutil.rmtree(folder)  # finished, but not recorded
        if not KINDS[name].epochs:
            return with_random_head(base, files, folder)
        options = Options(epochs=KINDS[name].epochs, batch_size=BATCH_SIZE, seed=SEED, device="cpu")
        result = finetune(str(base), str(files.train), str(files.evaluation), folder, options=options, console=console)
        write_atomic(record, (json.dumps(result.to_record(), indent=1) + "\n").encode())
    return folder


def with_random_head(base: Path, files: Files, folder: Path) -> Path:
    """The base with a head that nothing trained, for what does not depend on weights."""
    columns = Columns()
    task = Task("text-classification", read_labels(str(files.train), columns))
    checkpoint = open_checkpoint(str(base))
    beside = beside_folder(folder)
    load_with_new_head(checkpoint, task, SEED).model.save_pretrained(beside)
    load_tokenizer(checkpoint, task.name).save_pretrained(beside)
    publish_folder(beside, folder)
    return folder


def running_text(shared: Path) -> list[str]:
    """The shared English text, for vocabularies."""
    return [
        line
        for path in sorted((shared / "data" / "text").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def passages(shared: Path) -> list[str]:
    """The shared questions in German and English and the passages that they are about, each once, for vocabularies."""
    lines = [line for name in PASSAGES for line in (shared / name).read_text(encoding="utf-8").splitlines()]
    rows = [json.loads(line) for line in lines]
    return list(dict.fromkeys(row[part] for part in ("context", "question") for row in rows))


def _texts(table: Path) -> list[str]:
    """The texts of a table whose first column they are, or which names it."""
    header, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    return [row[header.index("text")] for row in rows]


def _written(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path


def _base(shared: Path) -> tuple[PreTrainedModel, Base]:
    """The base encoder, and its tokenizer with its word table."""
    model = AutoModel.from_pretrained(shared / BASE, add_pooling_layer=False).float()
    tokenizer = load_tokenizer(open_checkpoint(str(shared / BASE)), "text-classification")
    return model, Base(tokenizer, model.get_input_embeddings().weight.detach())


def _like(base: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The base's sizes as a RoBERTa-type config."""
    kept = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps")
    return {
        **{name: getattr(base, name) for name in kept},
        "vocab_size": len(tokenizer),
        "max_position_embeddings": base.max_position_embeddings + ROBERTA_OFFSET,
        "type_vocab_size": 1,
        "pad_token_id": int(tokenizer.pad_token_id),
        "bos_token_id": int(tokenizer.bos_token_id),
        "eos_token_id": int(tokenizer.eos_token_id),
    }


def with_layers(
    config_class: type[PreTrainedConfig], tokenizer: PreTrainedTokenizerFast, shared: Path
) -> PreTrainedModel:
    """A RoBERTa-type encoder with the base's weights under the same names, its own word and position table."""
    minilm, base = _base(shared)
    model: PreTrainedModel = AutoModel.from_config(config_class(**_like(minilm.config, tokenizer)))
    weights: dict[str, Tensor] = dict(minilm.state_dict())
    positions, types = "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"
    before = torch.zeros(ROBERTA_OFFSET, weights[positions].shape[1])
    weights[positions] = torch.cat([before, weights[positions]])
    weights[types] = weights[types][:1]
    weights["embeddings.word_embeddings.weight"] = start_table(tokenizer, base, len(tokenizer), SEED).rows
    parameters = dict(model.named_parameters())
    model.load_state_dict({name: value for name, value in weights.items() if name in parameters}, strict=False)
    return model


def with_table(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, shared: Path) -> PreTrainedModel:
    """A random encoder with a word table begun from the base's, narrowed to its width."""
    model: PreTrainedModel = AutoModel.from_config(config)
    table = model.get_input_embeddings().weight
    base = narrowed(_base(shared)[1], table.shape[1])
    with torch.no_grad():
        table.copy_(start_table(tokenizer, base, table.shape[0], SEED).rows)
    return model


def main(arguments: Sequence[str]) -> None:
    """Make a teacher and print its folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks encoder-teachers")
    parser.add_argument("name", choices=list(KINDS))
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="where bases, data and teachers are made")
    parser.add_argument("--base-only", action="store_true", help="make the base and stop")
    options = parser.parse_args(arguments)
    shared, work = options.shared.resolve(), options.work.resolve()
    if options.base_only:
        print(make_base(options.name, shared, work))
    else:
        print(make_teacher(options.name, shared, work, Console()))

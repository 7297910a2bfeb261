"""Load, check and describe a teacher: a fine-tuned checkpoint in a local folder or on the hub.

A teacher is checked before anything is spent on it: its family, its task, a head that was really trained
(transformers fills missing weights with random ones and only warns), one label per example, a fast tokenizer,
and accuracy on the evaluation data above what the most frequent class alone would give.

Trust: weights come from safetensors, or from a pickle with `weights_only=True`, which executes nothing. A
checkpoint that names its own Python code (`auto_map`) is refused, since running it without that code could
silently be another model. From the hub only the named files are fetched, no ONNX copies or training state.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from optimum.utils import NormalizedConfigManager
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.task.metric import TASK_NAMES, Task, TaskName

FAMILIES = ("bert", "distilbert", "roberta", "electra", "albert", "mpnet")
OFFSET_POSITIONS = ("roberta", "mpnet")  # their position ids start behind pad_token_id
HEADS: dict[str, TaskName] = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
AUTO_CLASSES = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}
SAFETENSORS = ("model*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
TOKENIZER_FILES = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
MIN_ENTITY_F1 = 0.05  # there is no majority class of entities; an untrained tagger stays below this


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files, resolved and not yet loaded."""

    folder: Path
    name: str
    config: PreTrainedConfig

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        return str(self.config.model_type)

    def files(self) -> list[Path]:
        """The files that decide what the checkpoint computes: config, weights, tokenizer."""
        weights = SAFETENSORS if any(self.folder.glob(SAFETENSORS[0])) else PICKLES
        return sorted({f for pattern in ("config.json", *weights, *TOKENIZER_FILES) for f in self.folder.glob(pattern)})


@dataclass(frozen=True, eq=False)
class Teacher:
    """A checked teacher. Its weights are loaded when they are needed: a build has other uses for the memory."""

    checkpoint: Checkpoint
    tokenizer: PreTrainedTokenizerFast
    task: Task
    family: str
    max_length: int
    sha256: str
    name: str
    licence: str | None
    parameters: int

    @property
    def config(self) -> PreTrainedConfig:
        """The checkpoint's own config."""
        return self.checkpoint.config

    def load_model(self) -> PreTrainedModel:
        """The model: fp32, in evaluation mode."""
        return load_weights(self.checkpoint, self.task.name)[0].eval()

    def describe(self) -> str:
        """One line: family, shape, size, task."""
        shape = NormalizedConfigManager.get_normalized_config_class(self.family)(self.config)
        return (
            f"{self.name}: {self.family}, {shape.num_layers} layers of {shape.hidden_size}, "
            f"{self.parameters / 1e6:.1f}M parameters, {self.task.name}, {len(self.task.labels)} labels"
        )


@dataclass(frozen=True)
class TeacherCheck:
    """The teacher's metric on `n` evaluation examples, and what it had to beat."""

    metric: float
    majority: float
    n: int


def load_teacher(source: str, task_name: str | None = None, pair: bool = False) -> Teacher:
    """Load a fine-tuned checkpoint; whatever is wrong with it is an `InputError` of one line."""
    checkpoint = open_checkpoint(source)
    name = _task_name(checkpoint, task_name)
    _check_head(checkpoint)
    task = Task(name, _labels(checkpoint), pair)
    model, info = load_weights(checkpoint, name)
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise InputError(
            f"checkpoint {source}: not fine-tuned for {name}, its weights lack {missing}; "
            "give a fine-tuned checkpoint, or make one with `edgepack finetune`"
        )
    tokenizer = load_tokenizer(checkpoint, name)
    return Teacher(
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        task=task,
        family=checkpoint.family,
        max_length=position_limit(checkpoint, tokenizer),
        sha256=_hash_files(checkpoint.files()),
        name=checkpoint.name,
        licence=_licence(checkpoint.folder),
        parameters=sum(p.numel() for p in model.parameters()),
    )


def check_teacher(
    teacher: Teacher, evaluation: Encoded, logits: np.ndarray, allow_untrained: bool = False
) -> TeacherCheck:
    """Refuse a teacher that is no better than always answering the most frequent class (entity F1: 0.05)."""
    task = teacher.task
    metric = float(task.metric(task.statistics(logits, evaluation).sum(axis=0)))
    majority = MIN_ENTITY_F1
    if task.name == "text-classification":
        majority = float(np.bincount(evaluation.labels).max() / len(evaluation))
    if metric <= majority and not allow_untrained:
        rival = "the most frequent class alone gives" if task.metric_name == "accuracy" else "the least accepted is"
        raise InputError(
            f"teacher {teacher.name}: {task.metric_name} {metric:.4f} on {len(evaluation)} evaluation examples, "
            f"{rival} {majority:.4f}; check the data's label order, fine-tune it, or pass --allow-untrained"
        )
    return TeacherCheck(metric, majority, len(evaluation))


def open_checkpoint(source: str) -> Checkpoint:
    """Find the checkpoint and read its config; families that edgepack cannot carve are refused here."""
    folder = _resolve(source)
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"checkpoint {source}: no config.json in the folder; give a transformers checkpoint")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise InputError(f"checkpoint {source}: config.json is not valid JSON: {one_line(e)}") from e
    family = raw.get("model_type") if isinstance(raw, dict) else None
    if family not in FAMILIES:
        raise InputError(f"checkpoint {source}: model_type is {family!r}; supported: {', '.join(FAMILIES)}")
    if raw.get("auto_map"):
        raise InputError(
            f"checkpoint {source}: config.json asks for its own Python code (auto_map), which edgepack never runs; "
            f"give a plain {family} checkpoint"
        )
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"checkpoint {source}: config.json does not load: {one_line(e)}") from e
    return Checkpoint(folder, folder.resolve().name if Path(source).is_dir() else source, config)


def load_weights(checkpoint: Checkpoint, task_name: str, **overrides: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model in fp32 with a head for the task, and transformers' report of what was missing."""
    if not any(any(checkpoint.folder.glob(pattern)) for pattern in (SAFETENSORS[0], PICKLES[0])):
        raise InputError(f"checkpoint {checkpoint.name}: no weights; allowed: {SAFETENSORS[0]}, {PICKLES[0]}")
    try:
        with quiet_transformers():
            model, info = AUTO_CLASSES[task_name].from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
                **overrides,
            )
    except Exception as e:  # a broken file trips transformers in too many ways to list
        raise InputError(f"checkpoint {checkpoint.name}: weights do not load: {one_line(e)}") from e
    return model, info


def load_tokenizer(checkpoint: Checkpoint, task_name: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer; for words given one by one, RoBERTa's puts a space before each (as in its training)."""
    if not any((checkpoint.folder / name).is_file() for name in VOCABULARIES):
        raise InputError(f"checkpoint {checkpoint.name}: no tokenizer; one of {', '.join(VOCABULARIES)} is needed")
    words = task_name == "token-classification" and checkpoint.family == "roberta"
    try:
        with quiet_transformers():
            extra = {"add_prefix_space": True} if words else {}
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False, **extra)
    except Exception as e:  # the tokenizers library itself raises bare Exception
        raise InputError(f"checkpoint {checkpoint.name}: tokenizer does not load: {one_line(e)}") from e
    if not tokenizer.is_fast:
        raise InputError(
            f"checkpoint {checkpoint.name}: {type(tokenizer).__name__} is slow; a tokenizer.json is needed"
        )
    if len(tokenizer) > checkpoint.config.vocab_size:
        raise InputError(
            f"checkpoint {checkpoint.name}: the tokenizer has {len(tokenizer)} tokens, the model "
            f"{checkpoint.config.vocab_size}; they are not of one checkpoint"
        )
    tokenizer.backend_tokenizer.no_truncation()  # settings of its training, not of the task
    tokenizer.backend_tokenizer.no_padding()
    return cast(PreTrainedTokenizerFast, tokenizer)


def position_limit(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerFast) -> int:
    """The most tokens that the position table and the tokenizer's own limit allow."""
    limit = int(checkpoint.config.max_position_embeddings)
    if checkpoint.family in OFFSET_POSITIONS:
        limit -= int(checkpoint.config.pad_token_id or 0) + 1
    return min(limit, int(tokenizer.model_max_length))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hold back transformers' load bars and reports; edgepack checks and says what matters itself."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def one_line(error: BaseException) -> str:
    """The first line of an error's message, for use inside a message of ours."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _resolve(source: str) -> Path:
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"checkpoint {source}: is a file; give the checkpoint's folder or a hub id")
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source):
        raise InputError(f"checkpoint {source}: no such folder, and not a hub id of the form owner/name")
    try:
        wanted = ["config.json", "README.md", *TOKENIZER_FILES, *SAFETENSORS]
        folder = Path(snapshot_download(source, allow_patterns=wanted))
        if not any(folder.glob(SAFETENSORS[0])):
            snapshot_download(source, allow_patterns=list(PICKLES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as e:
        raise InputError(f"checkpoint {source}: no such folder, and the hub does not have it: {one_line(e)}") from e
    return folder


def _task_name(checkpoint: Checkpoint, wanted: str | None) -> TaskName:
    """The task that the architecture's head is for; `wanted` must agree, or say it where nothing else does."""
    if wanted is not None and wanted not in TASK_NAMES:
        raise InputError(f"task is {wanted!r}; allowed: {', '.join(TASK_NAMES)}")
    architectures = list(checkpoint.config.architectures or [])
    heads = {name for a in architectures for suffix, name in HEADS.items() if a.endswith(suffix)}
    if architectures and not heads:
        raise InputError(
            f"checkpoint {checkpoint.name}: architecture is {architectures[0]}, not fine-tuned for classification; "
            f"allowed: …{', …'.join(HEADS)}. Make a teacher with `edgepack finetune`"
        )
    if wanted is not None and heads and wanted not in heads:
        raise InputError(f"checkpoint {checkpoint.name}: is a {architectures[0]}; the task asked for is {wanted}")
    found: set[str | None] = {*heads} or {wanted}
    for name in TASK_NAMES:
        if name in found:
            return name
    raise InputError(f"checkpoint {checkpoint.name}: config.json names no architecture; pass --task")


def _check_head(checkpoint: Checkpoint) -> None:
    config = checkpoint.config
    count = len(config.id2label or {})
    if config.problem_type in ("regression", "multi_label_classification") or count < 2:
        raise InputError(
            f"checkpoint {checkpoint.name}: problem_type {config.problem_type!r} with {count} label(s); "
            "only single-label classification with at least 2 labels is supported"
        )


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    names = {int(i): str(name) for i, name in (checkpoint.config.id2label or {}).items()}
    if sorted(names) != list(range(len(names))) or len(set(names.values())) != len(names):
        raise InputError(f"checkpoint {checkpoint.name}: id2label must name each class id from 0 once; it is {names}")
    return tuple(names[i] for i in range(len(names)))


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _licence(folder: Path) -> str | None:
    """`license:` of the model card's front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    line = re.search(r"^license:\s*(\S+)\s*$", front.group(1), re.MULTILINE) if front else None
    return line.group(1).strip("'\"") if line else None

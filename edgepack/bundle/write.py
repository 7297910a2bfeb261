"""A bundle: the folder that holds an artifact and all else that an app needs (its files: `layout.py`).

The folder is written under another name and renamed, goldens and verdict last: the goldens are
run again from the written files, and the outcome completes the verdict. The verdict names all files that it goes with
by hash; a model file that is not the one that was validated is refused.

transformers.js loads the ONNX layout from a local folder. It picks a class by `model_type` and feeds the inputs that
the ONNX file declares, so `config.json` says `bert` whatever the student's shape is; `tokenizer_class` says
`BertTokenizer` where there are token types to give (its JavaScript class returns them) and the generic class
elsewhere. `transformers.js_config` asks for the `q8` file, which is `onnx/model_quantized.onnx`. The student's true
shape is in the build's `student/config.json`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from edgepack._version import __version__
from edgepack.bundle.chain import ChainRecord
from edgepack.bundle.goldens import GOLDEN_NAME, Text, check_goldens, golden_check, write_goldens
from edgepack.bundle.layout import (
    ARCHITECTURES,
    CARD_NAME,
    CONFIG_NAME,
    JAVASCRIPT,
    JAVASCRIPT_CONFIG,
    MODEL_TYPE,
    TOKENIZER_CONFIG_NAME,
    TOKENIZER_NAME,
)
from edgepack.bundle.linear import in_manifest
from edgepack.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    DataRecord,
    PaddingRecord,
    TeacherRecord,
    TensorRecord,
    TrainingRecord,
    VectorRecord,
    WindowsRecord,
    file_record,
    is_model_file,
    runtime_record,
    write_model,
)
from edgepack.bundle.model_card import model_card
from edgepack.bundle.verdict import VERDICT_NAME, Verdict, all_passed
from edgepack.errors import InputError, NotRunHere
from edgepack.export import Artifact
from edgepack.inference import TorchSession
from edgepack.runtime import Session, load
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.scoring import recorded_problem
from edgepack.task.task import Task
from edgepack.task.windows import Longest, Windows
from edgepack.tokenizer.asset import backend_tokenizer, write_tokenizer_asset
from edgepack.workspace import sha256_file, written_folder


@dataclass(frozen=True)
class Bundle:
    """A written bundle."""

    folder: Path
    manifest: BundleManifest
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether its verdict passed, goldens included."""
        return self.verdict.passed


@dataclass(frozen=True, eq=False)
class Contents:
    """What goes into a bundle. The tokenizer has the student's vocabulary; golden texts are the task's own."""

    artifact: Artifact
    config: StudentConfig
    tokenizer: PreTrainedTokenizerFast
    teacher: TeacherRecord
    task: Task
    verdict: Verdict
    max_length: int
    golden_texts: Sequence[Text]
    evaluation: DataRecord | None = None
    student: Student | None = None  # answers the goldens where the artifact's runtime is not here
    windows: Windows | None = None  # how texts of more than `max_length` tokens are read; None: they are cut
    training: TrainingRecord | None = None

    @property
    def longest(self) -> Longest:
        """How far the model reads."""
        return self.windows or self.max_length


def write_bundle(folder: Path, contents: Contents) -> Bundle:
    """Write a bundle to `folder`; what was there before is replaced."""
    with written_folder(folder) as beside:
        asset = write_files(beside, contents)
        verdict = write_evidence(beside, contents)
        manifest = describe(beside, contents, verdict, asset)
        write_model(beside / MANIFEST_NAME, manifest)
    return Bundle(folder, manifest, verdict)


def write_files(folder: Path, contents: Contents) -> Path:
    """Write model, tokenizer and configs into a new folder; return the tokenizer asset's path."""
    artifact, tokenizer, max_length = contents.artifact, contents.tokenizer, contents.max_length
    model = folder / artifact.target.file
    model.parent.mkdir(parents=True)
    if artifact.path.is_dir():
        shutil.copytree(artifact.path, model)
    else:
        shutil.copyfile(artifact.path, model)
    backend = backend_tokenizer(tokenizer)
    (folder / TOKENIZER_NAME).write_text(backend.to_str(), encoding="utf-8")
    write_json(folder / CONFIG_NAME, transformers_config(contents))
    write_json(folder / TOKENIZER_CONFIG_NAME, tokenizer_config(tokenizer, contents.config, max_length))
    return write_tokenizer_asset(backend, folder)


def write_evidence(folder: Path, contents: Contents) -> Verdict:
    """Write goldens, the verdict that they complete, and the model card; return the verdict."""
    target, longest, task = contents.artifact.target, contents.longest, contents.task
    session = session_of(folder, contents)
    backend = backend_tokenizer(contents.tokenizer)
    write_goldens(folder / GOLDEN_NAME, backend, session, task, longest, contents.golden_texts)
    verdict = contents.verdict
    if not isinstance(session, TorchSession):
        verdict = with_goldens(verdict, check_goldens(folder, target, longest))
    card = model_card(task, contents.teacher, target, verdict, longest)
    (folder / CARD_NAME).write_text(card, encoding="utf-8")
    verdict = bound_to(folder, target, verdict)
    write_model(folder / VERDICT_NAME, verdict)
    return verdict


def bound_to(folder: Path, target: Target, verdict: Verdict) -> Verdict:
    """The verdict with the hashes of all files that are in `folder`."""
    judged = {p.relative_to(folder).as_posix(): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    for path, sha256 in verdict.judged.items():
        if is_model_file(path, target) and judged.get(path) != sha256:
            raise InputError(f"{path} is not the file that was validated; run `edgepack build` again")
    return verdict.model_copy(update={"judged": judged})


def session_of(folder: Path, contents: Contents) -> Session:
    """The artifact in its runtime; where that is not here, the torch model that it was exported from."""
    target = contents.artifact.target
    try:
        return load(folder / target.file, target, threads=1)
    except NotRunHere:
        if contents.student is None:
            raise
        student = deepcopy(contents.student)
        student.round_activations_by(target.activations)
        return TorchSession(student)


def describe(folder: Path, contents: Contents, verdict: Verdict, asset: Path) -> BundleManifest:
    """The manifest of the files that are in `folder`."""
    artifact, task, windows = contents.artifact, contents.task, contents.windows
    target = artifact.target
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    model = [path for path in found if is_model_file(path.relative_to(folder).as_posix(), target)]
    files = [file_record(folder, path, path in (asset, *model)) for path in found]
    names = session_of(folder, contents).input_names
    return BundleManifest(
        task=task.name,
        pair=task.pair,
        problem=recorded_problem(task.problem),
        labels=list(task.labels),
        tag_scheme=task.tag_scheme,
        thresholds=list(task.thresholds) or None,
        chain=ChainRecord.of(task.chain),
        activation="sigmoid" if task.activation == "sigmoid" else None,
        ranks=True if task.ranks else None,
        vector=vector_record(contents),
        max_length=contents.max_length,
        windows=None if windows is None else WindowsRecord(overlap=windows.overlap, combine=windows.combine),
        padding=padding(contents.tokenizer),
        inputs=[TensorRecord(name=name, dtype=target.integers, shape=input_shape(contents)) for name in names],
        outputs=[output_record(contents)],
        target=artifact.target.name,
        runtime=runtime_record(artifact.target, artifact.operators),
        files=files,
        shipped_bytes=sum(record.bytes for record in files if record.shipped),
        budget_bytes=verdict.budget_bytes,
        metrics=verdict.metrics,
        teacher=contents.teacher,
        evaluation=contents.evaluation,
        training=contents.training,
        linear=in_manifest(verdict.linear),
        temperature=verdict.temperature,
        min_confidence=verdict.min_confidence,
        edition=verdict.edition,
        edgepack_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def with_goldens(verdict: Verdict, failures: Sequence[str]) -> Verdict:
    """The verdict with the goldens' outcome in it."""
    check = golden_check(failures)
    checks = [check if known.name == check.name else known for known in verdict.checks]
    return verdict.model_copy(update={"checks": checks, "passed": all_passed(checks)})


def input_shape(contents: Contents) -> list[int | str]:
    """Shape of each input."""
    target = contents.artifact.target
    if target.static_shape:
        return [1, contents.config.max_position_embeddings]
    return [target.fixed_batch or "batch", "seq"]


def vector_record(contents: Contents) -> VectorRecord | None:
    """What a text is turned into, where it is embedded."""
    config, task = contents.config, contents.task
    if not task.embeds:
        return None
    return VectorRecord(
        size=config.outputs,
        normalized=config.normalized,
        judged=task.judged or "teacher",
        pooling=config.pooling,
        query_prompt=task.prompts.query,
        text_prompt=task.prompts.text,
    )


def output_record(contents: Contents) -> TensorRecord:
    """The one output, by the name that every format's file gives it."""
    shape = output_shape(contents.task, input_shape(contents))
    return TensorRecord(name=contents.config.output_name, dtype="float32", shape=shape)


def output_shape(task: Task, inputs: list[int | str]) -> list[int | str]:
    """Shape of the logits, from that of the inputs."""
    classes = task.outputs
    return [*inputs, classes] if task.is_tagging else [inputs[0], classes]


def padding(tokenizer: PreTrainedTokenizerFast) -> PaddingRecord:
    """The tokenizer's padding token, 0 where it has none (the mask hides it)."""
    token = tokenizer.pad_token
    return PaddingRecord(id=tokenizer.pad_token_id or 0, token=None if token is None else str(token))


def transformers_config(contents: Contents) -> dict[str, Any]:
    """A `config.json` that transformers.js maps to a classifier."""
    config, task = contents.config, contents.task
    recorded = recorded_problem(task.problem)
    problem = {} if recorded is None else {"problem_type": recorded}
    return {
        "model_type": MODEL_TYPE,
        "architectures": [ARCHITECTURES[task.name]],
        **problem,
        "id2label": {str(i): label for i, label in enumerate(task.labels)},
        "label2id": {label: i for i, label in enumerate(task.labels)},
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": max(config.num_heads or [1]),
        "max_position_embeddings": contents.max_length,
        "pad_token_id": padding(contents.tokenizer).id,
        JAVASCRIPT: JAVASCRIPT_CONFIG,
    }


def tokenizer_config(tokenizer: PreTrainedTokenizerFast, config: StudentConfig, max_length: int) -> dict[str, Any]:
    """A `tokenizer_config.json` for transformers and transformers.js, special tokens as plain strings."""
    kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"]
    bert = kind == "WordPiece" and config.type_vocab_size > 1
    return {
        "tokenizer_class": "BertTokenizer" if bert else "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        **{name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items()) if isinstance(token, str)},
    }


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Indented JSON with a final newline."""
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

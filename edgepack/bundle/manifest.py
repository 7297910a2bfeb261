"""The two `edgepack.json` files: what a bundle is, and what a build was.

Schema version 1. A reader refuses another version, and otherwise keeps keys that it does not know, so a newer
edgepack may add to a bundle that an older gate still reads. `created` stands here and nowhere else: shipped
files and goldens are the same bytes when they are built again (the verdict holds measured times).
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from edgepack.bounded import check_count, parse_json, read_file
from edgepack.bundle.chain import ChainRecord
from edgepack.bundle.places import why_no_build
from edgepack.bundle.record import Record
from edgepack.errors import InputError, bare, shown
from edgepack.target import Target, load_target
from edgepack.task.schemes import SchemeName
from edgepack.task.scoring import SINGLE_LABEL
from edgepack.task.similarity import NO_PROMPTS, Judged, Prompts
from edgepack.task.task import Task, TaskName
from edgepack.task.windows import Combine, Longest, Windows
from edgepack.workspace import hash_json, sha256_file, write_atomic

MANIFEST_NAME = "edgepack.json"
SCHEMA = 1
SHOWN_BUNDLES = 5  # of those that a message names
MOST_BYTES = 64_000_000  # of a file that is read whole: a tokenizer.json of 250,000 tokens has 17 million


class FileRecord(Record):
    """One file of a bundle; `path` is relative, with `/`."""

    path: str
    bytes: int
    sha256: str
    shipped: bool


class TensorRecord(Record):
    """An input or output: a shape holds sizes and names of dynamic dimensions."""

    name: str
    dtype: str
    shape: list[int | str]


class RuntimeRecord(Record):
    """What the app needs to run the model."""

    name: str
    min_version: str
    opset: int | None = None
    ir_version: int | None = None
    operators: list[str] = Field(default_factory=list)


class PaddingRecord(Record):
    """How a batch is padded; one text alone needs none."""

    side: Literal["right"] = "right"
    id: int = 0
    token: str | None = None


class MetricRecord(Record):
    """A metric on `n` examples with its 95 % confidence interval."""

    name: str
    value: float
    n: int
    low: float
    high: float


class LinearRecord(Record):
    """A linear model of hashed features, trained within the build's budget: the cheap baseline of labels and scores.

    It is of tags too. `counts`: examples that both have right, the artifact alone, the linear model alone, neither;
    empty where the artifact did not run. Of label sets, scores and tags `rows` instead: distinct statistics of both,
    and how often they come; in a verdict alone where each example has its own.
    """

    left_out: ClassVar[tuple[str, ...]] = ("rows",)
    bytes: int = Field(ge=0, le=MOST_BYTES)  # of its file
    metric: MetricRecord
    features: str
    trained: str
    counts: list[int] = Field(default_factory=list)
    rows: list[list[int | float]] = Field(default_factory=list)


class DataRecord(Record):
    """Which data a figure was measured on: `sha256` of the examples in any order (`task/identity.py`), and how read."""

    sha256: str
    n: int
    columns: dict[str, str] = Field(default_factory=dict)  # as the user named them; the others are found by name
    labels: list[str] = Field(default_factory=list)  # names of integer labels, where the user gave them


class TrainingRecord(Record):
    """Which examples the student learnt from: `sha256` as a `DataRecord` has it, and how many.

    `shared`: the share of the evaluation examples whose texts stand in them too.
    """

    sha256: str
    n: int = Field(ge=1)
    shared: float = Field(default=0.0, ge=0, le=1)


class TeacherRecord(Record):
    """Where the student's knowledge comes from; `thresholds` of a teacher of label sets, which its metric is by."""

    left_out: ClassVar[tuple[str, ...]] = ("thresholds",)
    name: str
    sha256: str
    licence: str | None = None
    thresholds: list[FiniteFloat] | None = None
    max_length: int | None = Field(default=None, ge=1)  # of the teacher, where its tokens are not the student's


class VectorRecord(Record):
    """What a text is turned into: `size` numbers, of length 1 where `normalized`; `judged`: what the metric is by.

    `pooling`: which of a text's tokens they are made of, in the teacher too; absent in bundles of an older edgepack.
    `query_prompt`, `text_prompt`: what a search writes before its query and before the texts, if anything.
    """

    left_out: ClassVar[tuple[str, ...]] = ("pooling", "query_prompt", "text_prompt")
    size: int = Field(ge=1, le=65_536)
    normalized: bool
    judged: Judged
    pooling: str | None = None
    query_prompt: str = ""
    text_prompt: str = ""


class WindowsRecord(Record):
    """How texts of more than `max_length` tokens are read whole: windows of that length (`task/windows.py`)."""

    overlap: int = Field(ge=0)  # tokens, at most half of `max_length`
    combine: Combine


class BundleManifest(Record):
    """`edgepack.json` of a bundle."""

    left_out: ClassVar[tuple[str, ...]] = (
        "problem",
        "thresholds",
        "chain",
        "min_confidence",
        "activation",
        "ranks",
        "vector",
        "windows",
        "training",
        "edition",
    )
    schema_version: Literal[1] = Field(default=1, alias="schema")
    task: TaskName
    pair: bool = False
    problem: Literal["multi_label_classification", "regression"] | None = (
        None  # absent: one label for each text, or word
    )
    labels: list[str]
    tag_scheme: SchemeName | None = None  # what tags mean; absent where texts are labelled, and where labels show it
    thresholds: list[FiniteFloat] | None = None  # of label sets: the probability from which on each label is answered
    chain: ChainRecord | None = None  # of tags: what decides those of a text together; absent: each word by itself
    activation: Literal["sigmoid"] | None = None  # of a score: what the logit goes through; absent: nothing
    ranks: Literal[True] | None = None  # whether scores order the candidates of a query, the first text of each pair
    vector: VectorRecord | None = None  # of a text that is embedded; absent for other tasks
    max_length: int = Field(ge=1, le=1_000_000)  # tokens; no student has so many positions
    windows: WindowsRecord | None = None  # absent: longer texts are cut
    padding: PaddingRecord
    inputs: list[TensorRecord]
    outputs: list[TensorRecord]
    target: str
    runtime: RuntimeRecord
    files: list[FileRecord]
    shipped_bytes: int
    budget_bytes: int
    metrics: dict[str, MetricRecord]
    teacher: TeacherRecord
    evaluation: DataRecord | None = None  # absent in bundles of an older edgepack
    training: TrainingRecord | None = None  # absent in those, and where texts are embedded
    linear: LinearRecord | None = None  # absent in those, and where texts are embedded
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)  # an app divides logits by it; absent: 1
    min_confidence: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False)  # below: an app is not sure
    edition: int | None = Field(default=None, ge=2)  # which records it always has; absent in those of an older edgepack
    edgepack_version: str
    created: str

    @model_validator(mode="after")
    def _check_windows(self) -> BundleManifest:
        if self.windows is None:
            return self
        if self.windows.overlap > self.max_length // 2:
            said = f"windows of {self.max_length} tokens overlap by {self.windows.overlap}"
            raise ValueError(f"{said}; at most {self.max_length // 2} is allowed")
        if self.vector is not None:
            raise ValueError("windows give no vector")
        if (self.windows.combine == "inner") != (self.task == "token-classification"):
            raise ValueError(f"windows of {self.task} are combined by {self.windows.combine}")
        return self

    @property
    def longest(self) -> Longest:
        """How far the model reads."""
        if self.windows is None:
            return self.max_length
        return Windows(self.max_length, self.windows.overlap, self.windows.combine)

    @property
    def teacher_longest(self) -> Longest:
        """How far the teacher reads, in its own tokens: in windows where the model does."""
        length = self.teacher.max_length or self.max_length
        return length if self.windows is None else task_of(self).windows(length)


class BuildManifest(Record):
    """`edgepack.json` of a build's output folder; parts that belong to other modules are plain JSON."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    inputs: dict[str, Any]  # name → path, sha256
    plan: dict[str, Any]
    stages: list[dict[str, Any]]
    versions: dict[str, str]
    seed: int
    metrics: dict[str, Any]
    artifacts: list[dict[str, Any]]  # target, bundle (folder relative to the manifest), passed
    missing: dict[str, str] = Field(default_factory=dict)  # target → what it lacked here, and the line that adds it
    runtimes: list[dict[str, Any]] = Field(default_factory=list)  # pairs, see evidence/compare_runtimes.py
    linear: dict[str, Any] = Field(default_factory=dict)  # a `LinearRecord`, or the reason why there is none
    created: str


Model = TypeVar("Model", bound=BaseModel)


def load_manifest(folder: Path) -> BundleManifest:
    """The bundle's manifest; `InputError` if `folder` is no bundle."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        refuse_other_folder(folder)
    refuse_build(folder)
    return read_model(path, BundleManifest)


def task_of(manifest: BundleManifest) -> Task:
    """The task that a bundle is for."""
    return Task(
        manifest.task,
        tuple(manifest.labels),
        manifest.pair,
        manifest.problem or SINGLE_LABEL,
        tuple(manifest.thresholds or ()),
        manifest.tag_scheme,
        activation=manifest.activation or "identity",
        ranks=bool(manifest.ranks),
        vector_size=manifest.vector.size if manifest.vector else 0,
        judged=manifest.vector.judged if manifest.vector else None,
        prompts=Prompts(manifest.vector.query_prompt, manifest.vector.text_prompt) if manifest.vector else NO_PROMPTS,
        chain=manifest.chain.chain(len(manifest.labels)) if manifest.chain else None,
    )


def refuse_build(folder: Path) -> None:
    """`InputError` where `folder` is a build's output, given for one of its bundles, which it names."""
    keys = _keys(folder)
    if "artifacts" in keys and "files" not in keys:
        known = _bundles_in(folder / "bundles")
        advice = f"give one of its bundles: {known}" if known else "none of its targets was built; build it again"
        raise InputError(f"{folder} is the output of a build, not a bundle; {advice}")


def refuse_other_folder(folder: Path) -> NoReturn:
    """`InputError` for a folder without a manifest, which names the bundles in it, if there are any; and for a file."""
    listed = _bundles_in(folder) or _bundles_in(folder / "bundles")
    advice = f"give one of the bundles in it: {listed}" if listed else "give a folder under OUT/bundles of a build"
    if folder.is_file():
        raise InputError(f"{folder} is no bundle: it is a file; {advice}")
    raise InputError(f"{folder} is no bundle: it has no {MANIFEST_NAME}; {advice}")


def _keys(folder: Path) -> set[str]:
    """The keys of the folder's manifest, of whatever kind; none where it does not read: whoever reads it says so."""
    with suppress(InputError, ValueError):
        if isinstance(document := parse_json(read_bounded(folder / MANIFEST_NAME), constants=True), dict):
            return set(document)
    return set()


def _bundles_in(folder: Path) -> str:
    """The bundles right in a folder, for a message."""
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    return ", ".join(bare(str(path), 200) for path in found[:SHOWN_BUNDLES])


def load_build_manifest(folder: Path) -> BuildManifest:
    """The build's manifest; `InputError` if `folder` is no build."""
    if not (path := folder / MANIFEST_NAME).is_file():
        raise InputError(why_no_build(folder, MANIFEST_NAME))
    keys = _keys(folder)
    if "files" in keys and "artifacts" not in keys:
        raise InputError(f"{folder} is a bundle, not a build; give the -o folder of its build, the one above bundles/")
    return read_model(path, BuildManifest)


def read_model(path: Path, kind: type[Model]) -> Model:
    """A model from a JSON file; an `InputError` names the file and the first key that is wrong."""
    return parse_model(read_bounded(path), kind, str(path))


def read_bounded(path: Path) -> bytes:
    """A file's bytes; `InputError` where it is missing, no file, or larger than anything that a bundle needs."""
    return read_file(path, MOST_BYTES, bare(str(path), 200))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object as every reader has it (`parse_json`); `InputError` where the file holds anything else."""
    try:
        document = parse_json(read_bounded(path))
    except ValueError as e:
        raise InputError(f"{bare(str(path), 200)}: is no JSON ({e}); build the bundle again") from e
    if not isinstance(document, dict):
        raise InputError(f"{bare(str(path), 200)}: is no JSON object; build the bundle again")
    return document


def parse_model(data: bytes, kind: type[Model], where: str, remedy: str = "build the bundle again") -> Model:
    """A model from JSON; an `InputError` names `where` it is, the first key that is wrong and the `remedy`."""
    try:
        check_count(data)
        model = kind.model_validate_json(data, strict=True)  # an app's reader would stop at "16" or 16.0 for 16
        if type(schema := parse_json(data, constants=True).get("schema", SCHEMA)) is not int:  # 1.0 equals 1
            raise ValueError(f"schema: is {shown(schema)}, no whole number")
        return model
    except ValidationError as e:
        first = e.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        said = f"{bare(place)}: {bare(first['msg'], 200)}"
        raise InputError(f"{bare(where, 200)}: {said} (schema {SCHEMA}); {remedy}") from e
    except ValueError as e:
        raise InputError(f"{bare(where, 200)}: {e} (schema {SCHEMA}); {remedy}") from e


def write_model(path: Path, model: BaseModel) -> None:
    """Write indented JSON; a reader sees all of it or what was there before."""
    write_atomic(path, (model_text(model) + "\n").encode())


def model_text(model: BaseModel) -> str:
    """Indented JSON, as files hold it."""
    return json.dumps(model.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=2)


def runtime_record(target: Target, operators: tuple[str, ...] = ()) -> RuntimeRecord:
    """What the manifest says of the target's runtime; `operators` are the artifact's own."""
    return RuntimeRecord(
        name=target.runtime,
        min_version=target.runtime_min_version,
        opset=target.opset,
        ir_version=target.ir_version,
        operators=list(operators),
    )


def artifact_sha256(manifest: BundleManifest) -> str:
    """The hash of a bundle's artifact: the model file's; of a folder that of its files' hashes."""
    target = load_target(manifest.target)
    files = {record.path: record.sha256 for record in manifest.files if is_model_file(record.path, target)}
    return files.get(target.file) or hash_json(files)


def is_model_file(path: str, target: Target) -> bool:
    """Whether a bundle's file is the target's model, or inside it where a model is a folder."""
    return path == target.file or path.startswith(f"{target.file}/")


def model_hashes(path: Path, target: Target) -> dict[str, str]:
    """sha256 of the model file at `path`, or of each file where a model is a folder, by its path in a bundle."""
    if not path.is_dir():
        return {target.file: sha256_file(path)}
    files = sorted(inner for inner in path.rglob("*") if inner.is_file())
    return {f"{target.file}/{inner.relative_to(path).as_posix()}": sha256_file(inner) for inner in files}


def file_record(folder: Path, path: Path, shipped: bool) -> FileRecord:
    """Size and hash of a file under `folder`."""
    return FileRecord(
        path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256_file(path), shipped=shipped
    )

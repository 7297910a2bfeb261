"""What is done with a trained student for each target: export, validate, bundle, and the runtimes compared.

A target whose package or tool is missing is left out, with a warning that has the line to install it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from transformers import PreTrainedTokenizerFast

from edgepack.build.data_plan import int8_bytes
from edgepack.build.inputs import Inputs
from edgepack.build.linear import ScoredWords, compare_with_linear, read_record, scored_words
from edgepack.build.thresholds import evenly
from edgepack.build.tokens import first_texts, halves
from edgepack.build.training_data import in_student_ids
from edgepack.bundle.manifest import DataRecord, TeacherRecord, model_hashes, read_model, write_model
from edgepack.bundle.verdict import EDITION, Speed, Verdict
from edgepack.bundle.write import Bundle, Contents, write_bundle
from edgepack.console import Console
from edgepack.errors import EdgepackError, MissingDependency, reason
from edgepack.evidence.analyze import Background, Sure, teacher_flips, vectors_near
from edgepack.evidence.compare_runtimes import LOGITS_NAME, RuntimePair, compare_runtimes
from edgepack.evidence.measure import TOKEN_COUNTS, Subject, Teachers, measure
from edgepack.evidence.robustness import changed_sets
from edgepack.evidence.slices import Words
from edgepack.evidence.sure import find_confidence
from edgepack.evidence.validate import Limits, Reference, validate_artifact
from edgepack.evidence.vector_analysis import changed_texts, unjudged
from edgepack.export import Artifact, artifact_bytes, export
from edgepack.inference import predict
from edgepack.machine.memory import free_memory
from edgepack.parameters import format_size
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.identity import examples_sha256
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.teacher.int8_model import export_int8
from edgepack.tokenizer.asset import backend_tokenizer
from edgepack.workspace import RECORD_NAME, Stage, hash_json

# Of a target: what no validation depends on.
DEVICE_ONLY = ("name", "title", "device", "app", "runtime_library", "notes")

INT8_NAME = "teacher-int8.onnx"
NONE_HELD_OUT = "no training examples, or too few, were held out to find a temperature on"

T = TypeVar("T")
MakeStage = Callable[[str, dict[str, Any], Callable[[Stage], None]], Stage]  # name, what decides it, work


def what_runs(target: Target) -> dict[str, Any]:
    """All of a target that a validation depends on: two that are alike here are measured once, if their files are."""
    return {name: value for name, value in asdict(target).items() if name not in DEVICE_ONLY}


@dataclass(frozen=True, eq=False)
class Made:
    """What the targets came to: bundles, their stages, what lacked tools and how to get them, runtimes compared."""

    bundles: dict[str, Bundle] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    pairs: list[RuntimePair] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Delivery:
    """All targets of one build. `asset_bytes`: the tokenizer's file; `stage`: the finished stage of a name.

    `linear`: the finished stage of the linear model that every artifact is compared with.
    """

    inputs: Inputs
    tokenizer: PreTrainedTokenizerFast
    asset_bytes: int
    stage: MakeStage
    console: Console
    linear: Stage
    found: dict[str, Any] = field(default_factory=dict)  # of the student, once it is known
    teachers: Teachers = field(default_factory=Teachers)  # what is timed beside every target
    exported: dict[str, Stage] = field(default_factory=dict)  # what runs → the first export for it
    measured: dict[str, tuple[str, Stage]] = field(default_factory=dict)  # what runs → its target, its validation

    @cached_property
    def evaluation_ids(self) -> Encoded:
        """The evaluation data as the student reads it."""
        inputs = self.inputs
        task = inputs.teacher.task
        encoded = encode(inputs.evaluation_data, task, self.tokenizer, inputs.longest)
        return task.referenced(encoded, inputs.teacher_logits)

    @cached_property
    def background(self) -> Background:
        """What the analysis of every artifact needs; the teacher answers changed texts for it, once for all targets."""
        inputs, data = self.inputs, self.inputs.evaluation_data
        teacher, model, task = inputs.teacher, inputs.teacher.load_model(), unjudged(inputs.teacher.task)
        changed = changed_texts(data, task.prompts) if task.embeds else changed_sets(data)

        def answer(texts: Dataset) -> tuple[np.ndarray, Encoded]:
            encoded = encode(texts, task, teacher.tokenizer, inputs.teacher_longest)
            return predict(model, encoded), encoded

        return Background(
            data,
            backend_tokenizer(self.tokenizer),
            inputs.longest,
            Words(inputs.teacher_counts, self.tokenizer.unk_token_id),
            changed,
            vectors_near(changed, answer) if task.embeds else teacher_flips(changed, task, answer),
        )

    def run(self, student: Student, trained: Stage) -> Made:
        """Export, validate and bundle for each target; one whose tools are missing is left out with a warning."""
        made, logits = Made(), {}
        with self.teachers:
            for target in self.inputs.targets:
                try:
                    exported, validated = self.run_target(target, student, trained)
                    with self.console.working(f"bundle {target.name}"):
                        made.bundles[target.name] = self.write_bundle(target, student, exported, validated)
                except MissingDependency as e:
                    made.missing[target.name] = str(e)
                    self.console.warn(f"{target.name}: not built: {e}")
                    shutil.rmtree(self.inputs.request.output / "bundles" / target.name, ignore_errors=True)  # of before
                    continue
                made.stages.extend([exported, validated])
                if (validated.folder / LOGITS_NAME).is_file():  # not where the runtime is not of this system
                    logits[target.name] = np.load(validated.folder / LOGITS_NAME)
        task = self.student_task(student)
        made.pairs.extend(compare_runtimes(self.inputs.targets, logits, self.evaluation_ids, task))
        return made

    def run_target(self, target: Target, student: Student, trained: Stage) -> tuple[Stage, Stage]:
        """Export and validate for one target."""
        request = self.inputs.request
        runs = hash_json(what_runs(target))
        alike = self.exported.get(runs)

        def write_artifact(stage: Stage) -> None:
            if alike is not None:
                ignored = shutil.ignore_patterns(RECORD_NAME)
                shutil.copytree(alike.folder, stage.scratch, ignore=ignored, dirs_exist_ok=True)
                return
            artifact = export(student, target, stage.scratch)
            (stage.scratch / "operators.json").write_text(json.dumps(artifact.operators))

        exported = self.stage(f"export-{target.name}", {"after": trained.key, "target": asdict(target)}, write_artifact)
        self.exported.setdefault(runs, exported)
        parts = {
            "after": exported.key,
            "evaluation": self.inputs.evaluation_data.sha256,
            "budget": request.budget_bytes,
            "max_drop": request.max_drop,
            "answer_rate": request.answer_rate,
            "timed": request.timed,
            "linear": self.linear.key,
            **({} if request.max_latency is None else {"timed_tokens": self.token_counts}),
        }

        key = hash_json([runs, model_hashes(exported.folder / target.file, target)])
        same = self.measured.get(key)

        def write_verdict(stage: Stage) -> None:
            if same is not None:
                verdict = self.take_over(target, *same, stage.scratch / LOGITS_NAME)
            else:
                verdict = self.judge(target, student, exported, stage.scratch / LOGITS_NAME)
            write_model(stage.scratch / "verdict.json", verdict)

        validated = self.stage(f"validate-{target.name}", parts, write_verdict)
        self.measured.setdefault(key, (target.name, validated))
        return exported, validated

    def take_over(self, target: Target, other: str, measured: Stage, keep_logits: Path) -> Verdict:
        """The verdict of a target whose runtime runs the same bytes."""
        self.console.info(f"{target.name}: the same file in the same runtime as {other}, measured once")
        if (measured.folder / LOGITS_NAME).is_file():
            shutil.copyfile(measured.folder / LOGITS_NAME, keep_logits)
        verdict = read_model(measured.folder / "verdict.json", Verdict)
        return verdict.model_copy(update={"target": target.name, "measured_as": verdict.measured_as or other})

    def judge(self, target: Target, student: Student, exported: Stage, keep_logits: Path) -> Verdict:
        """Run the artifact over the evaluation set and measure it against the teacher."""
        inputs, task = self.inputs, self.inputs.teacher.task
        own = self.student_task(student)
        path = exported.folder / target.file
        with self.console.progress(target.name, 3 * len(self.evaluation_ids)) as advance:  # student, rounded, artifact
            verdict = validate_artifact(
                path,
                target,
                Reference(
                    task,
                    student,
                    self.evaluation_ids,
                    inputs.teacher_logits,
                    inputs.evaluation,
                    self.background,
                    own,
                    sure=self.sure_of(student),
                    known=self.once("forms", dict),
                ),
                Limits(inputs.request.budget_bytes, inputs.request.max_drop),
                artifact_bytes(path) + self.asset_bytes,
                keep_logits=keep_logits,
                advance=advance,
            )
        right = self.right(keep_logits, own) if "artifact" in verdict.metrics else None
        linear = compare_with_linear(self.linear, right, self.scored_words)
        without = {} if linear is not None else {"linear": read_record(self.linear)["reason"]}
        if task.has_temperature and verdict.confidence is None:
            without["confidence"] = NONE_HELD_OUT
        records = {"linear": linear, "edition": EDITION, "without": without or None}
        verdict = verdict.model_copy(update=records)
        if not inputs.request.timed or "artifact" not in verdict.metrics:  # not where the runtime is not of this system
            return verdict
        with self.console.working(f"time {target.name}"):
            return verdict.model_copy(update={"speed": self.time_with_teacher(path, target)})

    @cached_property
    def int8_teacher(self) -> Path | None:
        """The teacher as ONNX Runtime's int8 model, made once; None, with a warning, where it can't be exported."""
        teacher = self.inputs.teacher

        def write(stage: Stage) -> None:
            needed, free = int8_bytes(teacher), free_memory()
            if needed > free:
                raise MemoryError(f"it takes about {format_size(needed)} of memory, and {format_size(free)} are free")
            full = stage.scratch / "teacher.onnx"
            export_int8(teacher.load_model(), full, stage.scratch / INT8_NAME, self.token_counts)
            full.unlink()

        try:
            return self.stage("int8-teacher", {"teacher": teacher.sha256}, write).folder / INT8_NAME
        except EdgepackError:  # a full disk, say
            raise
        except Exception as e:  # torch's exporter and the quantizer have no class of their own for what they can't do
            self.console.warn(f"the teacher's int8 model is not timed: exporting it failed: {reason(e)}")
            return None

    def right(self, logits: Path, task: Task) -> np.ndarray:
        """Which examples an artifact's saved logits are right on; of label sets, scores and tags, the statistics."""
        statistics = task.statistics(task.read(np.load(logits), self.evaluation_ids), self.evaluation_ids)
        return statistics if task.is_multi_label or task.is_score or task.is_tagging else statistics[:, 0]

    @cached_property
    def scored_words(self) -> ScoredWords | None:
        """Of tagged data the words that artifacts score."""
        inputs, task = self.inputs, self.inputs.teacher.task
        if not task.is_tagging:
            return None
        return scored_words(inputs.evaluation_data, task, self.tokenizer, inputs.longest)

    def once(self, name: str, find: Callable[[], T]) -> T:
        """What is found out of the one student, for all targets."""
        if name not in self.found:
            self.found[name] = find()
        return cast(T, self.found[name])

    def student_task(self, student: Student) -> Task:
        """The task as the student decides it: with thresholds, or a chain of tags, found on the examples held out."""
        task = self.inputs.teacher.task
        if self.inputs.held_out is None or not (task.is_multi_label or task.is_tagging):
            return evenly(task)
        return self.once("task", lambda: self._find_task(student, task))

    def _find_task(self, student: Student, task: Task) -> Task:
        answers = self._held_out_answers(student)
        if task.is_multi_label:
            return task.with_thresholds(*answers)
        found = task.with_chain(self.inputs.train, *answers)
        if found.chain is not None:
            alone, together = task.score(*answers), found.score(*answers)
            self.console.info(
                f"tags of a text are decided together: {task.metric_name} {together:.4f} on {len(answers[1]):,} "
                f"examples held out, {alone:.4f} where each word is decided by itself"
            )
        return found

    def sure_of(self, student: Student) -> Sure | None:
        """The student's temperature and least confidence, and texts to measure it on; None of few examples."""
        if self.inputs.held_out is None or not self.inputs.teacher.task.has_temperature:
            return None
        return self.once("sure", lambda: self._find_sure(student))

    def _held_out_answers(self, student: Student) -> tuple[np.ndarray, Encoded]:
        """The student's logits on the examples held out, and these in its own tokens."""

        def answer() -> tuple[np.ndarray, Encoded]:
            assert self.inputs.held_out is not None
            data = in_student_ids(self.inputs.held_out, student.config, self.inputs)
            return predict(student, data, exact=True), data

        return self.once("held out", answer)

    def _find_sure(self, student: Student) -> Sure | None:
        inputs, evaluation = self.inputs, self.inputs.evaluation_data
        known, other = (None, None) if inputs.outside is None else halves(inputs.outside)
        foreign = self.encoded(known)
        outside = None if foreign is None else predict(student, foreign, exact=True)
        task, (logits, held_out) = self.student_task(student), self._held_out_answers(student)
        found = find_confidence(task, task.read(logits, held_out), held_out, outside, inputs.request.answer_rate)
        measured = self.encoded(evaluation.out_of_scope() if evaluation.outside else other)
        return None if found is None else Sure(found, measured, of_training=not evaluation.outside)

    def encoded(self, data: Dataset | None) -> Encoded | None:
        """Texts as the student's own tokenizer cuts them; None where there are none."""
        if data is None or not len(data):
            return None
        return encode(data, self.inputs.teacher.task, self.tokenizer, self.inputs.longest)

    def time_with_teacher(self, artifact: Path, target: Target) -> dict[str, Speed]:
        """Load time, latency and memory of the artifact, the teacher in torch, and the teacher's int8 model."""
        inputs = self.inputs
        subjects = {
            "artifact": Subject("artifact", artifact, target.name),
            "teacher": Subject("teacher", inputs.teacher.checkpoint.folder, inputs.teacher.task.name),
        }
        if self.int8_teacher is not None:
            subjects["teacher_int8"] = Subject("artifact", self.int8_teacher, "linux-onnx")
        return measure(subjects, token_counts=self.token_counts, teachers=self.teachers)

    @property
    def token_counts(self) -> list[int]:
        """The lengths of text that are timed."""
        longest, limit = self.inputs.max_length, self.inputs.request.max_latency
        counts = [count for count in TOKEN_COUNTS if count <= longest] or [longest]
        return counts if limit is None else sorted({*counts, limit.tokens})

    def write_bundle(self, target: Target, student: Student, exported: Stage, validated: Stage) -> Bundle:
        """The folder that an app ships."""
        teacher, path = self.inputs.teacher, exported.folder / target.file
        operators = tuple(json.loads((exported.folder / "operators.json").read_text()))
        contents = Contents(
            artifact=Artifact(target, path, artifact_bytes(path), operators),
            config=student.config,
            tokenizer=self.tokenizer,
            teacher=TeacherRecord(
                name=teacher.name,
                sha256=teacher.sha256,
                licence=teacher.licence,
                thresholds=list(teacher.task.thresholds) or None,
                max_length=None if self.inputs.pairing is None else self.inputs.teacher_length,
            ),
            task=self.student_task(student),
            verdict=read_model(validated.folder / "verdict.json", Verdict),
            max_length=self.inputs.max_length,
            golden_texts=first_texts(self.inputs.evaluation_data),
            evaluation=self.data_record(),
            student=student,
            windows=self.inputs.windows,
            training=self.inputs.training,
        )
        return write_bundle(self.inputs.request.output / "bundles" / target.name, contents)

    def data_record(self) -> DataRecord:
        """Which data the figures are of, and how they were read."""
        data, columns = self.inputs.evaluation_data, self.inputs.request.columns
        named = {"text": columns.text, "pair": columns.pair, "label": columns.label, "outside": columns.outside}
        return DataRecord(
            sha256=examples_sha256(data, self.inputs.teacher.task),
            n=self.inputs.teacher.task.observations(data),
            columns={part: name for part, name in named.items() if name is not None},
            labels=list(columns.names),
        )

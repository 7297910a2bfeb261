"""The flow of a build: plan, carve, distil, prune, quantize, export, validate, bundle.

Each stage's result is a folder in the workspace under a key made of all that decides it: the hashes of
teacher and data, the settings, the versions, the seed, and the key of the stage before. A build that is
run again finds the finished stages and resumes; training resumes from its last checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedTokenizerFast

from edgepack.build.after_plan import check_planned
from edgepack.build.data_plan import DataPlan, check_free_space, free_space_problem, plan_data
from edgepack.build.delivery import Delivery
from edgepack.build.duration import estimate_training
from edgepack.build.input_records import write_manifest
from edgepack.build.inputs import BuildRequest, Inputs, check_request, open_with_texts
from edgepack.build.linear import linear_parts, linear_work, read_record, train_linear_model
from edgepack.build.masked_words import open_masked_model
from edgepack.build.plan_search import PlanSearch, check_opened, check_searchable
from edgepack.build.recipe import (
    Recipe,
    general_schedule,
    make_augmentation,
    make_schedule,
    make_stages,
    recipe_record,
)
from edgepack.build.results import BuildResult, PlanReport
from edgepack.build.rounding import decided, decisions
from edgepack.build.search_space import make_plan, make_search_space
from edgepack.build.stage_results import (
    is_usable,
    make_stage,
    refuse_training,
    rounded_student,
    stage_record,
    start_after,
)
from edgepack.build.starting_student import carve_start
from edgepack.build.training_data import (
    Training,
    TrainingData,
    augment_by_masked_words,
    make_replacing,
    open_outputs,
    student_tokenizer,
    task_data,
    text_data,
)
from edgepack.build.wide_table import wide_work
from edgepack.compress.augmentation import Augmentation
from edgepack.compress.splicing import single_texts
from edgepack.console import Console
from edgepack.machine.memory import keep_large_blocks_apart, return_free_memory
from edgepack.plan.search import Plan
from edgepack.report import write_report
from edgepack.student.config import StudentConfig
from edgepack.student.folder import save_student
from edgepack.task.encoded import Encoded
from edgepack.train import (
    Course,
    Material,
    Place,
    StageSettings,
    has_bf16,
    make_accelerator,
    read_result,
    train,
    write_result,
)
from edgepack.train.processes import from_main, launch_problem, same_view
from edgepack.train.state_budget import OutputsPlan
from edgepack.train.teacher_outputs import HIDDEN_FILE, save_teacher_outputs
from edgepack.workspace import Stage, Workspace, hash_json, refuse_other_files, sha256_file, source_hash

LIBRARIES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "accelerate", "numpy")


def plan_build(
    request: BuildRequest, console: Console, show_tensors: bool = False, output_too: bool = False
) -> PlanReport:
    """Open and check the inputs (`output_too`: the output folder), search, report candidates; nothing is written."""
    if output_too:
        refuse_other_files(request.output)
    check_searchable(request)
    inputs, train_texts = open_with_texts(request, console)
    check_opened(inputs, make_accelerator(request.device))
    space = make_search_space(inputs)
    plan = make_plan(request, space)
    check_planned(inputs, plan, space.full, console)
    data = plan_data(inputs, plan.chosen, space.full, text_data(inputs, plan.chosen.config))
    if (problem := free_space_problem(request, data)) is not None:
        console.warn(problem)
    linear = train_linear_model(inputs, console, train_texts)
    with console.working("time"):
        return PlanReport(plan, data, show_tensors, estimate_training(inputs, plan.chosen, data), linear, inputs.start)


def build(request: BuildRequest, console: Console, inputs: Inputs | None = None) -> BuildResult:
    """Run every stage that is not finished yet and write the output folder.

    `inputs`: what an earlier build with the same teacher, data and targets opened; opened here where there is none.
    Under `accelerate launch` every process trains; the main one alone locks the folder, writes and has bundles.
    """
    keep_large_blocks_apart()
    check_searchable(request)
    accelerator, workspace = make_accelerator(request.device), Workspace(request.output)
    if not accelerator.is_main_process:
        return open_build(request, workspace, Console(quiet=True), inputs).run()
    if (problem := launch_problem()) is not None:
        console.warn(problem)
    with workspace.lock():
        if request.fresh:
            workspace.clear()
        return open_build(request, workspace, console, inputs).run()


def open_build(
    request: BuildRequest,
    workspace: Workspace,
    console: Console,
    inputs: Inputs | None = None,
    finished_only: bool = False,
) -> Build:
    """Inputs checked and the plan made, with `--search` by short trainings."""
    if inputs is None:
        inputs, _ = open_with_texts(request, console)
    else:  # opened for another recipe, perhaps
        check_request(request, inputs.teacher, inputs.targets)
        inputs = replace(inputs, request=request)
    accelerator = make_accelerator(request.device)
    check_opened(inputs, accelerator)
    space = make_search_space(inputs)
    plan = from_main(accelerator, make_plan(request, space))
    opened = planned_build(inputs, plan, space.full, workspace, console, finished_only)
    if request.search is None:
        return opened
    trials = PlanSearch(inputs, plan, accelerator, console, opened.bf16)
    plan = trials.read(opened.shared_stage("search", trials.parts, trials.write))
    return planned_build(inputs, plan, space.full, workspace, console, finished_only)


def planned_build(
    inputs: Inputs, plan: Plan, full: StudentConfig, workspace: Workspace, console: Console, finished_only: bool
) -> Build:
    """A build of the plan's first candidate; says the plan. `full`: the teacher as a student."""
    check_planned(inputs, plan, full, None if finished_only else console)
    text = text_data(inputs, plan.chosen.config)
    data = plan_data(inputs, plan.chosen, full, text)
    console.info(PlanReport(plan, data, start=inputs.start).table())
    return_free_memory()
    return Build(inputs, plan, data, text, workspace, console, finished_only)


@dataclass(frozen=True, eq=False)
class Build:
    """One build with its inputs and plan; `run` goes through the stages."""

    inputs: Inputs
    plan: Plan
    data_plan: DataPlan
    text: TrainingData | None  # raw text, tokenized once
    workspace: Workspace
    console: Console
    finished_only: bool = False  # refuse to train; artifacts, their validation and bundles may be made again

    def run(self) -> BuildResult:
        """All stages, then the output folder's own files."""
        request = self.inputs.request
        if self.accelerator.is_main_process and not self.finished_only:
            check_free_space(request, self.data_plan)
        outputs = self.teacher_stage("teacher", self.train_data, self.data_plan.task)
        parts = {"after": outputs.key, "plan": self.report.full_record()}
        planned = self.shared_stage("plan", parts, self.write_plan)
        linear = self.shared_stage("linear", linear_parts(self.inputs), linear_work(self.inputs, self.console))
        parts = {"after": planned.key, "recipe": recipe_record(self.recipe)}
        carved = self.shared_stage("carve", parts, self.write_carved)
        trained = [carved, *self.general_stages(carved)]
        schedule = make_schedule(self.recipe, self.plan.chosen.estimated_speed)
        for name, settings in make_stages(self.recipe, schedule, self.shape).items():
            if name == "quantize":
                trained += self.decision_stages(trained[-1])
            replacing = make_replacing(self.inputs, self.plan.chosen)
            training = Training(self.train_data, outputs, self.data_plan.task, schedule, settings, replacing)
            trained.append(self.training_stage(name, training, trained[-1]))
        if self.shape.wide_rows:
            work = wide_work(self.inputs, self.shape, self.train_data, trained[-1], self.console)
            trained.append(self.shared_stage("wide", {"after": trained[-1].key}, work))
        if not self.accelerator.is_main_process:
            return BuildResult(request.output, ())
        student = rounded_student(read_result(trained[-1]), self.shape)
        save_student(student, self.tokenizer, request.output / "student")
        self.drop_states(outputs)
        made = self.delivery(linear).run(student, trained[-1])
        stages = [stage_record(stage) for stage in [outputs, planned, linear, *trained, *made.stages]]
        record = self.report.as_built(student.config, self.inputs.targets).full_record()
        write_manifest(self.inputs, record, stages, self.decisive["libraries"], made, read_record(linear))
        write_report(request.output)
        return BuildResult(request.output, tuple(made.bundles.values()), made.missing, request.max_latency)

    def stage(self, name: str, parts: dict[str, Any], work: Callable[[Stage], None]) -> Stage:
        """The finished stage; `work` fills its scratch folder where it is not finished yet, or damaged since."""
        stage = self.workspace.stage(name, {**self.decisive, **parts})
        self.settle(stage, work, is_usable(stage, self.console))
        return stage

    def settle(self, stage: Stage, work: Callable[[Stage], None], usable: bool) -> None:
        """Have the stage finished: as it is, or by `work`."""
        if usable:
            self.console.info(f"{stage.name}: finished before")
            return
        if self.finished_only:
            refuse_training(stage, self.workspace)
        with self.console.working(stage.name):
            make_stage(stage, work, self.workspace)

    def shared_stage(
        self, name: str, parts: dict[str, Any], work: Callable[[Stage], None], together: bool = False
    ) -> Stage:
        """A stage that every process has to pass: all work `together`, or the others wait for the main one."""
        stage = self.workspace.stage(name, {**self.decisive, **parts})
        usable = same_view(self.accelerator, lambda: is_usable(stage, self.console))
        if self.accelerator.is_main_process:
            self.settle(stage, work, usable)
        elif together and not usable:
            work(stage)
        self.accelerator.wait_for_everyone()
        return stage

    def teacher_stage(self, name: str, data: TrainingData, planned: OutputsPlan) -> Stage:
        """The teacher's outputs on this data."""
        kept, seen = planned.choice.kept, planned.seen

        def write(stage: Stage) -> None:
            self.console.info(f"{name}: {data.note}")
            full, device = self.inputs.load_runner(self.bf16), self.accelerator.device
            settings = {"device": device, "bf16": self.bf16, "seen": seen, "alignment": data.alignment}
            save_teacher_outputs(full, data.teacher_ids, kept, stage.scratch, self.console, **settings)

        decided = {"states": planned.choice.record(), "seen": None if seen is None else len(seen)}
        parts = {"bf16": self.bf16, **decided, "data": data.sha256()}
        return self.shared_stage(name, parts, write)

    def general_stages(self, carved: Stage) -> list[Stage]:
        """With `--raw-text`: hidden states on raw text and the recipe's objectives there, before the task's data."""
        data, general, planned = self.text, self.recipe.general, self.data_plan.text
        if data is None or general is None or planned is None:
            return []
        outputs = self.teacher_stage("teacher-text", data, planned)
        schedule = general_schedule(self.recipe, general, len(data.student_ids))
        training = Training(data, outputs, planned, schedule, StageSettings(0, schedule.total_steps))
        trained = self.training_stage("general", training, carved)
        self.drop_states(outputs)
        return [trained]

    def drop_states(self, outputs: Stage) -> None:
        """Remove the teacher's hidden states, which nothing needs after training."""
        if self.accelerator.is_main_process and not self.inputs.request.keep_states:
            outputs.drop(HIDDEN_FILE)

    def restore_states(self, training: Training) -> None:
        """Have the teacher's hidden states again, where they were dropped after an earlier build, or are damaged."""
        outputs = training.outputs

        def usable() -> bool:
            return not outputs.record.dropped and is_usable(outputs, self.console, leave=())

        if not same_view(self.accelerator, usable):
            if self.accelerator.is_main_process:
                self.workspace.forget(outputs.folder.name)
            self.teacher_stage(outputs.name, training.data, training.planned)

    def decision_stages(self, before: Stage) -> list[Stage]:
        """What is decided of the student that is about to be rounded."""
        stages = [before]
        for name, decision in decisions(self.recipe, self.inputs, self.plan.chosen, self.train_data, self.console):
            work = decided(stages[-1], decision)
            stages.append(self.shared_stage(name, {"after": stages[-1].key}, work))
        return stages[1:]

    def training_stage(self, name: str, training: Training, before: Stage) -> Stage:
        """One call of the training loop, from the stage before to this one."""

        def work(stage: Stage) -> None:
            self.restore_states(training)
            data, seed, kept = training.data, self.inputs.request.seed, training.planned.choice.kept
            outputs = open_outputs(
                self.inputs, self.plan.chosen, training.outputs.folder, kept, self.bf16, data.alignment
            )
            progress = train(
                start_after(before),  # not held here: the loop copies it
                Material(data.student_ids, outputs),
                Course(training.schedule, training.settings, seed, training.replacing, data.raw_text),
                Place(self.accelerator, stage.scratch, self.console, stage.name),
            )
            if self.accelerator.is_main_process:
                write_result(stage, progress)

        workers = {"threads": torch.get_num_threads(), "processes": self.accelerator.num_processes}
        parts = {"after": before.key, "outputs": training.outputs.key, "stage": asdict(training.settings), **workers}
        return self.shared_stage(name, parts, work, together=True)

    @cached_property
    def decisive(self) -> dict[str, Any]:
        """What decides every stage: inputs by content, seed, code and libraries."""
        inputs = self.inputs
        return {
            **inputs.uncommon,
            "teacher": inputs.teacher.sha256,
            "train": inputs.train_sha256,
            "columns": asdict(inputs.request.columns),
            "task": asdict(inputs.teacher.task),
            "max_length": inputs.max_length,
            "seed": inputs.request.seed,
            "code": source_hash(),
            "libraries": {name: version(name) for name in LIBRARIES},
            "device": self.accelerator.device.type,
        }

    @cached_property
    def recipe(self) -> Recipe:
        """The settings to train by: without raw text there is no stage on it, and no state is stored for its losses."""
        return self.inputs.recipe

    @property
    def report(self) -> PlanReport:
        """The plan, as the manifest and the report have it."""
        return PlanReport(self.plan, self.data_plan, start=self.inputs.start)

    @cached_property
    def shape(self) -> StudentConfig:
        """The student's final shape and widths."""
        return self.plan.chosen.config

    @cached_property
    def accelerator(self) -> Accelerator:
        """Where training runs."""
        return make_accelerator(self.inputs.request.device)

    @property
    def bf16(self) -> bool:
        """Whether the teacher's outputs are computed in bf16."""
        return has_bf16(self.accelerator.device.type == "cpu")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The student's tokenizer."""
        return student_tokenizer(self.inputs, self.shape)

    @cached_property
    def train_data(self) -> TrainingData:
        """The task's data, with what the recipe adds to it."""
        own, speed = self.inputs.train, self.plan.chosen.estimated_speed
        augmentation = make_augmentation(self.recipe, speed, len(own), bool(single_texts(own).any()))
        by_model = augmentation is not None and augmentation.masked_model is not None
        augment = self.augment_by_masked_words if by_model else None
        with self.console.working("synthetic examples"):
            return task_data(self.inputs, self.shape, augmentation, augment)

    def augment_by_masked_words(self, settings: Augmentation) -> Encoded:
        """The training data with synthetic examples by the recipe's masked-word model, which runs once."""
        inputs = self.inputs
        model = open_masked_model(str(settings.masked_model), inputs)

        def write(stage: Stage) -> None:
            device = self.accelerator.device
            data = augment_by_masked_words(inputs, self.shape, settings, model, device)
            np.savez(stage.scratch / "examples.npz", **data.arrays())

        files = {path.name: sha256_file(path) for path in model.checkpoint.files()}
        parts = {"settings": asdict(settings), "model": files, "vocabulary": hash_json(self.shape.vocab_map)}
        with np.load(self.shared_stage("synthetic", parts, write).folder / "examples.npz") as arrays:
            return Encoded(**arrays)

    def delivery(self, linear: Stage) -> Delivery:
        """What is done for each target."""
        asset_bytes = self.plan.chosen.vocabulary.asset_bytes
        return Delivery(self.inputs, self.tokenizer, asset_bytes, self.stage, self.console, linear)

    def write_plan(self, stage: Stage) -> None:
        (stage.scratch / "plan.json").write_text(json.dumps(self.report.full_record(), indent=2))

    def write_carved(self, stage: Stage) -> None:
        examples = self.train_data.own_examples
        write_result(stage, carve_start(self.inputs, self.plan.chosen, self.recipe, examples, self.console))

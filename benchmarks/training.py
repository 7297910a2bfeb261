"""Distillation steps per second: edgepack's loop beside a `transformers.Trainer` that runs the teacher at every step.

Same student (4 heads and 320 FFN units a layer, embedding width 128, the whole vocabulary), batch size, precision,
losses and machine. The loops are run in turn, a short stretch each, so that other load falls on all of them; the
seconds are the processor's own (all threads), which other programs do not lengthen. Two plain loops: the Trainer's
defaults (random batches, each padded to its longest), and the same with its batches of similar length.

Below the table: where a step's time goes in each.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from edgepack.build.recipe import find_recipe, make_schedule
from edgepack.compress.carve import carve
from edgepack.compress.distil.hidden_states import HiddenStates, hidden_state_loss
from edgepack.compress.distil.soft_targets import SoftTargets, soft_target_loss
from edgepack.compress.passes import Evidence, Goal
from edgepack.compress.units import Importance
from edgepack.console import Console, format_table
from edgepack.student.config import changed_config
from edgepack.student.from_teacher import student_from_teacher
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.task.examples import infer_task, read_dataset
from edgepack.task.tokenize import encode, suggest_max_length
from edgepack.teacher import load_teacher
from edgepack.train import (
    Course,
    Material,
    Phase,
    Place,
    Progress,
    StageSettings,
    has_bf16,
    make_accelerator,
    train,
)
from edgepack.train import loop as training_loop
from edgepack.train.batches import Reader
from edgepack.train.state_budget import KeptStates
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, save_teacher_outputs

STEPS, ROUNDS, EXAMPLES = 40, 3, 20_000
HEADS, UNITS, EMBEDDING = 4, 320, 128
SOFT, HIDDEN = SoftTargets(temperature=2.0), HiddenStates(weight=100.0)


class DistillingTrainer(Trainer):
    """Teacher and student on every batch; the losses of the recipe."""

    def __init__(self, teacher: Student, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.teacher = teacher.eval()
        self.model_accepts_loss_kwargs = False

    def run_teacher(self, inputs: dict[str, Tensor]) -> Any:
        """The teacher's outputs, without gradient."""
        with torch.no_grad(), self.accelerator.autocast():
            return self.teacher(**inputs, output_hidden_states=True)

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Soft targets and all hidden states."""
        goal = self.run_teacher(inputs)
        own = model(**inputs, output_hidden_states=True)
        loss = soft_target_loss(own.logits, goal.logits, SOFT.temperature)
        hidden = hidden_state_loss(own.hidden_states, goal.hidden_states, inputs["attention_mask"])
        return SOFT.weight * loss + HIDDEN.weight * hidden


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Examples one by one, as a Trainer takes them."""

    def __init__(self, data: Encoded) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self):
            raise IndexError(index)
        first, last = self.data.offsets[index : index + 2]
        return {"input_ids": self.data.input_ids[first:last].tolist(), "length": int(last - first)}


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Padded to the longest on the right, as transformers' `DataCollatorWithPadding` does."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    return {
        "input_ids": torch.stack([F.pad(x, (0, longest - len(x))) for x in ids]),
        "attention_mask": torch.stack([F.pad(torch.ones_like(x), (0, longest - len(x))) for x in ids]),
    }


def plain_trainer(student: Student, teacher: Student, data: Encoded, folder: Path, seed: int, grouped: bool) -> Trainer:
    """A Trainer for `STEPS` steps with the recipe's settings."""
    recipe = find_recipe("standard")
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.peak_lr,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=has_bf16(True),
        use_cpu=True,
        seed=seed,
        train_sampling_strategy="group_by_length" if grouped else "random",
        length_column_name="length",
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    copy = Student(student.config)
    copy.load_state_dict(student.state_dict())
    return DistillingTrainer(
        teacher,
        model=copy,
        args=arguments,
        train_dataset=Rows(data),
        data_collator=collate,
    )


@contextmanager
def timed(parts: Counter[str], places: list[tuple[Any, str, str]]) -> Iterator[None]:
    """Add up the processor seconds spent in `(owner, attribute, name)` while the block runs."""
    before = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in places]

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        clock = time.thread_time if name == "data" else time.process_time  # data may be read beside the rest

        def measured(*values: Any, **named: Any) -> Any:
            started = clock()
            try:
                return function(*values, **named)
            finally:
                parts[name] += clock() - started  # type: ignore[assignment]

        return measured

    for (owner, attribute, function), (_, _, name) in zip(before, places, strict=True):
        setattr(owner, attribute, wrap(name, function))
    try:
        yield
    finally:
        for owner, attribute, function in before:
            setattr(owner, attribute, function)


def edgepack_loop(student: Student, data: Encoded, outputs: TeacherOutputs, folder: Path, seed: int) -> None:
    """`STEPS` steps of edgepack's loop."""
    schedule = make_schedule(find_recipe("standard"))
    train(
        Progress(student, {}, 0, []),
        Material(data, outputs),
        Course(replace(schedule, phases=(Phase(1.0, (SOFT, HIDDEN)),)), StageSettings(0, STEPS), seed),
        Place(make_accelerator("cpu"), folder, Console(quiet=True), "bench"),
    )


def carved_student(full: Student, data: Encoded, max_length: int) -> Student:
    """A student of the size that a 4 MB plan has; which units it keeps does not matter here."""
    config = full.config
    importance = Importance(
        tuple(torch.rand(n) for n in config.num_heads or []),
        tuple(torch.rand(n) for n in config.intermediate_sizes or []),
    )
    shape = changed_config(
        config,
        num_heads=[min(HEADS, n) for n in config.num_heads or []],
        intermediate_sizes=[min(UNITS, n) for n in config.intermediate_sizes or []],
        embedding_size=EMBEDDING,
        embedding_projection="linear",
        max_position_embeddings=max_length,
        type_vocab_size=0,
    )
    counts = torch.from_numpy(np.bincount(data.input_ids, minlength=config.vocab_size))
    goal = Goal(tuple(range(config.num_hidden_layers)), shape)
    return carve(full, goal, Evidence(counts, importance=importance)).student


def main(arguments: Sequence[str]) -> None:
    """Print two tables and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks training")
    parser.add_argument("teacher", help="of a text classification task")
    parser.add_argument("train")
    options = parser.parse_args(arguments)
    teacher = load_teacher(options.teacher, infer_task(options.train)[0])
    data = read_dataset(options.train, teacher.task)
    encoded = encode(data, teacher.task, teacher.tokenizer, teacher.max_length)
    max_length = suggest_max_length(encoded, encoded, teacher.max_length)
    encoded = encoded.select(np.random.default_rng(0).permutation(len(encoded))[:EXAMPLES])
    full = student_from_teacher(teacher.load_model(), teacher.task.name)
    student = carved_student(full, encoded, max_length)
    with TemporaryDirectory() as name:
        folder, console = Path(name), Console(quiet=True)
        layers = range(full.config.num_hidden_layers)
        kept = KeptStates((0, *(layer + 1 for layer in layers)))
        started = time.process_time()
        save_teacher_outputs(
            full, encoded, kept, folder / "teacher", console, device=torch.device("cpu"), bf16=has_bf16(True)
        )
        once = time.process_time() - started
        outputs = load_teacher_outputs(folder / "teacher", layers)

        def plain(grouped: bool) -> Callable[[int], None]:
            return lambda seed: cast(
                None, plain_trainer(student, full, encoded, folder / "plain", seed, grouped).train()
            )

        loops: dict[str, Callable[[int], None]] = {
            "edgepack": lambda seed: edgepack_loop(student, encoded, outputs, folder / f"own{seed}", seed),
            "Trainer": plain(False),
            "Trainer, similar lengths": plain(True),
        }
        parts: dict[str, Counter[str]] = {loop: Counter() for loop in loops}
        for seed in range(ROUNDS + 1):  # the first round warms up
            for loop, run in loops.items():
                with timed(parts[loop], measured_places()):
                    run(seed)
                if not seed:
                    parts[loop].clear()
    report(parts, once, len(encoded))


def measured_places() -> list[tuple[Any, str, str]]:
    """What is timed, by owner and attribute: the same for every loop, each of which goes through some of them."""
    return [
        (Trainer, "_inner_training_loop", "all"),
        (training_loop, "_run_segment", "all"),
        (DistillingTrainer, "run_teacher", "teacher"),
        (Reader, "read", "data"),
        (Trainer, "get_batch_samples", "data"),
        (torch.optim.AdamW, "step", "optimizer"),
        (torch.nn.utils, "clip_grad_norm_", "optimizer"),
        (torch.Tensor, "backward", "backward"),
    ]


def report(parts: dict[str, Counter[str]], once: float, examples: int) -> None:
    """Steps per second, and milliseconds of a step by part."""
    steps = ROUNDS * STEPS
    rates = {loop: steps / seconds["all"] for loop, seconds in parts.items()}
    rows = [["loop", "steps/s", "edgepack is"]]
    rows += [[loop, f"{rate:.1f}", f"{rates['edgepack'] / rate:.2f}x"] for loop, rate in rates.items()]
    print(format_table(rows))
    names = ["teacher", "data", "backward", "optimizer"]
    split = {loop: {name: 1000 * seconds[name] / steps for name in names} for loop, seconds in parts.items()}
    for loop, seconds in parts.items():
        split[loop]["student and losses"] = 1000 * seconds["all"] / steps - sum(split[loop].values())
    print(
        format_table(
            [["ms a step", *split["edgepack"]], *([k, *(f"{x:.1f}" for x in v.values())] for k, v in split.items())]
        )
    )
    print(f"teacher outputs, once: {once:.0f} s for {examples} examples")
    record = {"machine": platform.platform(), "threads": torch.get_num_threads(), "teacher_seconds": once}
    print(json.dumps({**record, "steps_per_second": rates, "milliseconds": split}))

"""Distillation steps per second: edgepack's loop beside a plain one that runs the teacher at every step.

Same student, batches, precision and machine; the two are run in turn, a short stretch each, so that other load
falls on both. The plain loop is what a `transformers.Trainer` subclass does: random batches padded to their
longest, teacher forward without gradient, the same losses, AdamW.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from edgepack.compress.distillation import hidden_state_loss, soft_target_loss
from edgepack.console import Console
from edgepack.data import infer_task, read_dataset
from edgepack.encoding import Encoded, encode, suggest_max_length
from edgepack.recipe import find_recipe, make_schedule
from edgepack.results import format_table
from edgepack.student.carve import keep_units
from edgepack.student.from_teacher import student_from_teacher
from edgepack.student.model import Student
from edgepack.teacher import load_teacher
from edgepack.teacher_outputs import load_teacher_outputs, save_teacher_outputs
from edgepack.train import Progress, StageSettings, has_bf16, make_accelerator, make_optimizer, train

STEPS, ROUNDS, EXAMPLES = 40, 3, 20_000


def plain_steps(student: Student, teacher: Student, data: Encoded, batch_size: int, first: int) -> float:
    """Seconds for `STEPS` steps of the plain loop."""
    optimizer = make_optimizer(student, 0.01)
    order = np.random.default_rng(first).permutation(len(data))
    bf16 = has_bf16(True)
    started = time.perf_counter()
    for step in range(STEPS):
        batch = data.batch(order[step * batch_size : (step + 1) * batch_size])
        inputs = (batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                goal = teacher(*inputs, output_hidden_states=True)
            own = student(*inputs, output_hidden_states=True)
        states = torch.stack(goal.hidden_states, dim=2)
        loss = soft_target_loss(own.logits.flatten(0, -2), goal.logits.flatten(0, -2), 2.0)
        loss = loss + hidden_state_loss(own.hidden_states, states, batch["attention_mask"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks training")
    parser.add_argument("teacher")
    parser.add_argument("train")
    options = parser.parse_args(arguments)
    teacher = load_teacher(options.teacher, infer_task(options.train)[0])
    data = read_dataset(options.train, teacher.task)
    encoded = encode(data, teacher.task, teacher.tokenizer, suggest_max_length(data, data, teacher.tokenizer))
    encoded = encoded.select(np.random.default_rng(0).permutation(len(encoded))[:EXAMPLES])
    full = student_from_teacher(teacher.model, teacher.task.name)
    config, recipe = full.config, find_recipe("standard")
    heads = [torch.arange(max(1, n // 3)) for n in config.num_heads or []]
    units = [torch.arange(n // 3) for n in config.intermediate_sizes or []]
    student = keep_units(full, heads, units)
    accelerator, console = make_accelerator("cpu"), Console(quiet=True)
    seconds: dict[str, float] = {"edgepack": 0.0, "plain": 0.0}
    with TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        device, bf16 = torch.device("cpu"), has_bf16(True)
        layers = range(config.num_hidden_layers)
        save_teacher_outputs(full, encoded, layers, folder / "teacher", console, device=device, bf16=bf16)
        once = time.perf_counter() - started
        outputs = load_teacher_outputs(folder / "teacher", layers)
        schedule = make_schedule(recipe)
        for turn in range(ROUNDS + 1):  # the first round warms up
            started = time.perf_counter()
            stage = StageSettings(0, STEPS)
            train(
                Progress(student, {}, 0, []),
                encoded,
                outputs,
                schedule,
                stage,
                seed=turn,
                scratch=folder / str(turn),
                console=console,
                accelerator=accelerator,
                name="bench",
            )
            ours = time.perf_counter() - started
            plain = plain_steps(student, full, encoded, recipe.batch_size, turn)
            if turn:
                seconds["edgepack"] += ours
                seconds["plain"] += plain
    rates = {name: ROUNDS * STEPS / value for name, value in seconds.items()}
    rows = [["loop", "steps/s", "ratio"]]
    rows += [[name, f"{rate:.1f}", f"{rate / rates['plain']:.2f}x"] for name, rate in rates.items()]
    print(format_table(rows))
    print(f"teacher outputs, once: {once:.0f} s for {len(encoded)} examples")
    record = {"machine": platform.platform(), "threads": torch.get_num_threads(), "teacher_seconds": once}
    print(json.dumps({**record, "steps_per_second": rates, "batch_size": recipe.batch_size}))

"""A build under several disk budgets: what the plan says of disk, memory and time, and what is measured.

Each build is a process of its own. Its memory is the largest resident set, by stage, as Linux counts it; its disk, the
files of the teacher's outputs when training has read them. `--examples` cuts the training data and `--seen` the
training, so that a large teacher can be tried in minutes: the disk budgets are to be cut in proportion.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from edgepack.build import flow
from edgepack.build.data_plan import DataPlan, output_files, plan_data
from edgepack.build.duration import estimate_training
from edgepack.build.inputs import BuildRequest, Inputs
from edgepack.build.recipe_file import open_recipe
from edgepack.build.stage_results import make_stage
from edgepack.bundle.manifest import load_build_manifest
from edgepack.console import Console, format_table
from edgepack.parameters import format_size, parse_size
from edgepack.plan.candidate import Candidate
from edgepack.student.config import StudentConfig
from edgepack.workspace import HIDDEN_FOLDER, Stage, Workspace, stage_label

RESET = "5"  # of Linux's /proc/self/clear_refs: the largest resident set begins anew


def peak_bytes() -> int:
    """The largest resident set since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def run_one(options: argparse.Namespace, disk_budget: int, output: Path) -> dict[str, Any]:
    """One build; what was planned and what was measured."""
    recipe = open_recipe(options.recipe).recipe
    recipe = replace(recipe, examples_seen=options.seen or recipe.examples_seen)
    peaks: dict[str, int] = {"inputs": 0}
    plans, opened = list[DataPlan](), list[tuple[Inputs, Candidate]]()

    def measured_stage(stage: Stage, work: Any, workspace: Workspace) -> None:
        peaks["inputs"] = peaks["inputs"] or peak_bytes()
        Path("/proc/self/clear_refs").write_text(RESET, encoding="utf-8")
        make_stage(stage, work, workspace)
        peaks[stage.name] = peak_bytes()

    def kept_plan(inputs: Inputs, candidate: Candidate, full: StudentConfig) -> DataPlan:
        opened.append((inputs, candidate))
        plans.append(plan_data(inputs, candidate, full))
        return plans[-1]

    vars(flow).update(make_stage=measured_stage, plan_data=kept_plan)
    request = BuildRequest(
        options.teacher,
        options.train,
        options.evaluation,
        parse_size(options.budget),
        (options.target,),
        output,
        effort=options.recipe,
        recipe=recipe,
        allow_untrained=True,
        timed=False,
        keep_states=True,
        disk_budget=disk_budget,
    )
    started = time.monotonic()
    flow.build(request, Console(quiet=False))
    record = load_build_manifest(output)
    stages, (plan,) = output / HIDDEN_FOLDER / "stages", plans
    folders = [stages / stage_label(stage["name"], stage["key"]) for stage in record.stages]
    return {
        "chosen": plan.task.choice.record(),
        "planned_disk": plan.bytes,
        "disk": sum(output_files(folder) for folder in folders if folder.name.startswith("teacher")),
        "planned_memory": plan.memory_bytes,
        "peaks": peaks,
        "planned_seconds": estimate_training(*opened[0], plan).seconds,
        "seconds": {stage["name"]: stage["seconds"] for stage in record.stages},
        "all_seconds": round(time.monotonic() - started, 1),
    }


def main(arguments: Sequence[str]) -> None:
    """Print a table and one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks data-budget")
    parser.add_argument("teacher")
    parser.add_argument("train")
    parser.add_argument("evaluation")
    parser.add_argument("disk_budgets", nargs="+", help="such as 8GB")
    parser.add_argument("-b", "--budget", default="4MB")
    parser.add_argument("-t", "--target", default="android-onnx")
    parser.add_argument("--recipe", default="standard")
    parser.add_argument("--seen", type=int, help="training examples seen, instead of the recipe's")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # this process builds, into that folder
    options = parser.parse_args(arguments)
    if options.one is not None:
        print(json.dumps(run_one(options, parse_size(options.disk_budgets[0]), options.one)))
        return
    found = {}
    for size in options.disk_budgets:
        with TemporaryDirectory() as name:
            own = [argument for argument in arguments if argument not in options.disk_budgets]
            command = [sys.executable, "-m", "benchmarks", "data-budget", *own[:3], size, *own[3:], "--one", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found[size] = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({size: found[size]}), file=sys.stderr)
    report(found)


def report(found: dict[str, dict[str, Any]]) -> None:
    """A line for each disk budget; planned and measured side by side."""
    rows = [["disk budget", "states on disk", "teacher runs on", "disk", "memory", "teacher and training"]]
    for size, one in found.items():
        chosen, seconds = one["chosen"], one["seconds"]
        trained = sum(s for name, s in seconds.items() if name in ("teacher", "general", "distil", "prune", "quantize"))
        rows.append(
            [
                size,
                f"{chosen['stored_examples']:,} of {chosen['examples']:,}, {chosen['format']}",
                f"{chosen['loop_share']:.0%}",
                f"{format_size(one['planned_disk'])} / {format_size(one['disk'])}",
                f"{format_size(one['planned_memory'])} / {format_size(max(one['peaks'].values()))}",
                f"{one['planned_seconds']:.0f} / {trained:.0f} s",
            ]
        )
    print(format_table(rows))
    record = {"machine": platform.platform(), "threads": torch.get_num_threads(), "builds": found}
    print(json.dumps(record))

"""Training over processes that `accelerate launch` starts: as one process does, and after a kill as without.

On a machine without a GPU `--multi_gpu` starts CPU processes; `--cpu` would start one, whatever `--num_processes` says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgepack.console import Console
from edgepack.train.state_budget import KeptStates
from edgepack.train.teacher_outputs import save_teacher_outputs
from tests.pages import REPOSITORY
from tests.train.made import CPU, EVERY, PART, make_data, make_student

pytestmark = pytest.mark.slow

# trains in this process, or in each of those that a launcher starts, and writes the main one's losses and weights;
# the process of rank `dies` gets a SIGKILL after as many steps
DRIVER = """
import json, os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from edgepack.train import loop, processes
sys.path.insert(0, sys.argv[1])
from tests.train import made
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.console import Console
from edgepack.train import Course, Material, Phase, Place, Progress, PruneTarget, Schedule, StageSettings, train
from edgepack.train.teacher_outputs import load_teacher_outputs
processes.has_bf16 = lambda cpu: False
assert processes.launch_problem() is None
accelerator = processes.make_accelerator("cpu")
folder = Path(sys.argv[2])
task = (folder / "task").read_text()
batch, tokens, dies, steps = map(int, sys.argv[3:])
loop.CHECKPOINT_SECONDS = 0.0
loop.piece_tokens = lambda device: tokens
really, done = loop.compute_step, 0
def compute_step(*arguments):
    global done
    done += 1
    if accelerator.process_index == dies and done > steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*arguments)
loop.compute_step = compute_step
outputs = load_teacher_outputs(folder / "teacher", range(made.LAYERS), made.make_student(task))
losses = made.objective(task).losses
schedule = Schedule(24, batch, 2e-3, phases=(Phase(0.3, (HiddenStates(),)), Phase(1.0, losses)))
torch.manual_seed(accelerator.process_index)  # nothing may depend on the process's own randomness
progress = Progress(made.half(task), {}, 0, [])  # not the teacher: Adam would scale rounding noise up to steps
material = Material(made.make_data(task), outputs)
for stage in (StageSettings(0, 10), StageSettings(10, 20, prune=PruneTarget((1,) * 3, (7,) * 3, 2)),
              StageSettings(20, 24)):
    scratch = folder / f"scratch{accelerator.num_processes}-{stage.last}"
    place = Place(accelerator, scratch, Console(quiet=True), "test")
    before = progress.losses
    progress = train(progress, material, Course(schedule, stage, seed=0), place)
    progress.losses = before + progress.losses
assert not progress.learned
if accelerator.is_main_process:
    name = f"{accelerator.num_processes}"
    found = {"losses": progress.losses, "steps": done, "launched": "ACCELERATE_MIXED_PRECISION" in os.environ}
    (folder / f"{name}.json").write_text(json.dumps(found))
    save_file({k: v.contiguous() for k, v in progress.student.state_dict().items()}, folder / f"{name}.safetensors")
"""
NEVER = -1
WHOLE, CUT = 10_000, 24  # padded tokens of a piece: a batch is one, or most examples are one each, and add up


def trained(
    folder: Path, processes: int, batch: int = 4, tokens: int = WHOLE, dies: int = NEVER, steps: int = 0
) -> subprocess.CompletedProcess[str]:
    """Train in so many processes; 21 examples in batches of 4, of which the last in each pass is one example, or 8."""
    driver = folder / "driver.py"
    driver.write_text(DRIVER)
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", processes, "--main_process_port", 0]
    command = [sys.executable, *(launch if processes > 1 else []), driver, REPOSITORY, folder]
    return subprocess.run(
        [str(part) for part in (*command, batch, tokens, dies, steps)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HOME": str(folder)},  # where `accelerate config` may have left other settings
    )


def check_alike(folder: Path, processes: int, batch: int = 4) -> None:
    """Losses and weights of so many processes are those of one."""
    done = trained(folder, 1, batch)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads((folder / f"{n}.json").read_text()) for n in (1, processes)]
    assert [each["launched"] for each in found] == [False, True]
    one, shared = (each["losses"] for each in found)
    assert len(one) == 24
    np.testing.assert_allclose(shared, one, rtol=1e-4)
    weights, others = (load_file(folder / f"{n}.safetensors") for n in (1, processes))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-3, atol=1e-3, msg=name)


def save_outputs(folder: Path, task: str, kept: KeptStates) -> None:
    """The teacher's, and the task's name, where `trained` looks for them."""
    teacher, data, quiet = make_student(task), make_data(task), Console(quiet=True)
    save_teacher_outputs(teacher, data, kept, folder / "teacher", quiet, device=CPU, bf16=False)
    (folder / "task").write_text(task)


def test_four_processes_train_as_one(tmp_path: Path) -> None:
    """In the last batch of each pass, one example, three of them have none of their own."""
    save_outputs(tmp_path, "token-classification", PART)
    done = trained(tmp_path, processes=4)
    assert done.returncode == 0, done.stderr[-3000:]
    check_alike(tmp_path, 4)


@pytest.mark.parametrize(("processes", "batch"), [(2, 4), (4, 8)])
def test_a_worker_that_is_killed_ends_the_run_and_the_next_one_resumes(
    processes: int, batch: int, tmp_path: Path
) -> None:
    """In the middle of the second stage, with gradients that accumulate; what was trained is not trained again."""
    save_outputs(tmp_path, "text-classification", EVERY)
    killed = trained(tmp_path, processes, batch, CUT, dies=processes - 1, steps=15)
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr, killed.stderr[-3000:]
    assert not (tmp_path / f"{processes}.json").exists()
    done = trained(tmp_path, processes, batch, CUT)
    assert done.returncode == 0, done.stderr[-3000:]
    check_alike(tmp_path, processes, batch)
    steps = json.loads((tmp_path / f"{processes}.json").read_text())["steps"]
    assert steps < 24 - 3, "it went on from a checkpoint"


def test_one_process_where_several_are_meant_is_a_warning(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from edgepack.train.processes import launch_problem\nprint(launch_problem())")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(script)]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout.startswith("accelerate launch --cpu started one process"), done.stderr[-3000:]

"""Sharing out: pieces of a batch give the whole batch's loss, gradients and importance; two processes train as one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from edgepack.compress.distil.attention_maps import AttentionScores, AttentionTransfer
from edgepack.compress.distil.cosine import CosineStates
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.objective import LOSSES as KNOWN
from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import LastLayerAttention, Relations
from edgepack.compress.distil.signals import Loss, Shapes
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.distil.vectors import Anchors
from edgepack.compress.units import keep_units
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train import processes
from edgepack.train.batches import Reader
from edgepack.train.processes import UNLABELLED, Share, shares_of
from edgepack.train.state_budget import DISK, LOOP, NONE, KeptStates
from edgepack.train.step import Models, StepResult, StepTask, compute_step
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, padded_length, save_teacher_outputs

CPU = torch.device("cpu")
LAYERS = 3
EVERY = KeptStates(tuple(range(LAYERS + 1)))
PART = replace(EVERY, form="int8", examples=np.arange(0, 21, 4), loop_share=0.4)  # the rest with the teacher, or none
LOSSES = (
    SoftTargets(),
    HardLabels(weight=0.5),
    HiddenStates(weight=10.0),
    AttentionScores(weight=0.3),
    Relations(weight=0.2, relation_heads=4),
    Patience(weight=0.7),
    LearnedMap(weight=2.0),
    EarthMover(weight=0.6),
    HiddenStates(weight=0.9, normalized=True),
)
# every loss there is, in a form that has something to be cut wrong
EACH: dict[str, tuple[Loss, ...]] = {
    "soft_targets": (SoftTargets(),),
    "hard_labels": (HardLabels(),),
    "anchors": (Anchors(temperature=0.2),),
    "cosine_states": (CosineStates(),),
    "patience": (Patience(), Patience(layers="last")),
    "hidden_states": (HiddenStates(), HiddenStates(normalized=True)),
    "attention_scores": (AttentionScores(),),
    "attention_transfer": (AttentionTransfer(), AttentionTransfer(progressive=True, share=1.0)),
    "feature_maps": (FeatureMaps(), FeatureMaps(progressive=True, share=1.0)),
    "relations": (Relations(relation_heads=4), Relations(relation_heads=3, kinds=("values",), layer=0)),
    "last_layer_attention": (LastLayerAttention(),),
    "earth_mover": (EarthMover(), EarthMover(temperature=None), EarthMover(normalized=True)),
    "output_space": (OutputSpace(),),
    "learned_map": (LearnedMap(), LearnedMap(normalized=True)),
}
CLOSE = 1e-5  # of gradients, by the norm of their difference


def objective(task: str, alone: bool = False) -> Objective:
    """Means of every kind; the output space is for whole texts only. `alone`: no process needs another's measure."""
    losses = tuple(loss for loss in LOSSES if not (alone and loss.measures))
    return Objective((*losses, OutputSpace(weight=0.4, classes=3)) if task == "text-classification" else losses)


def make_student(task: str) -> Student:
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=40,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_heads=[4] * LAYERS,
        head_sizes=[4] * LAYERS,
        intermediate_sizes=[24] * LAYERS,
        max_position_embeddings=24,
        head_act="tanh" if task == "text-classification" else None,
        task=task,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    student = Student(config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return student


def make_data(task: str, examples: int = 21) -> Encoded:
    generator = np.random.default_rng(3)
    lengths = generator.integers(3, 20, examples)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    per_token = task == "token-classification"
    labels = generator.integers(0, 3, total if per_token else examples)
    if per_token:
        labels[generator.random(total) < 0.4] = -100
        labels[offsets[:-1]] = -100
        labels[offsets[:-1] + 1] = 1
    for example in range(1, examples, 3):  # as synthetic examples are
        rows = slice(offsets[example], offsets[example + 1]) if per_token else slice(example, example + 1)
        labels[rows][labels[rows] != -100] = UNLABELLED
    return Encoded(generator.integers(0, 40, total).astype(np.int32), np.zeros(total, np.int8), offsets, labels)


@pytest.fixture(params=["text-classification", "token-classification"])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def fp32() -> Iterator[None]:
    """accelerate keeps the first precision it was made with; these tests need fp32, others may have had bf16."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def outputs(task: str, stored: dict[str, TeacherOutputs]) -> TeacherOutputs:
    return stored[task]


def half(task: str) -> Student:
    teacher = make_student(task)
    return keep_units(teacher, [torch.arange(2)] * LAYERS, [torch.arange(12)] * LAYERS)


def gradients(
    task: str, outputs: TeacherOutputs, indices: np.ndarray, most_tokens: int, worlds: int = 1, alone: bool = False
) -> tuple[StepResult, dict[str, torch.Tensor]]:
    """Loss and gradients of one batch in pieces; with several worlds the mean of each process's, one after another."""
    student, data = half(task), make_data(task)
    asked = objective(task, alone)
    values = asked.learned(Shapes(16, 16, LAYERS + 1, LAYERS + 1), 0)
    learned = {name: value.requires_grad_() for name, value in values.items()}
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    losses, results = [], []
    for rank in range(worlds):
        reader = Reader(data, outputs, 0, 24, most_tokens, rank, worlds)
        pieces = reader.read(indices)
        step = StepTask(asked, learned, 0.5, watch=True)
        results.append(compute_step(Models(student, outputs, accelerator), pieces, step))
        losses.append(results[-1].loss)
    trained = dict(student.named_parameters()) | learned
    found = {name: value.grad / worlds for name, value in trained.items() if value.grad is not None}
    return StepResult(float(np.mean(losses)), results[0].importance), found


def test_small_pieces_give_the_whole_batchs_gradients(task: str, outputs: TeacherOutputs) -> None:
    indices = np.arange(13)
    whole, expected = gradients(task, outputs, indices, 10_000)
    parts, found = gradients(task, outputs, indices, 50)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=name)
    assert parts.importance is not None
    assert whole.importance is not None
    for one, other in zip(
        parts.importance.heads + parts.importance.units, whole.importance.heads + whole.importance.units, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=1e-7)


def test_every_loss_is_among_those_that_are_cut() -> None:
    assert {name: type(losses[0]) for name, losses in EACH.items()} == KNOWN
    assert all(type(loss) is KNOWN[name] for name, losses in EACH.items() for loss in losses)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TeacherOutputs]:
    """A teacher's outputs on each task's data: with all states, and under "… part" with some."""
    found = {}
    for task in ("text-classification", "token-classification"):
        for name, kept in ((task, EVERY), (f"{task} part", PART)):
            folder, teacher, quiet = tmp_path_factory.mktemp("teacher"), make_student(task), Console(quiet=True)
            save_teacher_outputs(teacher, make_data(task), kept, folder, quiet, device=CPU, bf16=False)
            found[name] = load_teacher_outputs(folder, range(LAYERS), teacher)
    return found


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
@pytest.mark.parametrize("name", KNOWN)
def test_the_pieces_of_a_batch_add_up_to_its_gradient(
    name: str, stored: dict[str, TeacherOutputs], data: st.DataObject
) -> None:
    """Any batch, cut anyhow: unlabelled examples, padding, pieces with no label or no state are among them."""
    tasks = ["text-classification", *([] if name == "output_space" else ["token-classification"])]
    task, loss = data.draw(st.sampled_from(tasks)), data.draw(st.sampled_from(EACH[name]))
    indices = np.array(data.draw(st.lists(st.integers(0, 20), min_size=2, max_size=21, unique=True)))
    most_tokens, outputs = data.draw(st.integers(1, 150)), stored[data.draw(st.sampled_from([task, f"{task} part"]))]
    whole = gradient_of(task, outputs, loss, indices, 10_000)
    parts = gradient_of(task, outputs, loss, indices, most_tokens)
    assert parts[0] == pytest.approx(whole[0], rel=CLOSE, abs=1e-9)
    assert float((parts[1] - whole[1]).norm()) <= CLOSE * float(whole[1].norm()) + 1e-9


def gradient_of(
    task: str, outputs: TeacherOutputs, loss: Loss, indices: np.ndarray, most_tokens: int
) -> tuple[float, torch.Tensor]:
    """A batch's loss, and the gradient of all that is trained as one vector; parameters without one have zeros."""
    student, one = half(task), Objective((loss,))
    values = one.learned(Shapes(16, 16, LAYERS + 1, LAYERS + 1, 3), 0)
    learned = {name: value.requires_grad_() for name, value in values.items()}
    pieces = Reader(make_data(task), outputs, 0, 24, most_tokens).read(indices)
    models = Models(student, outputs, Accelerator(cpu=True, mixed_precision="no"))
    result = compute_step(models, pieces, StepTask(one, learned, 0.5))
    trained = [*student.parameters(), *learned.values()]
    return result.loss, torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])


@pytest.mark.parametrize(("examples", "worlds"), [(13, 2), (13, 3), (2, 4)])
def test_the_mean_over_processes_is_the_whole_batchs(
    task: str, outputs: TeacherOutputs, examples: int, worlds: int
) -> None:
    indices = np.arange(examples) + 4
    whole, expected = gradients(task, outputs, indices, 10_000, alone=True)
    shared, found = gradients(task, outputs, indices, 60, worlds, alone=True)
    assert shared.loss == pytest.approx(whole.loss, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=name)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 21), st.integers(1, 5), st.integers(1, 120))
def test_every_example_is_in_one_piece_and_weights_add_up(examples: int, worlds: int, most_tokens: int) -> None:
    data = make_data("token-classification")
    indices = np.random.default_rng(examples).permutation(21)[:examples]
    shares = [share for rank in range(worlds) for share in shares_of(data, indices, rank, worlds, most_tokens)]
    weighted = [share for share in shares if share.examples]
    assert sorted(np.concatenate([share.indices for share in weighted]).tolist()) == sorted(indices.tolist())
    for kind in ("rows", "examples", "tokens", "pairs"):
        assert sum(getattr(share, kind) for share in shares) == pytest.approx(worlds)
    assert sum(share.labelled for share in shares) in (pytest.approx(worlds), 0)  # 0: synthetic examples alone
    sources = np.random.default_rng(most_tokens).choice([DISK, LOOP, NONE], examples)
    sources[examples // 2] = LOOP
    shares = [s for rank in range(worlds) for s in shares_of(data, indices, rank, worlds, most_tokens, sources)]
    assert all(any(s.source != NONE for s in shares_of(data, indices, r, worlds, 50, sources)) for r in range(worlds))
    for kind in ("rows", "examples", "tokens", "pairs", "text_examples", "text_tokens"):
        assert sum(getattr(share, kind) for share in shares) == pytest.approx(worlds)
    assert all(share.tokens == share.pairs == share.examples == 0 for share in shares if share.source == NONE)
    for share in shares:
        padded = len(share.indices) * int(data.lengths[share.indices].max())
        assert padded <= most_tokens or len(share.indices) == 1


def test_a_whole_batch_keeps_the_objective_itself() -> None:
    whole = Objective(LOSSES)
    assert Share(np.arange(3)).weigh(whole) is whole


def test_lengths_are_rounded_up_but_never_past_the_positions() -> None:
    assert [padded_length(n, 14) for n in (1, 4, 5, 12, 13, 14)] == [4, 4, 8, 12, 14, 14]
    assert [padded_length(n, 100) for n in (31, 32, 33, 63, 64, 65, 97)] == [32, 32, 40, 64, 64, 80, 100]


def test_the_lengths_and_sizes_of_pieces_are_few() -> None:
    assert len({padded_length(n, 512) for n in range(1, 513)}) == 8 + 4 * 4
    lengths = np.repeat(np.arange(4, 70), 64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.zeros(offsets[-1], np.int32)
    data = Encoded(tokens, tokens.astype(np.int8), offsets, np.zeros(len(lengths), np.int64))
    batches = np.arange(len(lengths)).reshape(-1, 64)
    assert {len(share.indices) for batch in batches for share in shares_of(data, batch, 0, 1, 1024)} == {8, 16, 32, 64}


def test_a_gpu_named_by_its_number_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(processes, "has_bf16", lambda cpu: False)
    monkeypatch.setattr(processes, "Accelerator", lambda **settings: settings)
    for name, cpu in (("cuda:1", False), ("cuda", False), ("cpu", True)):
        assert processes.make_accelerator(name)["cpu"] is cpu
    assert used == [torch.device("cuda:1")]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="each of several processes has a GPU of its own: use cuda"):
        processes.make_accelerator("cuda:1")


# trains in this process, or in each of those that a launcher starts, and writes the main one's losses and weights;
# the process of rank `dies` gets a SIGKILL after as many steps
DRIVER = """
import json, os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from edgepack.train import loop, processes
sys.path.insert(0, sys.argv[1])
import test_processes as made
from edgepack.train import Course, Material, Phase, Place, Progress, PruneTarget, Schedule, StageSettings, train
processes.has_bf16 = lambda cpu: False
accelerator = processes.make_accelerator("cpu")
folder = Path(sys.argv[2])
task = (folder / "task").read_text()
tokens, dies, steps = map(int, sys.argv[3:])
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
outputs = made.load_teacher_outputs(folder / "teacher", range(made.LAYERS), made.make_student(task))
losses = made.objective(task).losses
schedule = Schedule(24, 4, 2e-3, phases=(Phase(0.3, (made.HiddenStates(),)), Phase(1.0, losses)))
torch.manual_seed(accelerator.process_index)  # nothing may depend on the process's own randomness
progress = Progress(made.half(task), {}, 0, [])  # not the teacher: Adam would scale rounding noise up to steps
material = Material(made.make_data(task), outputs)
for stage in (StageSettings(0, 10), StageSettings(10, 20, prune=PruneTarget((1,) * 3, (7,) * 3, 2)),
              StageSettings(20, 24)):
    scratch = folder / f"scratch{accelerator.num_processes}-{stage.last}"
    place = Place(accelerator, scratch, made.Console(quiet=True), "test")
    before = progress.losses
    progress = train(progress, material, Course(schedule, stage, seed=0), place)
    progress.losses = before + progress.losses
assert not progress.learned
if accelerator.is_main_process:
    name = f"{accelerator.num_processes}"
    (folder / f"{name}.json").write_text(json.dumps({"losses": progress.losses, "steps": done}))
    save_file({k: v.contiguous() for k, v in progress.student.state_dict().items()}, folder / f"{name}.safetensors")
"""
NEVER = -1
WHOLE, CUT = 10_000, 24  # padded tokens of a piece: a batch is one, or most examples are one each, and add up


def trained(
    folder: Path, processes: int, tokens: int = WHOLE, dies: int = NEVER, steps: int = 0
) -> subprocess.CompletedProcess[str]:
    """Train in so many processes; 21 examples in batches of 4, of which the last in each pass is one example."""
    driver = folder / "driver.py"
    driver.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]  # as accelerate does
    command = [sys.executable, *(launch if processes > 1 else []), driver, Path(__file__).parent, folder]
    return subprocess.run(
        [*map(str, command), str(tokens), str(dies), str(steps)], capture_output=True, text=True, timeout=300
    )


def check_alike(folder: Path, processes: int) -> None:
    """Losses and weights of so many processes are those of one."""
    done = trained(folder, processes=1)
    assert done.returncode == 0, done.stderr[-3000:]
    one, shared = (json.loads((folder / f"{n}.json").read_text())["losses"] for n in (1, processes))
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


@pytest.mark.slow
def test_four_processes_train_as_one(tmp_path: Path) -> None:
    """In the last batch of each pass, one example, three of them have none of their own."""
    save_outputs(tmp_path, "token-classification", PART)
    done = trained(tmp_path, processes=4)
    assert done.returncode == 0, done.stderr[-3000:]
    check_alike(tmp_path, 4)


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_and_the_next_one_resumes(tmp_path: Path) -> None:
    """In the middle of the second stage, with gradients that accumulate; what was trained is not trained again."""
    save_outputs(tmp_path, "text-classification", EVERY)
    killed = trained(tmp_path, processes=2, tokens=CUT, dies=1, steps=15)
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr, killed.stderr[-3000:]
    assert not (tmp_path / "2.json").exists()
    done = trained(tmp_path, processes=2, tokens=CUT)
    assert done.returncode == 0, done.stderr[-3000:]
    check_alike(tmp_path, 2)
    assert json.loads((tmp_path / "2.json").read_text())["steps"] < 24 - 3, "it went on from a checkpoint"

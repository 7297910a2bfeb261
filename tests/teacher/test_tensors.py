"""A teacher in little memory gives the same answers: views of files, converted weights put aside, blocks moved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from edgepack.errors import DiskFull
from edgepack.student.from_table import OwnTeacher, student_from_table, table_config
from edgepack.student.from_teacher import student_from_teacher, student_from_weights
from edgepack.student.model import Student
from edgepack.teacher import FAMILIES, OwnModel, Teacher, load_teacher, tensors
from edgepack.train.teacher_outputs import hold_in_bf16, place_teacher, run_teacher
from tests.teacher.tiny import edit_weights, write_teacher

CPU = torch.device("cpu")
IDS = torch.tensor([[4, 5, 6, 7, 5, 4], [7, 6, 5, 4, 4, 4]])
BATCH = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "token_type_ids": torch.zeros_like(IDS)}


def in_16_bits(folder: Path) -> None:
    edit_weights(folder, lambda held: {name: t.bfloat16() if t.is_floating_point() else t for name, t in held.items()})


def answers(teacher: Teacher) -> Tensor:
    with torch.no_grad():
        logits = teacher.load_model()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    assert isinstance(logits, Tensor)
    return logits


def states_of(student: Student) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in student.state_dict().items() if not tensor.is_meta}


def student_of(teacher: Teacher, layers: tuple[int, ...] | None = None) -> Student:
    return student_from_weights(teacher.config, teacher.tensors.opened(), teacher.task.name, layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_of_the_files_is_the_models(tmp_path: Path, family: str) -> None:
    """In 16 bits with no memory at all: the same numbers, in temporary files."""
    write_teacher(tmp_path, family)
    in_16_bits(tmp_path)
    plenty = load_teacher(str(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "free_memory", lambda: 0)
        little = load_teacher(str(tmp_path))
    assert (plenty.tensors.aside, little.tensors.aside) == (False, True)
    assert "temporary files" in little.tensors.describe()
    assert little.parameters == plenty.parameters
    assert torch.equal(answers(little), answers(plenty))
    expected = student_from_teacher(plenty.load_model(), plenty.task.name).state_dict()  # type: ignore[arg-type]
    for teacher in (plenty, little):
        found = states_of(student_of(teacher))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert"])
def test_other_architectures_are_read_while_they_run(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_teacher(tmp_path, family)
    in_16_bits(tmp_path)
    plenty = load_teacher(str(tmp_path))
    expected = answers(plenty)
    monkeypatch.setattr(tensors, "free_memory", lambda: 1000)  # less than the word table takes, too
    teacher = load_teacher(str(tmp_path))
    model = teacher.load_model()
    assert isinstance(model, OwnModel)
    assert model.from_disk
    assert model.to(CPU).device == CPU
    torch.testing.assert_close(answers(teacher), expected, rtol=1e-5, atol=1e-6)
    assert model.model.get_input_embeddings().weight.is_meta
    in_memory = plenty.load_model()
    assert isinstance(in_memory, OwnModel)
    starts = [student_from_table(each, teacher, 16, seed=0).state_dict() for each in (in_memory, model)]
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])


def test_layers_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    write_teacher(tmp_path, "bert")
    teacher = load_teacher(str(tmp_path))
    whole, none, second = (states_of(student_of(teacher, layers)) for layers in (None, (), (1,)))
    assert not [name for name in none if name.startswith(("attention.", "feed_forward."))]
    assert "attention.1.query.full.weight" in second
    assert "attention.0.query.full.weight" not in second
    assert all(torch.equal(whole[name], second[name]) for name in second)


def test_fp32_weights_stay_in_their_file(tmp_path: Path) -> None:
    """Two students of one opening hold the same memory, which is the file's."""
    write_teacher(tmp_path, "bert")
    teacher = load_teacher(str(tmp_path))
    opened = teacher.tensors.opened()
    name = "bert.embeddings.word_embeddings.weight"
    student = student_from_weights(teacher.config, opened, teacher.task.name)
    assert "stay in their file" in teacher.tensors.describe()
    lines = Path("/proc/self/maps").read_text().splitlines() if Path("/proc/self/maps").exists() else []
    ranges = [line.split()[0].split("-") for line in lines if str(tmp_path) in line]
    place = student.embeddings.word.weight.data_ptr()
    assert not lines or any(int(low, 16) <= place < int(high, 16) for low, high in ranges), name


def test_pickles_are_read_alike(tmp_path: Path) -> None:
    write_teacher(tmp_path, "bert")
    expected = states_of(student_of(load_teacher(str(tmp_path))))
    held = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(held, tmp_path / "pytorch_model.bin")
    teacher = load_teacher(str(tmp_path))
    found = states_of(student_of(teacher))
    assert teacher.tensors.mapped
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    torch.save(held, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert not load_teacher(str(tmp_path)).tensors.mapped


def test_a_disk_without_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_teacher(tmp_path, "bert")
    in_16_bits(tmp_path)
    monkeypatch.setattr(tensors, "free_memory", lambda: 0)
    monkeypatch.setattr(tensors.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10}))
    with pytest.raises(
        DiskFull, match=r"do not fit in memory as fp32; .* take .* and 10 bytes are left; make room, or set TMPDIR"
    ):
        load_teacher(str(tmp_path))


def test_matrices_in_bf16_give_the_same_bits_under_autocast(tmp_path: Path) -> None:
    write_teacher(tmp_path, "bert")
    teacher = load_teacher(str(tmp_path))
    plain, held = student_of(teacher), hold_in_bf16(student_of(teacher))
    assert held.attention[0].query.full.weight.dtype == torch.bfloat16
    with torch.inference_mode():
        outputs = [run_teacher(each, BATCH, (0, 1, 2), True) for each in (plain, held)]
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][1], outputs[1][1])


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_a_device_that_is_too_small_gets_a_block_at_a_time(tmp_path: Path, family: str) -> None:
    write_teacher(tmp_path, family)
    teacher = load_teacher(str(tmp_path))
    model = teacher.load_model()
    runner: Student | OwnTeacher = (
        student_of(teacher)
        if teacher.is_carved
        else OwnTeacher(
            model,
            table_config(model, teacher, 12),  # type: ignore[arg-type]
        )
    )
    with torch.inference_mode():
        expected = run_teacher(place_teacher(runner, CPU), BATCH, (0, 1), False)
        moved = place_teacher(runner, CPU, room=100)
        found = run_teacher(moved, BATCH, (0, 1), False)
    assert all(
        parameter.is_meta for name, parameter in moved.named_parameters() if ".query.full" in name or "Wqkv" in name
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])

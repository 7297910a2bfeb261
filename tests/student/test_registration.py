"""A student folder in transformers: Auto classes and pipelines, whichever is imported first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Pipeline,
    PreTrainedTokenizerFast,
    pipeline,
)

from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student

TEXTS = ["play the song", "stop", "what is the weather in the city today", "play it again please"]
TASKS = {
    "text-classification": ("negative", "positive"),
    "token-classification": ("O", "B-song", "I-song"),
    "feature-extraction": (),
}
AUTO = {
    "feature-extraction": AutoModel,
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


@pytest.fixture(scope="module", params=list(TASKS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of each task."""
    return write_student(tmp_path_factory.mktemp("student"), request.param)


def write_student(path: Path, task: str, **changes: Any) -> Path:
    """As a build writes OUT/student: config, weights, tokenizer."""
    tokenizer, labels = make_tokenizer(TEXTS), TASKS[task]
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=len(tokenizer), embedding_size=16, hidden_size=32, num_hidden_layers=2, num_heads=[2, 2],
        head_sizes=[16, 16], intermediate_sizes=[48, 48], max_position_embeddings=32, task=task,
        head_act="tanh" if task == "text-classification" else None,
        pooling="mean" if task == "feature-extraction" else "first", normalized=task == "feature-extraction",
        **{"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}, **changes},
    )  # fmt: skip
    student = Student(config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.normal_(0, 0.3)
    student.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def task_of(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text())["task"])


def test_auto_classes_load_the_same_student(folder: Path) -> None:
    assert type(AutoConfig.from_pretrained(folder)) is StudentConfig
    own, auto = Student.from_pretrained(folder), AUTO[task_of(folder)].from_pretrained(folder)
    ids = torch.arange(5, 13)[None]
    with torch.no_grad():
        expected = own(ids).logits
        torch.testing.assert_close(auto(input_ids=ids).logits, expected)
        if task_of(folder) == "feature-extraction":
            assert torch.linalg.vector_norm(expected) == pytest.approx(1)
            with pytest.raises(InputError, match="leave labels out"):
                auto(input_ids=ids, labels=torch.zeros(1))
            return
        loss, logits = auto(input_ids=ids, labels=expected.argmax(-1), return_dict=False)
    torch.testing.assert_close(logits, expected)
    assert 0 < loss < np.log(3)


def test_the_class_of_another_task_refuses_it(folder: Path) -> None:
    for other in set(TASKS) - {task_of(folder)}:
        with pytest.raises(InputError, match=f"does {task_of(folder)}"):
            AUTO[other].from_pretrained(folder)


@pytest.mark.parametrize(
    ("problem", "labels", "expected"),
    [
        ("multi_label_classification", [[1.0, 0.0]], torch.nn.functional.binary_cross_entropy_with_logits),
        ("regression", [[0.5]], torch.nn.functional.mse_loss),
    ],
)
def test_the_loss_is_the_problems(tmp_path: Path, problem: str, labels: list[list[float]], expected: Any) -> None:
    names = [f"LABEL_{i}" for i in range(len(labels[0]))]
    changes = {"problem_type": problem, "id2label": dict(enumerate(names)), "label2id": {}}
    student = AutoModelForSequenceClassification.from_pretrained(
        write_student(tmp_path, "text-classification", **changes)
    )
    with torch.no_grad():
        output = student(input_ids=torch.arange(5, 13)[None], labels=torch.tensor(labels))
    assert output.loss == pytest.approx(float(expected(output.logits, torch.tensor(labels))))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_pipelines_give_the_students_own_answers(
    folder: Path, batch_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch of four is padded; a text alone is not."""
    task = task_of(folder)
    options = {"top_k": None} if task == "text-classification" else {}
    ask: Pipeline = pipeline(task, model=str(folder), device="cpu", **options)
    answers = ask(TEXTS, batch_size=batch_size)
    assert "not supported" not in caplog.text
    student, tokenizer = Student.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, answer in zip(TEXTS, answers, strict=True):
        expected = probabilities(student, tokenizer, text)
        if task == "feature-extraction":
            with torch.no_grad():
                vector = student(tokenizer(text, return_tensors="pt")["input_ids"]).logits[0]
            assert np.ravel(answer) == pytest.approx(vector.numpy(), abs=1e-5)
        elif task == "text-classification":
            got = {each["label"]: each["score"] for each in answer}
            assert got == pytest.approx(dict(zip(TASKS[task], expected, strict=True)), abs=1e-5)
        else:
            words = expected[1:-1]
            best = [(TASKS[task][row.argmax()], float(row.max())) for row in words if row.argmax()]
            assert [each["entity"] for each in answer] == [label for label, _ in best]
            assert [each["score"] for each in answer] == pytest.approx([score for _, score in best], abs=1e-5)


def probabilities(student: Student, tokenizer: PreTrainedTokenizerFast, text: str) -> np.ndarray:
    """Of one text without padding: `(C,)` or `(seq, C)`."""
    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        return student(inputs["input_ids"]).logits[0].softmax(-1).numpy()


@pytest.mark.parametrize(
    "imports",
    [
        "import edgepack, transformers",
        "from transformers import AutoConfig, AutoModelForTokenClassification, pipeline; import edgepack",
        "import edgepack.build.flow; import transformers",
    ],
)
def test_either_may_be_imported_first(tmp_path: Path, imports: str) -> None:
    folder = write_student(tmp_path, "text-classification")
    code = (
        f"{imports}\nimport sys, transformers\n"
        "print(transformers.pipeline('text-classification', model=sys.argv[1], device='cpu')('play the song'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout


def test_importing_edgepack_imports_nothing_else() -> None:
    code = "import sys, edgepack; sys.exit(str({'torch', 'transformers', 'numpy', 'click'} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_without_torch_transformers_stays_as_it_is() -> None:
    code = (
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name.partition('.')[0] == 'torch' else find(name, *rest)\n"
        "import edgepack\n"
        "from transformers import CONFIG_MAPPING, AutoConfig\n"
        "assert AutoConfig.for_model('bert').hidden_size == 768\n"
        "assert 'edgepack-student' not in CONFIG_MAPPING\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

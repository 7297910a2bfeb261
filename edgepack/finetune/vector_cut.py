"""A teacher whose vectors have fewer numbers: its encoder, pooling, and a linear layer that cuts.

Such a teacher is an ordinary sentence-transformers folder, so a build, `predict` and `gate` take it like any other, and
a student's retention is of the cut vectors. What the cut itself costs is said here.

`pca` keeps the directions that the vectors of texts have most of: the eigenvectors of V·Vᵀ with the largest
eigenvalues. Nothing is subtracted first, so cosines stay what they are as far as the numbers that are kept go
(Eckart and Young 1936). `first` keeps the first numbers, for teachers that were trained so that these suffice
(Matryoshka representations, Kusupati et al. 2022, arXiv:2205.13147).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import Module

from edgepack.console import Console
from edgepack.errors import CheckFailed, InputError, shown
from edgepack.inference import predict
from edgepack.task.dataset import Dataset
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, show_notes
from edgepack.task.similarity import EMBEDS, Judged, Prompts, unit
from edgepack.task.tokenize import encode
from edgepack.task.vector_data import (
    by_turns,
    check_vectors,
    prompted,
    read_judged,
    read_training_texts,
    refuse_label_column,
)
from edgepack.teacher import Teacher, load_teacher
from edgepack.teacher.embedding import FLAGS, MODULES, OWN_CONFIG, SETTINGS, Embedding
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.hub import EMBEDDING_FILES, WANTED, find_folder
from edgepack.teacher.own_model import OwnModel
from edgepack.workspace import written_folder

Cut = Literal["pca", "first"]
CUTS: tuple[Cut, ...] = get_args(Cut)
MOST_TEXTS = 5_000  # that directions are found on
HELD_OUT, MOST_HELD_OUT = 0.1, 1_000  # of the texts: what is kept of their vectors is said
CLOSE = 1e-4  # between the vectors of the new folder and those that it should give
PACKAGE = "sentence_transformers.models"
IDENTITY = "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class CutResult:
    """The new teacher's folder, and what the cut from `before` to `after` numbers costs.

    `kept`: share of the squared length of `texts` texts' vectors, on which no direction was found. `metric` and
    `metric_before` are on `n` observations of the evaluation data, where there were some.
    """

    output: Path
    before: int
    after: int
    by: Cut
    texts: int
    kept: float
    metric_name: str | None = None
    metric_before: float | None = None
    metric: float | None = None
    n: int | None = None

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {**asdict(self), "output": str(self.output)}

    def table(self) -> str:
        """Two or three lines."""
        how = "by PCA" if self.by == "pca" else "the first ones"
        lines = [f"{self.before} numbers cut to {self.after} ({how}): {self.output}"]
        lines.append(f"they keep {self.kept:.2%} of the squared length of {self.texts} other texts' vectors")
        if self.metric is not None:
            lines.append(f"{self.metric_name} {self.metric_before:.4f} before, {self.metric:.4f} after, on {self.n}")
        return "\n".join(lines)


def cut_vectors(
    source: str,
    train: str,
    output: Path,
    size: int,
    *,
    by: Cut = "pca",
    pooling: str | None = None,
    evaluation: str | None = None,
    columns: Columns | None = None,
    seed: int = 0,
    console: Console,
) -> CutResult:
    """Write the teacher at `source` to `output` with vectors of `size` numbers; `train`: texts of the task."""
    columns = columns or Columns()
    if by not in CUTS:
        raise InputError(f"by is {shown(by)}; allowed: {', '.join(CUTS)}")
    if evaluation is None:
        refuse_label_column(columns, train)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output {output}: exists and is not an empty folder; name a new one")
    teacher = load_teacher(source, EMBEDS, pooling=pooling)
    check_cut(teacher, size)
    prompts = teacher.task.prompts
    texts = by_turns(read_training_texts(train, columns), prompts)
    judged = None if evaluation is None else read_evaluation(train, evaluation, columns, prompts)
    show_notes(console, texts, *([] if judged is None else [judged[1]]))
    rest, held_out = choose_texts(texts, size, by, seed)
    model = teacher.load_model()
    own = model.model if isinstance(model, OwnModel) else model
    assert isinstance(own, EmbeddingModel)
    if by == "pca":
        with console.progress("vectors", len(rest)) as advance:
            basis = find_directions(predict(model, encoded(teacher, rest), advance=advance), size)
    else:
        basis = np.eye(teacher.task.vector_size, size, dtype=np.float32)
    others = predict(model, encoded(teacher, held_out))
    left = others @ basis
    with written_folder(output) as beside:
        write_teacher(teacher, own, basis, find_folder(source, (*WANTED, *EMBEDDING_FILES)), beside)
        cut = load_teacher(str(beside), EMBEDS)
        new = cut.load_model()
        expected = unit(left) if own.embedding.normalized else left
        with console.progress("check", len(held_out)) as advance:
            check_vectors_of(predict(new, encoded(cut, held_out), advance=advance), expected)
        figures = {} if judged is None else measure([(teacher, model), (cut, new)], *judged)
    kept = float(np.square(left).sum() / np.square(others).sum())
    before = teacher.task.vector_size
    return CutResult(output, before, size, by, len(held_out), kept, **figures)


def check_cut(teacher: Teacher, size: int) -> None:
    """Refuse a size that cuts nothing, and a teacher behind whose linear layer stands what is not linear."""
    before = teacher.task.vector_size
    if not 1 <= size < before:
        raise InputError(f"size is {size}; the teacher's vectors have {before} numbers, so allowed: 1 to {before - 1}")
    assert teacher.embedding is not None
    if teacher.embedding.activation is not None:
        raise InputError(
            f"checkpoint {teacher.name}: its Dense module ends in {teacher.embedding.activation}, behind which no "
            "student has another layer; its vectors cannot be cut"
        )


def read_evaluation(train: str, evaluation: str, columns: Columns, prompts: Prompts) -> tuple[Judged, Dataset]:
    """What the cut is measured on."""
    if train == evaluation:
        raise InputError(f"train and eval are the same data ({train}); measure on others, or leave --eval out")
    judged, data = read_judged(evaluation, columns)
    if judged == "teacher":
        raise InputError(f"{evaluation}: texts alone measure no cut; give scored pairs, or a search folder")
    return judged, prompted(data, judged, prompts)


def choose_texts(texts: Dataset, size: int, by: Cut, seed: int) -> tuple[Dataset, Dataset]:
    """Texts to find directions on, and others to say what these keep; at random where there are many."""
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    held_out = min(MOST_HELD_OUT, max(1, int(HELD_OUT * len(order))))
    rest = order[held_out : held_out + MOST_TEXTS]
    if by == "pca" and len(rest) < size:
        raise InputError(
            f"{texts.source}: {len(order)} texts, of which {len(rest)} are for directions; {size} or more of them are "
            f"needed for vectors of {size} numbers: give more texts"
        )
    chosen, others = (tuple(texts.examples[i] for i in part) for part in (rest, order[:held_out]))
    return replace(texts, examples=chosen), replace(texts, examples=others)


def find_directions(vectors: np.ndarray, size: int) -> np.ndarray:
    """The directions that vectors `(n, before)` have most of, `(before, size)`, orthonormal."""
    exact = vectors.astype(np.float64)
    _, found = np.linalg.eigh(exact.T @ exact)  # the largest last
    basis = found[:, ::-1][:, :size]
    largest = basis[np.abs(basis).argmax(0), np.arange(size)]
    return (basis * np.sign(largest)).astype(np.float32)  # of two directions that differ in sign, always the same


def write_teacher(teacher: Teacher, model: EmbeddingModel, basis: np.ndarray, source: Path, folder: Path) -> None:
    """A sentence-transformers folder: the encoder's files, its pooling, the linear layer, length 1 where it was."""
    embedding = teacher.embedding
    assert embedding is not None
    folder.mkdir()
    for path in teacher.checkpoint.files():
        shutil.copyfile(path, folder / path.name)
    for name in (OWN_CONFIG, "README.md"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    write_json(folder / SETTINGS, {"max_seq_length": teacher.max_length, "do_lower_case": embedding.lower_case})
    kinds = ["Transformer", "Pooling", "Dense", *(["Normalize"] if embedding.normalized else [])]
    paths = ["", *(f"{i}_{kind}" for i, kind in enumerate(kinds) if i)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{PACKAGE}.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / MODULES, modules)
    for name in paths[1:]:
        (folder / name).mkdir()
    write_json(folder / "1_Pooling" / "config.json", pooling_config(embedding, int(model.config.hidden_size)))
    write_dense(folder / "2_Dense", model, torch.from_numpy(basis))


def write_dense(folder: Path, model: EmbeddingModel, basis: torch.Tensor) -> None:
    """The linear layer that cuts; where the teacher has one, the two in one."""
    weight, bias = basis.T.contiguous(), None
    if model.dense is not None:
        weight = basis.T @ model.dense.weight
        bias = None if model.dense.bias is None else basis.T @ model.dense.bias
    tensors = {"linear.weight": weight, **({} if bias is None else {"linear.bias": bias})}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    config = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None}
    write_json(folder / "config.json", {**config, "activation_function": IDENTITY})


def pooling_config(embedding: Embedding, size: int) -> dict[str, Any]:
    """As sentence-transformers writes it, each way of pooling a flag."""
    flags = {flag: pooling == embedding.pooling for flag, pooling in FLAGS.items()}
    return {"word_embedding_dimension": size, **flags, "include_prompt": True}


def write_json(path: Path, content: Any) -> None:
    """A file of a folder that is not yet published."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def encoded(teacher: Teacher, data: Dataset) -> Encoded:
    """Texts as the teacher reads them."""
    return encode(data, teacher.task, teacher.tokenizer, teacher.max_length)


def check_vectors_of(found: np.ndarray, expected: np.ndarray) -> None:
    """`CheckFailed` where the folder as written gives other vectors than were cut."""
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= CLOSE:
        raise CheckFailed(f"the folder gives vectors that differ by {error:.2g} of the largest number; {CLOSE} allowed")


def measure(models: Sequence[tuple[Teacher, Module]], judged: Judged, data: Dataset) -> dict[str, Any]:
    """The metric of evaluation data, before and after, by the teachers and their models."""
    figures: list[float] = []
    for each, model in models:
        task = replace(each.task, judged=judged)
        check_vectors(data, task)
        texts = encode(data, task, each.tokenizer, each.max_length)
        figures.append(task.score(predict(model, texts), texts))
    return {
        "metric_name": task.metric_name,
        "metric_before": figures[0],
        "metric": figures[1],
        "n": task.observations(data),
    }

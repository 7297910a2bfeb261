"""Teachers whose vectors have fewer numbers: what they keep, what they cost, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.finetune import CutResult, cut_vectors
from edgepack.finetune.vector_cut import find_directions
from edgepack.task.examples import Columns
from edgepack.teacher import load_teacher
from edgepack.teacher.embedding_model import EmbeddingModel
from tests.teacher.embedding_folders import EMBEDS, write_dense, write_encoder, write_modules
from tests.teacher.tiny import SENTENCES

QUIET = Console(quiet=True)
BEFORE, AFTER = 16, 6


def write_texts(folder: Path, count: int = 60) -> Path:
    """Texts of the encoder's words, each once."""
    words = sorted({word for sentence in SENTENCES for word in sentence.split()})
    generator, path = np.random.default_rng(0), folder / "texts.txt"
    lines = [" ".join(generator.choice(words, generator.integers(1, 6))) + f" {i}" for i in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_pairs(folder: Path, texts: Path) -> Path:
    lines, path = texts.read_text().splitlines(), folder / "pairs.tsv"
    others = [[lines[i], f"{lines[i]} {lines[i + 1]}", lines[i + 1]][i % 3] for i in range(20)]
    rows = [f"{line}\t{other}\t{5 - i % 3}" for i, (line, other) in enumerate(zip(lines, others, strict=False))]
    path.write_text("sentence1\tsentence2\tscore\n" + "\n".join(rows) + "\n")
    return path


def model_of(folder: Path, pooling: str | None = None) -> EmbeddingModel:
    model = load_teacher(str(folder), EMBEDS, pooling=pooling).load_model()
    assert isinstance(model, EmbeddingModel)
    return model


def vectors(model: EmbeddingModel) -> torch.Tensor:
    ids = torch.randint(5, 30, (8, 7), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        found: torch.Tensor = model(ids, torch.ones_like(ids)).logits
    return found


def cut(folder: Path, **changes: object) -> CutResult:
    given: dict[str, object] = {"size": AFTER, "console": QUIET, **changes}
    texts = folder / "texts.txt" if (folder / "texts.txt").exists() else write_texts(folder)
    return cut_vectors(str(folder / "t"), str(texts), folder / "cut", **given)  # type: ignore[arg-type]


def test_the_directions_keep_most_of_the_length() -> None:
    generator = np.random.default_rng(0)
    found = generator.normal(size=(500, 8)) * [9, 8, 7, 0.1, 0.1, 0.1, 0.1, 0.1] + 3
    turned = found @ np.linalg.qr(generator.normal(size=(8, 8)))[0]
    basis = find_directions(turned, 4)
    assert np.allclose(basis.T @ basis, np.eye(4), atol=1e-6)
    kept = [np.square(turned @ basis[:, :n]).sum() / np.square(turned).sum() for n in (1, 2, 3, 4)]
    assert kept == sorted(kept)
    assert kept[-1] > 0.999
    singular = np.linalg.svd(turned, compute_uv=False) ** 2
    assert kept[1] == pytest.approx(singular[:2].sum() / singular.sum())
    assert np.array_equal(find_directions(turned[::-1], 4).round(4), basis.round(4))


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize("by", ["pca", "first"])
def test_an_encoder_becomes_a_folder_that_gives_the_cut_vectors(tmp_path: Path, by: str, pooling: str) -> None:
    write_encoder(tmp_path / "t")
    result = cut(tmp_path, by=by, pooling=pooling)
    whole, found = model_of(tmp_path / "t", pooling), model_of(tmp_path / "cut")
    assert found.dense is not None
    expected = vectors(whole) @ found.dense.weight.T
    assert torch.allclose(vectors(found), torch.nn.functional.normalize(expected, dim=-1), atol=1e-5)
    if by == "first":
        assert torch.equal(found.dense.weight, torch.eye(AFTER, BEFORE))
    assert (result.before, result.after, result.texts) == (BEFORE, AFTER, 6)
    assert 0 < result.kept < 1
    assert result.metric is None
    assert {path.name for path in tmp_path.iterdir()} == {"t", "texts.txt", "cut"}


def test_a_linear_layer_and_the_cut_are_one(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t")
    write_modules(tmp_path / "t", "mean", "Dense")
    write_dense(tmp_path / "t" / "2_Dense", "torch.nn.modules.linear.Identity")
    result = cut(tmp_path, size=3)
    whole, found = model_of(tmp_path / "t"), model_of(tmp_path / "cut")
    assert (result.before, found.vector_size, found.embedding.normalized) == (6, 3, False)
    basis = torch.linalg.lstsq(vectors(whole), vectors(found)).solution
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-4)
    teacher = load_teacher(str(tmp_path / "cut"), EMBEDS)
    assert teacher.max_length == load_teacher(str(tmp_path / "t"), EMBEDS).max_length == 12


def test_what_the_cut_costs_is_said(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t")
    texts = write_texts(tmp_path)
    pairs = write_pairs(tmp_path, texts)
    result = cut(tmp_path, pooling="mean", evaluation=str(pairs))
    assert (result.metric_name, result.n) == ("spearman", 20)
    assert result.metric_before is not None
    assert result.metric is not None
    assert 0.2 < result.metric < 1
    assert f"spearman {result.metric_before:.4f} before, {result.metric:.4f} after, on 20" in result.table()


def test_the_same_texts_give_the_same_folder(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t")
    weights, texts = [], write_texts(tmp_path)
    for name in ("one", "two"):
        cut_vectors(str(tmp_path / "t"), str(texts), tmp_path / name, AFTER, pooling="mean", console=QUIET)
        weights.append((tmp_path / name / "2_Dense" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"by": "PCA"}, r"by is 'PCA'; allowed: pca, first"),
        ({"size": BEFORE}, r"size is 16; the teacher's vectors have 16 numbers, so allowed: 1 to 15"),
        ({"evaluation": "texts.txt"}, r"train and eval are the same data"),
        ({"evaluation": "others.txt"}, r"others\.txt: texts alone measure no cut; give scored pairs, or a search"),
        ({"columns": Columns(text="nothing"), "train": "pairs.tsv"}, r"nothing"),
        ({"columns": Columns(label="score")}, r"--label-column 'score' is of scored pairs, and no"),
        ({"train": "few.txt"}, r"few\.txt: 5 texts, of which 4 are for directions; 6 or more of them are needed"),
        ({"output": "t"}, r"output t: exists and is not an empty folder; name a new one"),
        ({"pooling": None}, r"has no modules\.json, so how its tokens become one vector is not known"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "t")
    write_pairs(tmp_path, write_texts(tmp_path))
    (tmp_path / "others.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "few.txt").write_text("a\nb\nc\nd\ne\n")
    before = sorted(tmp_path.rglob("*"))
    given: dict[str, object] = {"train": "texts.txt", "output": "cut", "size": AFTER, "pooling": "mean", **changes}
    train, output, size = str(given.pop("train")), Path(str(given.pop("output"))), int(str(given.pop("size")))
    with pytest.raises(InputError, match=message):
        cut_vectors("t", train, output, size, console=QUIET, **given)  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_layer_that_ends_in_a_curve_is_refused(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t")
    write_modules(tmp_path / "t", "mean", "Dense")
    write_dense(tmp_path / "t" / "2_Dense")
    with pytest.raises(InputError, match="its Dense module ends in tanh, behind which no student has another layer"):
        cut(tmp_path, size=3)
    assert not (tmp_path / "cut").exists()


def test_the_command(tmp_path: Path) -> None:
    write_encoder(tmp_path / "t")
    texts = write_texts(tmp_path)
    arguments = ["cut-vectors", "-m", str(tmp_path / "t"), "-d", str(texts), "--pooling", "mean", "--size", "4"]
    done = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "cut"), "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert (record["before"], record["after"], record["by"], record["texts"]) == (BEFORE, 4, "pca", 6)
    again = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "cut")])
    assert again.exit_code == 2
    assert "exists and is not an empty folder" in again.output

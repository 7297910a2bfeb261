"""A new axis of the student is one edit of the walk: every writer and every size model follows.

Two toy axes stand for one. *Loops* runs the layers twice over the same weights; *stem* puts a product and a norm of its
own between the embeddings and the first layer. Each replaces one function of the walk, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.errors import InputError
from edgepack.export import encoder_walk, export
from edgepack.export.encoder_walk import EncoderWalk, Layer, attention_of, feed_forward_of
from edgepack.export.linear import Linear
from edgepack.plan.size import model_size
from edgepack.runtime import load
from edgepack.student.config import StudentConfig
from edgepack.student.linear import QuantizedLinear
from edgepack.student.model import Student, make_norm
from edgepack.target import load_target

Make = Callable[..., Student]
Inputs = Callable[..., dict[str, torch.Tensor]]
LOOPS, LAYERS = 2, 2
EXACT = ("linux-onnx", "android-torchscript", "android-litert")  # formats whose predicted bytes are exact
VOCABULARY = 12_000  # of the others: what is not constants takes some bytes more or less, which is much of a tiny file
WIDTHS = [(32, 32), (8, 8), (4, 4)]
RUN_HERE = [
    *((name, bits) for name in ("linux-onnx", "android-torchscript") for bits in WIDTHS),
    *(pytest.param("android-litert", bits, marks=pytest.mark.needs_litert) for bits in WIDTHS),
    # lowering takes half a minute; test_executorch.py has the other widths
    pytest.param("android-executorch", (4, 4), marks=[pytest.mark.needs_executorch, pytest.mark.slow]),
    pytest.param("ios-coreai", (4, 4), marks=pytest.mark.needs_coreai),  # test_coreai.py has the others
]
PACKAGES = {
    "android-litert": "ai_edge_litert",
    "android-executorch": "executorch",
    "ios-coreml": "coremltools",
    "ios-coreai": "coreai",
}


def layers_in_loops(config: StudentConfig) -> Iterator[Layer]:
    """The layers, and then all of them again."""
    steps = LOOPS * config.num_hidden_layers
    for step in range(steps):
        layer = step % config.num_hidden_layers
        attention = attention_of(config, (config.attention_sharing or [])[layer], first_only=step == steps - 1)
        feed_forward = feed_forward_of(config, (config.ffn_sharing or [])[layer])
        yield Layer(f"l{step}", attention, f"attention_norms.{layer}", feed_forward, f"ffn_norms.{layer}")


def unrolled(student: Student) -> Student:
    """A student of this project's own axes that computes what the looped one does: layers that share all weights."""
    fields = student.config.to_dict() | {"num_hidden_layers": LOOPS * LAYERS}
    fields |= {name: list(range(LAYERS)) * LOOPS for name in ("attention_sharing", "ffn_sharing")}
    for name in ("model_type", "transformers_version", "architectures", "dtype"):
        fields.pop(name, None)
    long = Student(StudentConfig(**fields)).eval()
    state = student.state_dict()
    for layer in range(LAYERS, LOOPS * LAYERS):
        for norms in ("attention_norms", "ffn_norms"):
            for part in ("weight", "bias"):
                state[f"{norms}.{layer}.{part}"] = state[f"{norms}.{layer % LAYERS}.{part}"]
    long.load_state_dict(state)
    return long


def add_stem(student: Student) -> Student:
    """The same student with a product and a norm behind its embeddings."""
    size = student.config.hidden_size
    student.stem, student.stem_norm = QuantizedLinear(size, size), make_norm(student.config, size)
    torch.nn.init.normal_(student.stem.weight, std=0.2, generator=torch.Generator().manual_seed(1))
    student.set_bits(student.config.body_bits, student.config.embedding_bits)
    student.round_vectors()
    student.embeddings.register_forward_hook(lambda _, __, x: student.stem_norm(x + student.stem(x)))
    return student


EMBEDDINGS = EncoderWalk.embeddings


def embeddings_with_stem(walk: EncoderWalk[Any]) -> Any:
    """The embeddings, then the stem."""
    size = walk.config.hidden_size
    x = EMBEDDINGS(walk)
    y = walk.linear("stem", x, Linear("stem", ("stem",), size, size))
    return walk.norm("stem", walk.residual("stem", x, y), "stem_norm", size)


@pytest.fixture(params=["loops", "stem"])
def new_axis(
    request: pytest.FixtureRequest, make_student: Make, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Student, Student]]:
    """The walk edited; for widths, a student of the new axis and one whose `forward` says what files shall compute."""
    if request.param == "loops":
        monkeypatch.setattr(encoder_walk, "encoder_layers", layers_in_loops)
    else:
        monkeypatch.setattr(EncoderWalk, "embeddings", embeddings_with_stem)

    def make(body_bits: int, embedding_bits: int, **changes: Any) -> tuple[Student, Student]:
        student = make_student(body_bits, embedding_bits, **changes)
        if request.param == "loops":
            return student, unrolled(student)
        stemmed = add_stem(student)
        return stemmed, stemmed

    make.axis = request.param  # type: ignore[attr-defined]
    return make


@pytest.mark.parametrize(("name", "bits"), RUN_HERE)
def test_files_of_every_format_compute_the_new_axis(
    name: str, bits: tuple[int, int], new_axis: Any, make_inputs: Inputs, tmp_path: Path
) -> None:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    student, reference = new_axis(*bits, **({} if name in EXACT else {"vocab_size": VOCABULARY}))
    target = load_target(name)
    if new_axis.axis == "stem" and target.format == "torchscript":
        with pytest.raises(InputError, match="no place for the matrix 'stem'"):
            export(student, target, tmp_path)
        return
    artifact = export(student, target, tmp_path)
    session, difference = load(artifact.path, target), []
    if target.activations != "example":
        reference.round_activations_by(target.activations)
    for length in (1, 4, 7, 12, 24):
        inputs = make_inputs((length,))
        with torch.no_grad():
            expected = reference(**inputs).logits.numpy()
        got = session.run({key: value.numpy() for key, value in inputs.items()})
        difference.append(np.abs(got - expected).max())
    assert np.median(difference) < (1e-5 if 32 in bits else 0.05)
    predicted = model_size(student.config, target).total
    if name in EXACT:
        assert predicted == artifact.size_bytes
    elif 32 not in bits:  # the others' size models are fitted to rounded files
        assert predicted == pytest.approx(artifact.size_bytes, rel=0.005)


@pytest.mark.needs_coreml
@pytest.mark.parametrize("bits", [(8, 8), (4, 4)])
def test_core_ml_writes_what_it_predicts(bits: tuple[int, int], new_axis: Any, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    student, _ = new_axis(*bits, vocab_size=VOCABULARY)
    target = load_target("ios-coreml")
    artifact = export(student, target, tmp_path)
    assert model_size(student.config, target).total == pytest.approx(artifact.size_bytes, rel=0.005)


@pytest.mark.parametrize(
    "name", ["linux-onnx", "android-torchscript", "android-litert", "android-executorch", "ios-coreml", "ios-coreai"]
)
def test_every_size_model_sees_the_new_axis(name: str, new_axis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    student, _ = new_axis(8, 8)
    target = load_target(name)
    if new_axis.axis == "stem" and target.format == "torchscript":
        with pytest.raises(InputError, match="no place for the matrix 'stem'"):
            model_size(student.config, target)
        return
    after = model_size(student.config, target)
    monkeypatch.undo()
    before = model_size(student.config, target)
    assert after.total > before.total
    if new_axis.axis == "stem":
        names = {tensor for tensor, _ in after.tensors} - {tensor for tensor, _ in before.tensors}
        assert any(name.startswith("stem") for name in names)

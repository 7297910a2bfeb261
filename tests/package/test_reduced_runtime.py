"""What a reduced runtime is built from: the artifact's operators and types, and a model that gives its goldens."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from edgepack.bundle.manifest import artifact_sha256, file_record, load_manifest, write_model
from edgepack.bundle.write import write_bundle
from edgepack.cli import main
from edgepack.errors import CheckFailed, InputError, MissingDependency
from edgepack.export import export
from edgepack.package import reduced_runtime as module
from edgepack.package.reduced_runtime import CONFIG_NAME, ORT_NAME, config_operators, reduce_runtime, write_config
from edgepack.runtime.onnxruntime import save_ort_format
from tests.evidence.world import TARGET, make_student, make_world

ENTRY = re.compile(r"(\w+)(\{.*?\}\})?(?:,|$)")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a model that runs."""
    folder = tmp_path_factory.mktemp("made")
    return write_bundle(folder / "bundle", make_world(folder).contents()).folder


def written_types(path: Path) -> dict[str, dict[str, dict[str, set[str]]]]:
    """Operator → inputs or outputs → number → types, as the configuration's lines have them."""
    found: dict[str, dict[str, dict[str, set[str]]]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("ai.onnx;"):
            for name, types in ENTRY.findall(line.split(";", 2)[2]):
                each = json.loads(types) if types else {}
                found[name] = {side: {n: set(t) for n, t in numbers.items()} for side, numbers in each.items()}
    return found


def seen_types(model: onnx.ModelProto) -> dict[str, dict[str, dict[str, set[str]]]]:
    """The same, of arrays that came out of every node when the model ran without optimizations."""
    values = [name for node in model.graph.node for name in node.output if name]
    shown = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(shown.SerializeToString(), options)
    inputs = {value.name: np.ones((1, 5), np.int64) for value in session.get_inputs()}
    arrays = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))
    arrays |= inputs | {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    names = {np.dtype(np.float32): "float", np.dtype(np.float16): "MLFloat16"}
    found: dict[str, dict[str, dict[str, set[str]]]] = {}
    for node in model.graph.node:
        each = found.setdefault(node.op_type, {"inputs": {}, "outputs": {}})
        for side, sequence in (("inputs", node.input), ("outputs", node.output)):
            for number, name in enumerate(sequence):
                if name:
                    dtype = arrays[name].dtype
                    each[side].setdefault(str(number), set()).add(names.get(dtype, f"{dtype}_t"))
    return found


@pytest.mark.parametrize(("body", "embedding"), [(8, 8), (4, 3), (1, 2)])
def test_the_list_has_the_artifacts_operators_and_types_and_no_other(body: int, embedding: int, tmp_path: Path) -> None:
    student = make_student(vocab_size=64, body_bits=body, embedding_bits=embedding, num_labels=2)
    artifact = export(student, TARGET, tmp_path)
    levels = save_ort_format(artifact.path, tmp_path)
    own = write_config([levels["ORT_DISABLE_ALL"]], tmp_path / "own.config", "")
    assert own == tuple(sorted(artifact.operators))
    seen, written = seen_types(onnx.load(artifact.path)), written_types(tmp_path / "own.config")
    assert written
    for name, sides in written.items():
        for side, numbers in sides.items():
            for number, types in numbers.items():
                assert types == seen[name][side][number], f"{name} {side} {number}"
    every = write_config(list(levels.values()), tmp_path / "every.config", "")
    assert set(own) <= set(every)
    assert set(written_types(tmp_path / "every.config")["Cast"]["inputs"]["0"]) >= written["Cast"]["inputs"]["0"]


def test_the_folder_has_the_list_the_model_and_a_page(made: Path, tmp_path: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    reduced = reduce_runtime(made, tmp_path / "runtime")
    assert logging.getLogger().handlers == handlers
    assert reduced.files == ("README.md", ORT_NAME, CONFIG_NAME)
    assert set(load_manifest(made).runtime.operators) <= set(reduced.operators)
    assert config_operators(reduced.folder / CONFIG_NAME) == reduced.operators
    text = "".join((reduced.folder / name).read_text() for name in ("README.md", CONFIG_NAME))
    assert str(tmp_path) not in text
    assert artifact_sha256(load_manifest(made)) in text
    assert f"--branch v{ort.__version__}" in text
    assert "--android_abi arm64-v8a --android_api 26 " in text
    again = reduce_runtime(made, tmp_path / "again")
    assert (reduced.folder / CONFIG_NAME).read_bytes() == (again.folder / CONFIG_NAME).read_bytes()


def test_a_model_without_its_goldens_is_not_written(made: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(made, tmp_path / "bundle")
    goldens = [json.loads(line) for line in (bundle / "golden.jsonl").read_text().splitlines()]
    goldens[0]["logits"] = [-value - 1 for value in goldens[0]["logits"]]
    (bundle / "golden.jsonl").write_text("".join(json.dumps(golden) + "\n" for golden in goldens))
    manifest = load_manifest(bundle)
    files = [file_record(bundle, bundle / record.path, record.shipped) for record in manifest.files]
    write_model(bundle / "edgepack.json", manifest.model_copy(update={"files": files}))
    with pytest.raises(CheckFailed, match=r"model\.ort is not the bundle's model: golden 1: logits differ"):
        reduce_runtime(bundle, tmp_path / "runtime")
    assert not (tmp_path / "runtime").exists()


def test_what_cannot_be_reduced_is_one_line(made: Path, bundle: Path, tmp_path: Path) -> None:
    manifest = load_manifest(bundle)
    runtime = manifest.runtime.model_copy(update={"name": "coreml"})
    write_model(bundle / "edgepack.json", manifest.model_copy(update={"runtime": runtime}))
    with pytest.raises(InputError, match="is for coreml; reduced runtimes are described for onnxruntime, "):
        reduce_runtime(bundle, tmp_path / "runtime")
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    result = CliRunner().invoke(main, ["reduce-runtime", str(made), "-o", str(full)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: output {full} is not empty; give a new folder")
    write_model(bundle / "edgepack.json", manifest)
    with pytest.raises(InputError, match=r"model_quantized\.onnx is not to be had in ONNX Runtime's format"):
        reduce_runtime(bundle, tmp_path / "runtime")  # five bytes that are no model


def test_a_missing_executorch_is_said(monkeypatch: pytest.MonkeyPatch, made: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "executorch.codegen.tools.gen_oplist", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[executorch\]"'):
        module.write_executorch(made, load_manifest(made), tmp_path)

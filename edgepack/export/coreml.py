"""Export to Core ML: an `mlprogram` package of `coreml_encoder.py`'s operators, made with coremltools' own builder.

Nothing is converted: the builder checks each operator's types and no pass is run after it, so the file holds exactly
the operators that the encoder names. Weights that layers share are one constant. A package is a folder; the ids that
coremltools draws for its entries are replaced by fixed ones, so the same student gives the same bytes.

coremltools writes packages on Linux and runs them on macOS alone: see `edgepack/runtime/coreml.py`.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import MissingDependency
from edgepack.export import Artifact, artifact_bytes
from edgepack.export.coreml_encoder import FP16, INT4, UINT2, UINT3, UINT4, CoremlEncoder, Make
from edgepack.export.support import check_operators, check_student
from edgepack.runtime.native_output import captured_stderr
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.workspace import publish_folder

ENTRIES = {"model.mlmodel": "00000000-0000-4000-8000-000000000001", "weights": "00000000-0000-4000-8000-000000000002"}


def export_coreml(student: Student, target: Target, folder: Path) -> Artifact:
    """Write the package `folder/<target.file>` with weights at the bit widths of the student's config."""
    check_student(student, target)
    with quiet():
        ct = import_coremltools()
        program, used = build_program(ct, student)
        check_operators(used, target)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=ct.precision.FLOAT32,  # leaves numbers as they are: the program is fp16 already
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        path = folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            package = Path(scratch) / path.name
            model.save(str(package))
            fix_package(package, model.get_spec())
            publish_folder(package, path)
    return Artifact(target, path, artifact_bytes(path), tuple(sorted(used)))


def build_program(ct: Any, student: Student) -> tuple[Any, dict[str, str]]:
    """The program in coremltools' form, and each operator in it with its first name."""
    from coremltools.converters.mil.mil import Function, Program, get_new_symbol, types

    config = student.config
    names = MODEL_INPUTS[: 3 if config.type_vocab_size > 1 else 2]
    length = get_new_symbol()  # unnamed: a name stays taken for the process when a conversion fails
    placeholders = {name: ct.converters.mil.Builder.placeholder(shape=(1, length), dtype=types.int32) for name in names}
    program, emit = Program(), ProgramEmitter(ct)
    with Function(placeholders, opset_version=ct.target.iOS18) as function:
        inputs = {name: function.inputs[name] for name in names}
        function.set_outputs([CoremlEncoder(config, emit, inputs, student).output()])
    program.add_function("main", function)
    longest = config.max_position_embeddings
    lengths = ct.RangeDim(lower_bound=1, upper_bound=longest, default=longest)
    function.input_types = [ct.TensorType(name=name, shape=(1, lengths), dtype=np.int32) for name in names]
    return program, emit.used


class ProgramEmitter:
    """Makes operators with coremltools' builder."""

    def __init__(self, ct: Any) -> None:
        from coremltools.converters.mil.mil import types

        self._builder = ct.converters.mil.Builder
        narrow = {name: getattr(types, f"np_{name}_dtype") for name in (INT4, UINT4, UINT3, UINT2)}
        self._types = {**narrow, FP16: np.float16}
        self._made: dict[str, Any] = {}
        self.used: dict[str, str] = {}

    def op(self, operator: str, name: str, **inputs: Any) -> Any:
        """One operator."""
        self.used.setdefault(operator, name)
        return getattr(self._builder, operator)(name=identifier(name), **inputs)

    def constant(self, name: str, shape: tuple[int, ...], dtype: str, make: Make) -> Any:
        """A constant, stored once."""
        if name not in self._made:
            value = make().astype(self._types.get(dtype, dtype))
            assert value.shape == shape, f"{name}: {value.shape}, {shape} declared"
            self._made[name] = self._builder.const(val=value, name=identifier(name))
        return self._made[name]


def identifier(name: str) -> str:
    """A name without dots, which the format does not allow."""
    return name.replace(".", "_")


def fix_package(package: Path, specification: Any) -> None:
    """Replace what differs each time: the entries' random ids, and the order of the specification's maps."""
    path = package / "Manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entries = {ENTRIES[entry["name"]]: entry for entry in manifest["itemInfoEntries"].values()}
    manifest |= {"itemInfoEntries": entries, "rootModelIdentifier": ENTRIES["model.mlmodel"]}
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    model = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(specification.SerializeToString(deterministic=True))


def import_coremltools() -> Any:
    """coremltools, or the line that installs it."""
    try:
        import coremltools
    except ImportError as e:
        raise MissingDependency('Core ML tools are not installed; run: pip install "edgepack[coreml]"') from e
    return coremltools


@contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars, and without warnings of versions that only its converters care for."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), captured_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
